"""A datagram endpoint with many peers: users lose answers, or give them to strangers."""

import asyncio
import socket

import pytest

PEERS = 200  # for whom an endpoint's memory of addresses grows
PASSING_PEERS = 2000  # more than it keeps


class Echo(asyncio.DatagramProtocol):
    """Answers, and keeps who has asked what."""

    def __init__(self):
        self.got = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)
        self.got.put_nowait((data, address))


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_answer_reaches_the_peer_that_asked(run, family, host):
    async def main():
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(Echo, (host, 0))
        peers = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(PEERS)]
        for peer in peers:
            peer.connect(transport.get_extra_info("sockname"))
            peer.settimeout(10)
        for number, peer in [*enumerate(peers)] * 2:
            peer.send(b"%d" % number)
            assert await server.got.get() == (b"%d" % number, peer.getsockname())
            assert peer.recv(16) == b"%d" % number
        # An address of the user's own making is as good as one that was heard.
        for peer in (peers[3], peers[-1]):
            transport.sendto(b"own", peer.getsockname())
            assert peer.recv(16) == b"own"
        for peer in peers:
            peer.close()
        transport.close()

    run(main())


def test_peers_that_come_once_are_told_apart(run):
    """From addresses whose numbers have one digit, two and three."""
    hosts = [f"127.{10 ** (i % 3)}.{i % 250}.{1 + i // 250}" for i in range(PASSING_PEERS)]

    async def main():
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(Echo, ("0.0.0.0", 0))
        port = transport.get_extra_info("sockname")[1]
        for host in [*hosts[:300], *hosts]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind((host, 0))
                peer.settimeout(10)
                peer.sendto(b"ask", ("127.0.0.1", port))
                assert await server.got.get() == (b"ask", peer.getsockname())
                assert peer.recv(16) == b"ask"
        transport.close()

    run(main())
