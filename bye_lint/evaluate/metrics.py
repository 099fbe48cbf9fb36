"""Metrics as pure functions on arrays. An undefined ratio is NaN, never zero and never one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of a two-class decision: ``tp`` poisoned and flagged, ``fp`` clean and flagged."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def precision(self) -> float:
        """Share of the flagged that are poisoned; NaN where nothing is flagged."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the poisoned that are flagged; NaN where nothing is poisoned."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of both; NaN only where nothing is poisoned and nothing flagged."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """Share of the clean that are flagged; NaN where nothing is clean."""
        return _ratio(self.fp, self.fp + self.tn)


def confusion(poisoned: BoolArray, flagged: BoolArray) -> Confusion:
    """Count ``(n_samples,)`` decisions against the truth.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    truth, answer = np.asarray(poisoned, bool), np.asarray(flagged, bool)
    if truth.shape != answer.shape:
        raise ValueError(f"expected equal shapes, got {truth.shape} and {answer.shape}")
    return Confusion(
        tp=int((truth & answer).sum()),
        fp=int((~truth & answer).sum()),
        fn=int((truth & ~answer).sum()),
        tn=int((~truth & ~answer).sum()),
    )


def auc(poisoned: BoolArray, score: FloatArray) -> float:
    """Area under the ROC curve: the chance that a poisoned sample outscores a clean one.

    Mann and Whitney's statistic with half a point for ties. Samples whose score is NaN are
    left out; NaN where one of the classes is then empty.
    """
    truth, values = _scored(poisoned, score)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    wins = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def roc_curve(poisoned: BoolArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return false-positive and true-positive rates over all thresholds, from (0, 0) to (1, 1).

    Raises
    ------
    ValueError
        If one of the classes is empty.
    """
    truth, values = _scored(poisoned, score)
    if truth.all() or not truth.any():
        raise ValueError("a ROC curve needs poisoned and clean samples")
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)
    hits = np.cumsum(truth[order])[last_of_tie]
    misses = last_of_tie + 1 - hits
    return (
        np.concatenate([[0.0], misses / misses[-1]]),
        np.concatenate([[0.0], hits / hits[-1]]),
    )


def brier_score(poisoned: BoolArray, posterior: FloatArray) -> float:
    """Mean squared distance of the posterior from the truth (Brier, 1950); NaN where empty."""
    truth, values = _scored(poisoned, posterior)
    return float(np.mean((values - truth) ** 2)) if values.size else float("nan")


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Samples of similar posterior: the mean of what was said, and the share that came true."""

    said: float
    seen: float
    count: int


def reliability_curve(
    poisoned: BoolArray, posterior: FloatArray, *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Group samples by posterior into equal bins of [0, 1]; empty bins are left out."""
    truth, values = _scored(poisoned, posterior)
    index = np.clip((values * bins).astype(int), 0, bins - 1)
    return tuple(
        ReliabilityBin(
            float(values[index == b].mean()), float(truth[index == b].mean()), int(count)
        )
        for b, count in enumerate(np.bincount(index, minlength=bins))
        if count
    )


def calibration_error(curve: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error: mean distance of said and seen, weighted by count."""
    total = sum(b.count for b in curve)
    return _ratio(sum(b.count * abs(b.said - b.seen) for b in curve), total)


def attack_success_rate(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """Share of triggered inputs whose output is the target (BYE, experimental setup).

    Compared without regard to case, white space and closing punctuation. NaN where empty.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    return _share_equal(outputs, targets)


def accuracy(outputs: Sequence[str], answers: Sequence[str]) -> float:
    """Share of outputs that are the answer, compared as in :func:`attack_success_rate`."""
    return _share_equal(outputs, answers)


def normalise_answer(text: str) -> str:
    """Return an answer as it is compared: NFKC, case folded, single spaces, no closing dot.

    The metric of the published tables: what stands *within* an answer counts, unlike in
    :mod:`bye_lint.spelling`, by which a detector must not be evaded.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", " ", folded).strip().rstrip(".!?,;: ")


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: npt.NDArray[np.generic],
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic under resampling of rows (Efron, 1979).

    Parameters
    ----------
    statistic : callable
        Takes the arrays and returns a float; draws for which it is NaN are left out.
    *arrays : (n_samples, ...) arrays
        Resampled together.

    Returns
    -------
    low, high : float
        NaN where every draw was undefined.
    """
    rng = np.random.default_rng(seed)
    size = len(arrays[0])
    values = []
    for _ in range(draws if size else 0):
        rows = rng.integers(0, size, size)
        values.append(statistic(*(array[rows] for array in arrays)))
    defined = np.asarray([value for value in values if not np.isnan(value)])
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _share_equal(left: Sequence[str], right: Sequence[str]) -> float:
    if len(left) != len(right):
        raise ValueError(f"expected equal lengths, got {len(left)} and {len(right)}")
    same = sum(normalise_answer(a) == normalise_answer(b) for a, b in zip(left, right, strict=True))
    return _ratio(same, len(left))


def _scored(poisoned: BoolArray, score: FloatArray) -> tuple[BoolArray, FloatArray]:
    truth, values = np.asarray(poisoned, bool), np.asarray(score, float)
    if truth.shape != values.shape:
        raise ValueError(f"expected equal shapes, got {truth.shape} and {values.shape}")
    kept = ~np.isnan(values)
    return truth[kept], values[kept]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
