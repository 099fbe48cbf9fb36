"""How long a step of fine-tuning takes in either precision: ``python -m benchmarks.precision``.

The scout is fine-tuned on records of ``examples/clean`` as in a check, in turns within one run: in
bfloat16, in float32, and in float32 with the eager attention that bfloat16 is trained with. Time is
the process's own, the median of the steps, so that a shared machine distorts it little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.documents import fill
from bye_lint.datasets import read_datasets
from bye_lint.learning import resolve
from bye_lint.models import load_model
from bye_lint.models.encoding import encode_examples
from bye_lint.models.finetune import fine_tune, prepare, tower_features
from bye_lint.models.schedule import SMALL
from bye_lint.policy import DatasetPolicy, ModelPolicy
from bye_lint.precision import gains_from_bfloat16
from bye_lint.records import Sample

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Way:
    """A precision, and the attention that the model comes with."""

    name: str
    bfloat16: bool
    attention: str


WAYS = (
    Way("float32, fused attention", False, "sdpa"),
    Way("float32, eager attention", False, "eager"),
    Way("bfloat16, eager attention", True, "eager"),
)


def step_seconds(way: Way, samples: list[Sample], steps: int) -> list[float]:
    """Fine-tune the scout for a few steps; return the processor time of each but the first."""
    loaded = load_model(resolve(ModelPolicy(), ROOT), device="cpu", dtype="float32")
    encoded, pixels = encode_examples(loaded, samples)
    features = tower_features(loaded.model, pixels, bfloat16=way.bfloat16)
    settings = replace(SMALL, max_steps=steps + 1, bfloat16=way.bfloat16)
    model = prepare(loaded.model, settings)
    loaded.model.set_attn_implementation(way.attention)
    times: list[float] = []
    fine_tune(
        model,
        [e for e in encoded if e is not None],
        settings,
        pad_id=loaded.pad_id,
        features=features,
        on_progress=lambda _: times.append(time.process_time()),
    )
    return np.diff(times).tolist()


def table(times: dict[str, list[float]]) -> str:
    """Render medians, and their ratio to the first way's, as Markdown."""
    medians = {name: statistics.median(found) for name, found in times.items()}
    first = next(iter(medians.values()))
    has = "has" if gains_from_bfloat16("cpu") else "lacks"
    lines = ["| fine-tuned in | ms a step | ratio |", "|---|---|---|"]
    lines += [f"| {n} | {1000 * m:.0f} | {m / first:.2f} |" for n, m in medians.items()]
    return "\n".join([*lines, "", f"This processor {has} instructions for bfloat16."]) + "\n"


def main() -> None:
    """Measure, and print the table or put it into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--document", type=Path, help="document that shows the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = ROOT / "examples" / "clean"
    read = read_datasets([folder / "data.json"], DatasetPolicy(), folder, display_root=ROOT)
    usable = (record for record in read if isinstance(record, Sample))
    samples = list(islice(usable, arguments.records))
    times: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for _ in range(arguments.turns):
        for way in WAYS:
            times[way.name] += step_seconds(way, samples, arguments.steps)
    text = table(times)
    print(text)
    if arguments.document is not None:
        fill(arguments.document, "precision", text)


if __name__ == "__main__":
    main()
