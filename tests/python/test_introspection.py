"""What asyncio's own tools see of a bide loop: users debug with them and subclass with them."""

import asyncio
import contextvars
import copy
import gc
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import weakref

import bide
import pytest

WAITING = """
    import asyncio
    import bide

    async def leaf():
        await asyncio.sleep(60)

    async def branch():
        async with asyncio.TaskGroup() as group:
            group.create_task(leaf(), name="leaf-1")
            group.create_task(leaf(), name="leaf-2")

    async def main():
        asyncio.get_running_loop().call_soon(print, "ready", flush=True)
        await asyncio.create_task(branch(), name="branch")
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 brought python -m asyncio ps")
@pytest.mark.parametrize("command", ["ps", "pstree"])
def test_ps_shows_the_tasks_of_a_process_on_bide(command):
    program = textwrap.dedent(WAITING).replace('print, "ready", flush=True', "ready")
    program += 'def ready():\n    print("ready", flush=True)\n\nbide.run(main())\n'
    watched = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert watched.stdout.readline() == b"ready\n"
        seen = subprocess.run(
            [sys.executable, "-m", "asyncio", command, str(watched.pid)],
            capture_output=True, text=True, timeout=50,
        )
    finally:
        watched.kill()
        watched.communicate()
    if "PermissionError" in seen.stderr or "Cannot attach" in seen.stderr:
        pytest.skip("this system lets no process read another's memory")
    assert seen.returncode == 0, seen.stderr
    for name in ("Task-1", "branch", "leaf-1", "leaf-2"):
        assert name in seen.stdout


def test_the_repl_awaits_on_bide():
    program = """
        import asyncio, runpy, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import bide
        bide.install()
        runpy.run_module("asyncio", run_name="__main__")
    """
    lines = "import asyncio\nawait asyncio.sleep(0, 'awaited')\n"
    lines += "print(type(asyncio.get_running_loop()).__module__)\n"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        input=lines, capture_output=True, text=True, timeout=50,
    )
    assert "'awaited'" in done.stdout and "bide._loop" in done.stdout, done.stderr


def test_all_tasks_and_the_current_one_are_known(loop):
    async def main():
        other = asyncio.ensure_future(asyncio.sleep(0))
        assert asyncio.all_tasks() == {other, asyncio.current_task()}
        assert isinstance(other, asyncio.Task)
        await other

    loop.run_until_complete(main())
    assert asyncio.all_tasks(loop) == set()


def test_loops_and_handles_cannot_be_pickled_or_copied(loop):
    for thing in (loop, loop.call_soon(print), loop.call_later(1, print)):
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"cannot pickle '.*{type(thing).__name__}'"):
                take(thing)


def test_a_closed_loop_is_freed_at_once_though_it_had_work():
    """No cycle waits for the collector: its fds and buffers go with the last reference."""
    gc.collect()
    gc.disable()
    try:
        loop = bide.new_event_loop()
        watch = weakref.ref(loop)

        async def main():
            await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(5)))
            asyncio.get_running_loop().call_later(60, print, loop)

        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        del loop, main
        assert watch() is None
    finally:
        gc.enable()


def test_a_method_in_c_belongs_to_the_class_of_the_loop():
    """Its calls are specialised by the interpreter for no other class."""
    inherited = [
        name for name, method in vars(bide._bide.Loop).items()
        if getattr(bide.EventLoop, name) is method and callable(method)
    ]
    assert not [name for name in inherited if not name.startswith("__")]
    assert bide.EventLoop.call_soon.__objclass__ is bide.EventLoop


def test_a_subclass_may_override_what_it_likes():
    class Counting(bide.EventLoop):
        def __init__(self, name):
            self.name = name
            self.calls = []
            super().__init__()

        def call_soon(self, callback, *args, context=None):
            self.calls.append("call_soon")
            return super().call_soon(callback, *args, context=context)

        def create_task(self, coro, **options):
            self.calls.append("create_task")
            return super().create_task(coro, **options)

        def call_exception_handler(self, context):
            self.calls.append(context["message"].partition(" ")[0])

    loop = Counting("mine")

    async def main():
        loop.call_later(0, lambda: 1 / 0)
        await asyncio.create_task(asyncio.sleep(0.002))
        return "done"

    assert loop.run_until_complete(main()) == "done"
    assert loop.calls.count("create_task") == 2 and "call_soon" in loop.calls
    assert "Exception" in loop.calls and loop.name == "mine"
    assert repr(loop) == "<Counting running=False closed=False debug=False>"
    loop.close()


def test_loops_in_threads_do_not_know_of_each_other():
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    def work(number):
        async def main():
            variable.set(number)
            await asyncio.sleep(0.005)
            seen.append((number, variable.get(), asyncio.get_running_loop()))

        bide.run(main())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(pair[:2] for pair in seen) == [(n, n) for n in range(1, 6)]
    assert len({id(loop) for _, _, loop in seen}) == 5 and variable.get() == 0


def test_a_loop_keeps_nothing_in_its_dict(loop, run):
    """It is the program's. What lies there makes each call of a loop's method slower."""

    async def main():
        await loop.run_in_executor(None, int)
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.remove_signal_handler(signal.SIGUSR1)
        await loop.shutdown_asyncgens()

    loop.set_default_executor(bide.Pool("mine"))
    handler = loop.get_exception_handler()
    loop.set_exception_handler(None)
    loop.set_exception_handler(handler)
    run(main())
    assert vars(loop) == {}
    loop.mine = 1
    assert vars(loop) == {"mine": 1}
