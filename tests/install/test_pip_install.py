"""What a Python user does: pip install, from the tree and from a source archive.

If these fail, `pip install bide` brings something that does not import or does not run.
"""

import glob
import os
import sys

import pytest
from tools import run, runs_the_program, tracked_copy


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return str(tracked_copy(tmp_path_factory.mktemp("source") / "bide"))


def fresh_venv(directory):
    run(sys.executable, "-m", "venv", str(directory))
    return os.path.join(str(directory), "bin", "python")


def test_pip_install_of_the_tree_into_a_fresh_venv(source, tmp_path):
    python = fresh_venv(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", source)
    runs_the_program(python, tmp_path)


def test_sdist_holds_all_that_its_install_needs(source, tmp_path):
    python = fresh_venv(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", "build")
    run(python, "-m", "build", "--sdist", "--outdir", str(tmp_path / "dist"), source)
    (archive,) = glob.glob(f"{tmp_path}/dist/*.tar.gz")
    run(python, "-m", "pip", "install", "--quiet", archive)
    runs_the_program(python, tmp_path)
    listing = run("tar", "-tzf", archive)
    for name in ("LICENSE", "core/src/lib.c", "core/include/bide.h", "core/include/bide/loop.h"):
        assert f"/{name}\n" in listing, f"the source archive lacks {name}"
