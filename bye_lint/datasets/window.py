"""A sliding window over a text file: a bounded piece of it as a string, and where it stands."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO, NamedTuple

from bye_lint.datasets.jsondecode import has_surrogate
from bye_lint.datasets.raw import stream_hash

CHUNK = 1 << 20

_BOM = codecs.BOM_UTF8
_SPACE = re.compile(r"[ \t\n\r]*")


class Place(NamedTuple):
    """1-based line and column, in characters."""

    line: int
    column: int


class TextWindow:
    """The part of a UTF-8 file that is being looked at.

    ``text`` is what is loaded and ``pos`` is how far it has been read; what lies before ``pos``
    is dropped when more is loaded. Bytes that are not UTF-8 become lone surrogates, as
    ``surrogateescape`` does, so that the record that holds them can be told from the others.
    """

    def __init__(self, stream: BinaryIO, chunk: int = CHUNK) -> None:
        self.text = ""
        self.pos = 0
        self.eof = False
        self.dirty = False
        self._stream = stream
        self._chunk = chunk
        self._pending = b""
        self._mark = 0  # place in text up to which lines and bytes are counted
        self._offset = 0
        self._line = 1
        self._line_start = 0  # place in text, before it if negative
        self._grow_from_start()

    def _grow_from_start(self) -> None:
        head = self._stream.read(len(_BOM))
        if head == _BOM:
            self._offset = len(_BOM)
        else:
            self._pending = head
        self.grow()

    def grow(self) -> None:
        """Load more text: as much again as there is, so that a long record costs no more than
        twice its length."""
        self._drop(self.pos)
        size = max(self._chunk, len(self.text))
        data = self._pending + self._stream.read(size)
        self.eof = len(data) < size + len(self._pending)
        try:
            text, used = codecs.utf_8_decode(data, "strict", self.eof)
        except UnicodeDecodeError:
            self.dirty = True
            text, used = codecs.utf_8_decode(data, "surrogateescape", self.eof)
        self._pending = data[used:]
        self.text += text

    def _drop(self, end: int) -> None:
        self.advance(end)
        self.text = self.text[end:]
        self.pos -= end
        self._mark -= end
        self._line_start -= end

    def advance(self, pos: int) -> None:
        """Count lines and bytes up to a place; places before it can no longer be asked for."""
        self._offset = self.offset(pos)
        self._line, self._line_start = self._lines(pos)
        self._mark = pos

    def _lines(self, pos: int) -> tuple[int, int]:
        lines = self.text.count("\n", self._mark, pos)
        if not lines:
            return self._line, self._line_start
        return self._line + lines, self.text.rfind("\n", self._mark, pos) + 1

    def place(self, pos: int) -> Place:
        """Return line and column of a place in ``text``."""
        line, start = self._lines(pos)
        return Place(line, pos - start + 1)

    def end_column(self, start: int, end: int) -> int:
        """Return the column after ``text[start:end]``, or after its part on the first line."""
        column = self.place(start).column
        newline = self.text.find("\n", start, end)
        if newline >= 0:
            end = newline - (self.text[newline - 1 : newline] == "\r")
        return column + max(1, end - start)

    def offset(self, pos: int) -> int:
        """Return a place's distance from the beginning of the file, in bytes."""
        if self.text.isascii():
            return self._offset + pos - self._mark
        part = self.text[self._mark : pos]
        return self._offset + len(part.encode("utf-8", "surrogateescape"))

    def hash(self, start: int = 0, size: int | None = None) -> str:
        """Return the SHA-256 of a part of the file, in bytes, by default of all of it."""
        return stream_hash(self._stream, start, size)

    def spoilt(self, start: int, end: int) -> bool:
        """Tell whether a part holds bytes that are not UTF-8."""
        return self.dirty and has_surrogate(self.text[start:end])

    def skip_space(self) -> str:
        """Go to the next character that is no white space; return it, or nothing at the end."""
        while True:
            if match := _SPACE.match(self.text, self.pos):
                self.pos = match.end()
            if self.pos < len(self.text):
                return self.text[self.pos]
            if self.eof:
                return ""
            self.grow()
