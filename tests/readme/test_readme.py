"""The README's own programs, run as they are printed.

If these fail, the first thing that a new user tries does not work.
"""

import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 60
PROGRAM_LANGUAGES = ("python", "js", "c")
BACKENDS = {"io_uring": ("io_uring",), "epoll": ("epoll",), "auto": ("io_uring", "epoll")}

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
    BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", readme.read(), re.MULTILINE | re.DOTALL)


def programs():
    """(file, program, commands, output): a program's block is followed by the commands
    that run it and by what they print."""
    for index, (language, text) in enumerate(BLOCKS):
        if language not in PROGRAM_LANGUAGES:
            continue
        (_, commands), (_, output) = BLOCKS[index + 1 : index + 3]
        assert [block[0] for block in BLOCKS[index + 1 : index + 3]] == ["sh", "text"], text
        name = re.match(r"(?:#|//|/\*) (\S+)", text).group(1)
        yield name, text, commands, output


def one_liners():
    return [
        line for language, text in BLOCKS if language == "sh"
        for line in text.splitlines() if re.match(r"(python -c|node -e) ", line)
    ]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """bide installed as the README says, elsewhere."""
    directory = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", "build/cmake", "--prefix", directory],
        cwd=ROOT, check=True, capture_output=True,
    )
    return directory


@pytest.fixture
def run(tmp_path, prefix):
    """Runs a shell script in a folder of its own, where all three doors are open."""
    (tmp_path / "node_modules").mkdir()
    os.symlink(ROOT, tmp_path / "node_modules" / "bide")
    environment = {
        **os.environ,
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
        "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig"),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
    }

    def run_script(script):
        done = subprocess.run(
            ["sh", "-e", "-c", script], cwd=tmp_path, env=environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_script


def test_all_three_doors_have_a_program():
    assert [name.rpartition(".")[2] for name, *_ in programs()] == ["py", "mjs", "c"]


@pytest.mark.parametrize(
    "name, text, commands, output", [pytest.param(*row, id=row[0]) for row in programs()]
)
def test_program_prints_what_the_readme_says(run, tmp_path, name, text, commands, output):
    (tmp_path / name).write_text(text)
    assert run(commands) == output


@pytest.mark.parametrize("line", one_liners(), ids=lambda line: line.split()[0])
def test_loop_says_what_it_waits_on(run, line):
    backend, reason = run(line).strip().split(" - ", 1)
    assert backend in BACKENDS[os.environ.get("BIDE_BACKEND", "auto")]
    assert reason


def test_links_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        with open(os.path.join(ROOT, page), encoding="utf-8") as file:
            links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read())
        for link in links:
            assert os.path.exists(os.path.join(ROOT, link)), f"{page} links to {link}"
