"""What is usual for a question: samples compared with those that are asked nearly the same.

A regression shrinks, and a question that moves a quiet head far leaves a residual that no spread
explains. The median of the nearest questions does not shrink, and minds a minority as little as
a median does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score

from bye_lint.features import BoolArray, FloatArray, IntArray
from bye_lint.robust import deviation

NEIGHBOURS = 40
_WORD = r"[^\s]+"
_CHUNK = 512
_ROUNDING = 1e-5
_FLOOR = 0.1
_MOST = 15.0

_ORDER = 40


@dataclass(frozen=True)
class Questions:
    """The samples' questions, as words and as neighbours.

    Attributes
    ----------
    words : sparse (n_samples, n_terms) array
        Words and pairs of words, weighted by rarity, each row of length 1.
    nearest : (n_samples, min(k, n_samples - 1)) integer array
        Samples whose questions are most like each sample's, itself left out; among those that
        are equally alike, a random few.
    """

    words: Any
    nearest: IntArray

    def around(self, member: BoolArray) -> BoolArray:
        """Return which samples are asked like members: no less alike than one's last neighbour."""
        alike = member.copy()
        rows = np.flatnonzero(member)
        texts = _Texts(self.words)
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            likeness = texts.likeness(some)
            least = np.take_along_axis(likeness, self.nearest[some], axis=1).min(axis=1)
            alike |= (likeness >= least[:, None] - _ROUNDING).any(axis=0)
        return alike

    def likeness(self, member: BoolArray, rest: BoolArray) -> FloatArray:
        """Return (n_members,) cosines of members' questions with the most similar of the rest."""
        texts = _Texts(self.words)
        rows = np.flatnonzero(member)
        parts = [
            texts.likeness(rows[i : i + _CHUNK])[:, rest].max(axis=1)
            for i in range(0, len(rows), _CHUNK)
        ]
        return np.concatenate(parts)

    def within(self, rows: IntArray, *, seed: int) -> Questions:
        """Return some samples' questions, compared among themselves.

        Parameters
        ----------
        rows : (k,) integer array
        seed : int
            Of the choice among questions that are equally alike.
        """
        words = self.words[rows]
        return Questions(words, _nearest(words, self.nearest.shape[1], seed=seed))


def read_questions(prompts: Sequence[str], *, k: int = NEIGHBOURS, seed: int = 0) -> Questions:
    """Return the questions of some samples; likeness is the cosine of their words."""
    vectorizer = TfidfVectorizer(
        token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32
    )
    words = vectorizer.fit_transform([prompt or "\0" for prompt in prompts])
    return Questions(words, _nearest(words, k, seed=seed))


def _nearest(words: Any, k: int, *, seed: int) -> IntArray:
    """Return (n_samples, min(k, n_samples - 1)) indices, equals in an order drawn by chance."""
    n = words.shape[0]
    k = min(k, n - 1)
    # A stream of its own: an evaluation may have drawn its poison from the seed alone.
    order = np.random.default_rng([seed, _ORDER]).permutation(n)
    texts = _Texts(words[order])
    found = np.empty((n, k), dtype=np.intp)
    for start in range(0, n, _CHUNK):
        alike = texts.likeness(np.arange(start, min(start + _CHUNK, n)))
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -1.0
        found[order[start : start + len(alike)]] = order[largest(alike, k)]
    return found


class _Texts:
    """Samples' words; each two texts are compared once, however many samples have them.

    One long question that is asked of all would be compared with itself for every two samples.
    """

    def __init__(self, words: Any) -> None:
        number: dict[bytes, int] = {}
        rows = pairwise(words.indptr.tolist())
        parts = (words.indices[a:b].tobytes() + words.data[a:b].tobytes() for a, b in rows)
        self._text = np.array(
            [number.setdefault(part, len(number)) for part in parts], dtype=np.intp
        )
        first = np.unique(self._text, return_index=True)[1]
        self._words = words if len(first) == len(self._text) else words[first]

    def likeness(self, rows: IntArray) -> FloatArray:
        """Return (n_rows, n_samples) cosines of some samples with all."""
        asked, place = np.unique(self._text[rows], return_inverse=True)
        alike = (self._words[asked] @ self._words.T).toarray()
        return np.asarray(alike[place][:, self._text])


def largest(values: FloatArray, k: int) -> IntArray:
    """Return the columns of each row's ``k`` largest values, (n_rows, k), in their own order.

    Of equals the first ones. A sort of whole rows would take several times as long.
    """
    n = values.shape[1]
    last = np.partition(values, n - k, axis=1)[:, n - k, None]
    above, equal = values > last, values == last
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= room))
    return np.nonzero(chosen)[1].reshape(len(values), k)


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
        spread = deviation(around - centre[:, None], axis=1)
        whole = float(deviation(x - np.median(x)))
        least = max(_FLOOR * whole, 1e-3 * float(x.std()), 1e-9)
        out[:, column] = (x - centre) / np.maximum(spread, least)
    return np.clip(out, -_MOST, _MOST)


def told_by_question(member: BoolArray, questions: Questions) -> float:
    """Return how well the question alone tells the members of a group.

    The better of two readings, neither of which counts a sample itself: which share of the
    nearest questions are members', and whether the words are rather the members' or the rest's.
    The first is sharp for large groups, the second serves small ones.

    Returns
    -------
    float
        AUC; 0.5 is not told at all.
    """
    if member.all() or not member.any():
        return 0.5
    near = roc_auc_score(member, member[questions.nearest].mean(axis=1))
    words = questions.words
    n_in, n_out = int(member.sum()), int((~member).sum())
    inside = np.asarray(words[member].sum(axis=0)).ravel()
    outside = np.asarray(words[~member].sum(axis=0)).ravel()
    # Rows have length 1, so a sample's likeness to itself is 1.
    to_in = (words @ inside - member) / np.maximum(n_in - member, 1)
    to_out = (words @ outside - ~member) / np.maximum(n_out - ~member, 1)
    # Where all questions are one, only rounding would tell members from others.
    return float(max(near, roc_auc_score(member, np.round(to_in - to_out, 4))))
