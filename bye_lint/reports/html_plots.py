"""The plots of the HTML report, as inline SVG.

Written by hand because three plain figures don't pay for a plotting library: matplotlib (the
usual choice) would weigh more than the rest of the base installation, bakes in its colours,
where these follow the reader's light or dark scheme, and draws its text as outlines, which
can't be searched, read aloud or enlarged. Nothing of the dataset's text enters a plot; figures
only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bye_lint.results import LayerProfile

_WIDTH = 720
_HEIGHT = 260
_LEFT = 52
_BOTTOM = 34
_TOP = 14


@dataclass(frozen=True)
class Scale:
    """A linear scale from data to pixels; ``bend`` compresses long tails (inverse sine)."""

    low: float
    high: float
    start: float
    stop: float
    bend: float = 0.0

    def __call__(self, value: float) -> float:
        low, high, x = (self._bent(v) for v in (self.low, self.high, value))
        share = (x - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.stop - self.start)

    def inverse(self, pixel: float) -> float:
        """Return the value that stands at a pixel."""
        low, high = self._bent(self.low), self._bent(self.high)
        x = low + (pixel - self.start) / (self.stop - self.start) * (high - low)
        return math.sinh(x) * self.bend if self.bend else x

    def _bent(self, value: float) -> float:
        return math.asinh(value / self.bend) if self.bend else value


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round numbers that span a range."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if raw <= power * m)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def histogram(
    scores: Sequence[float],
    weights: Sequence[float],
    *,
    threshold: float | None,
    name: str,
) -> Markup:
    """Draw how many records have which score, stacked by the probability of being suspicious.

    Parameters
    ----------
    scores : (n,) sequence
    weights : (n,) sequence
        Probability of the suspicious component, in [0, 1].
    """
    x = np.asarray(scores, dtype=np.float64)
    w = np.clip(np.asarray(weights, dtype=np.float64), 0, 1)
    low, high = float(x.min()), float(x.max())
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    pad = (high - low) * 0.02 or 1.0
    low, high = low - pad, high + pad
    spread = float(np.subtract(*np.percentile(x, [75, 25]))) or (high - low) / 10
    bend = 2 * spread if high - low > 30 * spread else 0.0
    across = Scale(low, high, _LEFT, _WIDTH - 10, bend)
    pixels = np.linspace(across.start, across.stop, 61)
    edges = np.array([across.inverse(p) for p in pixels])
    edges[0], edges[-1] = low, high
    suspicious, _ = np.histogram(x, edges, weights=w)
    everyone, _ = np.histogram(x, edges)
    up = Scale(
        0.0, math.sqrt(max(1.0, float(everyone.max()))), _HEIGHT - _BOTTOM, _TOP
    )  # square root: a few suspects are seen beside a thousand others
    bars = [_axis_x(across, name, bend), _axis_counts(up)]
    for i in range(len(pixels) - 1):
        left, width = pixels[i], pixels[i + 1] - pixels[i] - 1
        if not everyone[i]:
            continue
        top = up(math.sqrt(everyone[i]))
        bars.append(_bar("rest", left, top, width, up(0) - top))
        if suspicious[i] > 0.05:
            high_top = up(math.sqrt(suspicious[i]))
            bars.append(_bar("susp", left, high_top, width, up(0) - high_top))
    if threshold is not None:
        at = across(threshold)
        bars.append(
            Markup(
                '<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
                '<text class="limit-label" x="{tx:.1f}" y="{ty}">threshold {t:.3g}</text>'
            ).format(x=at, top=_TOP, bottom=up(0), tx=at + 5, ty=_TOP + 10, t=threshold)
        )
    summary = f"Histogram of {name} over {len(x)} records."
    return _svg(bars, summary, _WIDTH, _HEIGHT)


def layer_plot(layers: Sequence[LayerProfile], unit: str) -> Markup:
    """Draw mean and spread of both components of each layer's entropy; sensitive layers marked."""
    fitted = [p for p in layers if len(p.means) == 2]
    if not fitted:
        return Markup("")
    low = min(m - s for p in fitted for m, s in zip(p.means, p.stds, strict=True))
    high = max(m + s for p in fitted for m, s in zip(p.means, p.stds, strict=True))
    pad = (high - low) * 0.06 or 1.0
    up = Scale(low - pad, high + pad, _HEIGHT - _BOTTOM, _TOP)
    step = (_WIDTH - _LEFT - 10) / len(layers)
    parts = [_axis_values(up, f"entropy, {unit}")]
    every = max(1, math.ceil(len(layers) / 24))
    for i, profile in enumerate(layers):
        middle = _LEFT + step * (i + 0.5)
        if profile.sensitive:
            parts.append(
                Markup(
                    '<rect class="sensitive" x="{x:.1f}" y="{y}" width="{w:.1f}" height="{h:.1f}"/>'
                    '<path class="mark" d="M{m:.1f} {t}l5 5l-5 5l-5-5z"/>'
                ).format(
                    x=middle - step / 2, y=_TOP, w=step, h=up.start - _TOP, m=middle, t=_TOP + 2
                )
            )
        for kind, shift, index in (("lower", -0.16, 0), ("upper", 0.16, 1)):
            if len(profile.means) == 2:
                parts.append(
                    _whisker(
                        kind,
                        middle + shift * step,
                        up,
                        profile.means[index],
                        profile.stds[index],
                        profile.weights[index],
                    )
                )
        if i % every == 0:
            parts.append(
                Markup(
                    '<text class="tick" text-anchor="middle" x="{x:.1f}" y="{y}">{n}</text>'
                ).format(x=middle, y=up.start + 15, n=profile.layer)
            )
    parts.append(_label_x("decoder layer"))
    named = ", ".join(str(p.layer) for p in layers if p.sensitive) or "none"
    return _svg(
        parts,
        f"Two components of each layer's entropy; sensitive layers: {named}.",
        _WIDTH,
        _HEIGHT,
    )


