"""One record, explained: in the terminal, and as a picture.

``explain`` reads a saved result. The image and its attention maps are there for suspects and
their neighbours; of any other record it tells the figures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bye_lint.codes import SUSPICIOUS
from bye_lint.errors import UsageError
from bye_lint.escape import visible
from bye_lint.exhibits import Picture, Reconstruction
from bye_lint.lookup import find_sample, places, remarks, require_sample
from bye_lint.portrait import drawn, sheet, thumbnail
from bye_lint.records import Finding, Skipped
from bye_lint.results import ScanResult, ScoredSample
from bye_lint.robust import NORMAL


@dataclass(frozen=True)
class LayerStanding:
    """One layer's entropy of the record among the unflagged ones.

    Attributes
    ----------
    z : float
        Deviation from the median of the unflagged records, in scaled MADs; 0 where they are
        all the same.
    rank : float
        Share of unflagged records with a lower entropy.
    """

    layer: int
    entropy: float
    median: float
    z: float
    rank: float
    sensitive: bool


def standings(result: ScanResult, sample: ScoredSample) -> tuple[LayerStanding, ...]:
    """Return where the record's entropies stand among the unflagged records'."""
    depth = len(sample.entropy)
    rows = [s.entropy for s in result.samples if not s.suspicious and len(s.entropy) == depth]
    if not depth or not rows:
        return ()
    others = np.array(rows)
    profiles = result.detection.layers if result.detection is not None else ()
    sensitive = {p.layer for p in profiles if p.sensitive}
    found = []
    for layer, value in enumerate(sample.entropy):
        median = float(np.median(others[:, layer]))
        spread = NORMAL * float(np.median(np.abs(others[:, layer] - median)))
        found.append(
            LayerStanding(
                layer=layer,
                entropy=value,
                median=median,
                z=(value - median) / spread if spread > 1e-9 else 0.0,
                rank=float((others[:, layer] < value).mean()),
                sensitive=layer in sensitive,
            )
        )
    return tuple(found)


def reasons(result: ScanResult, sample: ScoredSample) -> tuple[str, ...]:
    """Say in sentences why the record was flagged, or why not."""
    said = []
    d = result.detection
    score, threshold = sample.score, d.threshold if d is not None else None
    if score is None:
        return ("It was not scored, so nothing is known about it.",)
    name = visible(d.score_name) if d is not None and d.score_name else "score"
    if sample.by_answer:
        said.append(
            "Its attention is like the other records'. It is accused for its answer, which records "
            "give whose attention is not, whatever is asked."
        )
    elif threshold is not None:
        said.append(f"Its {name} is {score:.2f}, {_against(sample, score, threshold)}.")
    else:
        said.append(f"Its {name} is {score:.2f}.")
    if sample.posterior is not None:
        said.append(f"The probability of the suspicious component is {sample.posterior:.3f}.")
    scores = [s.score for s in result.samples if s.score is not None]
    higher = sum(other > score for other in scores)
    said.append(f"{higher:,} of {len(scores):,} records score higher.")
    said += [
        f"Shared with {c.count - 1} other suspects, and {c.share_of_rest:.1%} of the rest: "
        f"{c.kind} “{visible(c.value, 80)}”."
        for c in result.campaigns
        if sample.sample_id in c.sample_ids
    ]
    trigger = result.evidence.trigger if result.evidence is not None else None
    picture = _picture(result, sample)
    if trigger is not None and sample.suspicious:
        if picture is not None and picture.trigger is not None:
            box = picture.trigger
            said.append(
                "It carries the reconstructed patch, "
                f"{box.width * picture.size[0]:.0f} × {box.height * picture.size[1]:.0f} pixels at "
                f"{box.left * picture.size[0]:.0f}, {box.top * picture.size[1]:.0f}."
            )
        elif trigger.kind.startswith("patch"):
            said.append(
                "The reconstructed patch was not found in it."
                if picture is not None and _searched(trigger, picture)
                else "It was not searched for the reconstructed patch."
            )
    suppressed = [
        f.suppressed
        for f in result.findings
        if f.suppressed and (f.path, f.line, f.rule) == (sample.path, sample.line, SUSPICIOUS)
    ]
    said += [f"The finding is suppressed: {visible(reason)}" for reason in suppressed]
    return tuple(said)


def _against(sample: ScoredSample, score: float, threshold: float) -> str:
    """Say where a score lies, and what decides where that is not it."""
    side = "above" if score > threshold else "below" if score < threshold else "at"
    said = f"{side} the threshold of {threshold:.2f}"
    if side == ("below" if sample.suspicious else "above"):
        said += "; the probability decides, not the score"
    return said


def explain_text(
    result: ScanResult,
    name: str,
    *,
    width: int = 100,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the explanation for a terminal.

    Of a record that was not scored it tells what was found in it.

    Parameters
    ----------
    name : str
        The record's id, or its place as ``path:line``.
    color : bool
        Draw the image itself, two pixels a character; without it the map is drawn in shades.

    Raises
    ------
    UsageError
        See :func:`.lookup.require_sample`.
    """
    found = find_sample(result, name)
    if found is None and (said := remarks(result, name)):
        return _print(_remarked(name, said), width, color, ascii_only)
    sample = found or require_sample(result, name)
    verdict = "SUSPICIOUS" if sample.suspicious else "not flagged"
    parts: list[RenderableType] = [
        Text(f"{visible(sample.sample_id, 80)}: {verdict}", style="bold"),
        Text(f"{visible(sample.path)}:{sample.line}", style="dim"),
        Text(),
        _row(_asked(sample), " ".join(sample.prompt.replace("<image>", " ").split())),
        _row("Answer", sample.answer),
        Text(),
        *(Text(f"- {reason}") for reason in reasons(result, sample)),
    ]
    picture = _picture(result, sample)
    if picture is not None:
        parts += [Text(), *drawn(picture, color, ascii_only, width)]
    table = _table(standings(result, sample), ascii_only)
    if table is not None:
        parts += [Text(), table]
    return _print(parts, width, color, ascii_only)


