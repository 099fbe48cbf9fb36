"""The grid in two short tables: medians by kind of trigger, and whether a probability is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from bye_lint.triggers import TRIGGERS

Result = Mapping[str, Any]

#: Bounds of the probabilities that are pooled; the last is closed.
RANGES = (0.0, 0.1, 0.5, 0.9, 1.0)


def short(verdict: str) -> str:
    """Return a verdict as tables show it."""
    return "inc." if verdict == "inconclusive" else verdict


def median_rows(results: Sequence[Result], detectors: Sequence[str]) -> list[list[str]]:
    """Return a row for each family of triggers and rate: median F1, and the first one's verdicts.

    Parameters
    ----------
    results : sequence of Result
        Of poisoned cells.
    detectors : sequence of str
        The first is the one whose verdicts are counted, over the cells where it was run.
    """
    groups: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        cell = result["cell"]
        groups.setdefault((_family(cell["trigger"]), cell["rate"]), []).append(result)
    rows = []
    for (family, rate), cells in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1])):
        scores = {
            name: [_f1(r, name) for r in cells if name in r["detectors"]] for name in detectors
        }
        first = [r["detectors"][detectors[0]] for r in cells if detectors[0] in r["detectors"]]
        verdicts = Counter(report["verdict"] for report in first)
        told = ", ".join(f"{count} {short(name)}" for name, count in verdicts.most_common())
        shown = [f"{median(found):.2f}" if found else "" for found in scores.values()]
        rows.append([family, f"{100 * rate:g}%", str(len(cells)), told, *shown])
    return rows


def _f1(result: Result, detector: str) -> float:
    """Return a detector's F1; 0 where a rate came to no poisoned record, so that it has none."""
    return float(result["detectors"][detector]["f1"] or 0.0)


def _family(trigger: str) -> str:
    names = trigger.split("+")
    return TRIGGERS[names[0]].family if len(names) == 1 else "several"


def not_ahead(results: Sequence[Result], detector: str, others: Sequence[str]) -> list[str]:
    """Return the names of the cells in which another detector that was run has the better F1."""
    return [
        r["name"]
        for r in results
        if detector in r["detectors"]
        and any(_f1(r, name) > _f1(r, detector) for name in others if name in r["detectors"])
    ]


def calibration_rows(results: Sequence[Result], detectors: Sequence[str]) -> list[list[str]]:
    """Return a row a detector: mean Brier score, and how much of each range of p was poison.

    Parameters
    ----------
    results : sequence of Result
        Of poisoned and clean cells.
    """
    rows = []
    for name in detectors:
        reports = [r["detectors"][name] for r in results if name in r["detectors"]]
        bins = [b for report in reports for b in report["reliability"]]
        known = [report["brier"] for report in reports if report["brier"] is not None]
        row = [name, f"{sum(known) / len(known):.4f}" if known else "–"]
        for low, high in pairwise(RANGES):
            part = [b for b in bins if low <= b["said"] < high or b["said"] == high == RANGES[-1]]
            count = sum(b["count"] for b in part)
            seen = sum(b["count"] * b["seen"] for b in part)
            row.append(f"{seen / count:.1%} of {count:,}" if count else "–")
        rows.append(row)
    return rows
