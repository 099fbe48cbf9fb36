"""Records of JSON lines, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from bye_lint.datasets.jsondecode import Broken, decode, has_surrogate
from bye_lint.datasets.raw import BOM, MAX_RECORD, RawRecord, stream_hash, too_long


def scan_lines(stream: BinaryIO, limit: int = MAX_RECORD) -> Iterator[RawRecord]:
    """Yield the records of JSON lines; empty lines are passed over, a broken one is one record.

    Parameters
    ----------
    stream : binary file
        UTF-8, with or without byte order mark, lines ended by LF or CRLF.
    limit : int
        Longest line, in bytes.
    """
    offset = line = 0
    while data := stream.readline(limit):
        line += 1
        size = len(data)
        cut = size == limit and not data.endswith(b"\n")
        while cut and (rest := stream.readline(limit)):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        if line == 1:
            data = data.removeprefix(BOM)
        try:
            text = data.decode().rstrip()
        except UnicodeDecodeError:
            text = data.decode("utf-8", "surrogateescape").rstrip()
        if cut:
            digest = stream_hash(stream, offset, size)
            yield RawRecord(
                None, line, 1, 2, offset, size, too_long(limit), text[:1000], digest=digest
            )
        elif text:
            yield _line_record(text, line, offset, size)
        offset += size


def _line_record(text: str, line: int, offset: int, size: int) -> RawRecord:
    start = len(text) - len(text.lstrip())
    found = decode(text, start)
    if not text.isascii() and has_surrogate(text):
        found = Broken("not valid UTF-8", next(i for i, c in enumerate(text) if has_surrogate(c)))
    elif not isinstance(found, Broken) and found[1] < len(text):
        found = Broken("more text follows the record on its line", found[1])
    if isinstance(found, Broken):
        column = found.pos + 1
        return RawRecord(None, line, column, column + 1, offset, size, found.message, text)
    return RawRecord(found[0], line, start + 1, len(text) + 1, offset, size)
