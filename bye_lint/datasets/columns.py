"""Records whose question and answer are columns rather than turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bye_lint.datasets.base import Parsed, RecordError, kind, record_id
from bye_lint.datasets.conversation import (
    IMAGE,
    image_source,
    image_values,
    mark_images,
    parse_chat,
    turns_field,
)
from bye_lint.datasets.jsondecode import clip
from bye_lint.records import Turn

#: Columns that are looked for where the policy names none, the first that is there.
PROMPTS = ("prompt", "question")
ANSWERS = ("answer", "text", "caption")


def has_columns(names: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Tell whether a table with these columns has turns, or an answer."""
    return turns_field(names, fields) in names or _column(names, fields, "answer", ANSWERS) in names


def parse_columns(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    """Read a record with turns, or with an answer and perhaps a prompt beside its images.

    A caption has no question: its user turn is the image alone.
    """
    if record.get(turns_field(record, fields)) is not None:
        return parse_chat(record, fields)
    images = tuple(image_source(value) for value in image_values(record, fields))
    answer_column = _column(record, fields, "answer", ANSWERS)
    if answer_column not in record:
        raise RecordError(f"the field {clip(answer_column)} is missing, expected the answer")
    prompt = _text(record, _column(record, fields, "prompt", PROMPTS))
    turns: tuple[Turn, ...] = (
        Turn("user", prompt),
        Turn("assistant", _text(record, answer_column)),
    )
    if images and IMAGE not in prompt:
        turns = (*mark_images(turns[:1], len(images)), turns[1])
    return Parsed(record_id(record, fields), turns, images)


def _column(
    names: Mapping[str, Any], fields: Mapping[str, str], role: str, usual: tuple[str, ...]
) -> str:
    return fields.get(role) or next((name for name in usual if name in names), usual[0])


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RecordError(f"the field {clip(name)} is {kind(value)}, expected text")
    return str(value)
