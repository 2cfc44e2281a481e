"""The event loops that Python can be given here, by name. Imported in the servers'
processes, so that each loads only its own."""


def factory(name):
    """A function that makes the loop."""
    if name == "bide":
        import bide

        return bide.new_event_loop
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    if name == "asyncio":
        import asyncio

        return asyncio.new_event_loop
    raise ValueError(f"no loop is called {name!r}")


NAMES = ("bide", "uvloop", "asyncio")
