"""How often words look out of place in clean data, and how often a planted target does.

    python -m benchmarks.words --source EUROSAT GROCERY EMOJI PQDOCS --out docs/data/words.json

The sources are folders in LLaVA format. Draws of them, of several sizes, and of the hard clean sets
of :mod:`benchmarks.null` are given to the rule (:mod:`bye_lint.detectors.misplaced`), as they are
and with the target of some records planted: in place of the answer, behind it, or before it. The
rule looks at words alone, so no model is run.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.null import CELLS, Record, read
from bye_lint.detectors.misplaced import misplaced_answers
from bye_lint.detectors.neighbours import read_questions
from bye_lint.detectors.pictures import Pictures
from bye_lint.triggers import TARGET

SIZES = (200, 500, 1000, 2000)
PLANTED: dict[str, tuple[int, Callable[[str], str]]] = {
    "clean": (0, str),
    "5 answers": (5, lambda _: TARGET),
    "20 ends": (20, lambda answer: f"{answer.rstrip('.')}. {TARGET}"),
    "20 beginnings": (20, lambda answer: f"{TARGET} {answer}"),
}


def draws(sources: Sequence[Path], n_draws: int) -> Iterator[tuple[str, int, list[Record]]]:
    """Yield name, seed and records of each draw."""
    for seed in range(n_draws):
        for source in sources:
            records = read(source)
            for size in SIZES:
                rng = random.Random(f"words {source.name} {size} {seed}")  # noqa: S311
                yield source.name, seed, rng.sample(records, min(size, len(records)))
        for name, make in CELLS.items():
            rng = random.Random(f"words {name} {seed}")  # noqa: S311
            yield name, seed, make(list(sources), rng)


def told(records: Sequence[Record], planted: str, seed: int) -> bool:
    """Plant a target, and return whether the rule names any words."""
    count, change = PLANTED[planted]
    rng = random.Random(f"words {planted} {seed}")  # noqa: S311
    answers = [str(r["conversations"][1]["value"]) for r in records]
    for i in rng.sample(range(len(answers)), count):
        answers[i] = change(answers[i])
    prompts = [str(r["conversations"][0]["value"]) for r in records]
    shown = np.unique([str(r["image"]) for r in records], return_inverse=True)[1].ravel()
    # One pixel tells images apart as thumbnails do.
    pixels = np.stack([shown >> 16, shown >> 8, shown], axis=1).astype(np.uint8)[:, None, None]
    return bool(misplaced_answers(answers, read_questions(prompts, seed=seed), Pictures(pixels)))


def main() -> None:
    """Count the draws in which words are out of place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, nargs=4, required=True)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    seen: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {planted: Counter() for planted in PLANTED}
    for name, seed, records in draws(arguments.source, arguments.draws):
        seen[name] += 1
        for planted, counts in found.items():
            counts[name] += told(records, planted, seed)
    result = {
        planted: {
            "draws": seen.total(),
            "told": counts.total(),
            "by_data": {name: f"{counts[name]} of {seen[name]}" for name in seen},
        }
        for planted, counts in found.items()
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for planted, row in result.items():
        print(f"{planted}: told in {row['told']} of {row['draws']} draws")


if __name__ == "__main__":
    main()
