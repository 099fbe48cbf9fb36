"""The scores as bins for a picture in text; the threshold always falls between two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bye_lint.results import ScanResult


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples with ``low <= score < high``; the first and the last bin are open outwards."""

    low: float
    high: float
    rest: int
    suspects: int

    @property
    def count(self) -> int:
        """Samples in the bin."""
        return self.rest + self.suspects


def histogram(result: ScanResult, bins: int = 16) -> tuple[Bin, ...]:
    """Return at most about so many bins over the scores of a result; none where nothing was scored.

    The bins are of one width, a round number, and aligned with the threshold where there is
    one. A few extreme scores do not squeeze the others together: what lies beyond three times
    the range of the middle 98 % (and beyond the threshold) goes to the outermost bins.
    """
    scored = [(s.score, s.suspicious) for s in result.samples if s.score is not None]
    scored = [(score, flag) for score, flag in scored if math.isfinite(score)]
    if not scored:
        return ()
    threshold = result.detection.threshold if result.detection else None
    low, high = _range(sorted(score for score, _ in scored), threshold)
    width = _round_width((high - low) / bins)
    anchor = 0.0 if threshold is None or not math.isfinite(threshold) else threshold
    first = math.floor((low - anchor) / width)
    last = max(first, math.ceil((high - anchor) / width) - 1)
    counts = {i: [0, 0] for i in range(first, last + 1)}
    for score, flag in scored:
        index = math.floor((score - anchor) / width)
        counts[min(max(index, first), last)][flag] += 1
    return tuple(
        Bin(anchor + i * width, anchor + (i + 1) * width, rest, suspects)
        for i, (rest, suspects) in counts.items()
    )


def _range(scores: Sequence[float], threshold: float | None) -> tuple[float, float]:
    n = len(scores)
    inner_low, inner_high = scores[n // 100], scores[n - 1 - n // 100]
    reach = 1.5 * max(inner_high - inner_low, 1e-9)
    low = max(scores[0], inner_low - reach)
    high = min(scores[-1], inner_high + reach)
    if threshold is not None and math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _round_width(width: float) -> float:
    unit: float = 10.0 ** math.floor(math.log10(width))
    return next(step * unit for step in (1, 2, 2.5, 4, 5, 10) if step * unit >= width * 0.999)
