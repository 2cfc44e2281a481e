"""Echoes by each way that a loop has to do them.

    python benchmarks/servers/echoes.py LOOP KIND=FD...
"""

import asyncio
import os
import ssl
import sys
import tempfile

import serving

CHUNK = 256 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
BODY = b"x" * 1024
SENDFILE_BYTES = 10_000_000


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = memoryview(bytearray(CHUNK))

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(bytes(self.buffer[:nbytes]))


class TwoWrites(asyncio.Protocol):
    """A response of a head and a body, as HTTP servers write it."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(HEAD % len(BODY))
        self.transport.write(BODY)


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def echo_read(reader, writer):
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_line(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def echo_sock(loop, connection):
    with connection:
        while data := await loop.sock_recv(connection, CHUNK):
            await loop.sock_sendall(connection, data)


async def accept_sock(listener):
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    tasks = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        task = loop.create_task(echo_sock(loop, connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def send_file(reader, writer):
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), SENDFILE_BYTES)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD % SENDFILE_BYTES)
            try:
                await loop.sendfile(writer.transport, file, 0, SENDFILE_BYTES, fallback=False)
            except (NotImplementedError, RuntimeError) as error:
                writer.write(f"{type(error).__name__}: {error}".encode())
                break
    writer.close()


def certified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["BENCH_CERTIFICATE"])
    return context


async def protocol(sock):
    return await asyncio.get_running_loop().create_server(Echo, sock=sock, backlog=1024)


async def buffered(sock):
    loop = asyncio.get_running_loop()
    return await loop.create_server(BufferedEcho, sock=sock, backlog=1024)


async def two_writes(sock):
    return await asyncio.get_running_loop().create_server(TwoWrites, sock=sock, backlog=1024)


async def streams(sock):
    return await asyncio.start_server(echo_read, sock=sock, backlog=1024)


async def lines(sock):
    limit = 4 * CHUNK
    return await asyncio.start_server(echo_line, sock=sock, backlog=1024, limit=limit)


async def sock(sock):
    task = asyncio.ensure_future(accept_sock(sock))
    await asyncio.sleep(0.05)  # where the loop has no sock_accept, that is its end
    if task.done():
        task.result()
    return task


async def tls(sock):
    loop = asyncio.get_running_loop()
    return await loop.create_server(Echo, sock=sock, ssl=certified(), backlog=1024)


async def unix(sock):
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(Echo, sock=sock, backlog=1024)


async def udp(sock):
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(DatagramEcho, sock=sock)


async def sendfile(sock):
    return await asyncio.start_server(send_file, sock=sock, backlog=1024)


STARTERS = {
    starter.__name__: starter
    for starter in (
        protocol, buffered, two_writes, streams, lines, sock, tls, unix, udp, sendfile
    )
}

if __name__ == "__main__":
    serving.main(STARTERS, *sys.argv[1:])
