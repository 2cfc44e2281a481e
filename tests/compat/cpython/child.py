"""Runs tests of one module of CPython's in this process, and reports each as it ends.

    child.py LOOP MODULE SELECTION REPORT

REPORT gets a line of JSON as a test starts and one as it ends, so that whoever waits
knows which test hung or took the process down. SELECTION is a file with a JSON list of
the tests to run; of an empty one all the module's tests are listed and none runs.
"""

import asyncio
import importlib
import json
import sys
import unittest
import warnings

import classes
import loops


def last_line(error):
    return (str(error).strip().splitlines() or [""])[-1][:200]


class Reporter(unittest.TestResult):
    """Has one outcome a test: its first failure, or else a subtest's or its own skip."""

    def __init__(self, loop, report):
        super().__init__()
        self.loop = loop
        self.report = report
        self.outcome = None

    def say(self, **what):
        self.report.write(json.dumps(what) + "\n")
        self.report.flush()

    def startTest(self, test):
        super().startTest(test)
        self.loop.install()
        self.outcome = ("passed", "")
        self.say(test=name_of(test))

    def stopTest(self, test):
        super().stopTest(test)
        outcome, reason = self.outcome
        self.outcome = None
        self.say(test=name_of(test), outcome=outcome, reason=reason)

    def addSkip(self, test, reason):
        if self.outcome is None:  # a class, or a module, as a whole
            self.say(test=name_of(test), outcome="skipped", reason=reason)
        elif self.outcome[0] == "passed":
            self.outcome = ("skipped", reason)

    def addFailure(self, test, error):
        self.print_error(test, error)
        reason = f"{error[0].__name__}: {last_line(error[1])}"
        if self.outcome is None:
            self.say(test=name_of(test), outcome="failed", reason=reason)
        elif self.outcome[0] != "failed":
            self.outcome = ("failed", reason)

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.addFailure(test, error)

    def addUnexpectedSuccess(self, test):
        self.outcome = ("failed", "it passed, which its author did not expect")

    def print_error(self, test, error):
        print(f"== {name_of(test)}\n{self._exc_info_to_string(error, test)}", file=sys.stderr)


def name_of(test):
    """module.Class.test of a test; of a fixture that failed, what unittest calls it."""
    if not isinstance(test, unittest.TestCase):
        return str(test)
    cls = type(test)
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__qualname__}.{test._testMethodName}"


def subclass(stock, body):
    """A class in the place of `stock`, with its name and its module's fixtures. On 3.12
    and before, a base of some classes gives the loop a child watcher of asyncio's."""
    bases = (stock,)
    if any(base.__name__ == "UnixEventLoopTestsMixin" for base in stock.__mro__):
        events = sys.modules[stock.__module__]
        bases = (events.EventLoopTestsMixin, events.SubprocessTestsMixin,
                 *stock.__bases__[-1:])
    return type(stock.__name__, bases, {"__module__": stock.__module__, **body})


def own_loop_class(module, name, method, loop):
    stock = getattr(module, name)
    if loop.is_stock:
        return stock
    return subclass(stock, {method: lambda self: loop.make()})


def subprocess_class(module, loop):
    class SubprocessMixin(module.SubprocessMixin, module.test_utils.TestCase):
        def setUp(self):
            super().setUp()
            self.loop = loop.make()
            self.set_event_loop(self.loop)

    SubprocessMixin.__module__ = module.__name__
    SubprocessMixin.__qualname__ = "SubprocessMixin"
    return SubprocessMixin


def installed_classes(module, names, loop):
    for name, cls in sorted(vars(module).items()):
        if (
            isinstance(cls, type) and issubclass(cls, unittest.TestCase)
            and cls.__module__ == module.__name__ and (names is None or name in names)
        ):
            yield cls


def test_classes(module, loop):
    short = module.__name__.rpartition(".")[2]
    if short in classes.OWN_LOOP:
        yield own_loop_class(module, *classes.OWN_LOOP[short], loop)
    if short == classes.SUBPROCESS[0]:
        yield subprocess_class(module, loop)
    if short in classes.INSTALLED or not module.__name__.startswith("test.test_asyncio."):
        yield from installed_classes(module, classes.INSTALLED.get(short), loop)


def main():
    loop_name, module_name, selection, report = sys.argv[1:]
    with open(selection) as file:
        wanted = set(json.load(file))
    warnings.simplefilter("ignore", DeprecationWarning)
    loop = loops.Loop(loop_name, replaces_default=module_name not in classes.NAME_DEFAULT)
    loop.install()
    module = importlib.import_module(module_name)
    tests = [
        test
        for cls in test_classes(module, loop)
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(cls)
    ]
    with open(report, "a") as file:
        if not wanted:
            for test in tests:
                file.write(json.dumps({"test": name_of(test), "outcome": None}) + "\n")
            return
        suite = unittest.TestSuite(test for test in tests if name_of(test) in wanted)
        suite.run(Reporter(loop, file))


if __name__ == "__main__":
    main()
