"""What the servers under test have in common: they serve the sockets that they inherit,
each in a manner of its own, on the loop that is asked for.

    python SERVER LOOP KIND=FD...

When all that the loop can do is served, a JSON line says for each kind None, or why not.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import loops  # noqa: E402


async def serve(starters, wanted):
    found, kept = {}, []
    for kind, fd in wanted.items():
        try:
            kept.append(await starters[kind](socket.socket(fileno=fd)))
            found[kind] = None
        except Exception as error:
            found[kind] = f"{type(error).__name__}: {error}".strip(": ")
    print(json.dumps(found), flush=True)
    await asyncio.get_running_loop().create_future()


def main(starters, loop, *wanted):
    fds = {kind: int(fd) for kind, _, fd in (text.partition("=") for text in wanted)}
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(serve(starters, fds))
