"""Read back the copies that :mod:`bye_lint.evaluate.poison` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bye_lint.records import ImageSource, Location, Role, Sample, Turn

_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}


def read_copy(folder: Path) -> tuple[list[Sample], dict[str, int]]:
    """Return the records of a copy, file after file, and the length of each file.

    Images are held in memory, so that the copy may be deleted.
    """
    samples: list[Sample] = []
    lengths: dict[str, int] = {}
    for path in sorted(folder.glob("*.json"), key=lambda p: (len(p.name), p.name)):
        records = json.loads(path.read_text("utf-8"))
        lengths[path.name] = len(records)
        for number, record in enumerate(records):
            location = Location(path.name, number + 1)
            samples.append(_sample(record, location, folder))
    return samples, lengths


def _sample(record: dict[str, Any], location: Location, folder: Path) -> Sample:
    image = record.get("image")
    names = image if isinstance(image, list) else [image] if image else []
    turns = tuple(
        Turn(_ROLES[turn["from"]], str(turn["value"]))
        for turn in record["conversations"]
        if turn.get("from") in _ROLES
    )
    images = tuple(ImageSource(name, data=(folder / name).read_bytes()) for name in names)
    return Sample(str(record.get("id", location.line)), location, turns, images)
