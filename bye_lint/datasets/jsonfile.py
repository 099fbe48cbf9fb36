"""JSON files of either kind: which kind, a look at the first records, and all of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from bye_lint.datasets.base import Convert, ReadSettings, to_sample
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsondecode import Broken, decode
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.records import Sample, Skipped

SUFFIXES = (".json", ".jsonl", ".ndjson")

_PEEKED = 16

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
_BLANKS = re.compile(rb"\s+")

#: How much of a file is looked at to tell its format.
HEAD = 1 << 16


def beginning(stream: BinaryIO) -> bytes:
    """Return the first part of a file that is not blank, and what byte order mark came before."""
    head = stream.read(HEAD)
    mark = _BOM if head.startswith(_BOM) else b""
    while head and not head.removeprefix(_BOM).strip():
        head = stream.read(HEAD)
    return head if head.startswith(_BOM) else mark + head


def json_kind(path: Path, head: bytes) -> Literal["array", "lines", "object"] | None:
    """Tell how a JSON file is laid out from its beginning; ``None`` if it is no JSON."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "array"
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return "lines"
    if not text.startswith(b"{"):
        return None
    line = text.partition(b"\n")[0].decode("utf-8", "surrogateescape").rstrip()
    found = decode(line, 0)
    whole = not isinstance(found, Broken) and found[1] == len(line)
    return "lines" if whole or _goes_on(path) else "object"


def _goes_on(path: Path) -> bool:
    """Tell whether an object begins on the second line of a file that is not blank."""
    with path.open("rb") as stream:
        chunk = beginning(stream).removeprefix(_BOM).lstrip()
        while chunk:
            _, newline, after = chunk.partition(b"\n")
            if newline:
                while not after.strip() and (chunk := stream.read(_CHUNK)):
                    after = chunk
                return after.lstrip().startswith(b"{")
            chunk = stream.read(_CHUNK)
    return False


def peek(path: Path, head: bytes) -> list[Mapping[str, Any]]:
    """Return the first records of a file that can be read from its beginning alone."""
    stream = io.BytesIO(head)
    scan = scan_array(stream) if json_kind(path, head) == "array" else scan_lines(stream)
    return [raw.value for raw in islice(scan, _PEEKED) if isinstance(raw.value, dict)]


def mentions(path: Path, head: bytes, *names: str) -> bool:
    """Tell whether a file of which no record can be read from its beginning has one of these
    keys: anywhere, if it is laid out as records, and in its beginning, if it is no JSON."""
    one_line = head[:1] == b"{" and b"\n" not in head.strip()
    if path.suffix.lower() == ".json" and one_line and not _goes_on(path):
        return False  # one object on one line: a tokenizer, a configuration
    pattern = re.compile(('"(' + "|".join(_spelled(name) for name in names) + r')"\s*:').encode())
    found = pattern.search(head) is not None
    if found or json_kind(path, head) not in ("array", "lines"):
        return found
    tail = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            text = _BLANKS.sub(b" ", tail + chunk)
            if pattern.search(text):
                return True
            tail = text[-1024:]
    return False


def _spelled(name: str) -> str:
    """Return a pattern of a key as JSON may write it: each letter may be an escape."""
    letters = (re.escape(c) + (rf"|\\u(?i:{ord(c):04x})" if ord(c) < 1 << 16 else "") for c in name)
    return "".join(f"(?:{letter})" for letter in letters)


def read_json(path: Path, settings: ReadSettings, convert: Convert) -> Iterator[Sample | Skipped]:
    """Yield the records of a JSON array or of JSON lines."""
    with path.open("rb") as stream:
        array = json_kind(path, beginning(stream)) == "array"
        stream.seek(0)
        for raw in scan_array(stream) if array else scan_lines(stream):
            yield to_sample(raw, settings, convert)
