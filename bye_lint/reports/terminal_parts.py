"""The parts of the terminal report, from the verdict down to the hints. Imports rich."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bye_lint.escape import MAX_MESSAGE, visible
from bye_lint.reports import terminal_tables as tables
from bye_lint.reports import view
from bye_lint.results import ScanResult, VerdictName

_STYLES: dict[VerdictName, str] = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def parts(result: ScanResult, *, verbose: bool) -> Iterator[RenderableType]:
    """Yield the parts that have something to say about this result."""
    yield header(result)
    yield from tables.findings(result, verbose=verbose)
    yield from tables.campaigns(result)
    yield from tables.evidence(result)
    yield from tables.structure(result, verbose=verbose)
    yield from tables.scores(result)
    yield from tables.layers(result, verbose=verbose)
    yield from tables.methods(result)
    yield from tables.power(result)
    if verbose:
        yield from settings(result)
    yield hints(result, verbose=verbose)


def header(result: ScanResult) -> RenderableType:
    """Return the panel with the verdict, the reasons, the counts and the gate."""
    style = _STYLES[result.verdict]
    title = Text()
    title.append(
        f" {view.MARKS[result.verdict]} {result.verdict.upper()} ", f"bold reverse {style}"
    )
    title.append(f"  {view.exit_sentence(result)}", "dim")
    reasons = [Text(f"▸ {visible(reason, MAX_MESSAGE)}", style="bold") for reason in result.reasons]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(result):
        facts.add_row(name, text)
    version = visible(result.reproducibility.tool_version)
    return Panel(
        Group(title, *reasons, Text(), facts),
        title=Text(f"bye-lint {version}"),
        title_align="left",
        border_style=style,
        box=ROUNDED,
        padding=(0, 2),
    )


def _facts(result: ScanResult) -> Iterator[tuple[str, str]]:
    counts, made, found = result.counts, result.reproducibility, result.detection
    if result.paths:
        yield "data", visible(", ".join(result.paths))
    numbers = [
        f"{counts.records:,} read",
        f"{counts.scored:,} scored",
        f"{counts.skipped:,} skipped",
    ]
    if counts.without_image:
        numbers.append(f"{counts.without_image:,} without an image")
    if counts.changed is not None:
        numbers.append(f"{counts.changed:,} changed")
    if counts.context is not None:
        numbers.append(f"{counts.context:,} as context")
    yield "records", " · ".join(numbers)
    yield "gate", visible(view.gate_sentence(result), MAX_MESSAGE)
    if made.model:
        model = [made.model, made.family, made.fine_tuned, f"{made.device} {made.dtype}".strip()]
        yield "model", " · ".join(visible(part) for part in model if part)
    if found is not None:
        yield "detector", " · ".join(_detector(result))
    if view.unjudged(result):
        unchanged = view.plural(view.unjudged(result), "suspicious sample")
        yield "not judged", f"{unchanged}, unchanged"
    if view.suppressed(result):
        yield "suppressed", f"{view.plural(view.suppressed(result), 'finding')}, not shown here"


def _detector(result: ScanResult) -> Iterator[str]:
    found = result.detection
    if found is None:
        return
    yield visible(found.method)
    if found.score_name:
        yield visible(found.score_name)
    yield "no threshold was set" if found.threshold is None else f"threshold {found.threshold:.4g}"
    if found.null_p_value is not None:
        yield f"chance on clean data {found.null_p_value:.2g}"


def settings(result: ScanResult) -> Iterator[RenderableType]:
    """Yield what is needed to get the same answer again, and where the time went."""
    made = result.reproducibility
    rows = {
        "seed": str(made.seed),
        "python": made.python,
        "packages": ", ".join(
            f"{name} {version}" for name, version in sorted(made.packages.items())
        ),
        "model digest": made.model_digest,
        "dataset digest": made.dataset_digest,
        "policy digest": made.policy_digest,
    }
    if result.detection is not None:
        rows |= {f"detector {key}": value for key, value in result.detection.parameters.items()}
    rows |= {f"{stage} time": f"{seconds:.1f} s" for stage, seconds in result.timings.items()}
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows.items():
        if text:
            grid.add_row(visible(name), visible(text, 400))
    yield tables.section("Settings", "what it takes to get the same answer again", grid)


def hints(result: ScanResult, *, verbose: bool) -> RenderableType:
    """Return what a reader may want to type next."""
    rows = []
    if result.verdict == "inconclusive":
        rows.append(("what to do", view.remedy_sentence(result)))
    shown = view.by_rule([*view.active(result), *result.skipped])
    if shown:
        rows.append((f"bye-lint rule {shown[0].rule.code}", "explains the rule, and what to do"))
    if view.suspects(result):
        rows.append(("--report html=report.html", "shows where the model looked in each suspect"))
    if not verbose:
        rows.append(("--verbose", "shows every layer, every finding and every setting"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(style="dim")
    for command, effect in rows:
        grid.add_row(visible(command), effect)
    return grid
