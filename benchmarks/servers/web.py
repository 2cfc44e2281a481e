"""A Starlette application, served by uvicorn with httptools on the loop that is asked for.

    python benchmarks/servers/web.py LOOP FD      FD: a listening socket
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import loops  # noqa: E402


async def plaintext(request):
    return PlainTextResponse("Hello, World!")


async def json(request):
    return JSONResponse({"message": "Hello, World!"})


application = Starlette(routes=[Route("/plaintext", plaintext), Route("/json", json)])


def main(loop, fd):
    config = uvicorn.Config(
        application, http="httptools", ws="none", lifespan="off", log_level="warning",
        access_log=False,
    )
    listener = socket.socket(fileno=int(fd))
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