def _print(parts: Sequence[RenderableType], width: int, color: bool, ascii_only: bool) -> str:
    console = Console(
        width=width,
        file=io.StringIO(),
        force_terminal=color,
        color_system="truecolor" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Group(*parts))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    return text.encode("ascii", "replace").decode("ascii") if ascii_only else text


def _remarked(name: str, said: Sequence[Finding | Skipped]) -> list[RenderableType]:
    """Tell of a record that was not scored what was found in it."""
    parts: list[RenderableType] = [Text(f"{visible(name, 80)}: not scored", style="bold")]
    place = ""
    for row in said:
        if place != places(row)[0]:
            place = places(row)[0]
            parts += [Text(visible(place), style="dim"), Text()]
        parts.append(Text(f"- {row.rule} {visible(row.message, 300)}"))
        if isinstance(row, Finding) and row.suppressed:
            parts.append(Text(f"- The finding is suppressed: {visible(row.suppressed)}"))
    return parts


def explain_png(result: ScanResult, name: str) -> bytes:
    """Return a PNG: the image, its attention above the background, and each sensitive layer's.

    Raises
    ------
    UsageError
        If there is no such record, or the result holds no picture of it.
    """
    sample = require_sample(result, name)
    picture = _picture(result, sample)
    image = thumbnail(picture) if picture is not None else None
    if picture is None or image is None:
        raise UsageError(
            f"the result holds no picture of {visible(name, 80)}",
            "Pictures are kept for suspects, their look-alikes and the nearest misses.",
        )
    return sheet(picture, image)


def _picture(result: ScanResult, sample: ScoredSample) -> Picture | None:
    pictures = result.evidence.pictures if result.evidence is not None else ()
    return next((p for p in pictures if p.digest == sample.digest), None)


def _searched(trigger: Reconstruction, picture: Picture) -> bool:
    """Whether the patch was looked for: one that moves is found by the map."""
    return bool(picture.heat if trigger.kind == "patch-moving" else picture.thumbnail)


def _row(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<9} ", "dim"), visible(text, 300))


def _asked(sample: ScoredSample) -> str:
    """Name the question; that of a conversation by its number."""
    return "Question" if sample.question == 1 else f"Question {sample.question}"


def _table(rows: Sequence[LayerStanding], ascii_only: bool) -> Table | None:
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("layer", "entropy", "unflagged", "z", "lower than it"):
        table.add_column(name, justify="right")
    table.add_column("")
    mark = "* sensitive" if ascii_only else "◆ sensitive"
    for row in rows:
        table.add_row(
            str(row.layer),
            f"{row.entropy:.3f}",
            f"{row.median:.3f}",
            f"{row.z:+.1f}",
            f"{row.rank:.0%}",
            mark if row.sensitive else "",
            style="bold" if abs(row.z) >= 4 else "",
        )
    return table
