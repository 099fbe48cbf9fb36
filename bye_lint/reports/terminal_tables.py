"""The tables and the histogram of the terminal report. Imports rich."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bye_lint.escape import MAX_MESSAGE, visible
from bye_lint.records import Finding, Skipped
from bye_lint.reports import view
from bye_lint.reports.histogram import Bin, histogram
from bye_lint.reports.terminal import place
from bye_lint.reports.worth import MARKS, planted, power_sentence, worth_sentence
from bye_lint.results import LayerProfile, ScanResult

TOP_FINDINGS = 10
TOP_LAYERS = 12
TOP_CAMPAIGNS = 10
#: Other findings that are shown unless everything is asked for.
TOP_BROKEN = 5
BAR = 40
#: Columns of a bar beside a layer, and what the layer's figures take.
LAYER_BAR = 16
LAYER_FIGURES = 60
#: What a suspect's other columns need beside its place.
BESIDE_PLACE = 46


class _ByWidth:
    """A part that is laid out by the columns it gets: rich crops figures without a sign."""

    def __init__(self, layout: Callable[[int], RenderableType]) -> None:
        self._layout = layout

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        yield self._layout(options.max_width)


def section(title: str, note: str, *body: RenderableType) -> RenderableType:
    """Return a titled part, its body set in."""
    head = Text(title, style="bold")
    if note:
        head.append(f"  {note}", "dim not bold")
    return Group(head, *(Padding(item, (0, 0, 0, 2)) for item in body))


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(
            name, justify="right" if name in right else "left", overflow="fold", vertical="top"
        )
    return table


def _more(hidden: int, what: str) -> list[Text]:
    return [Text(f"… and {hidden:,} more {what}", style="dim")] if hidden > 0 else []


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def findings(result: ScanResult, *, verbose: bool) -> Iterator[RenderableType]:
    """Yield the suspicious samples, worst first."""
    suspects = view.suspects(result)
    if not suspects:
        return
    shown = suspects if verbose else suspects[:TOP_FINDINGS]
    body = _ByWidth(lambda width: _suspects(shown, width))
    note = f"{len(suspects):,}, the most suspicious first"
    yield section("Suspicious samples", note, body, *_more(len(suspects) - len(shown), "suspects"))


def _suspects(shown: Sequence[Finding], width: int) -> RenderableType:
    """Return a table; where it had to break places, which are copied whole, two lines a suspect."""
    rows = [
        (
            Text(place(f.path, f.line), style="bold"),
            Text(visible(f.sample_id or "–", 60)),
            Text(_number(f.score, ".2f"), style="red"),
            Text(_number(f.posterior, ".3f")),
            Text(visible(f.properties.get("answer", "–"), 80)),
        )
        for f in shown
    ]
    longest = max(cell_len(where.plain) for where, *_ in rows)
    if longest + BESIDE_PLACE > width:
        lines: list[RenderableType] = []
        for where, sample, score, posterior, answer in rows:
            said = Text.assemble(sample, "  score ", score, "  posterior ", posterior, "  ", answer)
            lines += [where, Padding(said, (0, 0, 0, 2))]
        return Group(*lines)
    table = _table("where", "sample", "score", "posterior", "answer", right=("score", "posterior"))
    table.columns[0].min_width = longest
    table.columns[2].no_wrap = table.columns[3].no_wrap = True
    for row in rows:
        table.add_row(*row)
    return table


def campaigns(result: ScanResult) -> Iterator[RenderableType]:
    """Yield what groups of suspects have in common."""
    if not result.campaigns:
        return
    table = _table("what they share", "value", "who")
    for campaign in result.campaigns[:TOP_CAMPAIGNS]:
        table.add_row(
            Text(visible(campaign.kind, 40)),
            Text(visible(campaign.value, 80), style="bold red"),
            view.campaign_sentence(campaign),
        )
    more = _more(len(result.campaigns) - TOP_CAMPAIGNS, "groups")
    yield section("Campaigns", "suspects that belong together", table, *more)


def evidence(result: ScanResult) -> Iterator[RenderableType]:
    """Yield what the suspects' images and questions have in common."""
    said = view.evidence_sentences(result)
    if said:
        lines = [Text(f"▸ {visible(sentence, MAX_MESSAGE)}") for sentence in said]
        yield section("Evidence", "what the suspects' images and questions share", *lines)


