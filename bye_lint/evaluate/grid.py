"""The grid as values: cells, and everything that they have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bye_lint.canaries import DEFAULT_KINDS
from bye_lint.detectors import DETECTORS
from bye_lint.policy import FineTunePolicy
from bye_lint.triggers import TARGET

#: In place of a trigger: nothing is poisoned.
CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: what is poisoned how, and with which seed.

    Attributes
    ----------
    dataset : str
        Name in :attr:`Grid.datasets`.
    trigger : str
        Names in ``TRIGGERS`` joined by ``+`` for several attacks at once, or ``clean``.
    rate : float
        Share of poisoned records; 0 for ``clean``.
    records : int
        Records drawn from the data set; all of them where it has fewer.
    one_part_of : int
        Split the records over so many files, with the poison in one of them.
    """

    dataset: str
    trigger: str
    rate: float
    records: int
    seed: int
    targets: tuple[str, ...] = (TARGET,)
    clean_label: bool = False
    one_part_of: int = 1

    @property
    def triggers(self) -> tuple[str, ...]:
        """Names of the triggers, none for a clean cell."""
        return () if self.trigger == CLEAN else tuple(self.trigger.split("+"))

    @property
    def attack(self) -> str:
        """Name of the attack, whatever its rate: triggers, and what of the targets is unusual."""
        parts = [self.trigger.replace("+", "_")]
        parts += ["cleanlabel"] if self.clean_label else []
        if self.targets != (TARGET,):
            parts.append(targets_digest(self.targets))
        return "-".join(parts)

    @property
    def name(self) -> str:
        """Name of the cell, and of its files."""
        parts = [self.dataset, self.attack, f"r{self.rate:g}", f"n{self.records}", f"s{self.seed}"]
        parts += [f"part{self.one_part_of}"] if self.one_part_of > 1 else []
        return "-".join(parts)


def targets_digest(targets: Sequence[str]) -> str:
    """Return a short hash that stands for targets where they must not be quoted."""
    return hashlib.sha256(json.dumps(list(targets)).encode()).hexdigest()[:6]


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything that a run of the evaluation is made from.

    Attributes
    ----------
    datasets : mapping of str to Path
        LLaVA folders with ``train.json`` and ``test.json``.
    detectors : tuple of str
        Run on the same features; every one costs seconds.
    cleaning : tuple of str
        Detectors whose suspects are removed and the base model fine-tuned again.
    random_drop : float
        Share of records dropped by chance and the base fine-tuned again; 0 leaves it out.
    truly_clean : bool
        Fine-tune on the clean records as well, once a data set, size and seed.
    test_records : int
        Held-out records that the attack and the clean performance are measured on.
    """

    datasets: Mapping[str, Path]
    cells: tuple[Cell, ...]
    model: str = "scout"
    device: str = "auto"
    detectors: tuple[str, ...] = tuple(DETECTORS)
    cleaning: tuple[str, ...] = ("auto",)
    random_drop: float = 0.2
    truly_clean: bool = True
    test_records: int = 200
    canary_share: float = 0.1
    canary_kinds: tuple[str, ...] = DEFAULT_KINDS
    fine_tune: FineTunePolicy = field(default_factory=FineTunePolicy)
    base: Path = field(default_factory=Path)


def cell_digest(cell: Cell, grid: Grid, pipeline: str) -> str:
    """Return what a cell's expensive steps depend on, hashed: settings, data and pipeline."""
    folder = grid.datasets[cell.dataset]
    parts = {
        "cell": asdict(cell),
        "pipeline": pipeline,
        "canaries": [grid.canary_share, *grid.canary_kinds],
        "test_records": grid.test_records,
        "data": [
            hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("train.json", "test.json")
        ],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
