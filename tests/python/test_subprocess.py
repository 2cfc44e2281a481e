"""Child processes: what they say, how they end, and that nothing of them stays.

What a user loses if these fail: output, the true exit status, a process that runs on
unseen, or descriptors and zombies until there is room for no more.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import weakref

import bide
import pytest
from processes import run_program
from protocols import noise

PIPE = asyncio.subprocess.PIPE
PYTHON = sys.executable
SLEEPS = ["sleep", "1000"]


def all_children():
    """The pids of our children, zombies too. A thread that ends meanwhile has none."""
    pids = set()
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids.update((task / "children").read_text().split())
    return pids


@pytest.fixture
def children():
    """Returns the children that the test has made."""
    before = all_children()
    return lambda: all_children() - before


@pytest.fixture(autouse=True)
def nothing_stays(open_fds, children):
    gc.collect()
    before = open_fds()
    threads = set(threading.enumerate())
    yield
    gc.collect()
    assert not children()
    assert open_fds() <= before
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)


class Events(asyncio.SubprocessProtocol):
    """Keeps every call, and `over` for connection_lost."""

    def __init__(self):
        self.events = []
        self.output = {1: b"", 2: b""}
        self.over = asyncio.get_running_loop().create_future()
        self.exited = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        assert "made" in self.events
        self.output[fd] += data

    def pipe_connection_lost(self, fd, exc):
        self.events.append((fd, exc))

    def process_exited(self):
        self.events.append("exited")
        self.transport.send_signal(signal.SIGTERM)
        self.exited.set_result(self.transport.get_returncode())

    def connection_lost(self, exc):
        self.events.append("lost")
        self.over.set_result(exc)


async def start(*args, **options):
    loop = asyncio.get_running_loop()
    if len(args) == 1:
        return await loop.subprocess_shell(Events, args[0], **options)
    return await loop.subprocess_exec(Events, *args, **options)


async def output_of(*args, **options):
    process = await asyncio.create_subprocess_exec(*args, stdout=PIPE, **options)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def python(program, **options):
    return await output_of(PYTHON, "-c", program, **options)


def test_every_byte_goes_in_and_comes_out(run):
    data = noise(3_000_000)

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert await process.communicate(data) == (data, None)
        assert process.returncode == 0

    run(main())


def test_exit_codes_and_signals(run):
    async def main():
        for command, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9),
                              ("kill -TERM $$", -15)):
            process = await asyncio.create_subprocess_shell(command)
            assert await process.wait() == code == process.returncode
            assert await process.wait() == code

    run(main())


def test_the_protocol_is_told_everything_in_order(run):
    async def main():
        transport, protocol = await start("read go; echo out; echo err >&2; exit 3")
        assert protocol.events == ["made"]
        assert isinstance(transport, asyncio.SubprocessTransport)
        assert f"pid={transport.get_pid()} running stdin=<WritePipe" in repr(transport)
        transport.get_pipe_transport(0).write(b"go\n")
        assert transport.get_pipe_transport(3) is None
        assert await protocol.over is None
        assert protocol.output == {1: b"out\n", 2: b"err\n"}
        assert protocol.events[0] == "made" and protocol.events[-1] == "lost"
        assert set(protocol.events[1:-1]) == {(0, None), (1, None), (2, None), "exited"}
        assert transport.get_returncode() == 3 and "returncode=3" in repr(transport)
        transport.close()
        assert transport.is_closing()

    run(main())


def test_output_is_complete_before_the_end_is_told(run):
    async def main():
        for _ in range(20):
            transport, protocol = await start("head -c 300000 /dev/zero", stdin=None)
            await protocol.over
            assert len(protocol.output[1]) == 300_000
            transport.close()

    run(main())


def test_a_grandchild_that_keeps_the_pipe_does_not_delay_wait(run):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "sleep 1000 & echo $!", stdout=PIPE
        )
        grandchild = int(await process.stdout.readline())
        assert await process.wait() == 0
        assert not process.stdout.at_eof()
        os.kill(grandchild, signal.SIGKILL)
        assert await process.stdout.read() == b""

    run(main())


def test_200_at_once(run):
    async def main():
        outputs = await asyncio.gather(
            *(output_of("echo", str(number)) for number in range(200))
        )
        assert [int(output) for output in outputs] == list(range(200))

    before = threading.active_count()
    run(main(), timeout=50)
    assert threading.active_count() == before


@pytest.mark.parametrize("options, message", [
    ({"universal_newlines": True}, "universal_newlines must be False"),
    ({"bufsize": 1}, "bufsize must be 0"),
    ({"text": True}, "text must be False"),
    ({"encoding": "utf-8"}, "encoding must be None"),
    ({"errors": "strict"}, "errors must be None"),
])
def test_wrong_arguments(loop, run, options, message):
    with pytest.raises(ValueError, match=message):
        run(loop.subprocess_exec(asyncio.SubprocessProtocol, "true", **options))
    with pytest.raises(ValueError, match=message):
        run(loop.subprocess_shell(asyncio.SubprocessProtocol, "true", **options))


def test_wrong_commands(loop, run):
    with pytest.raises(ValueError, match="cmd must be a string"):
        run(loop.subprocess_shell(asyncio.SubprocessProtocol, 5))
    with pytest.raises(ValueError, match="shell must be True"):
        run(loop.subprocess_shell(asyncio.SubprocessProtocol, "true", shell=False))
    with pytest.raises(ValueError, match="shell must be False"):
        run(loop.subprocess_exec(asyncio.SubprocessProtocol, "true", shell=True))
    with pytest.raises(TypeError):
        run(loop.subprocess_exec(asyncio.SubprocessProtocol, "true", surprise=True))


def test_what_cannot_be_started_is_an_error_that_leaks_nothing(run, open_fds, tmp_path):
    async def main():
        before = open_fds()
        plain = tmp_path / "plain"
        plain.write_text("no program")
        for program, error in (("/nowhere/at/all", FileNotFoundError),
                               (plain, PermissionError)):
            with pytest.raises(error):
                await start(program, "argument")
        with pytest.raises(FileNotFoundError):
            await start("true", "", cwd="/nowhere/at/all")
        with pytest.raises(subprocess.SubprocessError):
            await start("true", "", preexec_fn=lambda: 1 / 0)
        assert open_fds() == before

    run(main())


def test_the_keywords_of_popen(run, tmp_path):
    async def main():
        assert (await output_of("pwd", cwd=tmp_path)).strip() == str(tmp_path)
        assert await output_of("/usr/bin/env", env={"ONE": "1"}) == "ONE=1\n"
        ids = "import os; print(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
        assert await python(ids) == "False False\n"
        assert await python(ids, start_new_session=True) == "True True\n"
        if sys.version_info >= (3, 11):
            assert await python(ids, process_group=0) == "False True\n"
        assert await output_of("sh", "-c", "umask", umask=0o27) == "0027\n"
        told = tmp_path / "told"
        await output_of("true", preexec_fn=lambda: told.write_text("hello"))
        assert told.read_text() == "hello"

    run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_and_group(run):
    async def main():
        ids = await output_of("id", "-u", user=65534, group=65533)
        assert int(ids) == 65534
        assert int(await output_of("id", "-g", user=65534, group=65533)) == 65533

    run(main())


def test_the_child_gets_the_descriptors_that_were_passed_and_no_others(run):
    async def main():
        ends = os.pipe()
        os.write(ends[1], b"passed")
        program = f"import os; print(os.read({ends[0]}, 100).decode(), os.listdir('/proc/self/fd'))"
        told = await python(program, pass_fds=[ends[0]])
        assert told.startswith("passed ")
        # Its own three, the pipe and the directory that it reads.
        assert len(told.split("[")[1].split(",")) == 5
        for number in ends:
            os.close(number)

    run(main())


def test_streams_may_be_shared_dropped_or_files(run, tmp_path):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "echo out; echo err >&2", stdout=PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert await process.communicate() == (b"out\nerr\n", None)
        process = await asyncio.create_subprocess_shell(
            "cat; echo gone", stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is None and process.stdout is None
        assert await process.wait() == 0
        with open(tmp_path / "file", "w+b") as file:
            process = await asyncio.create_subprocess_exec("echo", "kept", stdout=file)
            await process.wait()
            file.seek(0)
            assert file.read() == b"kept\n"

    run(main())


def test_a_slow_child_makes_the_writer_wait(run):
    async def main():
        process = await asyncio.create_subprocess_exec(
            *SLEEPS, stdin=PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        process.stdin.write(bytes(1_000_000))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.stdin.drain(), 0.05)
        process.kill()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await process.stdin.drain()
        assert await process.wait() == -signal.SIGKILL
        with pytest.raises(BrokenPipeError):
            await process.stdin.wait_closed()

    run(main())


def test_signals_hit_the_process_and_nobody_once_it_has_ended(run):
    async def main():
        for send, number in (("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)):
            process = await asyncio.create_subprocess_exec(*SLEEPS)
            getattr(process, send)()
            assert await process.wait() == -number
        transport, protocol = await start("exit 3", stdin=None)
        # It has ended, whether the loop knows it or not.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, transport.get_pid(), os.WEXITED | os.WNOWAIT)
        transport.kill()
        assert await protocol.exited == 3
        await protocol.over
        for send in (transport.kill, transport.terminate):
            with pytest.raises(ProcessLookupError):
                send()
        transport.close()

    run(main())


def test_many_are_killed_while_they_end_by_themselves(run):
    async def one(number):
        process = await asyncio.create_subprocess_exec("sleep", f"0.0{number % 10}")
        await asyncio.sleep(number % 7 / 100)
        try:
            process.kill()
        except ProcessLookupError:
            pass
        assert await process.wait() in (0, -signal.SIGKILL)

    async def main():
        await asyncio.gather(*(one(number) for number in range(50)))

    run(main(), timeout=30)


def test_a_process_that_somebody_else_has_reaped(run, caplog):
    async def main():
        process = await asyncio.create_subprocess_exec(*SLEEPS)
        process.kill()
        os.waitpid(process.pid, 0)
        assert await process.wait() == 255
        return process.pid

    with caplog.at_level(logging.WARNING, "asyncio"):
        pid = run(main())
    assert [record.getMessage() for record in caplog.records] == [
        f"child process pid {pid} exit status already read:  will report returncode 255"
    ]


def test_a_program_that_ignores_its_children(run, caplog):
    """The kernel reaps them; their ends are seen all the same."""

    async def main():
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 3", stdout=PIPE)
        assert await process.communicate() == (b"", None)
        assert process.returncode == 255

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with caplog.at_level(logging.CRITICAL, "asyncio"):
            run(main())
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_user_who_asks_the_popen_object_gets_the_same_answer(run, caplog):
    async def main():
        transport, protocol = await start("sh", "-c", "exit 5")
        assert transport.get_extra_info("subprocess").wait() == 5
        assert await protocol.exited == 5
        transport.close()
        await protocol.over

    run(main())
    assert caplog.records == []


def test_a_cancelled_wait_and_communicate_may_be_made_again(run):
    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        process.stdin.write(b"kept")
        reading = asyncio.ensure_future(process.communicate())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await process.stdout.readexactly(4) == b"kept"
        process.stdin.close()
        assert await process.wait() == 0

    run(main())


def test_a_cancelled_start_kills_and_reaps(run, loop, children):
    async def main():
        task = loop.create_task(start(*SLEEPS))
        while not children():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not children()

    run(main())


def test_close_kills_and_reaps(run):
    async def main():
        transport, protocol = await start(*SLEEPS)
        transport.close()
        transport.close()
        assert await protocol.over is None
        assert transport.get_returncode() == -signal.SIGKILL
        assert protocol.events[-2:] == ["exited", "lost"] or "lost" == protocol.events[-1]
        transport, protocol = await start("true", "")
        await protocol.exited
        transport.close()
        assert await protocol.over is None and transport.get_returncode() == 0

    run(main())


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.parametrize("dropped", [False, True])
def test_a_closed_loop_leaves_no_process(children, dropped):
    loop = bide.new_event_loop()
    transport, protocol = loop.run_until_complete(start(*SLEEPS))
    loop.close()
    if dropped:
        with pytest.warns(ResourceWarning, match="unclosed transport <Subprocess"):
            del transport, protocol.transport, protocol
            gc.collect()
    else:
        transport.close()
    assert not children()


def test_nothing_but_the_loop_holds_a_running_process(run):
    """And once it is over, nothing does: no collection is needed."""

    async def main():
        transport, protocol = await start("cat", "-")
        process = weakref.ref(transport), weakref.ref(protocol)
        protocol.transport = None
        over = protocol.over
        stdin = transport.get_pipe_transport(0)
        protocol.process_exited = lambda: None
        del protocol
        transport._closed = True
        del transport
        gc.collect()
        assert process[0]() is not None
        gc.disable()
        try:
            stdin.close()
            await over
            del stdin
            await asyncio.sleep(0)
            assert [each() for each in process] == [None, None]
        finally:
            gc.enable()

    run(main())


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE, None])
def test_without_pidfds_a_thread_waits(run, monkeypatch, error):
    def refused(pid, flags=0):
        raise OSError(error, os.strerror(error))

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        names = [thread.name for thread in threading.enumerate()]
        assert f"waitpid-{process.pid}" in names
        assert await process.communicate(b"said") == (b"said", None)
        assert process.returncode == 0
        process = await asyncio.create_subprocess_exec(*SLEEPS)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        process = await asyncio.create_subprocess_exec(*SLEEPS)
        process.kill()
        os.waitpid(process.pid, 0)
        assert await process.wait() == 255
        outputs = await asyncio.gather(*(output_of("echo", str(each)) for each in range(20)))
        assert [int(output) for output in outputs] == list(range(20))

    if error is None:
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(os, "pidfd_open", refused)
    logging.getLogger("asyncio").disabled = True
    try:
        run(main())
    finally:
        logging.getLogger("asyncio").disabled = False


def test_a_kernel_that_refuses_pidfds(tmp_path):
    strace = shutil.which("strace")
    assert strace, "strace is missing; install it: apt-get install strace"
    program = """
        import asyncio, bide, sys

        async def main():
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 4")
            return await process.wait()

        print(bide.run(main()))
    """
    told = run_program(
        program, strace, "-f", "-o", str(tmp_path / "trace"), "-e", "trace=pidfd_open",
        "-e", "inject=pidfd_open:error=EPERM",
    )
    assert told == "4\n" and "INJECTED" in (tmp_path / "trace").read_text()


def test_no_handler_for_the_childs_signal_and_no_watcher(run):
    async def main():
        assert await output_of("echo", "fine") == "fine\n"

    before = signal.getsignal(signal.SIGCHLD)
    run(main())
    assert signal.getsignal(signal.SIGCHLD) == before == signal.SIG_DFL


def test_loops_in_other_threads_have_processes_too():
    results = []

    async def main(name):
        outputs = await asyncio.gather(*(output_of("echo", name) for _ in range(5)))
        process = await asyncio.create_subprocess_exec(*SLEEPS)
        process.terminate()
        return outputs, await process.wait()

    threads = [
        threading.Thread(target=lambda name=name: results.append(bide.run(main(name))))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    expected = [([f"{name}\n"] * 5, -signal.SIGTERM) for name in "abcd"]
    assert sorted(results) == expected


def test_debug_mode_logs_the_life_of_a_process(loop, run, caplog):
    async def main():
        transport, protocol = await start("cat", "-", stderr=asyncio.subprocess.STDOUT)
        transport.close()
        await protocol.over

    loop.set_debug(True)
    loop.slow_callback_duration = 10
    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main())
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "execute program 'cat' stdin=<pipe> stdout=stderr=<pipe>"
    assert any(text.startswith("execute program 'cat': <Subprocess") for text in told)
    assert any("Close running child process: kill <Subprocess" in text for text in told)
    assert any("exited with return code -9" in text for text in told)


def test_processes_leave_nothing_behind(run, open_fds):
    async def turn():
        assert await output_of("echo", "x") == "x\n"
        transport, protocol = await start(*SLEEPS)
        transport.close()
        await protocol.over

    def count(rounds):
        for _ in range(rounds):
            run(turn())
        gc.collect()
        return len(gc.get_objects()), open_fds()

    count(3)
    before, after = count(3), count(15)
    assert after[0] - before[0] < 20 and after[1] == before[1]
