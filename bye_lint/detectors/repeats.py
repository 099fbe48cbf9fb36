"""A record that occurs many times is one observation, and all its copies share one verdict."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import numpy as np

from bye_lint.features import Detection, Features, IntArray

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
    first: list[int] = []
    place = np.empty(len(features), dtype=np.intp)
    seen: dict[tuple[object, ...], list[int]] = {}
    for i in range(len(features)):
        picture = b"" if features.picture is None else blake2b(features.picture[i]).digest()
        key = (features.prompts[i], features.answers[i], canary[i], picture)
        alike = seen.setdefault(key, [])
        same = next((at for at in alike if _read_alike(features, first[at], i)), None)
        if same is None:
            same = len(first)
            first.append(i)
            alike.append(same)
        place[i] = same
    return np.array(first, dtype=np.intp), place


def _read_alike(features: Features, a: int, b: int) -> bool:
    return np.allclose(
        features.head_entropy[a], features.head_entropy[b], rtol=0, atol=_ROUNDING, equal_nan=True
    )
