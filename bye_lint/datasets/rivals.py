"""Answers beside the turns of a record: a trainer may learn them in place of the turns.

TRL takes ``prompt`` and ``completion`` before ``messages``, and learns ``chosen`` of a preference;
LLaMA-Factory reads ``instruction`` and ``output`` unless it is told otherwise, ms-swift ``query``
and ``response``. A record that says one thing in its turns and another there would be checked by
the one and learned by the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bye_lint.datasets.base import RecordError
from bye_lint.datasets.jsondecode import clip
from bye_lint.records import Turn

ANSWERS = ("response", "completion", "output")
PREFERRED = "chosen"

_ASKING = ("user", "human", "system")

#: A list of turns whose content is a list of parts that hold text.
_DEEPEST = 4


def refuse_other_answers(
    record: Mapping[str, Any], turns_field: str, turns: Sequence[Turn]
) -> None:
    """Refuse a record with turns that has an answer, beside them, that no turn gives.

    Raises
    ------
    RecordError
    """
    given = {turn.text.strip() for turn in turns if turn.role == "assistant"}
    for name in (*ANSWERS, PREFERRED):
        if any(text.strip() not in given for text in _said(record.get(name))):
            raise RecordError(
                f"{clip(turns_field)} and {clip(name)} differ, expected one of them (or the name "
                "of the turns as dataset.fields.conversations)"
            )


def _said(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the answers of a text, a turn or a list of turns, whose content may be typed parts."""
    if depth > _DEEPEST:
        raise RecordError("answers beside the turns are nested too deeply")
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _said(item, depth + 1)
    elif isinstance(value, dict) and not any(value.get(k) in _ASKING for k in ("role", "from")):
        for name in ("content", "value", "text"):
            yield from _said(value.get(name), depth + 1)
