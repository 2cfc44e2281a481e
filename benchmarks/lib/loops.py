"""The event loops that Python can be given here, by name. Imported in the servers'
processes, so that each loads only its own."""

import functools
import importlib
import os

# Where the pip package of a loop is called as its module, which all are.
RIVALS = ("asyncio", "uvloop", "rloop", "rsloop", "zuvloop")
NAMES = ("bide", "uvloop", "asyncio")


def factory(name, owns_thread=True):
    """A function that makes the loop. `bide io_uring` and `bide epoll` are bide on that
    backend, `bide` on the one it chooses. For one thread, as bide.run() makes it, or for any,
    as bide.new_event_loop() does."""
    module, _, backend = name.partition(" ")
    if module != "bide" and module not in RIVALS:
        raise ValueError(f"no loop is called {name!r}")
    if backend:
        os.environ["BIDE_BACKEND"] = backend
    imported = importlib.import_module(module)
    if module == "bide":
        return functools.partial(imported.EventLoop, owns_thread=owns_thread)
    return imported.new_event_loop
