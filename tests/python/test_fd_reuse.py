"""Numbers that are closed under the loop and reused. If this fails, bytes of one connection
come to another: the worst that a loop can do. `make soak` runs the same at length."""

import asyncio
import json
import os
import socket
import subprocess
import sys

HAMMER = os.path.join(os.path.dirname(__file__), os.pardir, "soak", "fd_reuse.py")


def test_no_byte_comes_to_another_connection():
    done = subprocess.run(
        [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), HAMMER,
         "--connections", "1500"],
        capture_output=True, text=True, timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["connections"] == 1500
    assert report["bytes"] > 500_000


def test_a_socket_closed_under_add_reader_is_closed(loop, run):
    """Its peer reads the end of the stream at once, as it does on asyncio's loop."""

    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with ours, theirs:
            loop.add_reader(ours, lambda: None)
            number = ours.fileno()
            await loop.sock_sendall(ours, b"last words")  # the loop has been waiting by now
            ours.close()
            assert await loop.sock_recv(theirs, 100) == b"last words"
            assert await loop.sock_recv(theirs, 100) == b""
            loop.remove_reader(number)

    run(main())


def test_a_transport_whose_number_was_taken_loses_its_connection(loop, run, open_fds):
    class Lost(asyncio.Protocol):
        def connection_lost(self, error):
            lost.set_result(error)

    lost = None

    async def main():
        nonlocal lost
        lost = loop.create_future()
        with socket.create_server(("127.0.0.1", 0)) as door:
            transport, _ = await loop.create_connection(Lost, *door.getsockname())
            number = transport.get_extra_info("socket").fileno()
            with socket.socket() as other:
                taken = socket.socket(fileno=os.dup2(other.fileno(), number, inheritable=False))
            taken.setblocking(False)
            with taken:
                await loop.sock_connect(taken, door.getsockname())
                transport.write(b"not for the new connection")
                assert isinstance(await lost, OSError)
                first, _ = door.accept()
                second, _ = door.accept()
                with first, second:
                    taken.send(b"mine")
                    second.settimeout(5)
                    assert second.recv(100) == b"mine"

    before = open_fds()
    run(main())
    assert open_fds() == before
