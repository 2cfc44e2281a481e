"""A Tk window that fetches with await.

Tk owns the main loop and bide's lives inside it: while the pages are on their way the ball
goes on moving, and Cancel works. The window closes when the last page is there.
"""

import asyncio
import tkinter

import bide

PAGES = 5
DELAY_S = 0.2
FRAME_MS = 20


async def answer(reader, writer):
    """A server that is slow to think, for the window to wait for."""
    request = await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(DELAY_S)
    body = b"page " + request.split()[1].lstrip(b"/")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    writer.close()


async def fetch(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        reply = await reader.read()
    finally:
        writer.close()
    return reply.partition(b"\r\n\r\n")[2].decode()


class Window:
    def __init__(self):
        self.root = tkinter.Tk()
        self.root.title("bide inside Tk")
        self.text = tkinter.StringVar(value="fetching ...")
        tkinter.Label(self.root, textvariable=self.text, width=40).pack()
        self.canvas = tkinter.Canvas(self.root, width=300, height=60)
        self.canvas.pack()
        self.ball = self.canvas.create_oval(0, 20, 20, 40, fill="steelblue")
        self.cancel = tkinter.Button(self.root, text="Cancel")
        self.cancel.pack()
        self.frames = 0

    def animate(self):
        """Tk's own timer: it is late when something holds Tk's loop up."""
        self.frames += 1
        self.canvas.move(self.ball, 2 if self.frames // 140 % 2 == 0 else -2, 0)
        self.root.after(FRAME_MS, self.animate)


async def main(window):
    # A command of Tk's runs between the loop's steps and may do what a callback may.
    window.cancel.configure(command=asyncio.current_task().cancel)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for number in range(1, PAGES + 1):
            window.text.set(await fetch(port, f"/{number}"))
    print(f"{PAGES} pages fetched while {window.frames} frames were drawn")


window = Window()
window.animate()
try:
    bide.guest.tk(window.root, main(window))
except asyncio.CancelledError:
    print("cancelled")
