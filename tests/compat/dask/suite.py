"""run_in_executor on a Dask cluster: real workers, processes on 127.0.0.1."""

import os

import with_pytest

LIMIT_S = 300


def run(context):
    with_pytest.run(context, os.path.dirname(os.path.abspath(__file__)), ".")
