"""A Qt window that fetches with await.

Qt owns the main loop and bide's lives inside it: while the pages are on their way the bar
goes on moving, and Cancel works. The window closes when the last page is there.
"""

import asyncio
import sys

import bide
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLabel, QProgressBar, QPushButton, QVBoxLayout
from PySide6.QtWidgets import QWidget

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


class Window(QWidget):
    def __init__(self):
        super().__init__()
        self.setWindowTitle("bide inside Qt")
        self.label = QLabel("fetching ...")
        self.bar = QProgressBar()
        self.cancel = QPushButton("Cancel")
        layout = QVBoxLayout(self)
        for widget in (self.label, self.bar, self.cancel):
            layout.addWidget(widget)
        self.frames = 0
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.animate)
        self.timer.start(FRAME_MS)

    def animate(self):
        """Qt's own timer: it is late when something holds Qt's loop up."""
        self.frames += 1
        self.bar.setValue(self.frames % 100)


async def main(window):
    # A slot runs between the loop's steps and may do what a callback may.
    task = asyncio.current_task()
    window.cancel.clicked.connect(lambda: task.cancel())
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for number in range(1, PAGES + 1):
            window.label.setText(await fetch(port, f"/{number}"))
    print(f"{PAGES} pages fetched while {window.frames} frames were drawn")


app = QApplication(sys.argv)
window = Window()
window.show()
try:
    bide.guest.qt(app, main(window))
except asyncio.CancelledError:
    print("cancelled")
