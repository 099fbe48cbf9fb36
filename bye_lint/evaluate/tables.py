"""Results as Markdown: what was found, what removing it does, what clean data suffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bye_lint.evaluate.grid import CLEAN, targets_digest
from bye_lint.evaluate.power import foretold, kin, recalls
from bye_lint.evaluate.summary import RANGES, calibration_rows, median_rows, not_ahead, short
from bye_lint.triggers import TARGETS

Result = Mapping[str, Any]


def render_tables(results: Sequence[Result]) -> str:
    """Return the Markdown tables of some results; a kind of cell that is missing has no table.

    Only numbers, names from this package's tables and names of data sets enter; no text of a
    record does.
    """
    poisoned = [r for r in results if r["cell"]["trigger"] != CLEAN]
    clean = [r for r in results if r["cell"]["trigger"] == CLEAN]
    parts = []
    if poisoned:
        parts += [_section("In short", _SHORT, _summary(poisoned))]
        parts += [_section("Detection", _DETECTION, _detection(poisoned))]
        parts += [_section("Attack and clean performance", _CLEANING, _cleaning(poisoned))]
        parts += [_section("Canaries and real triggers", _POWER, _power(poisoned))]
    if clean:
        parts += [_section("Clean data", _CLEAN, _clean(clean))]
    if results:
        parts += [_section("Probabilities", _CALIBRATION, _calibration(results))]
    return "\n".join(parts)


_SHORT = (
    "Median F1 of each detector by kind of trigger and rate, and the verdicts of the first one "
    "over the cells: *pass* is poison that went through, *inc.* an inconclusive verdict."
)
_DETECTION = (
    "F1 (precision / recall) of each detector on the same features; *inc.* where the verdict is "
    "inconclusive, *pass* where poison went through. Learned: share of the poisoned training "
    "records whose target the fine-tuned model gives."
)
_CLEANING = (
    "Attack success rate on held-out triggered records, and accuracy on held-out clean ones "
    "(CIDEr after the slash), of models fine-tuned on: the poisoned set with canaries, until these "
    "are learned; the poisoned set alone, for the whole schedule as all that follow; the set "
    "without each detector's suspects; without a share of records drawn by chance; and the truly "
    "clean set."
)
_POWER = (
    "What the canaries of a run said it would see (least recall of the kinds like the trigger, and "
    "in brackets the mean of what was learned of them), beside the recall of the real trigger."
)
_CALIBRATION = (
    "Mean Brier score, and how many of the records that were given such a probability were poison, "
    "over all cells, clean ones among them."
)
_CLEAN = "Suspects among clean records, and the verdict."


def _detection(results: Sequence[Result]) -> str:
    names = _detectors(results)
    rows = [
        [*_cell(r), _figure(r["train_asr"]), *(_found(r["detectors"].get(n)) for n in names)]
        for r in results
    ]
    return markdown_table([*_HEAD, "learned", *names], rows)


def _summary(results: Sequence[Result]) -> str:
    names = _detectors(results)
    if not names:
        return "No detector was run."
    head = ("kind", "rate", "cells", f"{names[0]} says", *names)
    behind = not_ahead(results, names[0], names[1:])
    cells = ", ".join(behind) if behind else "none"
    return (
        markdown_table(head, median_rows(results, names))
        + f"\n\nCells in which another detector has the better F1 than `{names[0]}`: {cells}."
    )


def _calibration(results: Sequence[Result]) -> str:
    ranges = [f"p from {low:g} to {high:g}" for low, high in pairwise(RANGES)]
    return markdown_table(
        ("detector", "Brier", *ranges), calibration_rows(results, _detectors(results))
    )


def _cleaning(results: Sequence[Result]) -> str:
    names = [n for n in _detectors(results) if any("after" in _of(r, n) for r in results)]
    columns = {
        "as checked": [_performance(r.get("before")) for r in results],
        "poisoned": [_performance(r.get("uncleaned")) for r in results],
        **{
            f"without {n}'s": [_performance(_of(r, n).get("after")) for r in results] for n in names
        },
        "random drop": [_performance(r.get("random_drop")) for r in results],
        "truly clean": [_performance(r.get("truly_clean"), attack=_attack(r)) for r in results],
    }
    shown = {title: column for title, column in columns.items() if any(column)}
    rows = [[*_cell(r), *entries] for r, *entries in zip(results, *shown.values(), strict=True)]
    return markdown_table([*_HEAD, *shown], rows)


def _power(results: Sequence[Result]) -> str:
    name = next((n for n in ("auto", "canary") if n in _detectors(results)), "")
    rows = []
    for r in results:
        pair = recalls(r, name)
        if pair is not None:
            learned = [p["learned"] for p in kin(r, name)]
            said = f"{pair[0]:.2f} ({np.mean(learned):.2f})"
            rows.append([*_cell(r), said, f"{pair[1]:.2f} ({_figure(r['train_asr'])})"])
    note = foretold(results, name)
    return markdown_table([*_HEAD, "canaries", "real"], rows) + (f"\n\n{note}" if note else "")


def _clean(results: Sequence[Result]) -> str:
    names = _detectors(results)
    rows = [
        [
            *_cell(r),
            *(f"{d['fp']} ({short(d['verdict'])})" if (d := _of(r, n)) else "" for n in names),
        ]
        for r in results
    ]
    return markdown_table([*_HEAD, *names], rows)


_HEAD = ("data", "trigger", "rate", "records", "seed")


def _detectors(results: Sequence[Result]) -> list[str]:
    names = dict.fromkeys(name for r in results for name in r["detectors"])
    return sorted(names, key=lambda name: name != "auto")


def _of(result: Result, detector: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result["detectors"].get(detector, {})
    return found


def _attack(result: Result) -> str:
    return next(iter((result.get("before") or {}).get("asr", {})), "")


def trigger_of(result: Result) -> str:
    """Return a cell's trigger, and what is unusual about how it was put in."""
    cell = result["cell"]
    extra = [" (clean label)"] if cell["clean_label"] else []
    extra += [f" (one file of {cell['one_part_of']})"] if cell["one_part_of"] > 1 else []
    return str(cell["trigger"]) + "".join(extra) + _targets(cell["targets"])


