"""What each library is for, done once on the loop that the suite has installed."""

import asyncio
import contextlib
import socket
import ssl

import pytest
import trustme


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_certificate(authority):
    return authority.issue_cert("localhost", "127.0.0.1")


@pytest.fixture
def client_context(authority):
    """Trusts the server's certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def server_context(server_certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_certificate.configure_cert(context)
    return context


def tornado_application():
    import tornado.iostream
    import tornado.web
    import tornado.websocket

    class Echo(tornado.web.RequestHandler):
        async def post(self):
            await asyncio.sleep(0.001)
            self.write(self.request.body[::-1])

    class Shout(tornado.websocket.WebSocketHandler):
        async def on_message(self, message):
            await self.write_message(message.upper())

    return tornado.web.Application([("/echo", Echo), ("/shout", Shout)])


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_tornado_serves_and_fetches(server_context, client_context, secure):
    from tornado.httpclient import AsyncHTTPClient, HTTPRequest
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.websocket import websocket_connect

    async def main():
        server = HTTPServer(tornado_application(), ssl_options=server_context if secure else None)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        place = f"127.0.0.1:{sockets[0].getsockname()[1]}"
        options = {"ssl_options": client_context} if secure else {}
        body = bytes(range(256)) * 2000
        request = HTTPRequest(
            f"http{'s' * secure}://{place}/echo", method="POST", body=body,
            headers={"Content-Type": "application/octet-stream"}, **options,
        )
        answers = await asyncio.gather(
            *(AsyncHTTPClient().fetch(request) for _ in range(20))
        )
        assert all(answer.body == body[::-1] for answer in answers)
        peer = await websocket_connect(
            HTTPRequest(f"ws{'s' * secure}://{place}/shout", **options)
        )
        await peer.write_message("hello")
        assert await peer.read_message() == "HELLO"
        peer.close()
        server.stop()
        await server.close_all_connections()

    run(main())


@contextlib.asynccontextmanager
async def uvicorn_server(**options):
    """uvicorn with an application that answers with the size of the body."""
    import uvicorn

    async def app(scope, receive, send):
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_level="warning", **options)
        )
        serving = asyncio.ensure_future(server.serve([sock]))
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_httpx_asks_uvicorn(server_certificate, client_context, secure, tmp_path):
    import httpx

    options = {}
    if secure:
        pem = tmp_path / "server.pem"
        server_certificate.private_key_and_cert_chain_pem.write_to_path(pem)
        options["ssl_certfile"] = str(pem)

    async def main():
        async with uvicorn_server(**options) as port:
            async with httpx.AsyncClient(verify=client_context) as client:
                url = f"http{'s' * secure}://127.0.0.1:{port}/"
                answers = await asyncio.gather(
                    *(client.post(url, content=b"x" * n * 1000) for n in range(50))
                )
        assert [int(answer.text) for answer in answers] == [n * 1000 for n in range(50)]

    run(main())


def test_grpc_calls_and_streams():
    import grpc

    async def double(request, context):
        await asyncio.sleep(0)
        return request * 2

    async def count(request, context):
        for number in range(int(request)):
            yield b"%d" % number

    handlers = grpc.method_handlers_generic_handler(
        "test.Test",
        {
            "Double": grpc.unary_unary_rpc_method_handler(double),
            "Count": grpc.unary_stream_rpc_method_handler(count),
        },
    )

    async def main():
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            double_it = channel.unary_unary("/test.Test/Double")
            answers = await asyncio.gather(*(double_it(b"%d" % n) for n in range(100)))
            assert answers == [b"%d" % n * 2 for n in range(100)]
            counted = [part async for part in channel.unary_stream("/test.Test/Count")(b"50")]
            assert counted == [b"%d" % n for n in range(50)]
        await server.stop(None)

    run(main())


def test_aiofiles_writes_and_reads(tmp_path):
    import aiofiles

    async def main():
        path = tmp_path / "file"
        async with aiofiles.open(path, "w") as file:
            for number in range(1000):
                await file.write(f"{number}\n")
        async with aiofiles.open(path) as file:
            assert [int(line) async for line in file] == list(range(1000))

    run(main())


def test_aiosqlite_keeps_rows(tmp_path):
    import aiosqlite

    async def main():
        async with aiosqlite.connect(tmp_path / "base") as base:
            await base.execute("CREATE TABLE numbers (n INTEGER)")
            await base.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(1000)])
            await base.commit()
            async with base.execute("SELECT n FROM numbers ORDER BY n") as rows:
                assert [n async for (n,) in rows] == list(range(1000))

    run(main())
