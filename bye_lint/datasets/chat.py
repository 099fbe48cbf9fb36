"""Chat: ``messages`` or ``conversations`` beside ``images``, as LLaMA-Factory and TRL read them,
and rows that have columns in place of turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bye_lint.datasets.base import Parsed, Reader, ReadSettings
from bye_lint.datasets.columns import answers, has_answer, parse_columns
from bye_lint.datasets.conversation import has_turns, parse_chat, turns_field
from bye_lint.datasets.jsonfile import (
    SUFFIXES,
    json_kind,
    mentions,
    peek,
    read_json,
    some_record,
)
from bye_lint.records import Sample, Skipped


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise records whose turns have ``role``, or which have ``messages``, or an answer in a
    column of its own; the latter only where images are named."""
    if json_kind(path, head) == "object":
        return False
    records = peek(path, head)
    if any(has_turns(record, fields, key) for record in records for key in ("role", "from")):
        return True
    if mentions(path, head, fields.get("conversations", "messages")):
        return True
    images = tuple(fields.get(role, role) for role in ("image", "images"))
    rows = [record for record in records if _is_row(record, fields)]
    if rows:
        return any(name in row for row in rows for name in images) or mentions(path, head, *images)
    # the first records may be anything, to hide the others
    return (
        mentions(path, head, *images)
        and mentions(path, head, *answers(fields))
        and some_record(
            path, lambda record: _is_row(record, fields) and not record.keys().isdisjoint(images)
        )
    )


def _is_row(record: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Tell whether a record has columns in place of turns."""
    if record.get(turns_field(record, fields)) is not None or not has_answer(record, fields):
        return False
    return "answer" in fields or "conversations" not in fields


def _parse(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    if not _is_row(record, fields):
        return parse_chat(record, fields)
    asked, answered = record.get("prompt"), record.get("completion")
    if isinstance(asked, list) and isinstance(answered, list) and "answer" not in fields:
        # TRL's two halves of a conversation
        rest = {k: v for k, v in record.items() if k not in ("prompt", "completion")}
        return parse_chat({**rest, "messages": [*asked, *answered]}, fields)
    return parse_columns(record, fields)


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the records in the order of the file."""
    return read_json(path, settings, _parse)


READER = Reader(
    "chat",
    SUFFIXES,
    sniff,
    read,
    "LLaMA-Factory and TRL: JSON array or JSON lines; `messages` or `conversations` of `role` and "
    "`content` (text or typed parts) or of `from` and `value`, with `images`. Also rows without "
    "turns: `instruction`, `input` and `output`, `query` and `response`, `prompt` and "
    "`completion`.",
)
