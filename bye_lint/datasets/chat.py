"""Chat: ``messages`` or ``conversations`` beside ``images``, as LLaMA-Factory and TRL read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bye_lint.datasets.base import Reader, ReadSettings
from bye_lint.datasets.conversation import has_turns, parse_chat
from bye_lint.datasets.jsonfile import SUFFIXES, json_kind, mentions, peek, read_json
from bye_lint.records import Sample, Skipped


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise records whose turns have ``role``, or which have ``messages``."""
    if json_kind(path, head) == "object":
        return False
    records = peek(path, head)
    if any(has_turns(record, fields, key) for record in records for key in ("role", "from")):
        return True
    return mentions(path, head, fields.get("conversations", "messages"))


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the records in the order of the file."""
    return read_json(path, settings, parse_chat)


READER = Reader(
    "chat",
    SUFFIXES,
    sniff,
    read,
    "LLaMA-Factory and TRL: JSON array or JSON lines; `messages` or `conversations` of `role` and "
    "`content` (text or typed parts) or of `from` and `value`, with `images`.",
)
