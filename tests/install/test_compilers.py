"""The public headers and the core under every compiler and target that bide names.

If these fail, a user's compiler, language or machine is shut out: C++ programs that
include bide.h, Clang, arm64, musl.
"""

import glob
import os
import sys

import pytest
from tools import ROOT, run

HEADERS = ["bide.h"] + sorted(
    "bide/" + os.path.basename(path) for path in glob.glob(f"{ROOT}/core/include/bide/*.h")
)
SOURCES = sorted(
    os.path.relpath(path, ROOT)
    for path in glob.glob(f"{ROOT}/core/src/**/*.c", recursive=True)
)
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wvla", "-Werror"]
CORE = ["-std=c11", "-D_GNU_SOURCE", "-Icore/include", "-Icore/src", *STRICT]
LANGUAGES = {
    "c11": ("c", "gcc", "clang"), "c17": ("c", "gcc", "clang"),
    "c++17": ("c++", "g++", "clang++"),
}
ZIG_VERSION = "0.17.1"


@pytest.mark.parametrize("kind", ["gcc", "clang"])
@pytest.mark.parametrize("standard", LANGUAGES)
def test_each_header_stands_alone(kind, standard, tmp_path):
    language, *compilers = LANGUAGES[standard]
    compiler = compilers[kind == "clang"]
    for header in HEADERS:
        unit = tmp_path / "unit"
        # Twice, so that its guard is tried too.
        unit.write_text(f"#include <{header}>\n#include <{header}>\nint main(void);\n")
        run(
            compiler, "-x", language, f"-std={standard}", *STRICT, "-fsyntax-only",
            "-Icore/include", str(unit),
        )


def test_cxx_program_may_use_the_task_macros(tmp_path):
    unit = tmp_path / "unit.cc"
    unit.write_text(
        "#include <bide.h>\n"
        "struct frame { bide_task task; bide_sleep nap; };\n"
        "bide_poll frame_poll(bide_task *task);\n"
        "bide_poll frame_poll(bide_task *task) {\n"
        "  frame *self = BIDE_FRAME(task, frame, task);\n"
        "  BIDE_ASYNC_BEGIN(task);\n"
        "  BIDE_AWAIT_SLEEP(task, &self->nap, 10);\n"
        "  BIDE_YIELD(task);\n"
        "  BIDE_ASYNC_END(task, 1);\n"
        "}\n"
    )
    for compiler in ("g++", "clang++"):
        run(
            compiler, "-std=c++17", *STRICT, "-Wno-invalid-offsetof", "-fsyntax-only",
            "-Icore/include", str(unit),
        )


@pytest.mark.parametrize("source", SOURCES)
def test_clang_compiles_the_core_without_a_warning(source, tmp_path):
    run("clang", *CORE, "-O2", "-c", source, "-o", str(tmp_path / "unit.o"))


@pytest.mark.parametrize("extra", [["-DNDEBUG"], ["-DBIDE_NO_TRACE"], ["-DBIDE_EMBEDDED"]])
def test_gcc_compiles_every_variant_without_a_warning(extra, tmp_path):
    run("gcc", *CORE, *extra, "-O2", "-c", "core/src/lib.c", "-o", str(tmp_path / "unit.o"))


@pytest.fixture(scope="module")
def zig():
    """Zig's C compiler brings the headers of every target; kept in .deps."""
    directory = os.path.join(ROOT, ".deps", f"zig-{ZIG_VERSION}")
    python = os.path.join(directory, "bin", "python")
    if not glob.glob(f"{directory}/lib/python*/site-packages/ziglang/zig"):
        run(sys.executable, "-m", "venv", "--clear", directory)
        run(python, "-m", "pip", "install", "--quiet", f"ziglang=={ZIG_VERSION}")
    return [python, "-m", "ziglang", "cc"]


@pytest.mark.parametrize(
    "target", ["aarch64-linux-gnu", "aarch64-linux-musl", "x86_64-linux-musl"]
)
def test_core_compiles_for(target, zig, tmp_path):
    run(
        *zig, "-target", target, *CORE, "-O2", "-c", "core/src/lib.c",
        "-o", str(tmp_path / "unit.o"),
    )
