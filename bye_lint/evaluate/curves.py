"""How many samples, how few poisons: one detector's answers by size of the set and poison rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bye_lint.evaluate.summary import short
from bye_lint.evaluate.tables import trigger_of

Result = Mapping[str, Any]

#: Fewer rates or sizes are no curve.
_FEWEST = 3


def curve_table(results: Sequence[Result], detector: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: a row for each data set, trigger and size, a column for each rate.

    A place holds, for each seed, the F1 where the check fails and the verdict where it does not,
    and in brackets how often the model had learned the trigger.

    Parameters
    ----------
    results : sequence of Result
        Those of clean sets, clean labels, several attacks, other targets and split sets are left
        out, and so are sizes and triggers that were run at few rates and few sizes.
    """
    cells: dict[tuple[str, str], dict[tuple[int, float], list[str]]] = {}
    for result in sorted(results, key=lambda r: int(r["cell"]["seed"])):
        cell = result["cell"]
        plain = cell["rate"] and trigger_of(result) == cell["trigger"]
        if plain and "+" not in cell["trigger"] and detector in result["detectors"]:
            group = cells.setdefault((cell["dataset"], cell["trigger"]), {})
            said = _said(result["detectors"][detector], result["train_asr"])
            group.setdefault((cell["read"], cell["rate"]), []).append(said)
    drawn: dict[tuple[str, str, int], dict[float, str]] = {}
    for (data, trigger), group in sorted(cells.items()):
        sizes = {size for size, _ in group}
        for size in sorted(sizes):
            row = {rate: "; ".join(said) for (n, rate), said in group.items() if n == size}
            if len(row) >= _FEWEST or len(sizes) >= _FEWEST:
                drawn[data, trigger, size] = row
    rates = sorted({rate for row in drawn.values() for rate in row})
    head = ["data", "trigger", "records", *(f"{100 * rate:g}%" for rate in rates)]
    return head, [[*map(str, key), *(row.get(r, "") for r in rates)] for key, row in drawn.items()]


def _said(report: Mapping[str, Any], learned: float | None) -> str:
    verdict = report["verdict"]
    found = f"{report['f1'] or 0.0:.2f}" if verdict == "fail" else f"*{short(verdict)}*"
    return found if learned is None else f"{found} ({learned:.2f})"
