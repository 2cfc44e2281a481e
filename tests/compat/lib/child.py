"""Runs one suite on one loop, inside that suite's environment.

    python child.py SUITE --loop NAME --sources JSON --work DIR --journal FILE
                          [--only FILE] [--done FILE]

SUITE is the directory that holds suite.py, whose run(context) does the work. FILEs of
--only and --done hold a JSON list of tests.
"""

import argparse
import importlib.util
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import context


def load(directory):
    """The module suite.py of a directory."""
    path = os.path.join(directory, "suite.py")
    spec = importlib.util.spec_from_file_location("suite", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["suite"] = module
    spec.loader.exec_module(module)
    return module


def listed(path):
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--loop", choices=context.LOOPS, required=True)
    parser.add_argument("--sources", type=json.loads, required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--only")
    parser.add_argument("--done")
    arguments = parser.parse_args()
    suite = load(arguments.suite)
    with context.Journal(arguments.journal) as journal:
        suite.run(
            context.Context(
                arguments.loop, arguments.sources, arguments.work, journal,
                only=listed(arguments.only), done=listed(arguments.done) or (),
            )
        )


if __name__ == "__main__":
    main()
