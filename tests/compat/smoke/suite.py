"""A smoke run of tornado, httpx, grpc.aio, aiofiles and aiosqlite: each does its main
work once."""

import os

import with_pytest

LIMIT_S = 300
PYTHONS = ["3.13", "3.11"]


def run(context):
    with_pytest.run(context, os.path.dirname(os.path.abspath(__file__)), ".")
