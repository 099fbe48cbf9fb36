"""JSON files of either kind: which kind, a look at the first records, and all of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from bye_lint.datasets.base import Convert, ReadSettings, to_sample
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsondecode import Broken, decode
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.records import Sample, Skipped

SUFFIXES = (".json", ".jsonl", ".ndjson")

_PEEKED = 16


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
    several = text.partition(b"\n")[2].lstrip().startswith(b"{")
    return "lines" if whole or several else "object"


def peek(path: Path, head: bytes) -> list[Mapping[str, Any]]:
    """Return the first records of a file that can be read from its beginning alone."""
    stream = io.BytesIO(head)
    scan = scan_array(stream) if json_kind(path, head) == "array" else scan_lines(stream)
    return [raw.value for raw in islice(scan, _PEEKED) if isinstance(raw.value, dict)]


def mentions(path: Path, head: bytes, *names: str) -> bool:
    """Tell whether a file of which no record can be read from its beginning has one of these
    keys: anywhere, if it is laid out as records, and in its beginning, if it is no JSON."""
    if path.suffix.lower() == ".json" and len(head.strip().splitlines()) == 1 and head[:1] == b"{":
        return False  # one object on one line: a tokenizer, a configuration
    pattern = re.compile(b'"(' + b"|".join(re.escape(n.encode()) for n in names) + rb')"\s*:')
    found = pattern.search(head) is not None
    if found or json_kind(path, head) not in ("array", "lines"):
        return found
    tail = b""
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            if pattern.search(tail + chunk):
                return True
            tail = chunk[-256:]
    return False


def read_json(path: Path, settings: ReadSettings, convert: Convert) -> Iterator[Sample | Skipped]:
    """Yield the records of a JSON array or of JSON lines."""
    with path.open("rb") as stream:
        array = json_kind(path, stream.peek(1 << 16)) == "array"
        for raw in scan_array(stream) if array else scan_lines(stream):
            yield to_sample(raw, settings, convert)
