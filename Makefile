# The front door to everything: `make` says what there is.
#
# The real work is done by CMake (the library, its tests), pip (the Python package), npm
# (the Node addon) and scripts/; each of them is incremental, so these targets may be
# called as often as one likes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

UNAME ?= $(shell uname -s)
ifneq ($(UNAME),Linux)
$(error bide is for Linux: its loop waits on io_uring or epoll, which $(UNAME) does not have)
endif
ifeq ($(shell command -v python3),)
$(error python3 is missing: install Python 3.10 or newer and run make again)
endif

CMAKE_FLAGS ?=
GENERATOR = $(if $(shell command -v ninja),Ninja,Unix Makefiles)

.PHONY: help
help:
	@echo "make build    libbide into build/, the Python package into .venv, the Node addon"
	@echo "make demo     all three at work beside their rivals, in three tables"
	@echo "make test     every suite on every backend (SUITES='core-asan python' for some)"
	@echo "make matrix   the same with every interpreter on every backend, and repeats,"
	@echo "              written to docs/results/matrix.md"
	@echo "make repeats  each Python test file five times in a process: nothing may stay"
	@echo "make check    the quick part of it, under two minutes"
	@echo "make bench    the benchmarks (QUICK=1: each under a minute), into build/bench/"
	@echo "make bench-python  bide's loop beside every other of Python's, into docs too by PUBLISH=1"
	@echo "make bench-node  bide beside Node's fs and others' pools, on Node 20, 24 and 26"
	@echo "make bench-core  the core beside libuv, libev, Tokio and Go, into README too by PUBLISH=1"
	@echo "make coverage the branches of the core that its tests take, on each backend"
	@echo "make mutants  plants the faults of tests/mutants one by one: each must be caught"
	@echo "make sweep    counts the faults that the core is put through, on each backend"
	@echo "make cross    the core and its tests for musl, which run, and for arm64"
	@echo "make soak     what takes long, written to docs/results/soak.md"
	@echo "make soak-node  cancelled opens and ended workers in Node, to docs/results/soak-node.md"
	@echo "make compat   the suites of real programs beside asyncio (SUITES='aiohttp' for some)"
	@echo "make compat-node  Node's own tests beside Node (NODE_SRC=a checkout of its tests)"
	@echo "make npm      the packages that npm installs, into build/npm"
	@echo "make lint     the rules of the source tree"
	@echo "make deps     installs the tools that all this needs"
	@echo "make clean    removes what was built"

.PHONY: deps deps-build deps-demo
deps:
	@python3 scripts/deps.py test
deps-build:
	@python3 scripts/deps.py build
deps-demo:
	@python3 scripts/deps.py demo

.PHONY: build libbide python node
build: libbide python node

libbide: deps-build build/cmake/CMakeCache.txt
	@cmake --build build/cmake

build/cmake/CMakeCache.txt: | deps-build
	@cmake -S . -B build/cmake -G "$(GENERATOR)" -DBIDE_EXAMPLES=ON \
	  -DBIDE_OUTPUT_DIRECTORY="$(CURDIR)/build" $(CMAKE_FLAGS)

python: deps-build
	@python3 scripts/venvs.py

node: deps-build node_modules/.package-lock.json
	@npm run --silent build

node_modules/.package-lock.json: package.json package-lock.json | deps-build
	@npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

.PHONY: npm
npm: node
	@node scripts/npm_packages.mjs

.PHONY: test matrix repeats check lint
test: deps build
	@python3 scripts/venvs.py --all
	@python3 scripts/suites.py $(SUITES)

matrix: deps build
	@python3 scripts/venvs.py --all
	@python3 scripts/suites.py --matrix $(SUITES)

repeats: deps build
	@python3 scripts/suites.py repeats

check: deps build
	@python3 scripts/suites.py --quick $(SUITES)

lint: libbide python
	@.venv/bin/pytest -q tests/tree

.PHONY: compat
compat:
	@python3 scripts/deps.py compat
	@python3 scripts/compat.py $(SUITES)

.PHONY: bench-node
bench-node: node
	@node benchmarks/node/bench.mjs

.PHONY: compat-node
compat-node: node
	@node tests/compat/node/compare.mjs "$(NODE_SRC)"

.PHONY: demo bench bench-python
demo: deps-demo build
	@.venv/bin/python benchmarks/demo.py

bench: deps-demo build
	@.venv/bin/python benchmarks/run.py

bench-python: deps-demo libbide
	@python3 benchmarks/python.py $(if $(PUBLISH),--publish)

.PHONY: bench-core
bench-core: libbide
	@cd benchmarks && python3 bench_core.py $(if $(PUBLISH),--publish)

.PHONY: coverage mutants sweep cross
coverage: deps-build
	@python3 scripts/coverage.py

mutants: deps-build
	@python3 scripts/mutants.py

cross: deps-build
	@python3 scripts/cross.py

sweep: deps-build
	@cmake -S . -B build/sweep -G "$(GENERATOR)" -DBIDE_TESTS=ON > /dev/null
	@cmake --build build/sweep --target test_sweep > /dev/null
	@for backend in io_uring epoll; do \
	  BIDE_BACKEND=$$backend build/sweep/test_sweep | sed "s/^/$$backend: /"; done

.PHONY: soak
soak: build
	@.venv/bin/python scripts/soak.py

.PHONY: soak-node
soak-node: node
	@python3 scripts/soak_node.py

.PHONY: clean
clean:
	rm -rf build .venv .deps node_modules python/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
