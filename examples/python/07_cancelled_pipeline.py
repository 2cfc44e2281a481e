"""A pipeline, fetch a page and store it, page after page, that is cancelled half-way and
leaves nothing behind.

The cancel reaches the innermost await, the receive of page 3, and comes back out level by
level; each level cleans up what it owns, and may await while it does.
"""

import asyncio
import json
import os
import tempfile

import bide
from fetch import fetch


def page_delay_ms(page):
    """Page 3 takes for ever."""
    return 20 if page < 3 else 60000


async def pipeline(path):
    """Stores ten pages in the file `path`, or leaves no file."""
    page = 0
    try:
        with open(path, "x") as file:
            for page in range(1, 11):
                body = await fetch(f"/page/{page}?delay_ms={page_delay_ms(page)}")
                file.write(json.dumps(body))
                print(f"stored page {page}")
    except BaseException as error:
        how = "cancelled" if isinstance(error, asyncio.CancelledError) else error
        print(f"stopped at page {page}: {how}")
        # The cancel was delivered once; the awaits of the cleaning up are ordinary ones.
        os.unlink(path)
        await fetch("/undo?delay_ms=20")
        print("cleaned up: file removed, server told")
        # Not to swallow it: whoever awaits us must see it.
        raise


async def main():
    path = os.path.join(tempfile.gettempdir(), f"bide_pages_{os.getpid()}")
    task = asyncio.create_task(pipeline(path))
    await asyncio.sleep(0.5)
    task.cancel()

    # Asking is not the end: the pipeline has ended when its task is done.
    try:
        await task
    except asyncio.CancelledError:
        left = "still there" if os.path.exists(path) else "gone"
        print(f"the pipeline ended: cancelled; its file: {left}")


bide.run(main())
