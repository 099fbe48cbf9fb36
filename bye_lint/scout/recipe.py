"""The choices of a pre-training run, and the command line that they are given on."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Recipe:
    """The choices of one run; what the shipped weights were made with stands in their card."""

    data: tuple[Path, ...]
    out: Path
    seed: int = 0
    minutes: float = 60.0
    dense_steps: int | None = None
    answer_steps: int | None = None
    dense_batch: int = 64
    answer_batch: int = 32
    dense_rate: float = 2e-3
    answer_rate: float = 2e-3
    compile: bool = True
    resume: bool = False
    workers: int = 1
    start: Path | None = None
    mirror: bool = False
    save_every: int = 250

    def told(self) -> dict[str, Any]:
        """Return what the model depends on but for the length, JSON values alone."""
        return {
            "data": [str(folder.resolve()) for folder in self.data],
            "seed": self.seed,
            "batches": [self.dense_batch, self.answer_batch],
            "rates": [self.dense_rate, self.answer_rate],
            "mirror": self.mirror,
            "start": None if self.start is None else str(self.start.resolve()),
        }


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the program's arguments, each named as the recipe's field."""
    parser = argparse.ArgumentParser(description="Pre-train the scout.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--dense-steps", type=int, help="instead of a share of the minutes")
    parser.add_argument("--answer-steps", type=int, help="instead of a share of the minutes")
    parser.add_argument("--dense-batch", type=int, default=Recipe.dense_batch)
    parser.add_argument("--answer-batch", type=int, default=Recipe.answer_batch)
    parser.add_argument("--dense-rate", type=float, default=Recipe.dense_rate)
    parser.add_argument("--answer-rate", type=float, default=Recipe.answer_rate)
    parser.add_argument("--start", type=Path, metavar="DIR", help="folder of an earlier scout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--mirror", action="store_true", help="learn from mirror images too (GPU)")
    parser.add_argument(
        "--save-every",
        type=int,
        default=Recipe.save_every,
        help="answer steps; dense: twice as many",
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    return parser
