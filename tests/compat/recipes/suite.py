"""The recipes of docs/python-recipes.md, each with the real program: started as the page
says, and asked which loop it runs on."""

import os

import with_pytest

RUNS = ["io_uring", "epoll", "auto"]
LIMIT_S = 600
PYTHONS = ["3.13", "3.11"]
# The plugins are tried in runs of their own.
OPTIONS = ("-p", "pytester", "-p", "no:asyncio", "-p", "no:anyio")


def run(context):
    # No loop is installed: each recipe has its own way.
    with_pytest.run_here(context, os.path.dirname(os.path.abspath(__file__)), ".", *OPTIONS)
