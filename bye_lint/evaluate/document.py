"""Fill the generated parts of docs/detection.md: ``python -m bye_lint.evaluate.document``.

A part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; everything else is
written by hand and kept.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bye_lint.canaries import CANARY_KINDS, DEFAULT_KINDS
from bye_lint.errors import UsageError
from bye_lint.evaluate.curves import curve_table
from bye_lint.evaluate.runner import load_results
from bye_lint.evaluate.tables import markdown_table, render_tables, trigger_of
from bye_lint.triggers import TRIGGERS

Result = Mapping[str, Any]

_PART = re.compile(r"(<!-- begin ([a-z-]+) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)


def render_document(text: str, results: Sequence[Result]) -> str:
    """Return a document with its generated parts written anew.

    Raises
    ------
    UsageError
        If a part is asked for that nobody writes; the message lists those there are.
    """

    def fill(match: re.Match[str]) -> str:
        begin, name, _, end = match.groups()
        if name not in PARTS:
            raise UsageError(f"unknown part {name!r}", f"Known parts: {', '.join(PARTS)}.")
        return f"{begin}\n{PARTS[name](results)}\n\n{end}"

    return _PART.sub(fill, text)


def _triggers(_: Sequence[Result]) -> str:
    rows = [(f"`{t.name}`", t.family, t.source) for t in TRIGGERS.values()]
    return markdown_table(("trigger", "family", "after"), rows)


def _canaries(_: Sequence[Result]) -> str:
    rows = [
        (
            f"`{name}`",
            kind.trigger.source,
            "yes" if name in DEFAULT_KINDS else "no",
            "as real attacks" if kind.hard else "easy",
            f"{kind.weight:g}",
        )
        for name, kind in CANARY_KINDS.items()
    ]
    return markdown_table(("kind", "what", "by default", "difficulty", "weight"), rows)


def _cells(results: Sequence[Result]) -> str:
    if not results:
        return "No cell has been run yet."
    runs = Counter(
        (r["cell"]["dataset"], trigger_of(r), r["cell"]["rate"], r["cell"]["read"]) for r in results
    )
    rows = [
        (data, trigger, f"{rate:.1%}" if rate else "0", str(records), str(count))
        for (data, trigger, rate, records), count in sorted(runs.items())
    ]
    return markdown_table(("data", "trigger", "rate", "records", "seeds"), rows)


def _curves(results: Sequence[Result]) -> str:
    return markdown_table(*curve_table(results, "auto"))


def _tables(results: Sequence[Result]) -> str:
    return render_tables(results).strip() or "No cell has been run yet."


PARTS: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "triggers": _triggers,
    "canaries": _canaries,
    "cells": _cells,
    "curves": _curves,
    "tables": _tables,
}


def main(arguments: Sequence[str]) -> int:
    """Rewrite the document named first from the results in the folder named second.

    With ``--check`` nothing is written; the status is 1 where the document is out of date. Results
    of more than one pipeline are refused: they are no one table.
    """
    names = [argument for argument in arguments if argument != "--check"]
    if len(names) != 2:
        sys.stderr.write("usage: document [--check] DOCUMENT RESULTS\n")
        return 2
    path = Path(names[0])
    before, results = path.read_text("utf-8"), load_results(Path(names[1]))
    if len({r["pipeline"] for r in results}) > 1:
        sys.stderr.write(f"{names[1]}: results of several models or fine-tunings\n")
        return 2
    after = render_document(before, results)
    if "--check" in arguments:
        return int(before != after)
    path.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
