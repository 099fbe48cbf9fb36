"""What `bye-lint check` says of clean data that are hard to be silent about.

    python -m benchmarks.null --source EUROSAT GROCERY EMOJI PQDOCS --out docs/data/null

The sources are folders in LLaVA format. Nothing is poisoned, but there are populations: one
question for all and a few classes as answers; a tenth of the images from another domain, asked in
its own words or in everybody's; the same images several times, in several sizes. Each set is
checked with no policy; verdict and suspects are written to one JSON file a cell, which a second
run does not repeat; ``--document FILE`` puts the table between the ``null`` marks of a document.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.checking import check, common, once, options, publish, workplace

Record = dict[str, Any]

RECORDS = 1000
SIZES = (48, 64, 96, 128)
_NOT_NAMES = ("Yes", "No", "A", "B", "C", "D")


def read(source: Path) -> list[Record]:
    """Return the records of a source with absolute image paths."""
    records: list[Record] = json.loads((source / "train.json").read_text("utf-8"))
    return [r | {"image": str((source / r["image"]).resolve())} for r in records]


def asked(record: Record, question: str) -> Record:
    """Return a record with another question."""
    first, answer = record["conversations"][:2]
    return record | {"conversations": [first | {"value": f"<image>\n{question}"}, answer]}


def named(records: list[Record]) -> list[Record]:
    """Return the records that answer with a name."""
    return [
        r
        for r in records
        if (said := r["conversations"][1]["value"]) not in _NOT_NAMES and len(said.split()) <= 3
    ]


def one_question(sources: list[Path], rng: random.Random) -> list[Record]:
    """Classes as answers to one question."""
    records = [asked(r, "What is in the image?") for r in named(read(sources[0]))]
    return rng.sample(records, min(RECORDS, len(records)))


def many_classes(sources: list[Path], rng: random.Random) -> list[Record]:
    """Many classes as answers to one question."""
    records = [asked(r, "What is in the image?") for r in named(read(sources[1]))]
    return rng.sample(records, min(RECORDS, len(records)))


def guests(sources: list[Path], rng: random.Random) -> list[Record]:
    """A tenth from another domain, with its own questions."""
    hosts, others = read(sources[1]), read(sources[3])
    return rng.sample(hosts, 9 * RECORDS // 10) + rng.sample(others, RECORDS // 10)


def guests_alike(sources: list[Path], rng: random.Random) -> list[Record]:
    """A tenth from another domain, with everybody's question."""
    hosts, others = named(read(sources[0])), named(read(sources[1]))
    both = rng.sample(hosts, 9 * RECORDS // 10) + rng.sample(others, RECORDS // 10)
    return [asked(r, "What does the picture show?") for r in both]


def repeated(sources: list[Path], rng: random.Random) -> list[Record]:
    """Few images, each with several records."""
    records = read(sources[2])
    images = rng.sample(sorted({r["image"] for r in records}), RECORDS // 8)
    chosen = [r for r in records if r["image"] in set(images)]
    return (chosen * 4)[:RECORDS]


def many_sizes(sources: list[Path], rng: random.Random) -> list[Record]:
    """Images of several sizes and shapes, one of them four times over."""
    return rng.sample(read(sources[0]), RECORDS // 2) + rng.sample(read(sources[2]), RECORDS // 2)


CELLS: dict[str, Callable[[list[Path], random.Random], list[Record]]] = {
    "one-question": one_question,
    "many-classes": many_classes,
    "guests": guests,
    "guests-alike": guests_alike,
    "repeated": repeated,
    "many-sizes": many_sizes,
}


def write(records: list[Record], folder: Path, rng: random.Random, *, sizes: bool) -> None:
    """Write a data set; every record gets an id and an image file of its own."""
    (folder / "images").mkdir(parents=True)
    rng.shuffle(records)
    written = []
    for number, record in enumerate(records):
        name = f"images/{number:05}.png"
        with Image.open(record["image"]) as image:
            copy = image.convert("RGB")
            if sizes:
                copy = copy.resize((rng.choice(SIZES), rng.choice(SIZES)))
            copy.save(folder / name)
        written.append(record | {"id": f"record-{number:05}", "image": name})
    (folder / "data.json").write_text(json.dumps(written), "utf-8")


def run(name: str, seed: int, sources: list[Path], work: Path) -> dict[str, Any]:
    """Make one set and check it."""
    rng = random.Random(f"{name} {seed}")  # noqa: S311
    data = work / f"{name}-{seed}" / "data"
    shutil.rmtree(data, ignore_errors=True)
    write(CELLS[name](sources, rng), data, rng, sizes=name == "many-sizes")
    checked = check(data, data.parent, seed=seed)
    return {"cell": name, "what": CELLS[name].__doc__, "seed": seed, **common(checked)}


def table(results: list[dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    lines = ["| clean set | seed | records | verdict | flagged | s |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r['what'].rstrip('.')} | {r['seed']} | {r['records']} | {r['verdict']} "
        f"| {r['flagged']} | {'–' if r['seconds'] is None else round(r['seconds'])} |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that have no result yet."""
    parser = options(__doc__)
    parser.add_argument("--source", type=Path, nargs=4, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with workplace(arguments.work) as work:
        for seed in arguments.seeds:
            for name in CELLS:
                file = arguments.out / f"{name}-seed{seed}.json"
                if arguments.only in file.stem:
                    once(file, partial(run, name, seed, arguments.source, work), table)
    publish(arguments.out, arguments.document, "null", table)


if __name__ == "__main__":
    main()
