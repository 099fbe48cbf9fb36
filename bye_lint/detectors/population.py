"""Is there a second population in a column of scores? The null, and where the division lies.

A two-component mixture always finds two components. The question asked here is another one:
is there a *second mode*, far out and behind a gap? Its null is any distribution that has one
mode, whatever its skew and tails. There the density beyond the mode only falls, so of the
samples that lie between two order statistics at most a fraction ``f`` is expected in the
outer fraction ``f`` of the interval, and the binomial tail is a valid p-value (Duembgen and
Walther, Annals of Statistics 2008, section 2, for such local tests of monotonicity).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import binom, norm

from bye_lint.features import BoolArray, FloatArray, IntArray

#: Outer fractions of an interval that are tested for too many samples.
_FRACTIONS = np.array([0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
#: Shares of the outermost samples of a candidate that may be strays beyond its interval.
_STRAYS = (0.0, 0.05, 0.15, 0.3, 0.5)
_FEWEST = 4
_AWAY = 3.0
_TIE = 1e-4


@dataclass(frozen=True)
class Mode:
    """A second mode on the upper side of a column.

    Attributes
    ----------
    p_value : float
        Probability of so clear a mode if the density has only one; 1 where none was found.
    threshold : float
        Score that divides the two populations; infinite where there is none.
    separation : float
        Distance of the medians over the sum of the spreads that face each other, each the
        widest that its tail suggests: a Bimodal Separation Index that skew and heavy tails
        cannot fool.
    count : int
        Samples above the threshold.
    """

    p_value: float
    threshold: float
    separation: float
    count: int


NO_MODE = Mode(1.0, float("inf"), 0.0, 0)


def second_mode(scores: FloatArray) -> Mode:
    """Look for a second mode on the upper side.

    Parameters
    ----------
    scores : (n_samples,) array
        Finite. Scores that agree to 1e-4 of the spread are one observation: a sample that
        occurs forty times is not a population.

    Returns
    -------
    Mode
        The p-value is corrected for the number of intervals that were tried.
    """
    everything = np.sort(np.asarray(scores, dtype=np.float64))
    centre, spread = bulk(everything)
    if spread <= 0 or len(everything) < 2 * _FEWEST:
        return NO_MODE
    x = everything[np.append(True, np.diff(everything) > _TIE * spread)]
    n = len(x)
    if n < 4 * _FEWEST:
        return NO_MODE
    inner, outer = _intervals(n)
    a, c = x[n - inner], x[n - 1 - outer]
    inside = inner - outer - 2
    b = c[:, None] - _FRACTIONS * (c - a)[:, None]
    beyond = (n - 1 - outer)[:, None] - np.searchsorted(x, b)
    # The interval is chosen by the Chernoff bound, which is cheap; its p-value is the exact tail.
    share = np.clip(beyond / inside[:, None], 1e-12, 1 - 1e-12)
    bound = share * np.log(share / _FRACTIONS)
    bound += (1 - share) * np.log((1 - share) / (1 - _FRACTIONS))
    allowed = (b > centre + _AWAY * spread) & (a > centre + spread)[:, None]
    evidence = np.where(allowed & (share > _FRACTIONS), bound * inside[:, None], 0.0)
    i, j = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    if evidence[i, j] <= 0:
        return NO_MODE
    tail = float(binom.sf(beyond[i, j] - 1, inside[i], _FRACTIONS[j]))
    p_value = min(1.0, tail * _tries(n))
    threshold = _valley(x, float(a[i]), float(b[i, j]), float(c[i]))
    above = everything > threshold
    return Mode(p_value, threshold, separation(everything, above), int(above.sum()))


def bulk(values: FloatArray) -> tuple[float, float]:
    """Return location and spread of the densest half, whatever lies in the other half.

    The middle and the half-length of the shortest interval that holds half the samples, the
    latter scaled to the standard deviation of a normal density.
    """
    x = np.sort(values)
    half = len(x) // 2 + 1
    if len(x) < 3:
        return (float(np.median(x)) if len(x) else 0.0), 0.0
    lengths = x[half - 1 :] - x[: len(x) - half + 1]
    start = int(np.argmin(lengths))
    return float((x[start] + x[start + half - 1]) / 2), float(lengths[start] / 2 / 0.6745)


def separation(values: FloatArray, above: BoolArray) -> float:
    """Return the distance of two groups in units of the spreads that face each other."""
    if above.sum() < 2 or (~above).sum() < 2:
        return 0.0
    low, high = values[~above], values[above]
    distance = float(np.median(high) - np.median(low))
    return distance / max(facing_spread(low) + facing_spread(-high), 1e-12)


def facing_spread(values: FloatArray) -> float:
    """Return the widest normal spread that the upper quantiles of a group suggest."""
    levels = np.array([p for p in (0.75, 0.84, 0.9, 0.95, 0.98) if (1 - p) * len(values) >= 1])
    if not len(levels):
        return float(values.max() - np.median(values))
    reach = np.quantile(values, levels) - np.median(values)
    return float((reach / norm.ppf(levels)).max())


@lru_cache(maxsize=64)
def _intervals(n: int) -> tuple[IntArray, IntArray]:
    """Return ranks from the top at which intervals begin and end, (n_intervals,) each."""
    begins = np.unique(np.round(np.geomspace(_FEWEST + 2, 0.6 * n, 28)).astype(int))
    pairs = {(int(k), int(s * k)) for k in begins for s in _STRAYS if k - int(s * k) > _FEWEST}
    both = np.array(sorted(pairs))
    return both[:, 0], both[:, 1]


def _tries(n: int) -> float:
    """Return the number of independent tests that the overlapping intervals are worth.

    The least p-value over all intervals was simulated on uniform samples, the worst density
    with one mode: its 0.01 and 0.001 quantiles are those of 60 to 80 tests for 100 samples, 200
    for 1,000 and 320 to 580 for 4,000.
    """
    return float(100 * (n / 100) ** 0.45)


def _valley(x: FloatArray, a: float, b: float, c: float) -> float:
    """Return the middle of the emptiest stretch between the bulk and the second mode."""
    peak = float(np.median(x[(x >= b) & (x <= c)])) if ((x >= b) & (x <= c)).any() else b
    centre, spread = bulk(x)
    low = max(a, centre + spread)
    width = max((peak - low) / 8, 1e-12)
    starts = np.linspace(low, max(low, peak - width), 200)
    counts = np.searchsorted(x, starts + width) - np.searchsorted(x, starts)
    emptiest = starts[counts == counts.min()]
    # Among equally empty stretches the longest run decides; its middle is the division.
    runs = np.split(emptiest, np.flatnonzero(np.diff(emptiest) > 1.5 * (starts[1] - starts[0])) + 1)
    longest = max(runs, key=len)
    return float((longest[0] + longest[-1] + width) / 2)
