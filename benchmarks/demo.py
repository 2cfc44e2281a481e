"""bide's three front doors at work beside their rivals, in three tables: `make demo`.

Under three minutes. The same figures from more and longer rounds: `make bench`.
"""

import time

import echo
import files
import tasks
import web
from lib import machine

STAGES = (
    ("Python: Starlette on uvicorn", lambda: web.run(3, 2)),
    ("Node: every file of node_modules", lambda: files.run(5, 1)),
    ("C: an echo server", lambda: echo.run(3, 2, echo.DEMO_SHAPES)),
    ("C: tasks", lambda: tasks.run(3)),
)


def main():
    started = time.monotonic()
    for number, (title, run) in enumerate(STAGES, 1):
        print(f"[{number}/{len(STAGES)}] {title}", flush=True)
        run()
    described = machine.describe()
    print(
        f"{described['cpu']}, {described['cores']} cores, Linux {described['kernel']}, "
        f"{time.monotonic() - started:.0f} s; as JSON in {machine.BUILD / 'bench'}"
    )


if __name__ == "__main__":
    main()
