"""asyncpg with a real PostgreSQL and redis-py with a real Redis, over TCP, a Unix socket
and TLS, with the server killed and started again in the middle."""

import os

import with_pytest

LIMIT_S = 600
PYTHONS = ["3.13", "3.11"]


def run(context):
    with_pytest.run(context, os.path.dirname(os.path.abspath(__file__)), ".")
