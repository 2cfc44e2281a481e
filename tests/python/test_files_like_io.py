"""bide.open beside the builtin open: random calls on both, and what differs is a bug.

What a user loses if one fails: a program that is moved from open() to bide.open() reads
or writes other bytes, or stands at another place of the file.
"""

import copy
import ctypes
import os
import pickle
import random
import sys

import bide
import pytest

WORDS = [
    "a", "word", "\n", "\r\n", "\r", "two\nlines", "ä", "€uro", "\U0001f40d", "", " ",
    "long" * 30, "\n\n", "x\r", "end",
]
WITH_MARK = {"utf-16", "utf-32", "utf-8-sig"}


def some_text(chance, parts):
    return "".join(chance.choice(WORDS) for _ in range(parts))


async def outcome_of(call):
    try:
        result = call()
        if hasattr(result, "__await__"):
            result = await result
    except Exception as error:
        return type(error).__name__
    return result


class Both:
    """The same call on both files; their outcomes must be equal."""

    def __init__(self, theirs, ours):
        self.theirs = theirs
        self.ours = ours
        self.calls = []

    async def __call__(self, name, *args):
        expected = await outcome_of(lambda: getattr(self.theirs, name)(*args))
        got = await outcome_of(lambda: getattr(self.ours, name)(*args))
        self.calls.append((name, args))
        assert got == expected, (self.calls[-3:], got, expected)
        return got

    async def into(self, name, size):
        left, right = bytearray(size), bytearray(size)
        expected = await outcome_of(lambda: getattr(self.theirs, name)(left))
        got = await outcome_of(lambda: getattr(self.ours, name)(right))
        self.calls.append((name, size))
        assert (got, right) == (expected, left), self.calls


    async def some(self, name, size):
        """How much such a call gives is up to the buffer; what it gives is not."""
        if not hasattr(self.theirs, name) or not self.theirs.readable():
            return
        # Before 3.13 io's read1 did not write first what was buffered.
        self.theirs.flush()
        expected = getattr(self.theirs, name)(size)
        got = await getattr(self.ours, name)(size)
        self.calls.append((name, size))
        short = min(len(expected), len(got))
        assert expected[:short] == got[:short] and bool(expected) == bool(got), self.calls
        self.theirs.seek(await self.ours.tell())

    async def tell(self, ask=lambda file: file.tell()):
        """At the end of a file io may forget the decoder's state, and behind a byte order
        mark it may count it or not; else the bytes before the place are the same."""
        expected, got = ask(self.theirs), await ask(self.ours)
        self.calls.append(("tell", got))
        marked = getattr(self.theirs, "encoding", "") in WITH_MARK
        if max(expected, got) < 1 << 128 and not marked:
            assert got % (1 << 64) == expected % (1 << 64), (self.calls[-3:], got, expected)
        return expected, got

    async def seek(self, expected, got):
        self.theirs.seek(expected)
        self.calls.append(("seek", got))
        assert await self.ours.seek(got) == got


async def binary_step(both, chance, cookies):
    name = chance.choice(
        "read read read1 readline readlines readinto seek seek tell write write "
        "writelines truncate flush peek".split()
    )
    if name in ("peek", "read1"):
        await both.some(name, chance.choice([1, 7, 300, 9000]))
    elif name == "readinto":
        await both.into(name, chance.choice([0, 1, 5, 100, 20000]))
    elif name in ("read", "readline"):
        # A refused readline(0) of a raw file is an empty line to io.
        sizes = [-1, 1, 2, 3, 7, 50, 300, 9000]
        await both(name, chance.choice([*sizes, 0] if both.ours.readable() else sizes))
    elif name == "seek":
        whence = chance.choice([0, 0, 1, 2])
        await both(name, chance.choice([0, 1, 5, 40, 200, -1, -3, -40]), whence)
    elif name.startswith("write") and both.ours.mode[0] == "a":
        # Behind an append that was buffered elsewhere io is not where it says.
        await both("seek", 0, 2)
        await both("write", b"appended\n")
    elif name == "write":
        await both(name, os.urandom(chance.choice([0, 1, 10, 100, 9000])))
    elif name == "writelines":
        await both(name, [b"one\n", b"two", b"\nthree\n"])
    elif name == "truncate":
        await both(name, *chance.choice([(), (0,), (10,), (500,)]))
    else:
        await both(name)


