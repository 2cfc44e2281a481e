"""The event loops that Python can be given here, by name. Imported in the servers'
processes, so that each loads only its own."""

import importlib
import os

# Where the pip package of a loop is called as its module, which all are.
RIVALS = ("asyncio", "uvloop", "rloop", "rsloop", "zuvloop")
NAMES = ("bide", "uvloop", "asyncio")


def factory(name):
    """A function that makes the loop. `bide io_uring` and `bide epoll` are bide on that
    backend, `bide` on the one it chooses."""
    module, _, backend = name.partition(" ")
    if module != "bide" and module not in RIVALS:
        raise ValueError(f"no loop is called {name!r}")
    if backend:
        os.environ["BIDE_BACKEND"] = backend
    return importlib.import_module(module).new_event_loop
