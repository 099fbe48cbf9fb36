"""What every detector's answer has in common: which rows it speaks of, and empty answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bye_lint.features import BoolArray, Detection, Features, FloatArray, IntArray
from bye_lint.results import DetectionSummary
from bye_lint.spelling import folded

#: Scored samples that differ, of which a null needs so many.
FEWEST_SCORED = 60
_LONGEST = 40


def real_rows(features: Features) -> IntArray:
    """Return the numbers of the rows that are records of the dataset, not planted copies."""
    return np.flatnonzero(~features.is_canary)


def scored_rows(features: Features) -> IntArray:
    """Return the numbers of the rows that are records of the dataset and were scored."""
    return np.flatnonzero(~features.is_canary & features.scored)


def scatter(values: npt.NDArray[Any], rows: IntArray, n: int, fill: Any) -> npt.NDArray[Any]:
    """Return (n,) values with those of some rows in their place and ``fill`` elsewhere."""
    out = np.full(n, fill, dtype=values.dtype)
    out[rows] = values
    return out


def numbered(texts: Iterable[str]) -> tuple[IntArray, list[str]]:
    """Return texts as numbers, equal where they are, and the text of each number.

    An array of the texts would take the room of the longest for each.
    """
    numbers: dict[str, int] = {}
    said = [numbers.setdefault(text, len(numbers)) for text in texts]
    return np.array(said, dtype=np.intp), list(numbers)


def coded(answers: Iterable[str]) -> IntArray:
    """Return answers as numbers, (n_samples,), equal where no reader minds the difference."""
    return numbered(folded(answers))[0]


def clipped(answer: str) -> str:
    """Return the beginning of an answer, for a message."""
    return answer if len(answer) <= _LONGEST else f"{answer[:_LONGEST]} …"


def nothing(
    features: Features, summary: DetectionSummary, reason: str = "", score: FloatArray | None = None
) -> Detection:
    """Return a detection without suspects.

    Parameters
    ----------
    reason : str
        Why nothing can be said; empty where the samples were looked at and are one population.
    score : (n_samples,) array, optional
        Scores to show all the same.
    """
    looked_at = ~features.is_canary & features.scored & (not reason)
    blank = np.where(looked_at, 0.0, np.nan)
    suspicious: BoolArray = np.zeros(len(features), dtype=np.bool_)
    return Detection(blank if score is None else score, blank, suspicious, summary, reason)


def at_fdr(detection: Detection, fdr: float) -> Detection:
    """Return a detection whose suspects are chosen at a false-discovery rate.

    Taken from the likeliest down (:func:`threshold_at_fdr`), and never one that is as likely clean:
    suspects that are certain would make room for it. Where the detector accuses nobody, nobody is.
    """
    if not detection.suspicious.any():
        return detection
    least = threshold_at_fdr(detection.posterior, fdr)
    suspicious = (detection.posterior >= least) & (detection.posterior > 0.5)
    shown = float(detection.score[suspicious].min()) if suspicious.any() else None
    summary = replace(detection.summary, threshold=shown)
    return replace(detection, suspicious=suspicious, summary=summary)


def threshold_at_fdr(posterior: npt.ArrayLike, fdr: float) -> float:
    """Return the posterior from which samples may be accused at a false-discovery rate.

    Accusing every sample with a posterior ``p`` at or above the returned value keeps the
    expected share of false accusations, the mean of ``1 - p`` over the accused, at or below
    ``fdr`` (Bayesian false-discovery rate; Newton et al., 2004).

    Parameters
    ----------
    posterior : (n_samples,) array
        Calibrated probabilities; NaN is a sample that was not scored.
    fdr : float
        In [0, 1].

    Returns
    -------
    float
        Infinity where no sample can be accused at that rate.

    Raises
    ------
    ValueError
        If the rate is not in [0, 1].
    """
    if not 0 <= fdr <= 1:
        raise ValueError(f"expected a false-discovery rate in [0, 1], got {fdr}")
    p = np.asarray(posterior, dtype=np.float64).ravel()
    p = np.sort(p[np.isfinite(p) & (p > 0)])[::-1]
    expected = np.cumsum(1 - p) / np.arange(1, len(p) + 1)
    # Samples of equal posterior stand or fall together, so only the last of a tie may end the list.
    ends = np.append(p[1:] < p[:-1], True) if len(p) else np.zeros(0, dtype=np.bool_)
    allowed = np.flatnonzero((expected <= fdr + 1e-12) & ends)
    return float(p[allowed[-1]]) if len(allowed) else float("inf")
