"""hypercorn within a program of one's own: its serve() runs on whatever loop it is given."""

import asyncio
import signal
import sys

import bide
from application import app
from hypercorn.asyncio import serve
from hypercorn.config import Config


async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    config = Config.from_mapping(bind=[sys.argv[1]])
    await serve(app, config, shutdown_trigger=stopped.wait)


bide.run(main())
