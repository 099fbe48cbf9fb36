"""A record that occurs many times is one observation, and all its copies share one verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b

import numpy as np

from bye_lint.features import BoolArray, Detection, Features, FloatArray, IntArray

#: Attention of the same record read twice differs by rounding alone.
_ROUNDING = 1e-3


def judge_once(features: Features, judge: Callable[[Features], Detection]) -> Detection:
    """Judge the distinct samples, and give each repeat the answer of the one it repeats.

    To attention, and to the folds that keep a sample from vouching for itself, twenty copies of one
    record would be a population with an answer of its own.
    """
    first, place = distinct(features)
    if len(first) == len(features):
        return judge(features)
    return judge(features.select(first)).select(place)


def distinct(features: Features) -> tuple[IntArray, IntArray]:
    """Tell samples from their repeats: the same question, answer and picture, read alike.

    Returns
    -------
    first : (n_distinct,) integer array
        Rows of the samples that repeat none before them.
    place : (n_samples,) integer array
        For each sample the position in ``first`` of the one that it repeats, or its own.
    """
    canary = features.canary or [""] * len(features)
    same: dict[tuple[object, ...], list[int]] = {}
    for i in range(len(features)):
        picture = b"" if features.picture is None else blake2b(features.picture[i]).digest()
        key = (features.prompts[i], features.answers[i], canary[i], picture)
        same.setdefault(key, []).append(i)
    earliest = np.arange(len(features))
    attention = features.head_entropy.reshape(
        len(features), math.prod(features.head_entropy.shape[1:])
    )
    for rows in same.values():
        if len(rows) > 1:
            earliest[rows] = _earliest_alike(attention[rows], np.array(rows))
    first = np.flatnonzero(earliest == np.arange(len(features)))
    return first, np.searchsorted(first, earliest)


def _earliest_alike(attention: FloatArray, rows: IntArray) -> IntArray:
    """Return for each row the first before it that is read alike and repeats none, or itself.

    Anybody may write many records that differ in nothing but how they are read: the column that
    varies most leaves few to be compared in all of them.
    """
    finite = np.where(np.isfinite(attention), attention, 0)
    widest = int(np.argmax(np.ptp(finite, axis=0))) if finite.shape[1] else None
    telling = np.zeros(len(rows)) if widest is None else attention[:, widest]
    found = np.empty_like(rows)
    # Rows that repeat none, as places in ``rows``, and what stands in the telling column there.
    kept, told = np.empty_like(rows), np.empty_like(telling)
    count = 0
    for i, row in enumerate(rows):
        near = kept[:count][_alike(told[:count], telling[i])]
        near = near[_alike(attention[near], attention[i]).all(axis=1)]
        if len(near):
            found[i] = rows[near[0]]
            continue
        found[i], kept[count], told[count] = row, i, telling[i]
        count += 1
    return found


def _alike(a: FloatArray, b: FloatArray) -> BoolArray:
    """Return where two are equal but for rounding, NaN to NaN."""
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= _ROUNDING
    return np.asarray(near | (a == b) | (np.isnan(a) & np.isnan(b)))
