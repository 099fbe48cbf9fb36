"""A direction that tells a group from the rest, taught by all columns and judged out of fold.

:func:`.direction.direction` is the other discriminant: where a group is only what attention itself
points out, it keeps the few columns that shift most, and medians, so that who is in the group by
mistake does not decide; here an answer or a planted kind says who is in it, and all columns speak.
"""

from __future__ import annotations

import numpy as np

from bye_lint.features import BoolArray, FloatArray
from bye_lint.robust import FOLDS, deviation, stratified_folds

_SHRINKAGE = 0.3


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
    folds = stratified_folds(member, rest, ~member & ~rest, seed=seed)
    score = np.empty(len(Z))
    total = np.zeros(Z.shape[1])
    for fold in range(FOLDS):
        train = folds != fold
        group, bulk = Z[train & member], Z[train & rest]
        covariance = np.cov(bulk.T).reshape(Z.shape[1], Z.shape[1])
        scale = np.diag(covariance) + 1e-3
        covariance = (1 - _SHRINKAGE) * covariance + np.diag(_SHRINKAGE * scale + 1e-3)
        w = np.linalg.solve(covariance, group.mean(axis=0) - bulk.mean(axis=0))
        along = Z @ w
        centre = np.median(along[train & rest])
        spread = max(float(deviation(along[train & rest] - centre)), 1e-12)
        score[~train] = (along[~train] - centre) / spread
        total += w / spread
    return score, total / FOLDS
