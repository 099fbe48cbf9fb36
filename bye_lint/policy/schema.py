"""JSON schema of the policy file, made from the dataclasses and the table of keys."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from bye_lint.policy.keys import KEYS, SECTIONS, SHORTHANDS, Key
from bye_lint.policy.model import Policy, ReportPolicy

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Mapping[Any, str] = {
    int: "integer",
    float: "number",
    str: "string",
    types.NoneType: "null",
    tuple: "array",
    dict: "object",
}

#: Fields of :class:`Policy` that are not written in the file.
OUTSIDE_FILE = ("base", "source")

Choices = Mapping[str, Sequence[str]]


def policy_schema(choices: Choices | None = None, *, shorthands: bool = True) -> dict[str, Any]:
    """Return the policy's JSON schema (draft 2020-12).

    Parameters
    ----------
    choices : mapping of str to sequence of str, optional
        Names that may be chosen, by kind: ``formats``, ``detectors``, ``reports``. A kind that
        is left out may be any string.
    shorthands : bool
        Allow ``model: scout`` for ``model: {name: scout}``, and the like.
    """
    properties: dict[str, Any] = {}
    for name, hint in get_type_hints(Policy).items():
        if name in OUTSIDE_FILE:
            continue
        if name in SECTIONS:
            section = _section(hint, name, choices or {})
            properties[name] = _or_shorthand(name, section) if shorthands else section
        else:
            properties[name] = _leaf(hint, KEYS[""][name], Policy, name, choices or {})
    properties["reports"]["items"] = _section(ReportPolicy, "reports[]", choices or {})
    return {
        "$schema": DIALECT,
        "title": "bye-lint policy",
        "description": "What bye-lint checks, with which model, and what its gate allows.",
        # an empty file is the default policy
        "type": ["object", "null"] if shorthands else "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _or_shorthand(name: str, section: dict[str, Any]) -> dict[str, Any]:
    if name not in SHORTHANDS:
        return section
    return {
        "description": section["description"],
        "anyOf": [section["properties"][SHORTHANDS[name]], section],
    }


def _section(cls: Any, name: str, choices: Choices) -> dict[str, Any]:
    hints = get_type_hints(cls)
    required = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    return {
        "type": "object",
        "description": SECTIONS.get(name, "A report to write."),
        "properties": {
            field: _leaf(hint, KEYS[name][field], cls, field, choices)
            for field, hint in hints.items()
        },
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _leaf(hint: Any, key: Key, cls: Any, name: str, choices: Choices) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": key.text}
    default = next(f for f in dataclasses.fields(cls) if f.name == name).default
    if default not in (dataclasses.MISSING, None):
        schema["default"] = default
    if "anyOf" not in key.schema:
        names = [_TYPES[get_origin(part) or part] for part in _alternatives(hint)]
        schema["type"] = names[0] if len(names) == 1 else names
    schema.update(key.schema)
    if key.choices in choices:
        known = list(choices[key.choices])
        schema["enum"] = known if default in (*known, dataclasses.MISSING) else [default, *known]
    return schema


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
