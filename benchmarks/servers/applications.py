"""What the web servers serve: applications of a few lines each."""

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


async def aiohttp_runner():
    from aiohttp import web

    async def plaintext(request):
        return web.Response(body=PLAIN, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", plaintext)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    return runner
