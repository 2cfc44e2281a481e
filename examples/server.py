"""The server that the examples fetch from.

    python examples/server.py [HOST PORT]        port 0 takes a free one

It runs on stock asyncio, without bide, so that it can bear witness about bide. A
connection carries one request; `?delay_ms=N` on any path delays the reply:

    GET /user/ada     {"id": 7, "name": "ada"}
    GET /orders/7     {"user": 7, "count": 3}
    GET /page/2       {"page": 2, "text": "..."}
    GET /save/4       {"saved": 4}
    GET /undo         {"undone": 1}
    GET /ping         {"pong": 1}
    GET /stats        what the server saw since the last /stats, for the tests
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit


class Stats:
    """What tells a parallel client from a patient one, and a cancelled from a late one."""

    def __init__(self):
        self.paths = []
        self.abandoned = []  # paths whose client hung up before the reply
        self.active = 0
        self.peak = 0  # the most requests that waited for their reply at one time

    def take(self):
        seen = {"paths": self.paths, "abandoned": self.abandoned, "peak": self.peak}
        self.paths, self.abandoned, self.peak = [], [], self.active
        return seen


def answer(path, stats):
    kind, _, key = path.strip("/").partition("/")
    match kind:
        case "user":
            return {"id": 7, "name": key}
        case "orders":
            return {"user": int(key), "count": 3}
        case "page":
            return {"page": int(key), "text": "it was a dark and stormy night"}
        case "save":
            return {"saved": int(key)}
        case "undo":
            return {"undone": 1}
        case "ping":
            return {"pong": 1}
        case "stats":
            return stats.take()
    return None


async def hung_up_within(reader, seconds):
    """Waits out the delay; true when the client closed its connection meanwhile."""
    try:
        return await asyncio.wait_for(reader.read(1), seconds) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def serve(reader, writer, stats):
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        url = urlsplit(request.split(b" ", 2)[1].decode())
        delay_ms = int(parse_qs(url.query).get("delay_ms", ["0"])[0])
        if url.path != "/stats":
            stats.paths.append(url.path)
            stats.active += 1
            stats.peak = max(stats.peak, stats.active)
            try:
                if delay_ms and await hung_up_within(reader, delay_ms / 1000):
                    stats.abandoned.append(url.path)
                    return
            finally:
                stats.active -= 1
        found = answer(url.path, stats)
        body = json.dumps(found if found is not None else {"error": "no such path"}).encode()
        status = b"200 OK" if found is not None else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%s" % (status, len(body), body)
        )
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The client went away; that is its right.
    finally:
        writer.close()


async def main(host="127.0.0.1", port="8642"):
    stats = Stats()
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, stats), host, int(port), backlog=1024
    )
    print("listening on %s:%d" % server.sockets[0].getsockname()[:2], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except KeyboardInterrupt:
        pass
