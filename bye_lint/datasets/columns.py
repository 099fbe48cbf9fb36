"""Records whose question and answer are columns rather than turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bye_lint.conversation import IMAGE
from bye_lint.datasets import rivals
from bye_lint.datasets.base import Parsed, RecordError, kind, record_id
from bye_lint.datasets.conversation import (
    image_source,
    image_values,
    mark_images,
    parse_chat,
    refuse_beside,
    turns_field,
    with_system,
)
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.names import (
    ANSWERS,
    HALVES,
    HISTORY,
    LOOSE,
    OTHERS,
    PLAIN,
    PROMPTS,
    RIVALS,
)
from bye_lint.records import Turn

#: Columns of answers that are looked for where the policy names none, as are those of questions:
#: the first that says something.
_ANSWERS = (*PLAIN, *ANSWERS)


def has_columns(names: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Tell whether a table with these columns has turns, or an answer."""
    return turns_field(names, fields) in names or has_answer(names, fields)


def answers(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that the column of answers may have."""
    return (fields["answer"],) if "answer" in fields else _ANSWERS


def has_answer(names: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Tell whether a record or table with these columns has one for the answer."""
    return _column(names, fields, "answer", _ANSWERS) in names


def parse_columns(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    """Read a record with turns, or with an answer and perhaps a prompt beside its images.

    A caption has no question: its user turn is the image alone.

    Raises
    ------
    RecordError
        If several columns that could be meant say different things: a trainer may read another.
    """
    answers = _said(record, fields, "answer")
    turns = turns_field(record, fields)
    if record.get(turns) is not None and not (
        answers and "answer" in fields and "conversations" not in fields
    ):
        parsed = parse_chat(record, fields)
        if "conversations" not in fields or "answer" in fields:
            # what else may hold an answer was looked at with the turns
            names = (fields["answer"],) if "answer" in fields else PLAIN
            asking = (fields["prompt"],) if "prompt" in fields else PROMPTS
            shown = {**record, **answers}  # where numbers are texts
            rivals.refuse_another_reading(shown, turns, parsed.turns, answers=names, prompts=asking)
            rivals.refuse_unsaid(record, turns, parsed.turns, asking)
        return parsed
    for name in OTHERS:
        if record.get(name) and not (name == "conversation" and "answer" in fields):
            raise RecordError(f"the record has {clip(name)}, which is not read beside columns")
    asked = _said(record, fields, "prompt")
    _refuse_loose(record, fields, "answer", answers)
    _refuse_loose(record, fields, "prompt", asked)
    if asked.keys() == set(HALVES):
        asked = {"instruction": "\n".join(_text(record, name) for name in asked)}
        record = {**record, **asked, "input": ""}
    _refuse_two(asked, "prompt")
    _refuse_two(answers, "answer")
    images = tuple(image_source(value) for value in image_values(record, fields))
    answer_column = _column(record, fields, "answer", _ANSWERS)
    if answer_column not in record:
        raise RecordError(f"the field {clip(answer_column)} is missing, expected the answer")
    said: tuple[Turn, ...] = (
        *_history(record),
        Turn("user", _text(record, _column(record, fields, "prompt", PROMPTS))),
    )
    if record[answer_column] is not None:
        # a null is no answer, which an empty text is
        said = (*said, Turn("assistant", _text(record, answer_column)))
    if images and not any(IMAGE in turn.text for turn in said):
        said = mark_images(said, len(images))
    said = with_system(record, said)
    refuse_beside(record, fields, said)
    return Parsed(record_id(record, fields), said, images)


def _history(record: Mapping[str, Any]) -> Iterator[Turn]:
    """Yield the turns before the question, from a column of pairs of question and answer.

    Raises
    ------
    RecordError
        If it holds anything else.
    """
    history = record[HISTORY] if rivals.says_before(record) else []
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list) or [type(text) for text in pair] != [str, str]:
            raise RecordError("the field 'history' holds no pairs of question and answer")
        yield Turn("user", pair[0])
        yield Turn("assistant", pair[1])


def _said(record: Mapping[str, Any], fields: Mapping[str, str], role: str) -> dict[str, str]:
    """Return what each column says that could be meant: the policy's, or all of the usual ones."""
    names = (fields[role],) if role in fields else RIVALS[role]
    return {name: str(record[name]) for name in names if record.get(name) not in (None, "", [])}


def _refuse_loose(
    record: Mapping[str, Any], fields: Mapping[str, str], role: str, said: Mapping[str, str]
) -> None:
    if role not in fields:
        more = {n: record[n] for n in LOOSE[role] if isinstance(record.get(n), str) and record[n]}
        for name, text in more.items():
            _refuse_two({**dict(list(said.items())[:1]), name: text}, role)


def _refuse_two(said: Mapping[str, str], role: str) -> None:
    if len(set(said.values())) > 1:
        one = next(iter(said))
        other = next(name for name in said if said[name] != said[one])
        raise RecordError(
            f"{one!r} and {other!r} differ, expected one of them (or its name as "
            f"dataset.fields.{role})"
        )


def _column(
    names: Mapping[str, Any], fields: Mapping[str, str], role: str, usual: tuple[str, ...]
) -> str:
    there = [name for name in usual if name in names]
    full = [name for name in there if names[name] not in (None, "")]
    return fields.get(role) or next(iter((*full, *there)), usual[0])


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RecordError(f"the field {clip(name)} is {kind(value)}, expected text")
    return str(value)
