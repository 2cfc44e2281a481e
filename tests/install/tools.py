"""What the install tests share: running commands, and where things are."""

import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 600

# A Python user's first program.
PROGRAM = """
import asyncio, bide

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"hello\\n")
    print((await reader.readline()).decode().strip(), "on", asyncio.get_running_loop().backend)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

async def answer(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()

bide.run(main())
"""


def run(*command, env=None, cwd=ROOT, limit_s=LIMIT_S):
    """Runs a command and returns its output; one that fails fails the test with it."""
    done = subprocess.run(
        command, cwd=cwd, env=None if env is None else {**os.environ, **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=limit_s,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def fails(*command, env=None, **options):
    """Runs a command that must fail and returns its output."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, **options,
    )
    assert done.returncode != 0, f"{' '.join(command)} did not fail:\n{done.stdout}"
    return done.stdout


def tracked_copy(target):
    """A copy of the source tree as a release has it: nothing that was built."""
    ignore = shutil.ignore_patterns(
        ".git", ".venv", ".deps", "build", "dist", "node_modules", "__pycache__",
        "*.egg-info", "*.so", "*.node",
    )
    shutil.copytree(ROOT, target, ignore=ignore)
    return target


def runs_the_program(python, directory):
    output = run(python, "-c", PROGRAM, cwd=str(directory))
    assert output.strip() in ("HELLO on io_uring", "HELLO on epoll"), output
