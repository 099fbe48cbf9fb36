"""Records of a JSON array, one at a time, each with the place where it stands.

The file is never held as a whole: a window of it is, as large as the largest record.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from bye_lint.datasets.jsondecode import Broken, decode, has_surrogate, is_incomplete
from bye_lint.datasets.raw import MAX_RECORD, MAX_TEXT, RawRecord, too_long
from bye_lint.datasets.window import CHUNK, Place, TextWindow

#: Each broken record of an array may cost a second look at what follows, so there is an end.
MAX_BROKEN = 100

CUT_OFF = "the file was cut off, it ends inside the record"

AFTER_END = "more text follows the end of the array"

PASSED_OVER = "text after a broken record was passed over"

_KEY_LENGTH = 128
_FIRST_KEY = re.compile(r'\{\s*"((?:[^"\\\n]|\\.){0,99})"\s*:')
# a string that does not end is one too, else each quote in it would be tried as another's beginning
_STRUCTURE = re.compile(r'"(?:[^"\\\n]|\\.)*["\n]?|[{}\[\]]')
# where nothing is known of the records: an object that is no turn and no part of one
_ANY_RECORD = r'\{\s*"(?!(?:from|role|type|value|content)")'
# no two runs of space that could share one, which would be tried in every division
_AFTER_RECORD = re.compile(r"\s*(?:$|,\s*(?:" + _ANY_RECORD + r"|(?:\]\s*)?$)|\]\s*$)")
_PAIRS = {"}": "{", "]": "["}


def scan_array(
    stream: BinaryIO, *, chunk: int = CHUNK, limit: int = MAX_RECORD
) -> Iterator[RawRecord]:
    """Yield the elements of one JSON array.

    After a broken element the scan goes on at the next that begins like a record. A file that
    ends too early ends with a record that says so, after all records before.

    Parameters
    ----------
    stream : binary file
        UTF-8, with or without byte order mark.
    chunk : int
        Characters that are looked at together.
    limit : int
        Longest element, in characters.
    """
    return _ArrayScan(TextWindow(stream, chunk), limit).records()


class _ArrayScan:
    def __init__(self, window: TextWindow, limit: int) -> None:
        self.window = window
        self.limit = limit
        self.first_key: str | None = None
        self.broken = 0
        self.last_line = 0
        self.whole = ""

    def records(self) -> Iterator[RawRecord]:
        window = self.window
        if window.skip_space() != "[":
            yield self._note("expected a JSON array, which begins with [", unread=True)
            return
        window.pos += 1
        char = window.skip_space()
        if char == "]":
            window.pos += 1
            if window.skip_space():
                yield self._note(AFTER_END, unread=True)
            return
        while char:
            found = self._element()
            if isinstance(found, Broken):
                place = self._place(found)
                text, more, digest = self._recover()
                yield self._broken(found, place, text, more, digest)
                if self.broken == MAX_BROKEN:
                    rest = f"{MAX_BROKEN} records are broken, the rest was not read"
                    yield self._note(rest, unread=True)
                if not more or self.broken == MAX_BROKEN:
                    return
                if more == "next":
                    continue
            else:
                yield found
            char = window.skip_space()
            if char == ",":
                window.pos += 1
                char = window.skip_space()
                if char == "]":
                    yield self._note("a comma stands before the end of the array")
            elif char and char != "]":
                unread = char != "{"
                yield self._note("expected a comma or the end of the array", unread=unread)
                if unread and not self._go_to_next():
                    return
            if char == "]":
                window.pos += 1
                if not window.skip_space():
                    return
                # after a broken record it may have closed a list inside of that record
                if not self.broken:
                    yield self._note(AFTER_END, unread=True)
                goes_on = self._go_to_next()
                if self.broken:
                    yield self._note(PASSED_OVER if goes_on else AFTER_END, unread=True)
                if not goes_on:
                    return
        yield self._note("the file was cut off, it ends inside the array")

    def _go_to_next(self) -> bool:
        _, following = self._next_record()
        if following is not None:
            self.window.pos = following
        return following is not None

    def _note(self, error: str, *, unread: bool = False) -> RawRecord:
        """Return a record for a mistake between the records, at the window's position.

        Parameters
        ----------
        unread : bool
            Something else is not read because of it, so that the file tells it from others.
        """
        window = self.window
        if unread:
            self.whole = self.whole or window.hash()
        window.advance(window.pos)
        place = window.place(window.pos)
        line, column, offset = *place, window.offset(window.pos)
        digest = self.whole if unread else ""
        return RawRecord(None, line, column, column + 1, offset, 0, error, digest=digest)

    def _element(self) -> RawRecord | Broken:
        window = self.window
        window.advance(window.pos)
        while True:
            start = window.pos
            found = decode(window.text, start)
            length = len(window.text)
            if isinstance(found, Broken):
                more = is_incomplete(found, length)
            else:
                more = found[1] == length and window.text[-1] not in "}]"
            if not more or window.eof:
                break
            if length - start > self.limit:
                return Broken(too_long(self.limit), start)
            window.grow()
        if isinstance(found, Broken):
            unclosed = is_incomplete(found, length) and not _structural_end(window.text, start)
            return Broken(CUT_OFF, length) if unclosed else found
        value, end = found
        if window.spoilt(start, end):
            bad = next(i for i in range(start, end) if has_surrogate(window.text[i]))
            return Broken("not valid UTF-8", bad)
        return self._good(start, end, value)

    def _good(self, start: int, end: int, value: Any) -> RawRecord:
        window = self.window
        place = window.place(start)
        shares_line = place.line == self.last_line
        self.last_line = place.line
        if self.first_key is None and isinstance(value, dict):
            self.first_key = next(iter(value), None)
        window.pos = end
        offset = window.offset(start)
        return RawRecord(
            value,
            place.line,
            place.column,
            window.end_column(start, end),
            offset,
            window.offset(end) - offset,
            shares_line=shares_line,
        )

    def _place(self, broken: Broken) -> tuple[Place, Place, int]:
        """Return where a broken element begins, where its mistake is, and its offset."""
        window = self.window
        begin = window.place(window.pos)
        return begin, window.place(broken.pos), window.offset(window.pos)

    def _broken(
        self, broken: Broken, place: tuple[Place, Place, int], text: str, more: str, digest: str
    ) -> RawRecord:
        self.broken += 1
        begin, mistake, offset = place
        message = broken.message
        if message == CUT_OFF and more:
            # the file goes on, so it is this record that never ends
            message, mistake = "the record is not closed", begin
        elif begin.line != mistake.line:
            inside = "" if message == CUT_OFF else ", in the record"
            message += f"{inside} that begins on line {begin.line}"
        column = mistake.column
        size = len(text.encode("utf-8", "surrogateescape"))
        if len(text) > MAX_TEXT and not digest:
            digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        return RawRecord(
            None, mistake.line, column, column + 1, offset, size, message, text[:MAX_TEXT],
            digest=digest,
        )  # fmt: skip

    def _recover(self) -> tuple[str, str, str]:
        """Go behind the broken element at the window's position.

        Returns
        -------
        text : str
            What was passed over.
        more : str
            ``end`` if its brackets match before the next text that begins like a record, and the
            window is behind them; ``next`` if the window is at that text; empty if there is none.
        digest : str
            SHA-256 of what was passed over where the text is its end alone, else empty.
        """
        window = self.window
        begin = window.offset(window.pos)
        while len(window.text) - window.pos < _KEY_LENGTH and not window.eof:
            window.grow()
        match = _FIRST_KEY.match(window.text, window.pos)
        key = match.group(1) if match else None
        kept, following = self._next_record(key)
        stop = len(window.text) if following is None else following
        start = window.pos
        end = _structural_end(window.text, start, stop) if kept else None
        if end is not None and _AFTER_RECORD.match(window.text, end):
            window.pos = end
            return window.text[start:end], "end", ""
        window.pos = stop
        digest = "" if kept else window.hash(begin, window.offset(stop) - begin)
        text = window.text[start:stop].rstrip(" \t\r\n,")
        return text, "" if following is None else "next", digest

    def _next_record(self, key: str | None = None) -> tuple[bool, int | None]:
        """Find the next text that begins like a record, behind the window's position.

        Returns
        -------
        kept : bool
            The window's position is still where it was.
        place : int or None
        """
        window = self.window
        key = key if key is not None else self.first_key
        self.first_key = key if self.first_key is None else self.first_key
        begins = _ANY_RECORD if key is None else r'\{\s*"' + re.escape(key) + r'"\s*:'
        pattern = re.compile(begins)
        kept = True
        while True:
            match = pattern.search(window.text, window.pos + 1)
            # what follows the match decides, so that it must have been loaded
            if window.eof or (match and match.end() + _KEY_LENGTH < len(window.text)):
                return kept, match.start() if match else None
            if len(window.text) - window.pos > self.limit:
                kept = False
                window.pos = len(window.text) - 1000  # a match may have begun
            window.grow()


def _structural_end(text: str, start: int, stop: int = sys.maxsize) -> int | None:
    """Return the place after the bracket that closes the one at ``start``, by counting alone."""
    open_brackets: list[str] = []
    for match in _STRUCTURE.finditer(text, start, stop):
        char = match.group()[0]
        if char == '"':
            continue
        if char in "{[":
            open_brackets.append(char)
        elif not open_brackets or open_brackets.pop() != _PAIRS[char]:
            return None
        if not open_brackets:
            return match.end()
    return None
