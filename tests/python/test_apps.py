"""Real applications: uvicorn with Starlette, aiohttp's server and client."""

import asyncio
import io
import socket

import bide
import pytest

aiohttp = pytest.importorskip("aiohttp")
uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("httptools")
starlette_applications = pytest.importorskip("starlette.applications")

from aiohttp import web  # noqa: E402
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402


def application():
    async def hello(request):
        return PlainTextResponse("hello")

    async def echo(request):
        body = await request.body()
        return JSONResponse({"bytes": len(body), "client": request.client.host})

    async def stream(request):
        async def parts():
            for number in range(100):
                yield b"%03d" % number * 1000
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    return starlette_applications.Starlette(
        routes=[
            Route("/", hello),
            Route("/echo", echo, methods=["POST"]),
            Route("/stream", stream),
        ]
    )


async def serve_uvicorn(app, use):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, http="httptools", lifespan="on", log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve([sock]))
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{sock.getsockname()[1]}",
            connector=aiohttp.TCPConnector(limit=50),
        ) as session:
            # The listening socket queues who comes before uvicorn is ready.
            sock.listen()
            await use(session)
    finally:
        server.should_exit = True
        await serving
        sock.close()


def test_uvicorn_serves_starlette(run):
    async def use(session):
        async def get():
            async with session.get("/") as response:
                assert response.status == 200
                return await response.text()

        assert await asyncio.gather(*(get() for _ in range(300))) == ["hello"] * 300
        for size in (0, 1, 100_000, 3_000_000):
            async with session.post("/echo", data=io.BytesIO(b"x" * size)) as response:
                assert await response.json() == {"bytes": size, "client": "127.0.0.1"}
        async with session.get("/stream") as response:
            body = await response.read()
        assert body == b"".join(b"%03d" % number * 1000 for number in range(100))

    run(serve_uvicorn(application(), use), 60)


def test_uvicorn_takes_bide_as_its_loop(monkeypatch):
    """As `uvicorn --loop bide:new_event_loop` does."""
    config = uvicorn.Config(application(), loop="bide:new_event_loop")
    factory = config.get_loop_factory()
    loop = factory()
    assert isinstance(loop, bide.EventLoop)
    loop.close()


def test_aiohttp_server_and_client(run):
    async def handle(request):
        if request.method == "POST":
            return web.Response(body=(await request.read())[::-1])
        return web.json_response({"path": request.path, "peer": request.remote})

    async def websocket(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    async def main():
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/plain/{rest}", handle)
        app.router.add_get("/ws", websocket)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def get(number):
                async with session.get(f"/plain/{number}") as response:
                    return await response.json()

            answers = await asyncio.gather(*(get(number) for number in range(200)))
            assert answers == [
                {"path": f"/plain/{number}", "peer": "127.0.0.1"} for number in range(200)
            ]
            body = bytes(range(256)) * 10_000
            async with session.post("/plain/x", data=io.BytesIO(body)) as response:
                assert await response.read() == body[::-1]
            async with session.ws_connect("/ws") as peer:
                await peer.send_str("shout")
                assert await peer.receive_str() == "SHOUT"
        await runner.cleanup()

    run(main(), 60)


def test_aiohttp_tells_of_a_refused_connection(run):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    async def main():
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError, match=str(port)):
                await session.get(f"http://127.0.0.1:{port}/")

    run(main())


def test_aiohttp_times_out_and_goes_on():
    async def slow(request):
        await asyncio.sleep(30)

    async def quick(request):
        return web.Response(text="quick")

    async def main():
        app = web.Application()
        app.router.add_get("/slow", slow)
        app.router.add_get("/quick", quick)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(base) as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.get("/slow", timeout=aiohttp.ClientTimeout(total=0.05))
            async with session.get("/quick") as response:
                assert await response.text() == "quick"
        await runner.cleanup()

    bide.run(asyncio.wait_for(main(), 20))
