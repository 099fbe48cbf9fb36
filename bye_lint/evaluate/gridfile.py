"""The grid as a file: YAML blocks, each multiplied out into cells, every mistake at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema

from bye_lint.canaries import CANARY_KINDS
from bye_lint.detectors import DETECTORS
from bye_lint.errors import PolicyError
from bye_lint.evaluate.grid import CLEAN, Cell, Grid
from bye_lint.policy import FineTunePolicy
from bye_lint.policy.nodes import Document, Place, Problem, Where, clip, read_document
from bye_lint.triggers import TARGET, TRIGGERS

MAX_CELLS = 5000


def load_grid(path: Path) -> Grid:
    """Read and check a grid file; its paths start from the file's folder.

    Raises
    ------
    PolicyError
        If the file cannot be read or has mistakes; all of them are listed, each as
        ``file:line:column: what, expected what``.
    """
    try:
        document = read_document(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}", "Name a grid in YAML.") from error
    problems = list(document.problems)
    if not problems:
        problems += _schema_problems(document)
    cells: tuple[Cell, ...] = ()
    if not problems:
        cells = tuple(dict.fromkeys(_cells(document.value)))
        problems += _contradictions(document, cells, path.parent)
    if problems:
        lines = [f"{path}:{p.place.line}:{p.place.column}: {p.message}" for p in sorted(problems)]
        raise PolicyError("\n".join(dict.fromkeys(lines)), "docs/detection.md explains the grid.")
    return _build(document.value, cells, path.parent)


def grid_schema() -> dict[str, Any]:
    """Return the JSON schema of a grid file."""
    some = {"type": "array", "minItems": 1}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    detectors = {**some, "items": {"enum": list(DETECTORS)}}
    names = "|".join(sorted(TRIGGERS))
    block = {
        "datasets": {**some, "items": {"type": "string"}},
        "triggers": {
            **some,
            "items": {"type": "string", "pattern": rf"^({CLEAN}|({names})(\+({names}))*)$"},
        },
        "rates": {**some, "items": {**share, "exclusiveMinimum": 0}},
        "records": {**some, "items": {"type": "integer", "minimum": 10}},
        "seeds": {**some, "items": {"type": "integer", "minimum": 0}},
        "targets": {**some, "items": {"type": "string", "minLength": 1}},
        "clean_label": {"type": "boolean"},
        "one_part_of": {"type": "integer", "minimum": 1, "maximum": 1000},
    }
    canaries = {
        "share": {"type": "number", "minimum": 0, "maximum": 0.5},
        "kinds": {"type": "array", "uniqueItems": True, "items": {"enum": list(CANARY_KINDS)}},
    }
    tuning = {
        "mode": {"enum": ["auto", "none"]},
        "method": {"enum": ["auto", "full", "lora"]},
        "epochs": {"type": "number", "exclusiveMinimum": 0},
        "batch_size": {"type": "integer", "minimum": 1},
        "learning_rate": {"type": "number", "exclusiveMinimum": 0},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A grid of bye-lint evaluate",
        **_object(
            {
                "datasets": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": r"^[A-Za-z0-9_.]+$"},
                    "additionalProperties": {"type": "string"},
                },
                "cells": {**some, "items": _object(block, required=["triggers"])},
                "model": {"type": "string"},
                "device": {"type": "string"},
                "detectors": detectors,
                "cleaning": {**detectors, "minItems": 0},
                "random_drop": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
                "truly_clean": {"type": "boolean"},
                "test_records": {"type": "integer", "minimum": 10},
                "canaries": _object(canaries),
                "fine_tune": _object(tuning),
            },
            required=["datasets", "cells"],
        ),
    }


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _schema_problems(document: Document) -> Iterator[Problem]:
    for error in jsonschema.Draft202012Validator(grid_schema()).iter_errors(document.value):
        where: Where = tuple(error.absolute_path)
        place = document.values.get(where, Place(1, 1))
        dotted = ".".join(map(str, where)) or "the grid"
        if error.validator == "additionalProperties":
            for key in sorted(set(error.instance) - set(error.schema["properties"])):
                at = document.keys.get((*where, key), place)
                known = ", ".join(error.schema["properties"])
                yield Problem(at, f"unknown key {clip(key)} in {dotted}, expected one of {known}")
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            yield Problem(place, f"{dotted} lacks {' and '.join(missing)}")
        elif error.validator == "pattern" and "triggers" in where:
            known = ", ".join((CLEAN, *TRIGGERS))
            yield Problem(place, f"unknown trigger {clip(error.instance)}, expected one of {known}")
        else:
            yield Problem(place, f"{dotted}: {_short(error.message)}")


def _short(message: str) -> str:
    return message if len(message) < 300 else message[:296] + " ..."


def _cells(value: Mapping[str, Any]) -> Iterator[Cell]:
    for block in value["cells"]:
        axes = product(
            block.get("datasets", list(value["datasets"])),
            block["triggers"],
            block.get("rates", [0.1]),
            block.get("records", [1000]),
            block.get("seeds", [0]),
        )
        for dataset, trigger, rate, records, seed in axes:
            yield Cell(
                dataset,
                trigger,
                0.0 if trigger == CLEAN else float(rate),
                records,
                seed,
                tuple(block.get("targets", (TARGET,))),
                block.get("clean_label", False),
                block.get("one_part_of", 1),
            )


def _contradictions(document: Document, cells: Sequence[Cell], base: Path) -> Iterator[Problem]:
    datasets = document.value["datasets"]
    for name, folder in datasets.items():
        for file in ("train.json", "test.json"):
            if not (base / folder / file).is_file():
                place = document.values[("datasets", name)]
                yield Problem(place, f"{clip(folder)} has no {file}, expected a LLaVA folder")
    for i, block in enumerate(document.value["cells"]):
        for j, name in enumerate(block.get("datasets", ())):
            if name not in datasets:
                place = document.values[("cells", i, "datasets", j)]
                known = ", ".join(datasets)
                yield Problem(place, f"unknown dataset {clip(name)}, expected one of {known}")
    if len(cells) > MAX_CELLS:
        place = document.values[("cells",)]
        yield Problem(place, f"{len(cells)} cells, expected at most {MAX_CELLS}")


def _build(value: Mapping[str, Any], cells: tuple[Cell, ...], base: Path) -> Grid:
    canaries = value.get("canaries", {})
    given: dict[str, Any] = {
        "datasets": {name: base / folder for name, folder in value["datasets"].items()},
        "cells": cells,
        "fine_tune": FineTunePolicy(**value.get("fine_tune", {})),
        "base": base,
    }
    given |= {f"canary_{key}": canaries[key] for key in canaries}
    given |= {f.name: value[f.name] for f in fields(Grid) if f.name in value.keys() - given.keys()}
    given = {key: tuple(item) if isinstance(item, list) else item for key, item in given.items()}
    return Grid(**given)
