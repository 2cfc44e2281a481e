"""pip installs bide from its source archive on every interpreter found, without network.

If these fail, `pip install bide` on one of the Pythons that bide promises to run on, or
behind a firewall, ends in a wall of errors. The installs run in a network namespace that
has no interface, where one may be made; pip knows no index in any case, but a folder with
what pyproject.toml says the build needs.
"""

import glob
import os
import subprocess
import sys

import pytest
from tools import ROOT, run, runs_the_program, tracked_copy

sys.path.insert(0, os.path.join(ROOT, "scripts"))
import pythons

NO_NETWORK = ["unshare", "--net", "--map-root-user"]
# A quick build: the others compile as a release does.
ENVIRONMENT = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "CFLAGS": "-O0"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sdist")
    source = str(tracked_copy(directory / "bide"))
    run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(directory), cwd=source)
    (made,) = glob.glob(f"{directory}/*.tar.gz")
    return made


@pytest.fixture(scope="module")
def needs(tmp_path_factory):
    """A folder with the one package that the build needs."""
    directory = str(tmp_path_factory.mktemp("needs"))
    run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
        "--no-deps", "--dest", directory, "setuptools",
    )
    return directory


@pytest.fixture(scope="module")
def unshared():
    """The front of a command that shall have no network."""
    works = subprocess.run([*NO_NETWORK, "true"], capture_output=True).returncode == 0
    return NO_NETWORK if works else []


@pytest.mark.parametrize("version, interpreter", pythons.find())
def test_pip_installs_the_archive_without_network(
    archive, needs, unshared, version, interpreter, tmp_path
):
    run(interpreter, "-m", "venv", str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python")
    environment = {**ENVIRONMENT, "PIP_FIND_LINKS": needs}
    run(*unshared, python, "-m", "pip", "install", "--quiet", archive, env=environment)
    runs_the_program(python, tmp_path)
    said = run(python, "-c", "import bide, sys; print(bide.__file__, sys.version)",
               cwd=str(tmp_path))
    assert said.startswith(f"{tmp_path}/venv/") and f" {version}." in said
