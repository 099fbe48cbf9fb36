"""What `bye-lint check` says of data it has never seen, with no policy: the scout, end to end.

    python -m benchmarks.scout --source EUROSAT GROCERY ... --out docs/data/scout

Each source is a folder in LLaVA format (``train.json`` and images). For each, poisoned and clean
copies are made (2,000 records or all), the command is run as a user runs it, and verdict,
precision, recall, seconds and peak memory are written to one JSON file a cell, which a second run
does not repeat; ``--document FILE`` puts the table between the ``scout`` marks of a document.
``--crippled`` uses a scout of random weights, trained for one step, instead.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.checking import check, common, once, options, publish, workplace
from bye_lint.evaluate.poison import poison_dataset
from bye_lint.scout import SCOUT_DIGEST

RECORDS = 2000
#: So few epochs that the schedule is one step long.
ONE_STEP = 0.001


@dataclass(frozen=True)
class Cell:
    """One copy of one data set."""

    source: Path
    trigger: str
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """File name of its result."""
        what = "clean" if not self.rate else f"{self.trigger}-{100 * self.rate:g}"
        return f"{self.source.name}-{what}-seed{self.seed}"


def cells(sources: list[Path], only: str) -> Iterator[Cell]:
    """Yield the cells; those of two triggers on two sources only, as they take minutes each."""
    for trigger, rate, seed, chosen in (
        ("patch-random", 0.05, 1, sources),
        ("patch-centre", 0.0, 1, sources),
        ("patch-centre", 0.05, 1, sources),
        ("patch-centre", 0.0, 2, sources),
        ("blend", 0.1, 1, sources[:2]),
        ("sig", 0.1, 1, sources[:2]),
    ):
        for source in chosen:
            cell = Cell(source, trigger, rate, seed)
            if only in cell.name:
                yield cell


def run(cell: Cell, work: Path, model: Path | None) -> dict[str, Any]:
    """Poison a copy, check it in a process of its own, compare with the truth."""
    copy, truth_file = work / cell.name / "data", work / cell.name / "truth.json"
    shutil.rmtree(work / cell.name / "data", ignore_errors=True)
    truth_file.unlink(missing_ok=True)
    truth = poison_dataset(
        cell.source, copy, truth_file,
        triggers=(cell.trigger,), rate=cell.rate, seed=cell.seed, records=RECORDS,
    )  # fmt: skip
    options = []
    if model is not None:
        policy = work / cell.name / "bye-lint.yaml"
        policy.write_text(f"model: {model}\nfine_tune:\n  epochs: {ONE_STEP}\n", encoding="utf-8")
        options.append(f"--policy={policy}")
    checked = check(copy, work / cell.name, seed=cell.seed, options=options)
    poisoned = {record.id for record in truth.poisoned}
    found = checked.flagged
    hits = len(found & poisoned)
    return {
        "cell": cell.name,
        "dataset": cell.source.name,
        "trigger": cell.trigger if cell.rate else "none",
        "rate": cell.rate,
        "seed": cell.seed,
        "weights": "" if model else SCOUT_DIGEST[:8],
        "poisoned": len(poisoned),
        "visible": sum(record.visible for record in truth.poisoned),
        "precision": hits / len(found) if found else None,
        "recall": hits / len(poisoned) if poisoned else None,
        **common(checked),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Render the results as Markdown."""
    lines = [
        "| data | trigger | rate | records | verdict | flagged | precision | recall | s | MiB "
        "| weights |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        shown = ["–" if r[key] is None else f"{r[key]:.3f}" for key in ("precision", "recall")]
        seconds = "–" if r["seconds"] is None else f"{r['seconds']:.0f}"
        peak = "–" if r["peak_mib"] is None else r["peak_mib"]
        lines.append(
            f"| {r['dataset']} | {r['trigger']} | {100 * r['rate']:g} % | {r['records']} "
            f"| {r['verdict']} | {r['flagged']} | {shown[0]} | {shown[1]} | {seconds} "
            f"| {peak} | {r['weights'] or 'random'} |"
        )
    return "\n".join(lines) + "\n"


def cripple(folder: Path) -> Path:
    """Save a scout of random weights."""
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from bye_lint.scout import scout_path

    torch.manual_seed(0)
    model = LlavaForConditionalGeneration.from_pretrained(scout_path(), dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(scout_path()).save_pretrained(folder)
    return folder


def main() -> None:
    """Run the cells that have no result yet."""
    parser = options(__doc__)
    parser.add_argument("--source", type=Path, nargs="+", required=True)
    parser.add_argument("--crippled", action="store_true", help="a scout of random weights")
    parser.add_argument("--mark", default="scout", help="marks of the table in the document")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with workplace(arguments.work) as work:
        model = cripple(work / "crippled") if arguments.crippled else None
        for cell in cells(arguments.source, arguments.only):
            once(arguments.out / f"{cell.name}.json", partial(run, cell, work, model), table)
    publish(arguments.out, arguments.document, arguments.mark, table)


if __name__ == "__main__":
    main()
