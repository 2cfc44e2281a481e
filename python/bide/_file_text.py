"""Text files: codecs and universal newlines over a buffered binary file."""

import codecs
import io
import locale
import os
from typing import Any, NamedTuple

from ._file_binary import BinaryFile
from ._file_raw import CHUNK, File, as_size
from ._file_turns import in_turn

_64_BITS = (1 << 64) - 1

# What reconfigure() leaves as it is; None stands for universal newlines.
_AS_IT_IS: Any = object()


def check_strings(method: str, **options: str | None) -> None:
    """Refuses what is no string, in io's words."""
    for name, value in options.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(
                f"{method}() argument {name!r} must be str or None, not {type(value).__name__}"
            )


def check_newline(newline: str | None) -> None:
    """Refuses what ends no line."""
    if newline not in (None, "", "\n", "\r", "\r\n"):
        raise ValueError(f"illegal newline value: {newline!r}")


def text_encoding(encoding: str | None) -> str:
    """The encoding's name; None and "locale" stand for the user's."""
    if encoding is None or encoding == "locale":
        return locale.getpreferredencoding(False)
    if not getattr(codecs.lookup(encoding), "_is_text_encoding", True):
        raise LookupError(
            f"{encoding!r} is not a text encoding; use codecs.open() to handle arbitrary "
            "codecs"
        )
    return encoding


class Cookie(NamedTuple):
    """A position in text, as io.TextIOWrapper packs it into the integer of tell(): bytes
    into the file, the decoder's state there, and how many bytes to decode from there to
    skip so many characters."""

    position: int
    flags: int = 0
    feed: int = 0
    skip: int = 0
    at_end: int = 0

    def pack(self) -> int:
        return (
            self.position
            | self.flags << 64
            | self.feed << 128
            | self.skip << 192
            | self.at_end << 256
        )

    @classmethod
    def unpack(cls, number: int) -> "Cookie":
        return cls(*(number >> shift & _64_BITS for shift in (0, 64, 128, 192, 256)))


