"""What a C user does with an installed bide: pkg-config, or find_package.

If these fail, a program outside of this tree cannot be built against it.
"""

import glob
import os
import re
import subprocess

import pytest
from tools import HERE, ROOT, fails, run

PROGRAM = os.path.join(HERE, "program.c")
SAYS = re.compile(r"^bide \d+\.\d+\.\d+ on (io_uring|epoll): hello$", re.MULTILINE)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """bide built with CMake's defaults and installed; then moved, which must not matter."""
    build = tmp_path_factory.mktemp("cmake")
    installed = tmp_path_factory.mktemp("installed") / "first"
    moved = installed.parent / "moved"
    run("cmake", "-S", ROOT, "-B", str(build), "-DCMAKE_INSTALL_PREFIX=/usr/local")
    run("cmake", "--build", str(build), "-j", "2")
    run("cmake", "--install", str(build), "--prefix", str(installed))
    os.rename(installed, moved)
    return moved


def pkg_config(prefix, *arguments):
    (found,) = glob.glob(f"{prefix}/lib*/**/pkgconfig", recursive=True)
    return run("pkg-config", *arguments, "bide", env={"PKG_CONFIG_PATH": found}).split()


def library_directory(prefix):
    (found,) = glob.glob(f"{prefix}/lib*/**/libbide.so", recursive=True)
    return os.path.dirname(found)


def test_installs_headers_libraries_and_licence(prefix):
    headers = {os.path.basename(path) for path in glob.glob(f"{ROOT}/core/include/bide/*.h")}
    assert set(os.listdir(prefix / "include" / "bide")) == headers
    assert (prefix / "include" / "bide.h").exists()
    assert glob.glob(f"{prefix}/share/doc/**/LICENSE", recursive=True)
    shared = os.path.join(library_directory(prefix), "libbide.so")
    assert "[libbide.so.0]" in run("readelf", "-d", shared)


def test_library_needs_libc_alone(prefix):
    shared = os.path.join(library_directory(prefix), "libbide.so")
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", shared))
    # The loader is a part of libc, which keeps the threads' own variables in it.
    own = [name for name in needed if not name.startswith("ld-linux")]
    assert set(own) <= {"libc.so.6", "libpthread.so.0"}


def test_pkg_config_links_the_shared_library(prefix, tmp_path):
    flags = pkg_config(prefix, "--cflags", "--libs")
    program = str(tmp_path / "program")
    run("gcc", "-std=c11", "-Wall", "-Werror", PROGRAM, "-o", program, *flags)
    output = run(program, env={"LD_LIBRARY_PATH": library_directory(prefix)})
    assert SAYS.search(output)
    assert "libbide.so.0" in run("readelf", "-d", program)


def test_pkg_config_links_the_static_library(prefix, tmp_path):
    flags = pkg_config(prefix, "--cflags")
    libraries = pkg_config(prefix, "--static", "--libs")
    program = str(tmp_path / "program")
    run(
        "gcc", "-std=c11", "-Wall", "-Werror", PROGRAM, "-o", program, *flags,
        "-Wl,-Bstatic", *[flag for flag in libraries if flag != "-pthread"],
        "-Wl,-Bdynamic", "-pthread",
    )
    assert SAYS.search(run(program))
    assert "libbide.so.0" not in run("readelf", "-d", program)


def test_pkg_config_tells_the_librarys_version(prefix):
    with open(f"{ROOT}/core/include/bide/base.h") as header:
        version = re.search(r'BIDE_VERSION_STRING "(.*)"', header.read()).group(1)
    assert pkg_config(prefix, "--modversion") == [version]


@pytest.mark.parametrize("target", ["bide::bide", "bide::bide_static"])
def test_find_package_gives_a_target(prefix, tmp_path, target):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\n"
        "project(user C)\n"
        "find_package(bide 0.1 REQUIRED)\n"
        f"add_executable(program {PROGRAM})\n"
        f"target_link_libraries(program PRIVATE {target})\n"
    )
    build = tmp_path / "build"
    run("cmake", "-S", str(tmp_path), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", str(build))
    assert SAYS.search(run(str(build / "program")))


def test_program_runs_on_the_backend_that_the_environment_names(prefix, tmp_path):
    program = str(tmp_path / "program")
    run("gcc", PROGRAM, "-o", program, *pkg_config(prefix, "--cflags", "--libs"))
    libraries = {"LD_LIBRARY_PATH": library_directory(prefix)}
    output = run(program, env={**libraries, "BIDE_BACKEND": "epoll"})
    assert SAYS.search(output).group(1) == "epoll"
    refused = subprocess.run(
        [program], env={**os.environ, **libraries, "BIDE_BACKEND": "kqueue"},
        capture_output=True, text=True,
    )
    assert refused.returncode == 1 and "invalid argument" in refused.stderr


def test_other_systems_are_refused_by_cmake(tmp_path):
    output = fails(
        "cmake", "-S", ROOT, "-B", str(tmp_path), "-DCMAKE_SYSTEM_NAME=Darwin"
    )
    assert "bide is for Linux" in " ".join(output.split())
