"""False alarms of the statistics alone: many draws from the features of clean cells.

    bye-lint evaluate GRID.yaml --out OUT
    python -m benchmarks.false_alarms --features OUT/features --out docs/data/false_alarms.json

A draw is half of a cell's records, chosen by chance, with all of its canaries; every detector
judges the same draws. Nothing is fine-tuned again, so what differs between fine-tunings is not in
here: the clean cells of the grid show that. Only features that a result in ``OUT/results`` is of
count: what another run left in the folder does not. ``--document FILE`` puts the table between the
``false-alarms`` marks of a document.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.documents import fill
from bye_lint.detectors import DETECTORS
from bye_lint.evaluate.grid import CLEAN
from bye_lint.evaluate.runner import load_results
from bye_lint.evaluate.scores import judge_detector
from bye_lint.evaluate.stored import load_features

_COMPARED = ("auto", "bye", "tcap")
_CLEAN = re.compile(r"(?P<data>[A-Za-z0-9_.]+)-clean-.*-[0-9a-f]{16}\.npz")


def measure(path: Path, detector: str, draws: int) -> dict[str, Any]:
    """Judge draws from one cell's features."""
    features, _ = load_features(path)
    planted = features.is_canary
    records, copies = np.flatnonzero(~planted), np.flatnonzero(planted)
    verdicts, flagged = [], []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        half = np.sort(rng.choice(records, len(records) // 2, replace=False))
        part = features.select(np.concatenate([half, copies]))
        nobody = np.zeros(len(half), dtype=np.bool_)
        report = judge_detector(detector, part, nobody, seed=draw).report
        verdicts.append(report["verdict"])
        flagged.append(report["fp"])
    match = _CLEAN.fullmatch(path.name)
    return {
        "cell": path.stem.rpartition("-")[0],
        "dataset": match["data"] if match else "",
        "detector": detector,
        "draws": draws,
        "records": len(records) // 2,
        "fail": verdicts.count("fail"),
        "inconclusive": verdicts.count("inconclusive"),
        "flagged": sum(flagged),
        "most_flagged": max(flagged),
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Render the results as Markdown, cells of one data set together."""
    lines = [
        "| detector | data | draws | alarms | inconclusive | records flagged | most in a draw |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = dict.fromkeys((r["detector"], r["dataset"]) for r in results)
    for detector, data in groups:
        part = [r for r in results if (r["detector"], r["dataset"]) == (detector, data)]
        draws, fail, unsure, flagged = (
            sum(r[key] for r in part) for key in ("draws", "fail", "inconclusive", "flagged")
        )
        share = flagged / sum(r["draws"] * r["records"] for r in part)
        most = max(r["most_flagged"] for r in part)
        lines.append(
            f"| `{detector}` | {data} | {draws} | {fail} | {unsure} | {share:.2%} | {most} |"
        )
    return "\n".join(lines) + "\n"


def clean_features(folder: Path) -> list[Path]:
    """Return the features of the clean cells that have a result, by name.

    Raises
    ------
    SystemExit
        If there are none, if some are not there, or if the results are of several pipelines.
    """
    results = [r for r in load_results(folder.parent) if r["cell"]["trigger"] == CLEAN]
    if not results:
        raise SystemExit(f"{folder.parent / 'results'}: has no result of a clean cell")
    if len({r["pipeline"] for r in results}) > 1:
        raise SystemExit(f"{folder.parent / 'results'}: of several models or fine-tunings")
    files = [folder / f"{r['name']}-{r['digest']}.npz" for r in results]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise SystemExit(f"{folder}: lacks {', '.join(missing)}")
    return files


def main() -> None:
    """Judge the draws of every clean cell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--features", type=Path, required=True, help="OUT/features of a grid")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--draws", type=int, default=25, help="draws from each cell")
    parser.add_argument("--detectors", nargs="+", choices=list(DETECTORS), default=_COMPARED)
    parser.add_argument("--document", type=Path, help="document that shows the table")
    arguments = parser.parse_args()
    files = clean_features(arguments.features)
    results = [
        measure(f, detector, arguments.draws) for detector in arguments.detectors for f in files
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if arguments.document is not None:
        fill(arguments.document, "false-alarms", table(results))
    print(table(results))


if __name__ == "__main__":
    main()
