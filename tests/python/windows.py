"""A window with bide's loop inside: what test_guest_windows.py starts under Xvfb.

    python windows.py tk|qt

plays each scene that a line of its input names in a child of its own, which has the toolkit
imported already, and answers with a line of JSON: the child's exit status, output and errors.
Each scene is a class: its `main` is the coroutine, `act` what the window does of its own
accord after 100 ms.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import threading
import time

import bide

TICK_S = 0.01
ACT_S = 0.1


class TkWindow:
    def __init__(self):
        import tkinter

        self.tkinter = tkinter

    def open(self):
        self.root = self.tkinter.Tk()

    def after(self, seconds, callback):
        self.root.after(int(seconds * 1000), callback)

    def close(self):
        """What a window manager's close button leads to."""
        self.root.tk.call(self.root.protocol("WM_DELETE_WINDOW"))

    def leave(self):
        self.root.destroy()

    def dialogue(self, seconds):
        """Runs Tk's loop inside the callback, as a modal dialogue does."""
        over = self.tkinter.BooleanVar(self.root)
        self.after(seconds, lambda: over.set(True))
        self.root.wait_variable(over)

    def run(self, main):
        return bide.guest.tk(self.root, main)


class QtWindow:
    def __init__(self):
        from PySide6 import QtCore, QtWidgets

        self.core, self.widgets = QtCore, QtWidgets

    def open(self):
        self.app = self.widgets.QApplication([])
        self.widget = self.widgets.QLabel("window")
        self.widget.show()

    def after(self, seconds, callback):
        self.core.QTimer.singleShot(int(seconds * 1000), callback)

    def close(self):
        self.widget.close()

    def leave(self):
        self.app.quit()

    def dialogue(self, seconds):
        inner = self.core.QEventLoop()
        self.after(seconds, inner.quit)
        inner.exec()

    def run(self, main):
        return bide.guest.qt(self.app, main)


class Scene:
    def __init__(self, window):
        self.window = window
        self.seen = {}

    def act(self):
        pass


async def answer(reader, writer):
    await reader.readline()
    await asyncio.sleep(0.02)
    writer.write(b"x" * 200_000)
    writer.close()


class Awaits(Scene):
    """Everything that can be awaited goes on for half a second."""

    async def main(self):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, bide.EventLoop)
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        fetched = 0
        until = loop.time() + 0.5
        while loop.time() < until:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"go\n")
            fetched += len(await reader.read())
            writer.close()
            await loop.run_in_executor(None, time.sleep, 0.01)
            for _ in range(20_000):
                await asyncio.sleep(0)  # always ready: the window must get its turns
        server.close()
        self.seen["fetched"] = fetched
        return "done"


class Close(Scene):
    """main is cancelled, and may await while it cleans up."""

    async def main(self):
        self.seen["reached"] = []
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            self.seen["reached"].append("cleaned up")

    def act(self):
        self.window.close()


class Leave(Close):
    """The outer loop ends under main, which ends without it."""

    def act(self):
        self.window.leave()


class Raise(Scene):
    async def main(self):
        await asyncio.sleep(0.01)
        raise LookupError("main's own")


class Interrupt(Close):
    def act(self):
        # From a thread: Qt's and Tk's waits do not end for a signal.
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()


class Exit(Scene):
    async def main(self):
        asyncio.get_running_loop().call_later(0.01, sys.exit, "enough")
        await asyncio.Event().wait()


class Dialogue(Scene):
    """A coroutine opens a modal dialogue: the window lives, the loop's tasks wait."""

    async def main(self):
        asyncio.get_running_loop().call_later(0.02, self.seen.setdefault, "timer", "late")
        cpu = time.process_time()
        self.window.dialogue(0.2)
        self.seen["cpu_s"] = time.process_time() - cpu
        assert "timer" not in self.seen
        await asyncio.sleep(0.01)
        return "after it"


class Command(Scene):
    """The window's own callbacks give the loop work between its steps."""

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.future = self.loop.create_future()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, self.writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        outcome = [await self.future, len(await reader.read()), await self.task]
        server.close()
        return outcome

    def act(self):
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            self.seen["outside"] = str(error)
        self.future.set_result("set")
        self.writer.write(b"go\n")
        self.task = self.loop.create_task(asyncio.sleep(0.01, "slept"))


class Leftovers(Scene):
    """What main leaves behind is ended as asyncio.run() ends it."""

    async def numbers(self):
        try:
            yield 1
        finally:
            self.seen["left"].append("generator")

    async def forever(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.seen["left"].append("task")

    async def main(self):
        self.seen["left"] = []
        self.kept = self.numbers()
        await self.kept.__anext__()
        self.task = asyncio.ensure_future(self.forever())
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.05)
        await asyncio.sleep(0.01)


SCENES = {
    scene.__name__: scene
    for scene in (
        Awaits, Close, Leave, Raise, Interrupt, Exit, Dialogue, Command, Leftovers,
    )
}


class Ticker:
    """The window's own timer, and how late it has ever been."""

    def __init__(self, window):
        self.window = window
        self.ticks = 0
        self.latest_s = 0.0
        self.due = time.monotonic() + TICK_S
        window.after(TICK_S, self.tick)

    def tick(self):
        now = time.monotonic()
        self.ticks += 1
        self.latest_s = max(self.latest_s, now - self.due)
        self.due = now + TICK_S
        self.window.after(TICK_S, self.tick)


def play(window, name):
    window.open()
    scene = SCENES[name](window)
    ticker = Ticker(window)
    window.after(ACT_S, scene.act)
    seen = scene.seen
    try:
        seen["result"] = window.run(scene.main())
    except BaseException as error:
        seen["raised"] = repr(error)
    seen["ticks"], seen["latest_s"] = ticker.ticks, ticker.latest_s
    seen["threads"] = threading.active_count()
    print(json.dumps(seen))


def main():
    window = {"tk": TkWindow, "qt": QtWindow}[sys.argv[1]]()
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                play(window, line.strip())
                return
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            errors.seek(0)
            print(json.dumps([status, output.read(), errors.read()]), flush=True)


main()
