"""JSON files of either kind: which kind, a look at the first records, and all of them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from bye_lint.datasets.base import Convert, Parsed, ReadSettings, RecordError, to_sample
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsondecode import Broken, clip, decode
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.datasets.names import FILES, METADATA, unread_files
from bye_lint.datasets.raw import BOM, MAX_RECORD, RawRecord, file_hash
from bye_lint.records import Sample, Skipped

SUFFIXES = (".json", ".jsonl", ".ndjson")

_PEEKED = 16

_CHUNK = 1 << 20
_BLANKS = re.compile(rb"\s+")
_BETWEEN = " \t\r\n,"
_BRACE = re.compile(rb"[{}]")
# a string, or the rest of a text in which one does not end; NUL marks that end
_STRING = re.compile(rb'"(?:[^"\\\x00]++|\\[^\x00])*+(?:"|\\?\x00)', re.DOTALL)

#: How much of a file is looked at to tell its format.
HEAD = 1 << 16


def beginning(stream: BinaryIO) -> bytes:
    """Return the first part of a file that is not blank, and what byte order mark came before."""
    head = stream.read(HEAD)
    mark = BOM if head.startswith(BOM) else b""
    while head and not head.removeprefix(BOM).strip():
        head = stream.read(HEAD)
    return head if head.startswith(BOM) else mark + head


def json_kind(path: Path, head: bytes) -> Literal["array", "lines", "object", "objects"] | None:
    """Tell how a JSON file is laid out from its beginning; ``None`` if it is no JSON.

    ``objects`` stand one after another, and not one a line.
    """
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"["):
        return "array"
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return "lines"
    if not text.startswith(b"{"):
        return None
    line = text.partition(b"\n")[0].decode("utf-8", "surrogateescape").rstrip()
    found = decode(line, 0)
    whole = not isinstance(found, Broken) and found[1] == len(line)
    if whole or _goes_on(path):
        return "lines"
    return "objects" if _second_object(path) else "object"


def is_one_object(path: Path) -> bool:
    """Tell whether a file holds a JSON object and no other behind it."""
    with path.open("rb") as stream:
        head = beginning(stream).removeprefix(BOM).lstrip()
    return head.startswith(b"{") and not _goes_on(path) and not _second_object(path)


def _goes_on(path: Path) -> bool:
    """Tell whether an object begins on the second line of a file that is not blank."""
    with path.open("rb") as stream:
        chunk = beginning(stream).removeprefix(BOM).lstrip()
        while chunk:
            _, newline, after = chunk.partition(b"\n")
            if newline:
                while not after.strip() and (chunk := stream.read(_CHUNK)):
                    after = chunk
                return after.lstrip().startswith(b"{")
            chunk = stream.read(_CHUNK)
    return False


def _second_object(path: Path) -> int:
    """Return the line of a second object of a file, or 0 if none follows the first.

    A first object longer than any record is not followed to its end.
    """
    status = path.stat()
    return _line_of_second(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _line_of_second(path: Path, _size: int, _changed: int) -> int:
    depth, line, before = 0, 1, b""
    with path.open("rb") as stream:
        chunk = stream.read(_CHUNK).removeprefix(BOM)
        while chunk and stream.tell() <= MAX_RECORD:
            bare, before = _without_strings(before + chunk)
            end = -1
            if bare.count(b"}") < depth:  # the first object cannot end here
                depth += bare.count(b"{") - bare.count(b"}")
            else:
                for match in _BRACE.finditer(bare):
                    depth += 1 if match.group() == b"{" else -1
                    if depth <= 0:
                        end = match.end()
                        break
            line += bare.count(b"\n", 0, end if end >= 0 else len(bare))
            if end >= 0:
                rest = bare[end:]
                while not rest.strip(b" \t\r\n,") and (chunk := stream.read(_CHUNK)):
                    line += rest.count(b"\n")
                    rest = chunk
                more = rest.lstrip(b" \t\r\n,")
                line += rest.count(b"\n", 0, len(rest) - len(more))
                return line if depth == 0 and more.startswith(b"{") else 0
            chunk = stream.read(_CHUNK)
    return 0


def _without_strings(text: bytes) -> tuple[bytes, bytes]:
    """Return a piece of JSON without its strings, and how the one that goes on behind it began."""
    text = text.replace(b"\0", b" ") + b"\0"
    bare = _STRING.sub(b"", text)
    if bare.endswith(b"\0"):
        return bare[:-1], b""
    escaped = (len(text) - 1 - len(text[:-1].rstrip(b"\\"))) % 2
    return bare, b'"\\' if escaped else b'"'


def peek(path: Path, head: bytes) -> list[Mapping[str, Any]]:
    """Return the first records of a file that can be read from its beginning alone."""
    stream = io.BytesIO(head)
    layout = json_kind(path, head)
    if layout == "objects":
        return list(islice(_objects(head), _PEEKED))
    scan = scan_array(stream) if layout == "array" else scan_lines(stream)
    return [raw.value for raw in islice(scan, _PEEKED) if isinstance(raw.value, dict)]


def _objects(head: bytes) -> Iterator[Mapping[str, Any]]:
    text = head.removeprefix(BOM).decode("utf-8", "surrogateescape").lstrip(_BETWEEN)
    while not isinstance(found := decode(text, 0), Broken):
        value, end = found
        if isinstance(value, dict):
            yield value
        text = text[end:].lstrip(_BETWEEN)


def mentions(path: Path, head: bytes, *names: str) -> bool:
    """Tell whether a file of which no record can be read from its beginning has one of these
    keys: anywhere, if it is laid out as records, and in its beginning, if it is no JSON."""
    return _mentions(path, head, '"(' + "|".join(_spelled(name) for name in names) + ")")


def mentions_files(path: Path, head: bytes) -> bool:
    """Tell whether a file has a key of :func:`~bye_lint.datasets.names.names_files`."""
    files = "|".join(_spelled(name) for name in FILES)
    return _mentions(path, head, f'(?:"|{_spelled("_")})(?:{files})')


def some_record(path: Path, test: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Tell whether a file that is laid out as records has one for which a test holds."""
    with path.open("rb") as stream:
        layout = json_kind(path, beginning(stream))
        if layout not in ("array", "lines"):
            return False
        stream.seek(0)
        scan = scan_array(stream) if layout == "array" else scan_lines(stream)
        return any(isinstance(raw.value, dict) and test(raw.value) for raw in scan)


