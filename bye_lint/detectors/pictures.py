"""What is usual for a picture: a kind of image is a population of its own, and no poison.

The lakes of a satellite set are read unlike its cities, and where one question is asked of all
they share an answer too: to attention and answers they look like a backdoor. What tells them apart
is that images which *look* like them are read like them. A trigger is read unlike images that look
the same, for it changes little of what an image looks like at a glance.
"""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.neighbours import NEIGHBOURS
from bye_lint.detectors.population import separation
from bye_lint.detectors.shared import set_apart
from bye_lint.features import PICTURE_STATISTICS, BoolArray, FloatArray, IntArray

#: A group must stand this far apart once its pictures' neighbours are taken into account: the
#: published threshold of the separation index.
LEAST_SEPARATION = 2.0
_CHUNK = 512
_FEWEST = 5


def nearest_pictures(pictures: FloatArray, *, k: int = NEIGHBOURS) -> IntArray:
    """Return the samples whose images look most like each sample's.

    Parameters
    ----------
    pictures : (n_samples, width) array
        As in :class:`bye_lint.features.Features`; a column that is not finite is left out.

    Returns
    -------
    (n_samples, min(k, n_samples - 1)) integer array
        The nearest first. Images that are the same to the last digit are not one's neighbours: a
        poisoned picture that occurs many times would explain itself.
    """
    n = len(pictures)
    columns = np.arange(pictures.shape[1])
    weight = np.where(columns < len(columns) - PICTURE_STATISTICS, len(columns), PICTURE_STATISTICS)
    usable = np.isfinite(pictures).all(axis=0)
    x = np.asarray(pictures[:, usable], dtype=np.float64)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.maximum(spread, 1e-9) / np.sqrt(weight[usable])
    same = np.unique(np.round(pictures[:, usable], 5), axis=0, return_inverse=True)[1].ravel()
    length = (x**2).sum(axis=1)
    k = min(k, n - 1)
    nearest = np.empty((n, k), dtype=np.intp)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        apart = length[part, None] + length[None, :] - 2 * x[part] @ x.T
        apart[same[part, None] == same[None, :]] = np.inf
        nearest[part] = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return nearest


def separation_given_pictures(
    Z: FloatArray, group: BoolArray, pictures: FloatArray | None, *, seed: int
) -> float:
    """Return how far a group stands apart from the rest among images that look alike.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question.
    group : (n_samples,) bool array
    pictures : (n_samples, width) array or None
        Without them every group stands infinitely far apart.
    seed : int
        Of the folds.

    Returns
    -------
    float
        Separation index along a direction chosen out of fold.
    """
    if pictures is None or min(int(group.sum()), int((~group).sum())) < _FEWEST:
        return float("inf")
    # Only the neighbours' median is taken off: poison among them widens their spread.
    nearest = nearest_pictures(pictures)
    usual = np.stack([np.median(column[nearest], axis=1) for column in Z.T], axis=1)
    score, _ = set_apart(Z - usual, group, ~group, seed=seed)
    return separation(score, group)