def scores(result: ScanResult) -> Iterator[RenderableType]:
    """Yield the histogram of the scores, with the threshold drawn between two bins."""
    bins = histogram(result)
    if not bins or result.detection is None:
        return
    threshold = result.detection.threshold
    most = max(b.count for b in bins)
    labels = [_label(b, i, len(bins)) for i, b in enumerate(bins)]
    pad = max(map(len, labels))
    lines = Text()
    drawn = threshold is None
    for b, label in zip(bins, labels, strict=True):
        if not drawn and threshold is not None and b.low >= threshold - 1e-12:
            lines.append(f"{'─' * pad}─┼─ threshold {threshold:.4g}\n", "yellow")
            drawn = True
        lines.append(f"{label:>{pad}} │ ", "dim")
        lines.append("░" * _cells(b.rest, most), "cyan")
        lines.append("█" * _cells(b.suspects, most), "red")
        lines.append(f" {b.count:,}\n" if b.count else "\n", "dim")
    if not drawn:
        lines.append(f"{'─' * pad}─┼─ threshold {threshold:.4g}\n", "yellow")
    lines.append(f"{'':>{pad}}   ")
    lines.append("█", "red")
    lines.append(" suspicious  ", "dim")
    lines.append("░", "cyan")
    lines.append(" the rest", "dim")
    yield section("Scores", visible(result.detection.score_name), lines)


def _label(b: Bin, index: int, count: int) -> str:
    digits = max(0, min(6, 1 - math.floor(math.log10(b.high - b.low))))
    if index == count - 1 and count > 1:
        return f"≥ {b.low:.{digits}f}"
    return f"< {b.high:.{digits}f}" if index == 0 else f"{b.low:.{digits}f}"


def _cells(count: int, most: int) -> int:
    return max(1, round(BAR * count / most)) if count else 0


def layers(result: ScanResult, *, verbose: bool) -> Iterator[RenderableType]:
    """Yield what the mixture says of each layer, the sensitive ones marked."""
    if result.detection is None or not result.detection.layers:
        return
    profiles = result.detection.layers
    order = sorted(profiles, key=lambda p: (not p.sensitive, -p.bsi, p.layer))
    limit = max(TOP_LAYERS, sum(p.sensitive for p in profiles))
    chosen = profiles if verbose else sorted(order[:limit], key=lambda p: p.layer)
    table = _ByWidth(lambda width: _layers(chosen, width))
    sensitive = [str(p.layer) for p in profiles if p.sensitive]
    if sensitive:
        noun = "sensitive layer" if len(sensitive) == 1 else "sensitive layers"
        note = f"{result.detection.entropy_unit}; {noun}: {', '.join(sensitive)}"
    else:
        note = f"{result.detection.entropy_unit}; no layer is sensitive"
    heads = _heads(result) if verbose else []
    more = _more(len(profiles) - len(chosen), "layers, none of them sensitive")
    yield section("Entropy by layer", visible(note), table, *more, *heads)


def _layers(chosen: Sequence[LayerProfile], width: int) -> Table:
    """Return the layers' figures, and bars where there is room for both."""
    names = ["", "layer", "lower mode", "upper mode", "BSI"]
    if width >= LAYER_FIGURES + LAYER_BAR:
        names.append("")
    table = _table(*names, right=("layer", "BSI"))
    most = max((p.bsi for p in chosen), default=0.0) or 1.0
    rows = [_layer(p, min(max(most, 4.0), 10.0))[: len(names)] for p in chosen]
    for p, row in zip(chosen, rows, strict=True):
        table.add_row(*row, style="bold" if p.sensitive else "")
    for at, column in enumerate(table.columns):
        # the modes may be broken between their figures, the others not
        column.no_wrap = at not in (2, 3)
        if column.no_wrap:
            cells = [str(row[at]) for row in rows]
            column.min_width = max(map(cell_len, (names[at], *cells)))
    return table


