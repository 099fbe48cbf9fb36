"""What is usual for a question: samples compared with those that are asked nearly the same.

A regression shrinks, and a question that moves a quiet head far leaves a residual that no spread
explains. The median of the nearest questions does not shrink, and minds a minority as little as
a median does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score

from bye_lint.features import BoolArray, FloatArray, IntArray

NEIGHBOURS = 40
_WORD = r"[^\s]+"
_CHUNK = 512
_FLOOR = 0.1
_MOST = 15.0
_MAD = 1.4826


def nearest_questions(prompts: Sequence[str], *, k: int = NEIGHBOURS, seed: int = 0) -> IntArray:
    """Return the ``k`` samples whose questions are most like each sample's, itself left out.

    Likeness is the cosine of words and pairs of words, weighted by rarity; among questions that
    are equally alike a random few are taken.

    Returns
    -------
    (n_samples, min(k, n_samples - 1)) integer array
    """
    n = len(prompts)
    k = min(k, n - 1)
    order = np.random.default_rng(seed).permutation(n)
    vectorizer = TfidfVectorizer(
        token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32
    )
    words = vectorizer.fit_transform([prompts[i] or "\0" for i in order])
    found = np.empty((n, k), dtype=np.intp)
    for start in range(0, n, _CHUNK):
        alike = (words[start : start + _CHUNK] @ words.T).toarray()
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -1.0
        best = np.argsort(-alike, axis=1, kind="stable")[:, :k]
        found[order[start : start + len(alike)]] = order[best]
    return found


def given_neighbours(values: FloatArray, nearest: IntArray) -> FloatArray:
    """Return how far each sample lies from the median of its nearest questions, in their spreads.

    Parameters
    ----------
    values : (n_samples, n_columns) array
    nearest : (n_samples, k) integer array

    Returns
    -------
    (n_samples, n_columns) array
        Within ±15. A spread is never taken as less than a tenth of the whole column's.
    """
    out = np.empty_like(values, dtype=np.float64)
    for column in range(values.shape[1]):
        x = values[:, column]
        around = x[nearest]
        centre = np.median(around, axis=1)
        spread = _MAD * np.median(np.abs(around - centre[:, None]), axis=1)
        whole = _MAD * float(np.median(np.abs(x - np.median(x))))
        least = max(_FLOOR * whole, 1e-3 * float(x.std()), 1e-9)
        out[:, column] = (x - centre) / np.maximum(spread, least)
    return np.clip(out, -_MOST, _MOST)


def told_by_question(member: BoolArray, nearest: IntArray) -> float:
    """Return the AUC of a group from the question alone; 0.5 is not told at all."""
    if member.all() or not member.any():
        return 0.5
    return float(roc_auc_score(member, member[nearest].mean(axis=1)))
