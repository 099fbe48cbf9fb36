"""A second population that one half of the samples points out and the other half confirms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from bye_lint.detectors.direction import direction, project
from bye_lint.detectors.population import NO_MODE, Mode, second_mode
from bye_lint.features import BoolArray, FloatArray

_SPLITS = 5
_SEEDS = 3
_ROUNDS = 2
_LARGEST_SHARE = 0.4
_DOUBTFUL = 1e-3


@dataclass(frozen=True)
class Population:
    """The best candidate for a second population, and what speaks for it.

    Attributes
    ----------
    score : (n_samples,) array
        Robust z along the direction that the *other* half chose, averaged over the splits.
    weights : (n_columns,) array
        Mean direction, each of length 1.
    mode : Mode
        The second mode of ``score``.
    p_value : float
        Probability of so clear a mode in both halves if there is one mode only: Fisher's
        combination over the halves, twice the median over the splits.
    """

    score: FloatArray
    weights: FloatArray
    mode: Mode
    p_value: float


def find_population(Z: FloatArray, combined: FloatArray, *, seed: int) -> Population:
    """Look for a second population along any column, or combination of columns.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Standardised features; directions are made of these.
    combined : (n_samples, k) array
        Further candidates to begin from, such as the mean over the layers.
    seed : int
        Of the splits into halves.

    Returns
    -------
    Population
    """
    n = len(Z)
    # No stream of its own: of as many samples, the first draw is that of the folds of
    # :func:`.wording.residuals`, which the first halves part evenly. Later draws are nobody else's.
    rng = np.random.default_rng(seed)
    candidates = np.concatenate([Z, combined], axis=1)
    scores, p_values = np.zeros((_SPLITS, n)), np.ones(_SPLITS)
    weights = np.zeros(Z.shape[1])
    for split in range(_SPLITS):
        first = rng.permutation(n) % 2 == 0
        parts = []
        for train in (first, ~first):
            chosen = _choose(Z[train], candidates[train])
            scores[split, ~train] = project(Z[~train], chosen)
            parts.append(second_mode(scores[split, ~train]).p_value)
            weights += chosen / max(float(np.linalg.norm(chosen)), 1e-12)
        p_values[split] = chi2.sf(-2 * np.log(np.maximum(parts, 1e-300)).sum(), 4)
    score = scores.mean(axis=0)
    p_value = float(min(1.0, 2 * np.median(p_values)))
    return Population(score, weights / (2 * _SPLITS), second_mode(score), p_value)


def _choose(Z: FloatArray, candidates: FloatArray) -> FloatArray:
    """Return the direction of the clearest second mode, (n_columns,)."""
    seeds = []
    for values in candidates.T:
        for sign in (1.0, -1.0):
            mode = second_mode(sign * values)
            if _minority(mode, len(Z)):
                seeds.append((mode, sign * values))
    seeds.sort(key=lambda seed: _rank(seed[0]))
    best = NO_MODE
    chosen: FloatArray = np.zeros(Z.shape[1])
    for seed_mode, values in seeds[:_SEEDS]:
        mode, score = seed_mode, values
        for _ in range(_ROUNDS):
            group: BoolArray = score > mode.threshold
            weights = direction(Z, group)
            score = project(Z, weights)
            mode = second_mode(score)
            if _rank(mode) < _rank(best):
                best, chosen = mode, weights
            if not _minority(mode, len(Z)):
                break
    return chosen


def _minority(mode: Mode, n: int) -> bool:
    return 3 <= mode.count <= _LARGEST_SHARE * n


def _rank(mode: Mode) -> tuple[float, float]:
    # Among modes that are beyond doubt the farther one, not the larger, is what is looked for.
    if mode.p_value <= _DOUBTFUL:
        return (0.0, -mode.separation)
    return (mode.p_value, -mode.separation)
