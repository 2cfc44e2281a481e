"""An ASGI application that tells which loop it runs on."""

import asyncio
import json
import os


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    loop = type(asyncio.get_running_loop())
    answer = json.dumps({"loop": f"{loop.__module__}.{loop.__name__}", "pid": os.getpid()})
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": answer.encode()})
