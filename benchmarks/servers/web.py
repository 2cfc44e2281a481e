"""Web servers: a Starlette application and a plain one on uvicorn with httptools, and one
of aiohttp.

    python benchmarks/servers/web.py LOOP KIND=FD...
"""

import asyncio
import sys

import serving
from applications import aiohttp_runner, plain_application, starlette_application


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

    runner = await aiohttp_runner()
    await web.SockSite(runner, sock, backlog=1024).start()
    return runner


STARTERS = {starter.__name__: starter for starter in (starlette, uvicorn, aiohttp)}

if __name__ == "__main__":
    serving.main(STARTERS, *sys.argv[1:])
