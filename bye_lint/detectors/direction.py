"""A direction in feature space that sets a group apart: shrunken, robust, cross-fitted."""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.population import bulk
from bye_lint.features import BoolArray, FloatArray
from bye_lint.robust import deviation

_CLIP = 8.0
_MOST_COLUMNS = 24
_SHRINK = 0.3


def shifts(Z: FloatArray, group: BoolArray) -> FloatArray:
    """Return how far a group's median lies from the rest's, in units of both spreads.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Standardised.
    group : (n_samples,) bool array

    Returns
    -------
    (n_columns,) array
    """
    inside, outside = Z[group], Z[~group]
    distance = np.median(inside, axis=0) - np.median(outside, axis=0)
    return np.asarray(distance / np.maximum(_spread(inside) + _spread(outside), 0.05))


def direction(Z: FloatArray, group: BoolArray) -> FloatArray:
    """Return weights that set a group apart from the rest: a shrunken linear discriminant.

    Columns take part whose own shift is at least half the largest, at most 24 of them: a column
    must earn its place, and many that agree are worth more than one. Values are clipped at 8
    spreads so that no single sample decides.

    Returns
    -------
    (n_columns,) array
        Zero for columns that take no part; the length is arbitrary.
    """
    shift = shifts(Z, group)
    order = np.argsort(-np.abs(shift), kind="stable")[:_MOST_COLUMNS]
    chosen = order[np.abs(shift[order]) >= 0.5 * np.abs(shift[order[0]])]
    weights = np.zeros(Z.shape[1])
    clipped = np.clip(Z[:, chosen], -_CLIP, _CLIP)
    rest = clipped[~group]
    covariance = np.atleast_2d(np.cov(rest, rowvar=False))
    diagonal = np.diag(np.maximum(np.diag(covariance), 1e-3))
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * diagonal + 1e-6 * np.eye(len(chosen))
    gap = np.median(clipped[group], axis=0) - np.median(rest, axis=0)
    weights[chosen] = np.linalg.solve(shrunk, gap)
    return weights


def project(Z: FloatArray, weights: FloatArray, reference: BoolArray | None = None) -> FloatArray:
    """Return (n_samples,) scores in robust z of the bulk of ``reference`` (all by default)."""
    score = np.clip(Z, -2 * _CLIP, 2 * _CLIP) @ weights
    centre, spread = bulk(score if reference is None else score[reference])
    return np.asarray((score - centre) / max(spread, 1e-12))


def _spread(values: FloatArray) -> FloatArray:
    return deviation(values - np.median(values, axis=0))
