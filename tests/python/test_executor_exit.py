"""Workers at the end of a process, and in a forked one: users lose jobs that were queued, or
get a program that never ends."""

import asyncio
import os
import signal
import subprocess
import sys

import bide
import pytest


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(loop, run, gate):
    pool = bide.Pool("family", 2)
    blocked = [pool.submit(gate.wait) for _ in range(2)]
    gate.await_entered(2)
    waiting = pool.submit(int)

    def child():
        answers = [pool.submit(os.getpid).result(10), bide.run(asyncio.to_thread(os.getpid))]
        os._exit(0 if answers == [os.getpid()] * 2 else 1)

    process = os.fork()
    if process == 0:
        try:
            child()
        finally:
            os._exit(2)
    _, status = os.waitpid(process, 0)
    gate.opened.set()
    assert os.waitstatus_to_exitcode(status) == 0
    assert waiting.result(10) == 0 and all(job.result(10) is None for job in blocked)
    pool.shutdown()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_by_a_job_tells_the_parents_loop_nothing(loop, run):
    def job():
        process = os.fork()
        if process == 0:
            signal.alarm(15)
            return "the child's thread ends here, and so does the child"
        return os.waitpid(process, 0)[1]

    async def main():
        assert await loop.run_in_executor(None, job) == 0
        assert await loop.run_in_executor(None, int) == 0

    run(main(), 20)


def script(text, *options):
    """Runs a program; gives its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, *options, "-c", text],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(bide.__file__))},
    )
    return done.returncode, done.stdout.split(), done.stderr


def test_the_interpreter_joins_its_workers_at_exit():
    code, printed, errors = script(
        """
import bide, os, time
def slow(number):
    time.sleep(0.05)
    os.write(1, f"{number}\\n".encode())
loop = bide.new_event_loop()
pool = bide.Pool("last", 1)
for number in range(3):
    loop.run_in_executor(pool, slow, number)
loop.run_in_executor(None, slow, "own")
loop.close()
"""
    )
    assert (code, errors) == (0, "")
    assert sorted(printed) == ["0", "1", "2", "own"]


def test_jobs_are_refused_while_the_interpreter_ends():
    code, printed, errors = script(
        """
import bide, time
pool = bide.Pool("last", 1)
def job():
    while True:
        try:
            pool.submit(int)
        except RuntimeError as error:
            print(str(error).replace(" ", "_"))
            return
        time.sleep(0.001)
pool.submit(job)
"""
    )
    assert (code, errors) == (0, "")
    assert printed == ["cannot_schedule_new_futures_after_interpreter_shutdown"]


def test_a_loop_that_nobody_closed_does_not_keep_the_interpreter():
    code, _, _ = script("import bide; bide.new_event_loop().run_in_executor(None, int)")
    assert code == 0


def test_workers_may_run_on_when_the_process_is_ended(tmp_path):
    """A blocked worker cannot be stopped; os._exit must not wait for it."""
    code, printed, _ = script(
        """
import asyncio, bide, os, threading
async def main():
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    await asyncio.sleep(0)
    print("ending", flush=True)
    os._exit(7)
bide.run(main())
"""
    )
    assert (code, printed) == (7, ["ending"])
