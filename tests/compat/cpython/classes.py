"""Which classes of CPython's own tests say something about an event loop.

Left out are those that look into the stdlib's loops, by mocks of their private parts
(test_base_events, test_selector_events, test_unix_events but for two classes), those of
other systems' loops, and those that use no loop at all.
"""

import importlib.util

# Classes whose loop is made by a method of theirs, which the subclass here overrides.
OWN_LOOP = {
    "test_events": ("EPollEventLoopTests", "create_event_loop"),
    "test_sock_lowlevel": ("EPollEventLoopTests", "create_event_loop"),
    "test_sendfile": ("EPollEventLoopTests", "create_event_loop"),
    "test_buffered_proto": ("BufferedProtocolSelectorTests", "new_loop"),
    "test_sslproto": ("SelectorStartTLSTests", "new_loop"),
    "test_ssl": ("TestSSL", "new_loop"),
    "test_server": ("SelectorStartServerTests", "new_loop"),
}

# Classes that take the loop which is installed; None stands for all of the module.
INSTALLED = {
    "test_server": ("TestServer2", "UnixServerCleanupTests"),
    "test_unix_events": ("TestFunctional", "TestFork"),
    "test_streams": None,
    "test_runners": None,
    "test_tasks": None,
    "test_futures": None,
    "test_futures2": None,
    "test_queues": None,
    "test_locks": None,
    "test_timeouts": None,
    "test_taskgroups": None,
    "test_waitfor": None,
    "test_staggered": None,
    "test_threads": None,
    "test_pep492": None,
    "test_context": None,
    "test_eager_task_factory": None,
    "test_free_threading": None,
    "test_graph": None,
}
# Modules outside test_asyncio, by the names that they have had.
ELSEWHERE = (
    ("test.test_unittest.test_async_case", "unittest.test.test_async_case"),
    ("test.test_asyncgen",),
    ("test.test_contextlib_async",),
)

# SubprocessMixin needs a class around it; asyncio's own ones test its child watchers.
SUBPROCESS = ("test_subprocess", "SubprocessMixin")

# Modules that test what asyncio.EventLoop stands for, so that it must stand for it.
NAME_DEFAULT = ("test.test_asyncio.test_runners",)

# What `make test` runs: the classes that do I/O, and the runners.
CORE = (
    *OWN_LOOP, "test_subprocess", "test_unix_events", "test_streams", "test_runners",
)


def module_exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def modules():
    """(full name, short name) of each module that this interpreter has."""
    for short in dict.fromkeys((*OWN_LOOP, SUBPROCESS[0], *INSTALLED)):
        name = "test.test_asyncio." + short
        if module_exists(name):
            yield name, short
    for names in ELSEWHERE:
        for name in names:
            if module_exists(name):
                yield name, name.rpartition(".")[2]
                break