class TextFile(File[str]):
    """Text, decoded and encoded by the codecs of the standard library.

    `_text` has been decoded from `_source`, bytes that begin where the decoder was in the
    state `_flags`; `_used` characters of it have been read. `_source` is None when the
    position is that of the buffer.
    """

    def __init__(
        self,
        buffer: BinaryFile,
        encoding: str,
        errors: str,
        newline: str | None,
        line_buffering: bool,
    ) -> None:
        self._turns = buffer._turns
        self._buffer: BinaryFile | None = buffer
        buffer._lies_below = True
        self.encoding = encoding
        self.errors = errors
        self.line_buffering = line_buffering
        self.write_through = False
        self.mode = buffer.mode
        self._newline = newline
        self._make_codecs()
        self._forget_text()

    def __repr__(self) -> str:
        if self._buffer is None:
            return "<bide.TextFile [detached]>"
        return (
            f"<bide.TextFile name={self.name!r} mode={self.mode!r} "
            f"encoding={self.encoding!r}>"
        )

    @property
    def buffer(self) -> BinaryFile:
        """The buffered binary file below."""
        if self._buffer is None:
            raise ValueError("underlying buffer has been detached")
        return self._buffer

    @property
    def name(self) -> Any:
        """The path or descriptor that the file was opened with."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        return self.buffer.closed

    @property
    def newlines(self) -> Any:
        """The line ends seen so far: None, a string or a tuple of them."""
        return getattr(self._decoder, "newlines", None)

    def readable(self) -> bool:
        return self.buffer.readable()

    def writable(self) -> bool:
        return self.buffer.writable()

    def seekable(self) -> bool:
        return self.buffer.seekable()

    def fileno(self) -> int:
        return self.buffer.fileno()

    # ---- decoding ----

    def _make_codecs(self) -> None:
        """For what lies behind the buffer's position."""
        buffer = self.buffer
        self._line_end = self._newline or "\n"
        self._decoder: Any = self._make_decoder() if buffer.readable() else None
        self._flags = 0
        self._encoder: Any = None
        if buffer.writable():
            self._encoder = codecs.getincrementalencoder(self.encoding)(self.errors)
            if buffer.seekable() and buffer._tell() != 0:
                self._encoder.setstate(0)

    def _make_decoder(self) -> Any:
        decoder: Any = codecs.getincrementaldecoder(self.encoding)(self.errors)
        if self._newline:
            return decoder
        return io.IncrementalNewlineDecoder(decoder, self._newline is None)

    def _forget_text(self) -> None:
        self._text = ""
        self._used = 0
        self._source: bytes | None = None

    def _take(self, size: int) -> str:
        text = self._text[self._used : self._used + size]
        self._used += len(text)
        return text

    async def _read_chunk(self) -> bool:
        """Decodes more behind what has not been read yet; False at the end of the file. A
        longer text takes longer pieces, so that one without lines is not copied for each."""
        data = await self.buffer._read1(max(CHUNK, len(self._text) - self._used))
        if self._used == len(self._text):
            self._text = ""
            self._used = 0
            self._source, self._flags = self._decoder.getstate()
        self._text += self._decoder.decode(data, not data)
        self._source = (self._source or b"") + data
        return bool(data)

    async def _read(self, size: int) -> str:
        if size < 0:
            data = await self.buffer._readall()
            text: str = self._text[self._used :] + self._decoder.decode(data, True)
            self._forget_text()
            return text
        while len(self._text) - self._used < size and await self._read_chunk():
            pass
        return self._take(size)

    def _line_end_after(self, start: int) -> int:
        """Where the first line that ends behind start ends; 0 when none does."""
        if self._newline != "":
            found = self._text.find(self._line_end, start)
            return found + len(self._line_end) if found >= 0 else 0
        feed = self._text.find("\n", start) + 1
        back = self._text.find("\r", start, feed or None) + 1
        return back if back and back + 1 != feed else feed

    async def _readline(self, size: int) -> str:
        searched = 0
        while True:
            end = self._line_end_after(self._used + searched)
            if end:
                length = end - self._used
                return self._take(length if size < 0 else min(length, size))
            there = len(self._text) - self._used
            if 0 <= size <= there:
                return self._take(size)
            # A line end of two characters may have begun.
            searched = max(0, there - 1)
            if not await self._read_chunk():
                there = len(self._text) - self._used
                if not self._line_end_after(self._used + searched):
                    return self._take(there)

    # ---- encoding ----

    async def _write(self, data: str) -> int:
        if not isinstance(data, str):
            raise TypeError(f"write() argument must be str, not {type(data).__name__}")
        text = data if self._line_end == "\n" else data.replace("\n", self._line_end)
        ends_line = self.line_buffering and ("\n" in data or "\r" in data)
        encoded = self._encoder.encode(text)
        await self.buffer._write(encoded)
        if ends_line:
            await self.buffer._flush()
        self._forget_text()
        if self._decoder is not None:
            self._decoder.reset()
        return len(data)

    async def _flush(self) -> None:
        await self.buffer._flush()

    def _set_encoder_at(self, start: bool) -> None:
        """At the start of a file the encoder writes a byte order mark, if it has one."""
        if self._encoder is not None:
            self._encoder.reset() if start else self._encoder.setstate(0)

    # ---- positions ----

    def _find_cookie(self, start: int) -> Cookie:
        """Of the place that is `_used` characters behind start, where the source begins."""
        source = self._source or b""
        decoder = self._make_decoder()

        def decoded(count: int) -> tuple[int, bool, int]:
            """How many characters the first bytes give, whether they end with a whole one,
            and the decoder's flags behind them."""
            decoder.setstate((b"", self._flags))
            length = len(decoder.decode(source[:count]))
            kept, flags = decoder.getstate()
            return length, not kept, flags

        low, high = 0, len(source) + 1
        while low < high:
            middle = (low + high) // 2
            if middle <= len(source) and decoded(middle)[0] < self._used:
                low = middle + 1
            else:
                high = middle
        feed = min(low, len(source))
        # Back to where the decoder holds nothing and has not said too much.
        for count in range(feed, -1, -1):
            length, whole, flags = decoded(count)
            if whole and length == self._used:
                return Cookie(start + count, flags)
            if whole and length < self._used:
                skip = self._used - length
                return Cookie(start + count, flags, feed - count, skip, low > len(source))
        raise OSError("can't reconstruct logical file position")

    async def _tell(self) -> int:
        self._check_seekable()
        await self._flush()
        position = self.buffer._tell()
        if self._decoder is None or self._source is None:
            return position
        position -= len(self._source)
        if self._used == 0:
            return Cookie(position, self._flags).pack()
        return self._find_cookie(position).pack()

    async def _seek_to_end(self) -> int:
        await self._flush()
        position = await self.buffer._seek(0, os.SEEK_END)
        self._forget_text()
        if self._decoder is not None:
            self._decoder.reset()
        self._set_encoder_at(position == 0)
        return position

    async def _seek_to(self, number: int) -> int:
        """A cancelled seek leaves the file at the cookie's byte, or where it was."""
        await self._flush()
        cookie = Cookie.unpack(number)
        await self.buffer._seek(cookie.position, os.SEEK_SET)
        self._forget_text()
        if self._decoder is not None:
            if number == 0:
                self._decoder.reset()
            else:
                self._decoder.setstate((b"", cookie.flags))
            self._flags = cookie.flags
        if cookie.skip:
            source = await self.buffer._read(cookie.feed)
            self._source = source
            self._text = self._decoder.decode(source, bool(cookie.at_end))
            if len(self._text) < cookie.skip:
                raise OSError("can't restore logical file position")
            self._used = cookie.skip
        self._set_encoder_at(cookie.position == 0 and cookie.flags == 0)
        return number

    async def _close(self) -> None:
        await self.buffer._close()

    def _close_now(self) -> None:
        self.buffer._close_now()

    # ---- for users ----

    @in_turn
    async def read(self, size: int | None = -1, /) -> str:
        """Read size characters, fewer at the end of the file alone; without a size, to the
        end."""
        self._check_readable()
        return await self._read(as_size(size))

    async def __anext__(self) -> str:
        # A line that is there needs no turn: nothing can come between.
        if not self._turns.taken and self._used < len(self._text):
            end = self._line_end_after(self._used)
            if end and not self.closed:
                return self._take(end - self._used)
        return await super().__anext__()

    @in_turn
    async def write(self, text: str, /) -> int:
        """Write text; return its length."""
        self._check_writable()
        return await self._write(text)

    @in_turn
    async def seek(self, cookie: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position to one that tell() gave, to the start (0) or to the end
        (0, os.SEEK_END)."""
        self._check_open()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        self._check_seekable()
        if whence == os.SEEK_SET:
            if cookie < 0:
                raise ValueError(f"negative seek position {cookie!r}")
            return await self._seek_to(cookie)
        if cookie != 0:
            which = "cur" if whence == os.SEEK_CUR else "end"
            raise io.UnsupportedOperation(f"can't do nonzero {which}-relative seeks")
        if whence == os.SEEK_END:
            return await self._seek_to_end()
        return await self._seek_to(await self._tell())

    @in_turn
    async def tell(self) -> int:
        """Return the position, as a number that seek() takes and that means nothing else."""
        self._check_open()
        return await self._tell()

    @in_turn
    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file just so many bytes long, by default up to the buffer's position."""
        self._check_writable()
        await self._flush()
        return await self.buffer.raw._truncate(
            self.buffer._tell() if size is None else size
        )

    @in_turn
    async def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = _AS_IT_IS,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Write what is buffered and go on with what is given here. An encoding without
        errors means strict ones; where text has been read ahead, only the buffering may
        change. What is written goes to the buffer at once with and without write_through."""
        buffer = self.buffer
        check_strings("reconfigure", encoding=encoding, errors=errors)
        if newline is not _AS_IT_IS:
            check_strings("reconfigure", newline=newline)
        recodes = not (encoding is None and errors is None and newline is _AS_IT_IS)
        if recodes and self._source is not None:
            raise io.UnsupportedOperation(
                "It is not possible to set the encoding or newline of stream after the first "
                "read"
            )
        if newline is not _AS_IT_IS:
            check_newline(newline)
        self._check_open()
        if encoding is not None:
            encoding, errors = text_encoding(encoding), errors or "strict"
        codecs.lookup_error(errors or "strict")
        await buffer._flush()
        if recodes:
            self.encoding = encoding or self.encoding
            self.errors = errors or self.errors
            self._newline = self._newline if newline is _AS_IT_IS else newline
            self._make_codecs()
        if line_buffering is not None:
            self.line_buffering = bool(line_buffering)
        if write_through is not None:
            self.write_through = bool(write_through)

    @in_turn
    async def detach(self) -> BinaryFile:
        """Write what is buffered and return the binary file; this object is of no more
        use."""
        buffer = self.buffer
        await self._flush()
        self._buffer = None
        buffer._lies_below = False
        return buffer
