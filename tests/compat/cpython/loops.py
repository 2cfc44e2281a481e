"""The loops that CPython's tests are run with, and how each is installed."""

import asyncio
import importlib
import warnings


def with_default_executor(uvloop):
    """A policy and a type of uvloop's with the one private attribute that the tests' own
    tearDown asks for, without which hundreds of tests would fail once they have passed."""

    class Loop(uvloop.Loop):
        _default_executor = None

    class EventLoopPolicy(uvloop.EventLoopPolicy):
        def _loop_factory(self):
            return Loop()

    return EventLoopPolicy, Loop


class Loop:
    """A loop by its name: what makes one, and the policy that installs it."""

    def __init__(self, name, replaces_default=True):
        self.is_stock = name == "asyncio"
        self.replaces_default = replaces_default and hasattr(asyncio, "EventLoop")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            if self.is_stock:
                policy, self.make = asyncio.DefaultEventLoopPolicy, asyncio.SelectorEventLoop
                self.type = asyncio.SelectorEventLoop
            else:
                module = importlib.import_module(name)
                policy, self.make = module.EventLoopPolicy, module.new_event_loop
                self.type = module.EventLoop if name == "bide" else module.Loop
            if name == "uvloop":
                policy, self.make = with_default_executor(module)
                self.type = self.make
        self.policy = policy

    def install(self):
        """Makes asyncio.new_event_loop(), asyncio.run() and asyncio.EventLoop, by which
        newer tests name the default, make this loop. A test may have put the default
        policy back, so this is done before each."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(self.policy())
        if not self.is_stock and self.replaces_default:
            asyncio.EventLoop = self.type