def _layer(p: LayerProfile, most: float) -> tuple[str | Text, ...]:
    mark = Text("●", style="red") if p.sensitive else Text("")
    if len(p.means) < 2:
        return mark, str(p.layer), Text(visible(p.note or "–"), style="dim"), "", "–", ""
    modes = [
        f"{mean:.3f} ± {std:.3f} {view.percent(weight):>5}"
        for mean, std, weight in zip(p.means, p.stds, p.weights, strict=True)
    ]
    cells = min(LAYER_BAR, max(0, round(LAYER_BAR * p.bsi / most)))
    bar = Text("━" * cells, style="red" if p.sensitive else "cyan")
    return mark, str(p.layer), modes[0], modes[-1], f"{p.bsi:.2f}", bar


def _heads(result: ScanResult) -> list[RenderableType]:
    if result.detection is None or not result.detection.heads:
        return []
    table = _table("layer", "head", "feature", "weight", right=("layer", "head", "weight"))
    for head in result.detection.heads:
        table.add_row(str(head.layer), str(head.head), visible(head.feature), f"{head.weight:.3f}")
    return [Text(), table]


def methods(result: ScanResult) -> Iterator[RenderableType]:
    """Yield how many each method would have flagged on the same attention."""
    rows = view.methods(result)
    if len(rows) < 2:
        return
    table = _table("", "method", "suspects", "", right=("suspects",))
    for name, count, used in rows:
        note = "the verdict rests on this" if used else ""
        mark = Text("●" if used else "", style="green")
        table.add_row(mark, Text(visible(name)), f"{count:,}", note, style="bold" if used else "")
    yield section("The same attention, judged by each method", "", table)


def power(result: ScanResult) -> Iterator[RenderableType]:
    """Yield what the canaries prove, which is what a pass is worth."""
    if result.structural_only or result.detection is None:
        return
    worth = Text(worth_sentence(result))
    rows = result.detection.power
    notes = [Text(visible(note, 300), style="dim") for note in result.detection.notes]
    title = "What this pass is worth" if result.verdict == "pass" else "What this check can see"
    if not rows:
        yield section(title, "", worth, *notes)
        return
    table = _table(
        "", "trigger", "planted", "learned", "found", "", right=("planted", "learned", "found")
    )
    for p in rows:
        table.add_row(
            Text(MARKS[p.state], style="green" if p.state == "found" else "yellow"),
            Text(visible(p.kind, 60)),
            planted(p, result.counts),
            view.percent(p.learned),
            view.percent(p.recall),
            power_sentence(p),
        )
    yield section(title, "canaries: known triggers on copies of records", worth, table, *notes)


def structure(result: ScanResult, *, verbose: bool) -> Iterator[RenderableType]:
    """Yield what the structural and policy rules found, by rule, and what was skipped for it."""
    items = view.broken(result)
    if not items:
        return
    table = _table("rule", "", "count", "skipped", "first at", right=("count", "skipped"))
    for row in view.by_rule(items):
        style = {"error": "red", "warning": "yellow", "note": "cyan"}[row.rule.level]
        skipped = sum(item.rule == row.rule.code for item in result.skipped)
        table.add_row(
            Text(visible(row.rule.code, 20), style=style),
            Text(visible(row.rule.name, 40)),
            f"{row.count:,}",
            f"{skipped:,}",
            Text(place(row.first.path, row.first.line), style="bold"),
        )
    shown = items if verbose else items[:TOP_BROKEN]
    body: list[RenderableType] = [
        table,
        Text(),
        *(_item(item) for item in shown),
        *_more(len(items) - len(shown), "findings"),
    ]
    note = f"{view.plural(len(result.skipped), 'record')} skipped, so not judged"
    yield section("Other findings", note if result.skipped else "", *body)


def _item(item: Finding | Skipped) -> Text:
    # the id tells records apart that stand on one line
    sample = f" [{visible(item.sample_id)}]" if item.sample_id else ""
    text = f"{place(item.path, item.line)}: {visible(item.rule, 20)} {visible(item.message)}"
    return Text(text + sample)
