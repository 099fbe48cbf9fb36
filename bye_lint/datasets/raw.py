"""A record as the file holds it: a value and its place, or what is wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

#: The mark of UTF-8 that a text file may begin with.
BOM = b"\xef\xbb\xbf"

#: A longer record is refused, so that one record cannot fill the memory.
MAX_RECORD = 64 << 20

#: What is kept of a broken record's text.
MAX_TEXT = 65536

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A value of the file, or the reason why there is none.

    Attributes
    ----------
    value : object
        The decoded value.
    line, column, end_column : int
        Where it begins; where it is broken, the exact place of the mistake.
    offset, size : int
        The bytes of the file that it takes.
    error : str
        What is wrong; empty for a value.
    text : str
        The text of a broken record, or its beginning.
    digest : str
        SHA-256 of what a broken record's text does not say: of all of it, where it is the
        beginning alone, and of the file, where some of that is not read.
    shares_line : bool
        An earlier record begins on the same line.
    """

    value: Any
    line: int
    column: int
    end_column: int
    offset: int
    size: int
    error: str = ""
    text: str = ""
    shares_line: bool = False
    digest: str = ""


def too_long(limit: int) -> str:
    """Say that a record passes the limit, which is in bytes or characters."""
    return f"longer than {limit >> 20} MiB"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, so that what is accepted of it holds for its content alone."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stream_hash(stream: BinaryIO, start: int = 0, size: int | None = None) -> str:
    """Return the SHA-256 of a part of an open file, by default of all; it is read on from where it
    was."""
    at = stream.tell()
    stream.seek(start)
    digest = hashlib.sha256()
    left = size
    while chunk := stream.read(_CHUNK if left is None else min(left, _CHUNK)):
        digest.update(chunk)
        left = None if left is None else left - len(chunk)
    stream.seek(at)
    return digest.hexdigest()
