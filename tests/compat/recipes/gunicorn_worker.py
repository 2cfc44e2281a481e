"""gunicorn's worker class that runs uvicorn on bide."""

from uvicorn_worker import UvicornWorker


class BideWorker(UvicornWorker):
    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "loop": "bide:new_event_loop"}
