"""A poisoned pull request against a large repository, checked by its changes.

    python -m benchmarks.pull_request --source EUROSAT GROCERY ... --out docs/data/pull_request

A git repository of 20,000 records is built from the sources (folders in LLaVA format with
``train.json``, ``test.json`` and images): each record as it is, then mirrored, cropped and encoded
again until there are enough. For each seed a branch puts 60 held-out records of one source in
between, 30 of them poisoned, and the same branch without the poison; ``bye-lint check
--changed-since main`` runs on both as a user runs it. ``--whole`` also checks everything without
``--changed-since``, in a repository of so many records with the same share of poison.

Verdict, precision, recall, seconds by stage and peak memory go to one JSON file a run, which a
second call does not repeat, and to ``table.md``; ``--document FILE`` puts the table between the
``pull_request`` marks of a document.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.checking import check, common, workplace
from benchmarks.documents import fill
from bye_lint.evaluate.poison import poison_dataset

#: What is spent on every record of the repository; all else is spent on the chosen ones.
HASHING = ("read", "changes")
SHARES = ("precision", "recall", "ranked")
VARIANTS = ("as it is", "mirrored", "cropped", "encoded again")

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One check: which repository, which branch."""

    records: int
    changed: int
    poisoned: int
    source: Path
    trigger: str
    seed: int
    whole: bool = False

    @property
    def name(self) -> str:
        """File name of its result."""
        what = f"{self.poisoned}-{self.trigger}" if self.poisoned else "clean"
        kind = "whole" if self.whole else "changed"
        return f"{kind}-{self.records}-{self.source.name}-{self.changed}-{what}-seed{self.seed}"


def runs(arguments: argparse.Namespace) -> Iterator[Run]:
    """Yield the runs: each seed with and without poison, its source the next of the list."""
    n, changed, poisoned = arguments.records, arguments.changed, arguments.poisoned
    for position, seed in enumerate(arguments.seeds):
        source = arguments.source[position % len(arguments.source)]
        for some in (poisoned, 0):
            yield Run(n, changed, some, source, arguments.trigger, seed)
    if arguments.whole:
        share = arguments.whole / n
        yield Run(
            arguments.whole,
            max(1, round(changed * share)),
            max(1, round(poisoned * share)),
            arguments.source[0],
            arguments.trigger,
            arguments.seeds[0],
            whole=True,
        )


class Repository:
    """The data repository: ``main`` is clean, each run gets a branch."""

    def __init__(self, root: Path, sources: Sequence[Path], records: int) -> None:
        self.root = root
        if root.is_dir():
            return
        self.root = root = root.with_name(f"{root.name}.part")
        shutil.rmtree(root, ignore_errors=True)
        (root / "data").mkdir(parents=True)
        (root / "bye-lint.yaml").write_text("dataset:\n  paths: [data]\n", "utf-8")
        rows: dict[str, list[Record]] = {source.name: [] for source in sources}
        for source, row in islice(_variants(sources, root / "data"), records):
            rows[source].append(row)
        for name, some in rows.items():
            _write(root / "data" / name / "train.jsonl", some)
        self.git("init", "-q", "-b", "main")
        self.commit("Data")
        self.root = root.rename(root.with_suffix(""))

    def branch(self, run: Run, scratch: Path) -> set[str]:
        """Make the run's branch and return the ids of the poisoned records."""
        self.git("checkout", "-q", "--force", "-B", "pull-request", "main")
        shutil.rmtree(scratch / "copy", ignore_errors=True)
        (scratch / "truth.json").unlink(missing_ok=True)
        truth = poison_dataset(
            run.source,
            scratch / "copy",
            scratch / "truth.json",
            file="test.json",
            triggers=(run.trigger,),
            rate=run.poisoned / run.changed,
            seed=run.seed,
            records=run.changed,
        )
        folder = self.root / "data" / run.source.name
        file = folder / "train.jsonl"
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        rng = np.random.default_rng(run.seed)
        for row in json.loads((scratch / "copy" / "test.json").read_text("utf-8")):
            name = f"images/new-{Path(row['image']).name}"
            shutil.copy(scratch / "copy" / row["image"], folder / name)
            rows.insert(int(rng.integers(len(rows) + 1)), {**row, "image": name})
        _write(file, rows)
        self.commit("New records")
        return {record.id for record in truth.poisoned}

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def git(self, *arguments: str) -> None:
        """Run git with the settings that an unattended commit needs."""
        settings = ("user.name=benchmark", "user.email=benchmark@example.org", "gc.auto=0")
        options = [part for setting in settings for part in ("-c", setting)]
        subprocess.run(["git", *options, "-C", self.root, *arguments], check=True)  # noqa: S607


def _variants(sources: Sequence[Path], out: Path) -> Iterator[tuple[str, Record]]:
    """Yield records without end, each with an image of its own written below `out`."""
    rows = [json.loads((source / "train.json").read_text("utf-8")) for source in sources]
    for source in sources:
        (out / source.name / "images").mkdir(parents=True)
    for round_ in count():
        for i in range(max(map(len, rows))):
            for source, some in zip(sources, rows, strict=True):
                if i < len(some):
                    yield source.name, _variant(source, some[i], out, round_, i)


