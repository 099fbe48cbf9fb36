"""A direction that tells a group from the rest, taught by all columns and judged out of fold."""

from __future__ import annotations

import numpy as np

from bye_lint.features import BoolArray, FloatArray

_FOLDS = 5
_SHRINKAGE = 0.3
_MAD = 1.4826


def set_apart(
    Z: FloatArray, member: BoolArray, rest: BoolArray, *, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Score samples along shrunken discriminants that none of them helped to choose.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
    member, rest : (n_samples,) bool arrays
        What is told from what; samples in neither are scored along.
    seed : int
        Of the folds.

    Returns
    -------
    score : (n_samples,) array
        Robust z of the rest's bulk.
    weights : (n_columns,) array
        Mean direction.
    """
    rng = np.random.default_rng(seed)
    folds = np.empty(len(Z), dtype=np.intp)
    for part in (member, rest, ~member & ~rest):
        folds[part] = rng.permutation(int(part.sum())) % _FOLDS
    score = np.empty(len(Z))
    total = np.zeros(Z.shape[1])
    for fold in range(_FOLDS):
        train = folds != fold
        group, bulk = Z[train & member], Z[train & rest]
        covariance = np.cov(bulk.T).reshape(Z.shape[1], Z.shape[1])
        scale = np.diag(covariance) + 1e-3
        covariance = (1 - _SHRINKAGE) * covariance + np.diag(_SHRINKAGE * scale + 1e-3)
        w = np.linalg.solve(covariance, group.mean(axis=0) - bulk.mean(axis=0))
        along = Z @ w
        centre = np.median(along[train & rest])
        spread = max(_MAD * float(np.median(np.abs(along[train & rest] - centre))), 1e-12)
        score[~train] = (along[~train] - centre) / spread
        total += w / spread
    return score, total / _FOLDS