def _mentions(path: Path, head: bytes, key: str) -> bool:
    one_line = head[:1] == b"{" and b"\n" not in head.strip()
    if path.suffix.lower() == ".json" and one_line and is_one_object(path):
        return False  # one object on one line: a tokenizer, a configuration
    pattern = re.compile((key + r'"\s*:').encode())
    found = pattern.search(head) is not None
    if found or json_kind(path, head) not in ("array", "lines", "objects"):
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
    if path.name in METADATA:
        convert = _refusing_files(path.name, convert)
    with path.open("rb") as stream:
        layout = json_kind(path, beginning(stream))
        stream.seek(0)
        if layout == "objects":
            scan = _refusal(path)
        else:
            scan = scan_array(stream) if layout == "array" else scan_lines(stream)
        for raw in scan:
            yield to_sample(raw, settings, convert)


def _refusing_files(file: str, convert: Convert) -> Convert:
    """Refuse records with an image that is none in their format, whoever says that it is theirs."""

    def converted(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
        for name in unread_files(file, record, fields):
            if record[name]:
                raise RecordError(
                    f'{clip(name)} is an image to load_dataset("imagefolder"), and not read in '
                    "this format (name it as dataset.fields.image, or rename the file)"
                )
        return convert(record, fields)

    return converted


def _refusal(path: Path) -> Iterator[RawRecord]:
    """Yield what is wrong with a file of objects, once, at the second of them."""
    message = "another object follows the first, expected a list of records, or one on each line"
    line, size = _second_object(path), path.stat().st_size
    yield RawRecord(None, line, 1, 2, 0, size, message, file_hash(path))