async def text_step(both, chance, cookies):
    name = chance.choice(
        "read read readline readline readlines seek seek tell tell write write "
        "writelines flush".split()
    )
    if name in ("read", "readline"):
        await both(name, chance.choice([-1, 0, 1, 2, 3, 7, 50, 300]))
    elif name == "seek":
        if chance.random() < 0.5:
            await both(name, *chance.choice([(0,), (0, 2)]))
        elif chance.random() < 0.2:
            await both.tell(lambda file: file.seek(0, 1))
        else:
            await both.seek(*chance.choice(cookies))
    elif name == "tell":
        cookies.append(await both.tell())
    elif name in ("write", "writelines"):
        # Without a seek between reading and writing io leaves open where text lands.
        await both("seek", 0, 2)
        text = some_text(chance, chance.choice([0, 1, 5, 40]))
        await both(name, text if name == "write" else [text, "line\n"])
        cookies[1:] = []
    elif name != "readlines" or both.ours.readable():
        # A refused readlines leaves io's files unable to tell.
        await both(name)


async def compare(folder, chance, mode, step, content, **options):
    paths = [folder / "theirs", folder / "ours"]
    for path in paths:
        path.write_bytes(content)
        if mode[0] == "x":
            path.unlink()
    with open(paths[0], mode, **options) as theirs:
        async with bide.open(paths[1], mode, **options) as ours:
            both = Both(theirs, ours)
            cookies = [(0, 0)]
            # Asked for the first time after a seek that failed, io would say no for ever.
            await both("seekable")
            for _ in range(25):
                await step(both, chance, cookies)
            for name in ("readable", "writable", "seekable", "isatty"):
                await both(name)
    assert paths[1].read_bytes() == paths[0].read_bytes(), both.calls


BINARY_MODES = ["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b"]


@pytest.mark.parametrize("buffering", [-1, 0, 2, 64])
@pytest.mark.parametrize("mode", BINARY_MODES)
def test_binary_files_do_what_io_does(run, tmp_path, mode, buffering):
    async def main():
        for seed in range(10):
            chance = random.Random(f"{seed} {mode} {buffering}")
            content = some_text(chance, chance.choice([0, 3, 60, 2000])).encode()
            await compare(tmp_path, chance, mode, binary_step, content, buffering=buffering)

    run(main(), 60)


ENCODINGS = ["utf-8", "latin-1", "utf-16", "utf-16-le", "utf-8-sig", "shift_jis", "utf-32"]


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_files_do_what_io_does(run, tmp_path, encoding, newline):
    async def main():
        for seed in range(8):
            chance = random.Random(f"{seed} {encoding} {newline}")
            mode = chance.choice(["r", "r", "w+", "r+", "a+", "w", "a"])
            parts = chance.choice([0, 3, 60, 2000])
            content = some_text(chance, parts).encode(encoding, "replace")
            await compare(
                tmp_path, chance, mode, text_step, content,
                encoding=encoding, newline=newline, errors="replace",
            )

    run(main(), 60)


EMPTY = ((ctypes.c_int * 3) * 0)()
GAPS = memoryview(bytearray(10))[::2]
READONLY = memoryview(bytearray(4)).toreadonly()
NO_SIZES = [("x",), (1.5,), (b"1",)]
CALLS = {
    "read": NO_SIZES,
    "read1": NO_SIZES,
    "peek": NO_SIZES,
    "readline": NO_SIZES,
    "readlines": NO_SIZES,
    "write": [(value,) for value in ("text", 5, None, [1], EMPTY, GAPS)],
    "readinto": [(value,) for value in ("text", 5, b"bytes", EMPTY, GAPS, READONLY)],
    "readinto1": [(value,) for value in ("text", 5, b"bytes", EMPTY, GAPS, READONLY)],
}


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("name", CALLS)
def test_what_calls_refuse_is_refused_alike(run, folder, name, buffering):
    """And a refused call has moved nothing."""

    async def main():
        with open(folder / "text", "rb+", buffering) as theirs:
            async with bide.open(folder / "text", "rb+", buffering) as ours:
                if not hasattr(theirs, name):
                    return
                both = Both(theirs, ours)
                for args in CALLS[name]:
                    await both(name, *args)
                    await both("tell")

    run(main())


