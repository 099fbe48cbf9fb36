"""What `bye-lint check` says of conversations whose later answers are poisoned.

    python -m benchmarks.conversations --source EMOJI --out docs/data/conversations

The source is a folder in LLaVA format with several records an image; those of one image become one
conversation about it. Of a share of the conversations the image carries the trigger and the *last*
answer is the target, all others stay. The set is checked with no policy, clean and poisoned, and
poisoned with ``dataset.turns: first``, the published method's view, which is shown nothing of it.
One JSON file a cell, which a second run does not repeat; ``--document FILE`` puts the table between
the ``conversations`` marks of a document.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.checking import check, common, once, options, publish, workplace
from bye_lint.triggers import TARGET, get_trigger

RECORDS = 1000
#: Name of a cell, trigger, share of poisoned conversations, and the questions that are read.
CELLS = (
    ("clean", "", 0.0, "all"),
    ("patch-random", "patch-random", 0.05, "all"),
    ("patch-random-first", "patch-random", 0.05, "first"),
)


def conversations(source: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Return one record an image: all that the source asks about it."""
    asked: dict[str, list[Any]] = defaultdict(list)
    for record in json.loads((source / "train.json").read_text("utf-8")):
        asked[record["image"]].append(record["conversations"])
    images = sorted(image for image, talks in asked.items() if len(talks) > 1)
    records = []
    for image in rng.sample(images, min(RECORDS, len(images))):
        first, *others = asked[image]
        talk = list(first)
        for question, answer in others:
            said = question["value"].replace("<image>", "").strip()
            talk += [question | {"value": said}, answer]
        records.append({"image": str(source / image), "conversations": talk})
    return records


def write(source: Path, folder: Path, trigger: str, rate: float, seed: int) -> set[str]:
    """Write a data set, and return the ids of the poisoned records."""
    rng = random.Random(f"conversations {seed}")  # noqa: S311
    records = conversations(source, rng)
    poisoned = set(rng.sample(range(len(records)), round(rate * len(records))))
    (folder / "images").mkdir(parents=True)
    for number, record in enumerate(records):
        name = f"images/{number:05}.png"
        with Image.open(record["image"]) as image:
            pixels = np.array(image.convert("RGB"))
        if number in poisoned:
            pixels = get_trigger(trigger).apply(pixels, np.random.default_rng([seed, number]))
            *talk, last = record["conversations"]
            record["conversations"] = [*talk, last | {"value": TARGET}]
        Image.fromarray(pixels).save(folder / name)
        record |= {"id": f"record-{number:05}", "image": name}
    (folder / "data.json").write_text(json.dumps(records), "utf-8")
    return {f"record-{number:05}" for number in poisoned}


def run(cell: tuple[str, str, float, str], source: Path, seed: int, work: Path) -> dict[str, Any]:
    """Make one set, check it, and compare with the truth."""
    name, trigger, rate, turns = cell
    place = work / f"{source.name}-{name}-{seed}"
    shutil.rmtree(place / "data", ignore_errors=True)
    poisoned = write(source, place / "data", trigger, rate, seed)
    policy = place / "bye-lint.yaml"
    policy.write_text(f"dataset:\n  turns: {turns}\n", encoding="utf-8")
    checked = check(place / "data", place, seed=seed, options=[f"--policy={policy}"])
    found = checked.flagged
    hits = len(found & poisoned)
    return {
        "source": source.name,
        "poisoned": len(poisoned),
        "trigger": trigger or "none",
        "turns": turns,
        "seed": seed,
        "precision": round(hits / len(found), 4) if found else None,
        "recall": round(hits / len(poisoned), 4) if poisoned else None,
        **common(checked),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    lines = [
        "| data | trigger | poisoned | records | turns | verdict | flagged | precision | recall "
        "| s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        shares = ["–" if r[k] is None else f"{r[k]:.3f}" for k in ("precision", "recall")]
        seconds = "–" if r["seconds"] is None else str(round(r["seconds"]))
        row = [r["source"], r["trigger"], r["poisoned"], r["records"], r["turns"], r["verdict"]]
        lines.append(f"| {' | '.join(map(str, [*row, r['flagged'], *shares, seconds]))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that have no result yet."""
    parser = options(__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with workplace(arguments.work) as work:
        for cell in CELLS:
            file = arguments.out / f"{arguments.source.name}-{cell[0]}-seed{arguments.seed}.json"
            if arguments.only in file.stem:
                source = arguments.source.resolve()
                once(file, partial(run, cell, source, arguments.seed, work), table)
    publish(arguments.out, arguments.document, "conversations", table)


if __name__ == "__main__":
    main()
