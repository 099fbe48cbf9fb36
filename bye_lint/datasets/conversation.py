"""Turns and images of a record, in the shapes that LLaVA, LLaMA-Factory and TRL write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bye_lint.conversation import IMAGE, with_marks
from bye_lint.datasets.base import Parsed, RecordError, kind, record_id
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.names import MEDIA, OBJECTS, TEMPLATED
from bye_lint.datasets.rivals import refuse_another_reading, refuse_history
from bye_lint.records import ImageSource, Role, Turn

ROLES: Mapping[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}

_OBJECT_MARKS = ("<ref-object>", "<bbox>")

#: What chat templates take for an image or another medium, whatever a part's type says.
_IN_PARTS = ("image", "image_url", "path", "url", "base64", "video", "audio")
_NAMES = ("image", "path", "url", "image_url")

#: What chat templates write of a turn beside its content.
_BESIDE = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")


def parse_from_value(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    """Read a LLaVA record: ``image`` or ``images``, ``conversations`` of ``from`` and ``value``."""
    turns = tuple(
        Turn(_role(turn, "from", i), _text(turn, "value", i))
        for i, turn in enumerate(_turn_list(record, fields))
    )
    return _finish(record, fields, turns, None)


def parse_chat(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    """Read a chat record: ``messages`` or ``conversations``, each turn with ``role`` and
    ``content`` (text, or a list of typed parts) or with ``from`` and ``value``."""
    turns: list[Turn] = []
    inline: list[str | ImageSource] = []
    marks_implied = True
    for i, turn in enumerate(_turn_list(record, fields)):
        if "role" not in turn and "from" in turn:
            turns.append(Turn(_role(turn, "from", i), _text(turn, "value", i)))
            marks_implied = False
        elif isinstance(turn.get("content"), list):
            turns.append(Turn(_role(turn, "role", i), _parts(turn["content"], i, inline)))
            marks_implied = False
        else:
            turns.append(Turn(_role(turn, "role", i), _text(turn, "content", i)))
    parsed = _finish(record, fields, tuple(turns), inline)
    if marks_implied and parsed.images and not any(IMAGE in turn.text for turn in turns):
        # TRL puts the images before the first user turn where plain text marks none
        return Parsed(parsed.id, mark_images(parsed.turns, len(parsed.images)), parsed.images)
    return parsed


def mark_images(turns: tuple[Turn, ...], count: int) -> tuple[Turn, ...]:
    """Put ``<image>`` marks before the text of the first user turn."""
    first = next(i for i, turn in enumerate(turns) if turn.role == "user")
    text = with_marks(turns[first].text, count).rstrip("\n")
    return (*turns[:first], Turn("user", text), *turns[first + 1 :])


def has_turns(record: Mapping[str, Any], fields: Mapping[str, str], key: str) -> bool:
    """Tell whether a record has a list of turns that have ``key``."""
    turns = record.get(turns_field(record, fields))
    return isinstance(turns, list) and any(isinstance(t, dict) and key in t for t in turns)


def turns_field(record: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """Return the name of the field that holds the turns."""
    default = "messages" if record.get("messages") is not None else "conversations"
    return fields.get("conversations", default)


def image_values(record: Mapping[str, Any], fields: Mapping[str, str]) -> list[Any]:
    """Return what the record's image fields hold, as one list."""
    one, many = fields.get("image", "image"), fields.get("images", "images")
    values = [record[name] for name in (one, many) if record.get(name) not in (None, "", [])]
    found = [value if isinstance(value, list) else [value] for value in values]
    if len(found) == 2 and found[0] != found[1]:
        raise RecordError(f"both {clip(one)} and {clip(many)} name images, expected one of them")
    for name, role in (("image", one), ("images", many)):
        # a trainer that knows this name as well would show an image to what looks like text alone
        if not found and record.get(name) not in (None, "", []):
            raise RecordError(f"the field {clip(name)} holds an image, expected it in {clip(role)}")
    return found[0] if found else []


def image_source(value: Any) -> str | ImageSource:
    """Return an image as a name, or as bytes, from a path, bytes or ``{bytes, path}``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return ImageSource("embedded image", data=value)
    if isinstance(value, dict):
        _refuse_two_names(value)
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes):
            return ImageSource(path if isinstance(path, str) else "embedded image", data=data)
        if isinstance(path, str) and data is None:
            return path
    raise RecordError(f"an image is {kind(value)}, expected a path")


def _refuse_two_names(image: Mapping[str, Any]) -> None:
    names = [name for name in ("bytes", "path", "url", "image") if image.get(name)]
    if names[:2] == ["bytes", "path"]:
        names.remove("path")  # where the bytes came from, as datasets writes it
    for name in names[1:]:
        if image[name] != image[names[0]]:
            raise RecordError(f"an image has {names[0]!r} and {name!r}, expected one of them")


def with_system(record: Mapping[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Put the system text of a field of its own before the turns.

    Raises
    ------
    RecordError
        If it is no text, or the turns have another one: trainers disagree on which of them holds.
    """
    system = record.get("system")
    if system is not None and not isinstance(system, str):
        raise RecordError(f"the field 'system' is {kind(system)}, expected text")
    said = [turn.text for turn in turns if turn.role == "system"]
    if system and said and system not in said:
        raise RecordError("the field 'system' and the system turn differ, expected one of them")
    return (Turn("system", system), *turns) if system and not said else turns


