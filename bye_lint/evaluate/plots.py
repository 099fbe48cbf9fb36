"""Plots of a grid's results: F1 against the rate, score histograms, ROC. Needs ``[plots]``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bye_lint.errors import MissingExtraError
from bye_lint.evaluate.grid import CLEAN
from bye_lint.evaluate.metrics import auc, roc_curve
from bye_lint.evaluate.tables import trigger_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = Mapping[str, Any]


def write_plots(results: Sequence[Result], out: Path) -> list[Path]:
    """Write the plots of some results as SVG into ``out/plots``, scores from ``out/features``.

    Returns
    -------
    list of Path
        ``f1-<dataset>.svg`` where there are rates to compare, and ``scores-<cell>.svg`` (a
        histogram and a ROC curve a detector) for every poisoned cell whose scores are kept.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for dataset in dict.fromkeys(r["cell"]["dataset"] for r in results):
        rows = [r for r in results if r["cell"]["dataset"] == dataset]
        rows = [r for r in rows if r["cell"]["trigger"] != CLEAN]
        if rows:
            written.append(_save(f1_figure(rows), folder / f"f1-{dataset}.svg"))
    for result in results:
        path = out / "features" / f"{result['name']}-{result['digest']}-scores.npz"
        if path.is_file() and result["cell"]["trigger"] != CLEAN:
            with np.load(path, allow_pickle=False) as scores:
                figure = score_figure({name: scores[name] for name in scores.files})
            written.append(_save(figure, folder / f"scores-{result['name']}.svg"))
    return written


def f1_figure(results: Sequence[Result]) -> Figure:
    """Draw mean F1 over seeds against the poison rate, one line a detector.

    Each trigger, way of putting it in and number of records has a panel of its own: they are other
    experiments, not further seeds.
    """
    groups: dict[tuple[str, int], list[Result]] = defaultdict(list)
    for r in results:
        groups[trigger_of(r), r["cell"]["read"]].append(r)
    sizes = len({records for _, records in groups})
    figure = _figure(3 * len(groups) + 1, 3)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, ((trigger, records), group) in zip(panels, groups.items(), strict=True):
        lines: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
        for r in group:
            for name, report in r["detectors"].items():
                lines[name][r["cell"]["rate"]].append(report["f1"] or 0.0)
        for name, points in lines.items():
            rates = sorted(points)
            panel.plot(
                [100 * rate for rate in rates],
                [float(np.mean(points[rate])) for rate in rates],
                marker="o",
                label=name,
            )
        title = f"{trigger}\n{records} records" if sizes > 1 else trigger
        panel.set(title=title, xlabel="poison rate (%)", ylim=(-0.03, 1.03), xscale="log")
    panels[0].set_ylabel("F1")
    panels[-1].legend(fontsize="x-small")
    return figure


def score_figure(scores: Mapping[str, Any]) -> Figure:
    """Draw each detector's scores as histograms of clean and poisoned, and its ROC curve."""
    poisoned = np.asarray(scores["poisoned"], bool)
    names = [name for name in scores if name != "poisoned"]
    figure = _figure(6, 2 * len(names) + 0.5)
    panels = figure.subplots(len(names), 2, squeeze=False)
    for (left, right), name in zip(panels, names, strict=True):
        score = np.asarray(scores[name], float)
        known = np.isfinite(score)
        left.set_title(name, fontsize="small")
        if not known.any():
            continue
        low, high = np.quantile(score[known], [0.0, 1.0])
        bins = np.linspace(low, high + 1e-9, 41)
        for chosen, label in ((~poisoned, "clean"), (poisoned, "poisoned")):
            left.hist(score[known & chosen], bins=bins, alpha=0.6, label=label, log=True)
        left.legend(fontsize="x-small")
        if poisoned[known].any() and not poisoned[known].all():
            right.plot(*roc_curve(poisoned, score))
            right.set_title(f"AUC {auc(poisoned, score):.3f}", fontsize="small")
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "matplotlib is not installed", "Install it with: pip install 'bye-lint[plots]'"
        ) from error
    # No pyplot: nothing global, no display.
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path
