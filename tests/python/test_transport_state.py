"""What a transport says of itself: users who ask it, or who go past it to the socket, find
something else than what asyncio's transports would have done by then."""

import asyncio
import socket
import struct

from protocols import HalfOpen, Recorder, close_all, connected_pair

RESET = struct.pack("ii", 1, 0)


def test_lower_limits_do_not_pause_for_what_the_socket_takes(run):
    async def main():
        here, there, server = await connected_pair()
        here.transport.write(b"small")
        here.transport.set_write_buffer_limits(0)
        assert here.events == ["made"]
        await there.until(lambda: there.data == b"small")
        await close_all(here, there, server)

    run(main())


def test_shutting_the_socket_down_loses_nothing_that_was_written(run):
    async def main():
        here, there, server = await connected_pair(client=HalfOpen)
        here.transport.write(b"goodbye")
        here.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await there.eof
        assert there.data == b"goodbye"
        await close_all(here, there, server)

    run(main())


def test_the_socket_is_closed_when_one_learns_of_the_lost_connection(run):
    async def main():
        running = True

        async def keep_the_loop_busy():
            while running:
                await asyncio.sleep(0)

        busy = asyncio.create_task(keep_the_loop_busy())
        for _ in range(20):
            here, there, server = await connected_pair()
            there.transport.write(b"x")
            # From here on the kernel waits for more.
            await here.until(lambda: here.data == b"x")
            sock = here.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            here.transport.abort()
            await here.lost
            assert sock.fileno() == -1
            assert isinstance(await there.lost, ConnectionResetError)
            await close_all(server)
        running = False
        await busy

    run(main())


def test_a_loop_that_stops_with_the_connection_has_closed_its_socket(loop):
    listening = socket.create_server(("127.0.0.1", 0))
    connecting = loop.create_connection(Recorder, *listening.getsockname())
    transport, protocol = loop.run_until_complete(connecting)
    peer, _ = listening.accept()
    with listening, peer:
        peer.send(b"x")
        # From here on the kernel waits for more.
        loop.run_until_complete(protocol.until(lambda: protocol.data == b"x"))
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.close()
        loop.run_until_complete(protocol.lost)
        assert sock.fileno() == -1
        peer.settimeout(10)
        try:
            ended = peer.recv(1)
        except ConnectionResetError:
            ended = None
        assert ended is None
