"""The report for people: one file that shows what the model stared at. No network, no fonts.

Text of the dataset reaches the page through Jinja's autoescape, after
:func:`bye_lint.escape.visible`; images were decoded and encoded anew when the scan gathered its
evidence, and are decoded once more here, since a result file may come from anywhere. A content
security policy admits the one style sheet and the one script by their hashes, and pictures
that are inline; there are no style attributes. The script sorts and filters, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bye_lint.codes import CAMPAIGN, SUSPICIOUS
from bye_lint.escape import visible
from bye_lint.exhibits import Evidence, Picture
from bye_lint.heat import decode_map, overlay_png
from bye_lint.records import Finding, place_of
from bye_lint.reports import html_plots as plots
from bye_lint.reports import view, worth
from bye_lint.reports.base import RenderContext, Report
from bye_lint.results import ScanResult, ScoredSample

#: Findings and skipped records that are listed; the rest is counted.
MAX_ROWS = 300

#: Largest picture of a result that is put on a page, in pixels a side.
_MAX_SIDE = 512


@dataclass(frozen=True)
class Card:
    """A record as the page shows it.

    Attributes
    ----------
    key : str
        Names its pictures within the page.
    url : str or None
        Its line at the head commit.
    twin : Card or None
        The unflagged record next to it.
    """

    key: str
    rank: int
    sample: ScoredSample
    picture: Picture | None
    shape: tuple[int, int]
    thumbnail: str
    heat: str
    layers: tuple[tuple[int, str], ...]
    url: str | None
    twin: Card | None = None

    @property
    def coarse(self) -> bool:
        """The image has so few pixels that smoothing would hide a patch."""
        return self.picture is not None and max(self.picture.size) <= 160


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the page; see the module's description for what keeps it safe."""
    style, script = _asset("report.css"), _asset("report.js")
    evidence = result.evidence or Evidence()
    aside = _set_aside(result, context)
    cards, neighbours = _cards(result, evidence, context, {place_of(f) for f, _ in aside})
    template = _environment().get_template("report.html.j2")
    return (
        template.render(
            result=result,
            evidence=evidence,
            view=view,
            worth=worth,
            cards=cards,
            aside=aside,
            neighbours=neighbours,
            near=[n for d in evidence.near_misses if (n := neighbours.get(d)) is not None],
            style=Markup(style),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704
            policy=(
                "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
                f"style-src '{_source(style)}'; script-src '{_source(script)}'"
            ),
            histogram=_histogram(result),
            layer_plot=_layer_plot(result),
            head_map=plots.head_map(evidence.head_separation),
            patches=_patches(evidence),
            boxes=[p.trigger for p in evidence.pictures if p.trigger is not None],
            others=[f for f in view.active(result) if f.rule not in (SUSPICIOUS, CAMPAIGN)],
            max_rows=MAX_ROWS,
        )
        + "\n"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bye_lint.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["show"] = visible
    environment.filters["percent"] = view.percent
    environment.filters["question"] = _question
    return environment


@cache
def _asset(name: str) -> str:
    file = resources.files("bye_lint.reports") / "templates" / name
    return file.read_text("utf-8").strip()


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _picture(text: str, kind: str) -> str:
    """Return the data address of a picture of a result, decoded and encoded anew, or nothing."""
    try:
        data = base64.b64decode(text, validate=True)
        image = Image.open(io.BytesIO(data), formats=(kind,))
        if not text or max(image.size) > _MAX_SIDE:
            return ""
        out = io.BytesIO()
        image.convert("RGB").save(out, kind, quality=88, subsampling=0, optimize=True)
    except (binascii.Error, ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return ""
    return _address(out.getvalue(), kind)


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode('ascii')}"


def _heat(text: str, grid: tuple[int, int], strength: float = 1.0) -> str:
    values = decode_map(text, grid)
    if values is None:
        return ""
    shown = np.rint(values * min(1.0, max(0.0, strength))).astype(np.uint8)
    return _address(overlay_png(shown), "PNG")


def _full_heat(result: ScanResult, evidence: Evidence) -> float:
    """Return the excess that is drawn at full heat: the median of the suspects' peaks.

    On a scale of its own an unflagged record would glow as much as a suspect.
    """
    flagged = {s.digest for s in result.samples if s.suspicious}
    peaks = [p.peak for p in evidence.pictures if p.peak > 0 and p.digest in flagged]
    return statistics.median(peaks) if peaks else 0.0


def _question(text: str) -> str:
    """Return a prompt for reading: without the image's placeholder, on one line."""
    return " ".join(text.replace("<image>", " ").split())


def _set_aside(result: ScanResult, context: RenderContext) -> list[tuple[Finding, str | None]]:
    """Return the suspects that were accepted or are not judged, with the address of their line."""
    found = view.set_aside(result)
    return [(f, view.line_url(context.environ, f.path, f.line)) for f in found]


def _cards(
    result: ScanResult,
    evidence: Evidence,
    context: RenderContext,
    aside: Collection[tuple[str, int, int]],
) -> tuple[list[Card], dict[str, Card]]:
    """Return the open suspects' cards, by falling score, and the unflagged pictured records.

    Parameters
    ----------
    aside : collection of tuple
        Places of suspects that have no card.
    """
    pictures = {p.digest: p for p in evidence.pictures}
    by_digest: dict[str, ScoredSample] = {}
    for sample in result.samples:
        if sample.digest in pictures:
            by_digest.setdefault(sample.digest, sample)
    full = _full_heat(result, evidence)
    neighbours = {
        digest: _card(f"n{i}", 0, sample, pictures[digest], context, full=full)
        for i, (digest, sample) in enumerate(by_digest.items())
        if not sample.suspicious
    }
    suspects = [s for s in result.samples if s.suspicious and place_of(s) not in aside]
    suspects.sort(key=lambda s: (-(s.score or 0.0), s.path, s.line))
    cards = []
    for rank, sample in enumerate(suspects, start=1):
        picture = pictures.get(sample.digest)
        twin = neighbours.get(picture.twin) if picture is not None else None
        cards.append(_card(f"s{rank}", rank, sample, picture, context, twin, full=full))
    return cards, neighbours


def _card(
    key: str,
    rank: int,
    sample: ScoredSample,
    picture: Picture | None,
    context: RenderContext,
    twin: Card | None = None,
    *,
    full: float,
) -> Card:
    thumbnail = _picture(picture.thumbnail, "JPEG") if picture is not None else ""
    layers: tuple[tuple[int, str], ...] = ()
    if picture is not None and thumbnail and sample.suspicious:
        layers = tuple(
            (layer, heat)
            for layer, text in zip(picture.layers, picture.layer_maps, strict=False)
            if (heat := _heat(text, picture.grid))
        )
    strength = picture.peak / full if picture is not None and full and picture.peak else 1.0
    return Card(
        key=key,
        rank=rank,
        sample=sample,
        picture=picture,
        shape=_shape(picture),
        thumbnail=thumbnail,
        heat=""
        if picture is None or not thumbnail
        else _heat(picture.heat, picture.grid, strength),
        layers=layers,
        url=view.line_url(context.environ, sample.path, sample.line),
        twin=twin,
    )


def _shape(picture: Picture | None) -> tuple[int, int]:
    """Return width and height of the drawing: the image's proportions, 100 units the longer."""
    if picture is None or min(picture.size) < 1:
        return (100, 100)
    longest = max(picture.size)
    return (
        max(1, round(100 * picture.size[0] / longest)),
        max(1, round(100 * picture.size[1] / longest)),
    )


def _histogram(result: ScanResult) -> Markup:
    scored = [s for s in result.samples if s.score is not None]
    if not scored or result.detection is None:
        return Markup("")
    return plots.histogram(
        [s.score for s in scored if s.score is not None],
        [float(s.suspicious) if s.posterior is None else s.posterior for s in scored],
        threshold=result.detection.threshold,
        name=visible(result.detection.score_name or "score"),
    )


def _layer_plot(result: ScanResult) -> Markup:
    if result.detection is None:
        return Markup("")
    return plots.layer_plot(result.detection.layers, visible(result.detection.entropy_unit))


def _patches(evidence: Evidence) -> Sequence[tuple[str, str]]:
    """Return the reconstruction's pictures with their captions."""
    trigger = evidence.trigger
    if trigger is None:
        return ()
    overlay = trigger.kind == "overlay"
    pictures = (
        (trigger.mean_patch, "Common pattern, amplified" if overlay else "Average of the patch"),
        (trigger.std_patch, "Where it varies: black is the same in all of them"),
        (trigger.crop, "As it stands in one suspect"),
    )
    return [(shown, said) for text, said in pictures if text and (shown := _picture(text, "PNG"))]


REPORT = Report(
    "html",
    "one page to look at: images, attention, the trigger; no network",
    render,
    ".html",
)
