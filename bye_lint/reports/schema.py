"""The JSON schema of a saved result, written from the records themselves."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

from bye_lint.results import RESULT_VERSION, ScanResult

#: Where it is published.
PATH = Path(__file__).parent.parent / "schema" / "result.schema.json"

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def result_schema() -> dict[str, Any]:
    """Return the schema as it is published in ``bye_lint/schema/result.schema.json``."""
    schema: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return schema


def build_schema() -> dict[str, Any]:
    """Return the schema as the records have it now.

    The published file is written from it (``python -m bye_lint.reports.reference``); a test
    fails where the two differ.
    """
    definitions: dict[str, Any] = {}
    root = _object(ScanResult, definitions)
    root["properties"]["version"] = {"const": RESULT_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bye-lint result",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    notes = _attribute_notes(record)
    fields = dataclasses.fields(record)
    properties = {}
    for field in fields:
        properties[field.name] = _type(hints[field.name], definitions)
        if field.name in notes:
            properties[field.name]["description"] = notes[field.name]
    return {
        "type": "object",
        "description": (inspect.getdoc(record) or "").split("\n\n")[0].replace("\n", " "),
        "properties": properties,
        "required": [f.name for f in fields],
        "additionalProperties": False,
    }


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is tuple:
        items = _type(args[0], definitions)
        if args[-1] is Ellipsis:
            return {"type": "array", "items": items}
        return {"type": "array", "items": items, "minItems": len(args), "maxItems": len(args)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(args[1], definitions)}
    if origin in (types.UnionType, typing.Union):
        options = [{"type": "null"} if a is type(None) else _type(a, definitions) for a in args]
        return {"anyOf": options}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise TypeError(f"no JSON type for {hint}")


def _attribute_notes(record: type) -> dict[str, str]:
    """Return what the numpydoc ``Attributes`` section says of each field."""
    section = (inspect.getdoc(record) or "").partition("Attributes\n----------\n")[2]
    notes: dict[str, str] = {}
    for names, text in re.findall(r"^(\S.*?) : .*\n((?:[ ]{4}.*\n?)+)", section, re.MULTILINE):
        for name in names.split(", "):
            notes[name] = re.sub(r"``([^`]*)``", r"\1", " ".join(text.split()))
    return notes
