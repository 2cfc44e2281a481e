"""TLS with peers of other making: users cannot talk to the rest of the world."""

import asyncio
import contextlib
import shutil
import socket
import subprocess

import pytest
from protocols import close_all, listen
from tls_peers import certificate, client_context, server_context

pytest.importorskip("trustme")

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl"
)


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssls_client_is_served(run, loop, version):
    class Shouting(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data.upper())
            self.transport.close()

    async def main():
        server, address = await listen(Shouting, ssl=server_context())
        client = await loop.run_in_executor(
            None,
            lambda: subprocess.run(
                ["openssl", "s_client", "-quiet", "-connect", "%s:%d" % address, version],
                input=b"spoken softly\n",
                capture_output=True,
                timeout=8,
            ),
        )
        assert client.stdout == b"SPOKEN SOFTLY\n"
        await close_all(server)

    run(main())


@contextlib.contextmanager
def openssl_server(tmp_path, *options):
    """openssl's own web server, and its address."""
    path = tmp_path / "server.pem"
    certificate().private_key_and_cert_chain_pem.write_to_path(str(path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", path, "-www", *options],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while b"ACCEPT" not in process.stdout.readline():
                assert process.poll() is None
            yield "127.0.0.1", port
        finally:
            process.kill()


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssls_server_is_reached(run, version, tmp_path):
    async def main(address):
        reader, writer = await asyncio.open_connection(*address, ssl=client_context())
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.0 200 ok") and answer.endswith(b"</HTML>\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    with openssl_server(tmp_path, version) as address:
        run(main(address))


def test_aiohttp_and_httpx_speak_https(run):
    """A megabyte up and down, over connections that are kept and over new ones."""
    aiohttp, web = pytest.importorskip("aiohttp"), pytest.importorskip("aiohttp.web")
    httpx = pytest.importorskip("httpx")
    payload = bytes(range(256)) * 4096

    async def echo(request):
        return web.Response(body=await request.read())

    async def main():
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context())
        await site.start()
        url = "https://127.0.0.1:%d/" % site._server.sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(url, data=payload, ssl=client_context()) as answer:
                    assert await answer.read() == payload
        async with httpx.AsyncClient(verify=client_context()) as client:
            for _ in range(3):
                assert (await client.post(url, content=payload)).content == payload
        await runner.cleanup()

    run(main())


def test_uvicorn_serves_https(run, tmp_path):
    uvicorn, httpx = pytest.importorskip("uvicorn"), pytest.importorskip("httpx")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate().private_key_pem.write_to_path(str(key))
    certificate().cert_chain_pems[0].write_to_path(str(chain))

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})

    async def main():
        config = uvicorn.Config(
            app, port=0, lifespan="off", log_level="error", ssl_keyfile=key, ssl_certfile=chain
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(verify=client_context()) as client:
            answers = await asyncio.gather(
                *(client.get(f"https://127.0.0.1:{port}/") for _ in range(20))
            )
        assert [answer.text for answer in answers] == ["https"] * 20
        server.should_exit = True
        await serving

    run(main())
