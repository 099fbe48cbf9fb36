"""The truth about a poisoned copy: for the metrics, never for a detector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bye_lint.atomic import write_whole
from bye_lint.features import BoolArray


@dataclass(frozen=True, slots=True)
class PoisonedRecord:
    """What was done to one record of the copy.

    Attributes
    ----------
    file, index : str, int
        File of the copy, and 0-based position in it.
    answer : str
        The answer that stood there before.
    visible : bool
        The trigger changed a pixel or a word; a black patch on black ground does not.
    """

    file: str
    index: int
    id: str
    trigger: str
    target: str
    answer: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """Which records of a copy are poisoned: for metrics, never for a detector."""

    source: str
    records: int
    clean_label: bool
    seed: int
    poisoned: tuple[PoisonedRecord, ...]

    def mask(self, files: Mapping[str, int]) -> BoolArray:
        """Return ``(n_records,)`` bool over the files in the order given, from their lengths."""
        starts = dict(zip(files, np.cumsum([0, *files.values()]).tolist(), strict=False))
        mask = np.zeros(sum(files.values()), dtype=np.bool_)
        for row in self.poisoned:
            mask[starts[row.file] + row.index] = True
        return mask


def load_truth(path: Path) -> Truth:
    """Read the truth that :func:`poison_dataset` wrote."""
    data = json.loads(path.read_text("utf-8"))
    rows = tuple(PoisonedRecord(**row) for row in data.pop("poisoned"))
    return Truth(**data, poisoned=rows)


def write_json(path: Path, data: object) -> None:
    """Write JSON in one move: what is there is whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())
