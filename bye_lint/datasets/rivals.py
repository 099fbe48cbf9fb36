"""Questions and answers beside the turns of a record: a trainer may learn them in their place.

TRL takes ``prompt`` and ``completion`` before ``messages``, and learns ``chosen`` of a preference;
LLaMA-Factory reads ``instruction``, ``input`` and ``output`` unless it is told otherwise, ms-swift
``query`` and ``response``. A record that says one thing in its turns and another there would be
checked by the one and learned by the other. So would one whose columns say half of its turns: an
answer is learned with the question that it is asked by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bye_lint.conversation import IMAGE
from bye_lint.datasets.base import RecordError
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.names import ANSWERS, HALVES, HISTORY, PREFERRED, PROMPTS
from bye_lint.records import Turn

_ROLES = {"human": "user", "gpt": "assistant"}

#: A list of turns whose content is a list of parts that hold text.
_DEEPEST = 4

#: Roles and texts, in a form in which equal ones are equal.
_Said = list[tuple[str, str]]


def refuse_another_reading(
    record: Mapping[str, Any],
    turns_field: str,
    turns: Sequence[Turn],
    *,
    answers: Sequence[str] = (*ANSWERS, PREFERRED),
    prompts: Sequence[str] = PROMPTS,
) -> None:
    """Refuse a record with turns, and an answer beside them that is not learned as theirs is.

    It must be the last answer of the turns; a question beside it must be the one before that, but
    for marks of images and white space; and what the system says must be said there as well.

    Parameters
    ----------
    answers, prompts : sequence of str
        Columns that may hold an answer, and a question.

    Raises
    ------
    RecordError
    """
    given = {name: _merged(_said(record.get(name), "assistant")) for name in answers}
    given = {name: said for name, said in given.items() if said}
    if not given:
        return
    spoken = _merged((turn.role, turn.text) for turn in turns)
    while spoken and spoken[-1][0] != "assistant":
        spoken.pop()
    asked = _asked(record, prompts)
    for beside, theirs in ((given, spoken), (asked, spoken[:-1])):
        for name, said in beside.items():
            if said != theirs[len(theirs) - len(said) :]:
                _refuse(turns_field, name)
    system = {text for role, text in spoken if role == "system" and text}
    system.discard(str(record.get("system")).strip())
    for name, said in (*asked.items(), *given.items()):
        roles = {role for role, _ in said}
        if "user" in roles and system - {text for role, text in said if role == "system"}:
            _refuse(turns_field, name)


def refuse_unsaid(
    record: Mapping[str, Any], turns_field: str, turns: Sequence[Turn], prompts: Sequence[str]
) -> None:
    """Refuse a record with turns, and a question beside them that none of them asks.

    What a question says may stand in a longer one.

    Raises
    ------
    RecordError
    """
    spoken = [text for role, text in _merged((t.role, t.text) for t in turns) if role == "user"]
    for name in prompts:
        for role, text in _merged(_said(record.get(name), "user")):
            if role == "user" and not any(text in whole for whole in spoken):
                _refuse(turns_field, name)


def refuse_history(record: Mapping[str, Any], turns_field: str) -> None:
    """Refuse a record with turns that has others beside them, which are learned in their place.

    Raises
    ------
    RecordError
    """
    if says_before(record):
        _refuse(turns_field, HISTORY)


def says_before(record: Mapping[str, Any]) -> bool:
    """Tell whether a record has a history: text is another thing, unless it is a list written out,
    which ms-swift reads as one."""
    history = record.get(HISTORY)
    if isinstance(history, str):
        return bool(history.strip("[]() ")) and history.lstrip()[0] == "["
    return bool(history)


def _refuse(turns_field: str, name: str) -> None:
    raise RecordError(
        f"{clip(turns_field)} and {clip(name)} differ, expected one of them (or the name of the "
        "turns as dataset.fields.conversations)"
    )


def _asked(record: Mapping[str, Any], prompts: Sequence[str]) -> dict[str, _Said]:
    """Return what each column asks; the halves of a question as one."""
    texts = {name: list(_said(record.get(name), "user")) for name in prompts}
    texts = {name: said for name, said in texts.items() if said}
    first, second = HALVES
    if first in texts and second in texts:
        texts[first] += texts.pop(second)
    return {name: _merged(said) for name, said in texts.items()}


def _merged(said: Iterable[tuple[str, str]]) -> _Said:
    """Make turns of one role in a row one turn, as they are learned."""
    runs: list[tuple[str, list[str]]] = []
    for role, text in said:
        if not runs or runs[-1][0] != role:
            runs.append((role, []))
        runs[-1][1].append(text)
    return [(role, _plain(role, "\n".join(texts))) for role, texts in runs]


def _plain(role: str, text: str) -> str:
    # an answer is learned as it is
    return "".join(text.replace(IMAGE, "").split()) if role == "user" else text.strip()


def _said(value: Any, role: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield role and text of a text, a turn or a list of turns, whose content may be typed parts.

    Parameters
    ----------
    role : str
        Of what has none.
    """
    if depth > _DEEPEST:
        raise RecordError("answers beside the turns are nested too deeply")
    if isinstance(value, str):
        if value:
            yield role, value
    elif isinstance(value, list):
        for item in value:
            yield from _said(item, role, depth + 1)
    elif isinstance(value, dict):
        name = next((value[k] for k in ("role", "from") if isinstance(value.get(k), str)), role)
        role = _ROLES.get(name, name)
        texts = {
            "".join(text for _, text in _said(value.get(key), role, depth + 1))
            for key in ("content", "value", "text")
        }
        yield from ((role, text) for text in sorted(texts) if text)