OPENINGS = [
    dict(mode="q"), dict(mode=""), dict(mode="rw"), dict(mode="rbt"), dict(mode="rr"),
    dict(mode="+"), dict(mode=3), dict(buffering=0),
    dict(mode=None), dict(buffering=None), dict(mode="rb", buffering=1.5),
    dict(encoding=5), dict(errors=5), dict(mode="rb", errors=5),
    dict(mode="rb", encoding="utf-8"), dict(mode="rb", errors="strict"),
    dict(mode="rb", newline="\n"), dict(newline="x"), dict(newline=b"\n"),
    dict(encoding="no such"), dict(encoding="hex"), dict(errors="no such", mode="w"),
    dict(closefd=False), dict(file="missing"), dict(file="dir"), dict(file="dir", mode="w"),
    dict(file="text", mode="x"), dict(file=-1), dict(file=9999), dict(file=3.5),
    dict(file="null\0byte"), dict(file="text/below"), dict(opener=lambda path, flags: -3),
    dict(opener=lambda path, flags: "3"),
]


@pytest.mark.parametrize("options", OPENINGS, ids=str)
def test_what_open_refuses_is_refused_alike(run, folder, monkeypatch, open_fds, options):
    monkeypatch.chdir(folder)
    options = {"file": "text", **options}

    async def main():
        theirs = await outcome_of(lambda: open(**options))
        if not isinstance(theirs, str):
            # io looks for the handler of errors in development mode alone.
            theirs.close()
            theirs = "LookupError"
        assert await outcome_of(lambda: bide.open(**options)) == theirs
        with pytest.raises(Exception) as raised:
            await bide.open(**options)
        try:
            open(**options).close()
        except OSError as error:
            assert (raised.value.errno, raised.value.filename) == (error.errno, error.filename)
        except Exception:
            pass

    before = open_fds()
    run(main())
    assert open_fds() <= before


@pytest.mark.parametrize("newline", [None, "", "\n"])
@pytest.mark.parametrize("content", [b"", b"a", b"a\n", b"a\r\nb\n", b"a\rb\r\nc\n"])
def test_newlines_are_those_seen(run, tmp_path, newline, content):
    async def main():
        (tmp_path / "file").write_bytes(content)
        with open(tmp_path / "file", newline=newline) as theirs:
            theirs.read()
            async with bide.open(tmp_path / "file", newline=newline) as ours:
                assert ours.newlines is None
                await ours.read()
                assert ours.newlines == theirs.newlines

    run(main())


RECONFIGURATIONS = [
    dict(encoding="utf-16"), dict(encoding="latin-1", errors="replace"), dict(errors="ignore"),
    dict(newline="\r\n"), dict(newline=""), dict(newline=None),
    dict(line_buffering=True), dict(write_through=True), dict(),
    dict(encoding="hex"), dict(encoding="no such"), dict(newline="x"),
]
if sys.version_info >= (3, 11):
    # Before, io had no such name here, and looked at the types last.
    RECONFIGURATIONS += [
        dict(encoding="locale"), dict(encoding=5), dict(errors=5), dict(newline=5),
    ]
BEFORE = {
    "nothing": [], "a read": [("read", 3)], "a line": [("readline",)], "all": [("read",)],
    "a write": [("seek", 0, 2), ("write", "ä\n")], "a seek": [("read", 3), ("seek", 0)],
    "the end": [("close",)],
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("options", RECONFIGURATIONS, ids=str)
def test_a_file_is_reconfigured_where_io_reconfigures_it(run, tmp_path, options, before):
    """A log that goes over to another encoding, or to lines, between two writes."""

    async def main():
        for name in ("theirs", "ours"):
            (tmp_path / name).write_bytes("öne\r\ntwo\n".encode())
        with open(tmp_path / "theirs", "r+", encoding="utf-8") as theirs:
            async with bide.open(tmp_path / "ours", "r+", encoding="utf-8") as ours:
                both = Both(theirs, ours)
                for call in BEFORE[before]:
                    await both(*call)
                await both_reconfigured(both, options)
                await both("seek", 0, 2)
                await both("write", "naïve\n")
                if ours.line_buffering:
                    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
                await both("seek", 0)
                await both("read")
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()

    run(main())


async def both_reconfigured(both, options):
    expected = await outcome_of(lambda: both.theirs.reconfigure(**options))
    assert await outcome_of(lambda: both.ours.reconfigure(**options)) == expected
    for name in ("encoding", "errors", "line_buffering", "write_through", "newlines"):
        theirs, ours = getattr(both.theirs, name), getattr(both.ours, name)
        assert str(ours).lower() == str(theirs).lower()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_file_is_not_copied(run, folder, copied):
    """A copy that is collected would close the descriptor, or another file's of its number."""

    async def main():
        async with bide.open(folder / "text") as file:
            for layer in (file, file.buffer, file.buffer.raw):
                with pytest.raises(TypeError, match="cannot pickle '(Text|Binary|Raw)File' object"):
                    copied(layer)
            assert await file.read() == "hello world"

    run(main())