def _targets(targets: Sequence[str]) -> str:
    """Say what is unusual about targets, without a word of them."""
    count = len(targets)
    if list(targets) == list(TARGETS[:count]):
        return f" ({count} targets)" if count > 1 else ""
    what = "another target" if count == 1 else f"{count} other targets"
    return f" ({what}, {targets_digest(targets)})"


def _cell(result: Result) -> list[str]:
    cell = result["cell"]
    return [
        cell["dataset"],
        trigger_of(result),
        f"{cell['rate']:.1%}" if cell["rate"] else "0",
        str(cell["read"]),
        str(cell["seed"]),
    ]


def _found(report: Mapping[str, Any] | None) -> str:
    if not report:
        return ""
    figures = (
        f"{_figure(report['f1'])} ({_figure(report['precision'])} / {_figure(report['recall'])})"
    )
    return figures if report["verdict"] == "fail" else f"{figures} *{short(report['verdict'])}*"


def _performance(measured: Mapping[str, Any] | None, *, attack: str = "") -> str:
    if not measured:
        return ""
    rates = measured["asr"]
    rate = rates.get(attack) if attack else next(iter(rates.values()), None)
    cider = "" if measured["cider"] is None else f" / {measured['cider']:.2f}"
    return f"{_figure(rate, _percent)}, {_figure(measured['accuracy'], _percent)}{cider}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _figure(value: float | None, show: Callable[[float], str] = "{:.2f}".format) -> str:
    return "–" if value is None else show(value)


def _section(title: str, text: str, table: str) -> str:
    return f"## {title}\n\n{text}\n\n{table}\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in an entry is escaped."""
    escaped = [[entry.replace("|", "\\|") for entry in row] for row in (head, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    lines.insert(1, "|" + " --- |" * len(head))
    return "\n".join(lines)
