"""Web servers: a Starlette application and a plain one on uvicorn with httptools, and one
of aiohttp.

    python benchmarks/servers/web.py LOOP KIND=FD...
"""

import asyncio
import sys

import serving

BIG = b"x" * 10 * 1024
PLAIN = b"Hello, World!"


def starlette_application():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def plaintext(request):
        return PlainTextResponse(PLAIN)

    async def json(request):
        return JSONResponse({"message": PLAIN.decode()})

    return Starlette(routes=[Route("/plaintext", plaintext), Route("/json", json)])


async def plain_application(scope, receive, send):
    body = BIG if scope["path"] == "/10k" else PLAIN
    await send({
        "type": "http.response.start", "status": 200,
        "headers": [
            (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))
        ],
    })
    await send({"type": "http.response.body", "body": body})


async def on_uvicorn(application, sock):
    import uvicorn

    config = uvicorn.Config(
        application, http="httptools", ws="none", lifespan="off", log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    serving_it = asyncio.ensure_future(server.serve(sockets=[sock]))
    while not server.started:
        await asyncio.sleep(0)
        if serving_it.done():
            serving_it.result()
    return serving_it


async def starlette(sock):
    return await on_uvicorn(starlette_application(), sock)


async def uvicorn(sock):
    return await on_uvicorn(plain_application, sock)


async def aiohttp(sock):
    from aiohttp import web

    async def plaintext(request):
        return web.Response(body=PLAIN, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", plaintext)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=1024).start()
    return runner


STARTERS = {starter.__name__: starter for starter in (starlette, uvicorn, aiohttp)}

if __name__ == "__main__":
    serving.main(STARTERS, *sys.argv[1:])
