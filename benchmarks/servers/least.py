"""The least loop that asyncio's own tasks run on: compiled by the interpreter that asks for
it, since each has headers of its own."""

import asyncio
import functools
import importlib.util
import subprocess
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("least_loop.c")


@functools.cache
def ring():
    """The type in C."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "least_loop.so")
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-I", sysconfig.get_path("include"),
             "-o", library, SOURCE],
            check=True,
        )
        spec = importlib.util.spec_from_file_location("least_loop", library)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.Ring


@functools.cache
def least_loop():
    class LeastLoop(ring()):
        def run(self, coroutine):
            asyncio._set_running_loop(self)
            task = self.create_task(coroutine)
            self.run_ready()
            asyncio._set_running_loop(None)
            task.result()

    return LeastLoop(asyncio.Future, asyncio.Task)
