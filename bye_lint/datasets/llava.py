"""LLaVA: ``{"id", "image" | "images", "conversations": [{"from", "value"}]}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bye_lint.datasets.base import Reader, ReadSettings
from bye_lint.datasets.conversation import has_turns, parse_from_value
from bye_lint.datasets.jsonfile import SUFFIXES, json_kind, mentions, peek, read_json
from bye_lint.records import Sample, Skipped


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise records whose turns have ``from``."""
    if json_kind(path, head) == "object":
        return False
    records = peek(path, head)
    if any(has_turns(record, fields, "role") for record in records):
        return False
    return any(has_turns(record, fields, "from") for record in records) or mentions(
        path, head, fields.get("conversations", "conversations")
    )


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the records in the order of the file."""
    return read_json(path, settings, parse_from_value)


READER = Reader(
    "llava",
    SUFFIXES,
    sniff,
    read,
    "LLaVA: JSON array or JSON lines; `image` or `images`, `conversations` of `from` and `value`.",
)