def head_map(table: Sequence[Sequence[float]]) -> Markup:
    """Draw how well each head separates: a row a layer, a column a head, darker is better."""
    n_layers, n_heads = len(table), max((len(row) for row in table), default=0)
    if not n_layers or not n_heads:
        return Markup("")
    size = max(5.0, min(24.0, (_WIDTH - _LEFT) / n_heads, 480 / n_layers))
    cells: dict[int, list[str]] = {}
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            level = min(9, max(0, int((value - 0.5) * 20)))
            cells.setdefault(level, []).append(
                f"M{_LEFT + column * size:.1f} {row * size + 1:.1f}h{size - 1:.1f}v{size - 1:.1f}"
                f"h-{size - 1:.1f}z"
            )
    parts = [
        Markup('<path class="cell v{level}" d="{d}"/>').format(level=level, d="".join(paths))
        for level, paths in sorted(cells.items())
    ]
    every = max(1, math.ceil(14 / size))
    for row in range(0, n_layers, every):
        parts.append(
            Markup('<text class="tick" text-anchor="end" x="{x}" y="{y:.1f}">{n}</text>').format(
                x=_LEFT - 6, y=row * size + size / 2 + 4, n=row
            )
        )
    best = max(
        ((v, layer, head) for layer, row in enumerate(table) for head, v in enumerate(row)),
    )
    text = (
        f"Separation by head, {n_layers} layers by {n_heads} heads; the best is layer {best[1]}, "
        f"head {best[2]}, at {best[0]:.2f}."
    )
    return _svg(parts, text, _LEFT + n_heads * size + 2, n_layers * size + 4, fixed=True)


def _svg(
    parts: Sequence[Markup], text: str, width: float, height: float, *, fixed: bool = False
) -> Markup:
    """Return the drawing; it fills the column unless its size is ``fixed``."""
    size = Markup('width="{:.0f}" height="{:.0f}"').format(width, height) if fixed else Markup("")
    return Markup(
        '<svg class="plot" {size} viewBox="0 0 {w:g} {h:g}" role="img" aria-label="{text}">'
        "{body}</svg>"
    ).format(size=size, w=width, h=height, text=text, body=Markup("").join(parts))


def _bar(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup(
        '<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
    ).format(kind=kind, x=x, y=y, w=max(width, 0.5), h=max(height, 0.5))


def _whisker(kind: str, x: float, up: Scale, mean: float, std: float, weight: float) -> Markup:
    """Draw a component; the dot's area is its weight."""
    return Markup(
        '<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{a:.1f}" y2="{b:.1f}"/>'
        '<circle class="{kind}" cx="{x:.1f}" cy="{m:.1f}" r="{r:.1f}"/>'
    ).format(
        kind=kind, x=x, a=up(mean - std), b=up(mean + std), m=up(mean), r=2 + 4 * math.sqrt(weight)
    )


def _axis_x(scale: Scale, label: str, bend: float) -> Markup:
    values = (
        sorted({float(f"{scale.inverse(p):.1g}") for p in np.linspace(scale.start, scale.stop, 8)})
        if bend
        else ticks(scale.low, scale.high)
    )
    marks = [
        Markup('<text class="tick" text-anchor="middle" x="{x:.1f}" y="{y}">{v:g}</text>').format(
            x=scale(v), y=_HEIGHT - _BOTTOM + 15, v=v
        )
        for v in values
        if scale.low <= v <= scale.high
    ]
    return Markup("").join([*marks, _label_x(label + (", long tails compressed" if bend else ""))])


def _label_x(text: str) -> Markup:
    return Markup('<text class="label" text-anchor="end" x="{x}" y="{y}">{t}</text>').format(
        x=_WIDTH - 10, y=_HEIGHT - 3, t=text
    )


def _axis_counts(up: Scale) -> Markup:
    top = up.high**2
    steps = [n * 10**p for p in range(7) for n in (1, 3)]
    shown = [0, *(n for n in steps if n <= top)]
    return _grid([(up(math.sqrt(n)), f"{n:,}") for n in shown], "records")


def _axis_values(up: Scale, label: str) -> Markup:
    return _grid([(up(v), f"{v:g}") for v in ticks(up.low, up.high, 5)], label)


def _grid(rows: Sequence[tuple[float, str]], label: str) -> Markup:
    lines = [
        Markup(
            '<line class="grid" x1="{l}" x2="{r}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text class="tick" text-anchor="end" x="{tx}" y="{ty:.1f}">{t}</text>'
        ).format(l=_LEFT, r=_WIDTH - 10, y=y, tx=_LEFT - 6, ty=y + 4, t=text)
        for y, text in rows
    ]
    name = Markup('<text class="label" x="{x}" y="10">{t}</text>').format(x=4, t=label)
    return Markup("").join([*lines, name])
