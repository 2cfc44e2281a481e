"""bide's types, as a user's type checker sees them.

If these fail, an editor completes what is not there, or a program that is right is
refused by mypy --strict.
"""

import ast
import os
import subprocess
import sys

import bide
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "program.py")
PACKAGE = os.path.dirname(os.path.abspath(bide.__file__))


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Runs a module of mypy's in a directory of its own, with one cache for all."""
    directory = tmp_path_factory.mktemp("typing")
    environment = {
        **os.environ, "MYPYPATH": os.path.dirname(PACKAGE), "PYTHONPATH": os.path.dirname(PACKAGE)
    }
    if "site-packages" in PACKAGE:  # mypy finds an installed package by its py.typed
        del environment["MYPYPATH"], environment["PYTHONPATH"]

    def run(module, *arguments):
        return subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=directory, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    return run


def test_package_is_strictly_typed(check):
    done = check("mypy", "--strict", "-p", "bide")
    assert done.returncode == 0, done.stdout


def test_program_with_all_public_names_is_strictly_typed(check):
    done = check("mypy", "--strict", PROGRAM)
    assert done.returncode == 0, done.stdout


def test_wrong_types_are_refused(check, tmp_path):
    """mypy does look at bide's types, and does not take all for Any."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import asyncio, bide\n"
        "async def main() -> int: return 1\n"
        "text: str = bide.run(main())\n"
        "bide.new_event_loop().call_soon(1)\n"
        "async def connect(loop: bide.EventLoop, made: type[asyncio.Protocol]) -> int:\n"
        "    return (await loop.create_connection(made, 'h', 1))[1]\n"
    )
    done = check("mypy", "--strict", str(wrong))
    assert all(f"wrong.py:{line}: error" in done.stdout for line in (3, 4, 6)), done.stdout


def test_stubs_say_what_the_modules_have(check):
    done = check("mypy.stubtest", "bide", "--allowlist", os.path.join(HERE, "stubtest.allowed"))
    assert done.returncode == 0, done.stdout


def used_names():
    with open(PROGRAM, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {
        (node.value.id, node.attr) for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize("module", [bide, bide.fs, bide.guest], ids=lambda m: m.__name__)
def test_program_uses_every_public_name(module):
    short = module.__name__.rpartition(".")[2]
    imported = {"fs", "guest"} if module is bide else set()
    unused = set(module.__all__) - {name for of, name in used_names() if of == short} - imported
    assert not unused


def test_program_runs():
    done = subprocess.run(
        [sys.executable, PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(bide.__version__)