def _variant(source: Path, row: Record, out: Path, round_: int, i: int) -> Record:
    again = VARIANTS[round_ % len(VARIANTS)] == "encoded again"
    name = f"images/{round_}-{i}.{'jpg' if again else 'png'}"
    with Image.open(source / row["image"]) as image:
        picture = _changed(ImageOps.exif_transpose(image).convert("RGB"), round_)
    if again:
        picture.save(out / source.name / name, quality=85)
    else:
        picture.save(out / source.name / name, compress_level=1)
    return {**row, "id": f"{row['id']}-{round_}", "image": name}


def _changed(picture: Image.Image, round_: int) -> Image.Image:
    """Return the `round_`-th variant of a picture; the later ones are cropped more."""
    edge = 2 * (round_ // 4)
    what = VARIANTS[round_ % len(VARIANTS)]
    if what == "mirrored":
        picture = ImageOps.mirror(picture)
    elif what == "cropped":
        edge += 1
    return ImageOps.crop(picture, edge) if 2 * edge < min(picture.size) else picture


def _write(path: Path, rows: Sequence[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def measure(run: Run, repository: Repository, scratch: Path) -> dict[str, Any]:
    """Make the branch, check it, compare with the truth."""
    poisoned = repository.branch(run, scratch)
    options = () if run.whole else ("--changed-since", "main", "--policy-from-ref")
    checked = check(repository.root / "data", scratch, seed=run.seed, options=options)
    counts, timings = checked.result["counts"], checked.result["timings"]
    hits = len(checked.flagged & poisoned)
    hashing = sum(timings.get(stage, 0.0) for stage in HASHING)
    return {
        "run": run.name,
        "source": run.source.name,
        "whole": run.whole,
        "changed": counts["changed"],
        "context": counts["context"],
        "poisoned": len(poisoned),
        "trigger": run.trigger if poisoned else "none",
        "seed": run.seed,
        "precision": hits / len(checked.flagged) if checked.flagged else None,
        "recall": hits / len(poisoned) if poisoned else None,
        "ranked": ranked(checked.result["samples"], poisoned),
        "hashing_seconds": round(hashing, 1),
        "other_seconds": round(checked.seconds - hashing, 1),
        "timings": timings,
        **common(checked),
    }


def ranked(samples: Sequence[dict[str, Any]], poisoned: set[str]) -> float | None:
    """Return how often a poisoned record scores above one that is not, ties counting half."""
    scored = [row for row in samples if row["score"] is not None]
    bad = np.array([row["score"] for row in scored if row["sample_id"] in poisoned])
    good = np.array([row["score"] for row in scored if row["sample_id"] not in poisoned])
    if not len(bad) or not len(good):
        return None
    above = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    return round(float(above), 4)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    lines = [
        "| check | records | changed | of them poisoned | read along | verdict | flagged "
        "| precision | recall | ranked | hashing, s | the rest, s | MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(results, key=lambda r: (r["whole"], r["records"], r["seed"], -r["poisoned"])):
        what = "of everything" if r["whole"] else f"{r['source']}, seed {r['seed']}"
        counts = ["–" if r[key] is None else str(r[key]) for key in ("changed", "context")]
        shares = ["–" if r[key] is None else f"{r[key]:.2f}" for key in SHARES]
        row = [what, str(r["records"]), counts[0], str(r["poisoned"] or "none"), counts[1]]
        row += [r["verdict"], str(r["flagged"]), *shares]
        row += [f"{r['hashing_seconds']:.0f}", f"{r['other_seconds']:.0f}", str(r["peak_mib"])]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def section(results: Sequence[dict[str, Any]]) -> str:
    """Render what a document shows: what was measured, on what, and the table."""
    first = results[0]
    whole = (
        " The last row is a check of everything, at the same share of poison."
        if any(r["whole"] for r in results)
        else ""
    )
    return (
        "### Measured\n\n"
        "Pull requests against a repository of photos, satellite images, icons and documents, "
        f"each with and without poison, on {first['machine']}. *Ranked* is how often a poisoned "
        "record scores above one that is not; *hashing* is spent on all records, the rest on those "
        f"that are looked at.{whole} Written by `python -m benchmarks.pull_request "
        "--source eurosat grocery emoji pqdocs --seeds 1 2 3 4 --whole 4000 "
        "--out docs/data/pull_request --document docs/ci.md`; one JSON file a run lies in "
        "`docs/data/pull_request`.\n\n" + table(results)
    )


def main() -> None:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--changed", type=int, default=60)
    parser.add_argument("--poisoned", type=int, default=30)
    parser.add_argument("--trigger", default="patch-centre")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--whole", type=int, default=0, help="records of the whole check, or 0")
    parser.add_argument("--document", type=Path, help="document that shows the table")
    parser.add_argument("--work", type=Path, help="keep repository and caches here for another run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with workplace(arguments.work) as work:
        made: dict[int, Repository] = {}
        for run in runs(arguments):
            file = arguments.out / f"{run.name}.json"
            if file.exists():
                continue
            if run.records not in made:
                root = work / str(run.records)
                made[run.records] = Repository(root, arguments.source, run.records)
            scratch = work / run.name
            scratch.mkdir(parents=True, exist_ok=True)
            found = measure(run, made[run.records], scratch)
            file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
            print(table([found]).splitlines()[-1], flush=True)
    results = [json.loads(f.read_text("utf-8")) for f in sorted(arguments.out.glob("*.json"))]
    (arguments.out / "table.md").write_text(table(results), "utf-8")
    if arguments.document is not None:
        fill(arguments.document, "pull_request", section(results))
    print(table(results))


if __name__ == "__main__":
    main()