def refuse_beside(
    record: Mapping[str, Any], fields: Mapping[str, str], turns: Sequence[Turn]
) -> None:
    """Refuse fields that are learned beside the turns, and are not looked at.

    Raises
    ------
    RecordError
    """
    for media in MEDIA:
        if record.get(media):
            raise RecordError(f"the record has {media}, which cannot be checked")
    for name in TEMPLATED:
        if name not in fields.values() and _says_something(record.get(name)):
            raise RecordError(f"the record has {name!r}, which is not read beside the turns")
    if record.get(OBJECTS) and OBJECTS not in fields.values():
        marks = [mark for mark in _OBJECT_MARKS if any(mark in turn.text for turn in turns)]
        if marks:
            raise RecordError(
                f"the record has {OBJECTS!r}, which is not read and stands in for {marks[0]} in "
                "a turn; write out the text that is meant"
            )


def _says_something(value: Any) -> bool:
    """Tell whether a field holds anything; a list may also be written as text."""
    return bool(value) and not (isinstance(value, str) and value.strip("[]{} \n") in ("", "null"))


def _finish(
    record: Mapping[str, Any],
    fields: Mapping[str, str],
    turns: tuple[Turn, ...],
    inline: list[str | ImageSource] | None,
) -> Parsed:
    turns = with_system(record, turns)
    spoken = [turn.role for turn in turns if turn.role != "system"]
    if "user" not in spoken:
        raise RecordError("the conversation has no user turn")
    if spoken[0] != "user":
        raise RecordError(f"the conversation begins with the {spoken[0]}, expected the user")
    refuse_beside(record, fields, turns)
    if "conversations" not in fields:
        refuse_another_reading(record, turns_field(record, fields), turns)
        refuse_history(record, turns_field(record, fields))
    images = [image_source(value) for value in image_values(record, fields)]
    if inline:
        if images:
            raise RecordError("images are named both in the turns and beside them")
        images = inline
    return Parsed(record_id(record, fields), turns, tuple(images))


def _turn_list(record: Mapping[str, Any], fields: Mapping[str, str]) -> list[Mapping[str, Any]]:
    name = turns_field(record, fields)
    turns = record.get(name)
    if "conversations" not in fields and record.get("messages") and record.get("conversations"):
        raise RecordError(
            "both 'messages' and 'conversations' hold turns, expected one of them (or its name as "
            "dataset.fields.conversations)"
        )
    if turns is None:
        named = clip(name) if "conversations" in fields else "'conversations' or 'messages'"
        raise RecordError(f"the field {named} is missing, expected a list of turns")
    if not isinstance(turns, list):
        raise RecordError(f"the field {clip(name)} is {kind(turns)}, expected a list of turns")
    if not turns:
        raise RecordError(f"the field {clip(name)} is an empty list, expected turns")
    for i, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise RecordError(f"turn {i + 1} is {kind(turn)}, expected an object")
        _of_one_meaning(turn, i)
    return turns


def _of_one_meaning(turn: Mapping[str, Any], i: int) -> None:
    """Refuse a turn of which a trainer may read something else than what is read here.

    One in both forms that says something else in either, or that says more beside its content.

    Raises
    ------
    RecordError
    """
    for one, other in (("role", "from"), ("content", "value")):
        said, meant = turn.get(one), turn.get(other)
        if said is None or meant is None:
            continue
        if one == "role":
            said, meant = (
                ROLES.get(role, role) if isinstance(role, str) else role for role in (said, meant)
            )
        if said != meant:
            raise RecordError(f"{one!r} and {other!r} of turn {i + 1} differ, expected one of them")
    for name in _BESIDE:
        if turn.get(name) and isinstance(turn[name], str | list | dict):
            raise RecordError(f"turn {i + 1} has {name!r}, which is not read beside its content")


def _role(turn: Mapping[str, Any], key: str, i: int) -> Role:
    value = turn.get(key)
    role = ROLES.get(value) if isinstance(value, str) else None
    if role is None:
        found = clip(value) if key in turn else "missing"
        known = ", ".join(ROLES)
        raise RecordError(f"{key!r} of turn {i + 1} is {found}, expected one of {known}")
    return role


def _text(turn: Mapping[str, Any], key: str, i: int) -> str:
    value = turn.get(key, "")
    if value is None:
        return ""
    if key not in turn or not isinstance(value, str):
        found = kind(value) if key in turn else "missing"
        raise RecordError(f"{key!r} of turn {i + 1} is {found}, expected text")
    return value


def _parts(parts: list[Any], i: int, inline: list[str | ImageSource]) -> str:
    """Write typed parts as one text, in which ``<image>`` stands for each image."""
    text = ""
    for part in parts:
        form = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            text += part
        elif form == "text" and isinstance(part.get("text") or "", str):
            _refuse_in_part(part, _IN_PARTS, i)
            text += part.get("text") or ""
        elif form in ("image", "image_url"):
            _refuse_in_part(part, ("text", *(k for k in _IN_PARTS if k not in _NAMES)), i)
            text += IMAGE + "\n"
            named = [part[k] for k in _NAMES if part.get(k)]
            inline += [image_source(_url(value)) for value in named]
        else:
            raise RecordError(f"a part of turn {i + 1} is {clip(form)}, expected text or image")
    return text.rstrip("\n") if text.endswith(IMAGE + "\n") else text


def _refuse_in_part(part: Mapping[str, Any], names: Sequence[str], i: int) -> None:
    for name in names:
        if part.get(name):
            raise RecordError(
                f"a part of turn {i + 1} is {clip(part['type'])} and has {name!r} too, expected a "
                "part for each"
            )


def _url(value: Any) -> Any:
    if not isinstance(value, dict) or "url" not in value:
        return value
    _refuse_two_names(value)
    return value["url"] or value
