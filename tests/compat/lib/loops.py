"""The loops that the suites run on."""

import asyncio
import importlib
import warnings


def factory(name):
    """A function that makes a loop of that name: asyncio, bide or uvloop."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    return importlib.import_module(name).new_event_loop


def install(name):
    """Every loop that asyncio makes by itself from here on is of that name."""
    if name == "asyncio":
        return
    with warnings.catch_warnings():
        # Policies go with Python 3.16; for a suite that makes its loops by
        # asyncio.new_event_loop() there is no other way.
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module(name).install()
