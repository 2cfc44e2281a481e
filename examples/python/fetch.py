"""GET over TCP with asyncio's streams, and where the examples find their server."""

import asyncio
import json
import os
import sys
import time


def server():
    """The arguments HOST PORT, else EXAMPLES_HOST and EXAMPLES_PORT, else the default."""
    host = os.environ.get("EXAMPLES_HOST", "127.0.0.1")
    port = os.environ.get("EXAMPLES_PORT", "8642")
    given = sys.argv[1:3]
    host, port = given + [host, port][len(given) :]
    return host, int(port)


async def fetch(path):
    """The JSON body of the reply; an OSError for a reply that is no 200.

    Cancelled at any of its awaits, it closes the connection on its way out.
    """
    host, port = server()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    finally:
        writer.close()
    status = int(head.split(maxsplit=2)[1])
    if status != 200:
        raise OSError(f"GET {path}: the server answered {status}")
    return json.loads(body)


class Stopwatch:
    """f"{watch}" is the time since it was made, in whole milliseconds."""

    def __init__(self):
        self.started = time.monotonic()

    @property
    def ms(self):
        return int((time.monotonic() - self.started) * 1000)

    def __str__(self):
        return f"{self.ms} ms"
