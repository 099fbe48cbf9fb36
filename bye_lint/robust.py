"""Statistics that several judgements share, each written once: what an outlier does not move."""

from __future__ import annotations

import numpy as np

from bye_lint.features import BoolArray, FloatArray, IntArray

#: A median absolute deviation times this is the standard deviation of a normal density.
NORMAL = 1.4826
#: Parts that out-of-fold scores are made in.
FOLDS = 5


def deviation(centred: FloatArray, axis: int = 0) -> FloatArray:
    """Return the median absolute deviation of centred values, as a normal standard deviation."""
    return np.asarray(NORMAL * np.median(np.abs(centred), axis=axis))


def stratified_folds(*parts: BoolArray, seed: int) -> IntArray:
    """Return (n_samples,) numbers of folds that hold like shares of each part.

    Parameters
    ----------
    parts : (n_samples,) bool arrays
        That have no sample in common; one in none of them is in the first fold.
    seed : int
    """
    folds = np.zeros(len(parts[0]), dtype=np.intp)
    rng = np.random.default_rng(seed)
    for part in parts:
        folds[part] = rng.permutation(int(part.sum())) % FOLDS
    return folds


def log_student(z: FloatArray) -> FloatArray:
    """Return the logarithm of a Student density with 4 degrees of freedom, up to a constant."""
    return -2.5 * np.log1p(z**2 / 4)


def never_falling(values: FloatArray, score: FloatArray) -> FloatArray:
    """Return (n_samples,) values that are at least those of every lower score."""
    order = np.argsort(score, kind="stable")
    risen = np.empty_like(values)
    risen[order] = np.maximum.accumulate(values[order])
    return risen


def logistic(log_odds: FloatArray, most: float = 50.0) -> FloatArray:
    """Return the probabilities of log odds, which are cut at ``most`` on either side."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -most, most))))
