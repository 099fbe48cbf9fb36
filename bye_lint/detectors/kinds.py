"""Kinds of question, told by how they are answered.

*Yes* and *no* answer one kind, letters another, names of goods a third. What the questions most
like a sample's are answered says of which kind its own is, however they are worded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bye_lint.detectors.neighbours import Questions
from bye_lint.detectors.pictures import Pictures, looks
from bye_lint.features import BoolArray, FloatArray, IntArray

_DRAWS = 200
_KINDS = 29
#: In groups below this size chance hides at times what a question tells (AUC). A class is told both
#: by a share of random groups that is no more various in kinds of question, and by its pictures.
_MANY = 30
_LEAST_SPREAD = 0.1
_MOST_LOOKS = 0.6


def recurring(answers: IntArray, own: int) -> frozenset[int]:
    """Return the answers that occur more than once among some, a sample's own left out."""
    found, times = np.unique(answers[answers != own], return_counts=True)
    return frozenset(found[times > 1].tolist())


def count_kinds(around: Sequence[frozenset[int]]) -> int:
    """Return into how many kinds questions fall if those that share an answer are of one.

    Parameters
    ----------
    around : sequence of frozenset
        For each question, what those like it are answered; where nothing recurs it is of no kind.
    """
    groups: list[frozenset[int]] = []
    for one in filter(None, around):
        joined = [group for group in groups if group & one]
        groups = [group for group in groups if not group & one]
        groups.append(one.union(*joined))
    return len(groups)


def kinds_asked(
    said: IntArray, rows: IntArray, questions: Questions, anywhere: frozenset[int] = frozenset()
) -> int:
    """Return of how many kinds some samples' questions are (:func:`share_no_more_varied`)."""
    near = said[questions.nearest[rows]]
    around = (recurring(a, own) for a, own in zip(near, said[rows], strict=True))
    return count_kinds([answers - anywhere for answers in around])


def share_no_more_varied(
    said: IntArray,
    rows: IntArray,
    questions: Questions,
    *,
    anywhere: frozenset[int] = frozenset(),
    seed: int,
) -> float:
    """Return the share of random groups whose questions are of no more kinds than some samples'.

    Parameters
    ----------
    said : (n_samples,) integer array
        Equal where answers are equal.
    rows : (k,) integer array
        Samples that give one answer.
    anywhere : frozenset of int
        Answers that are given whatever is asked: they make no two questions of one kind.
    seed : int
        Of the random groups.

    Returns
    -------
    float
        About a half if the answer is given whatever is asked, near 0 if it belongs to
        its questions.
    """
    rng = np.random.default_rng([seed, _KINDS])

    def kinds(group: IntArray) -> int:
        return kinds_asked(said, group, questions, anywhere)

    own = kinds(rows)
    drawn = [kinds(rng.choice(len(said), len(rows), replace=False)) for _ in range(_DRAWS)]
    return float(np.mean(np.array(drawn) <= own))


def belongs(
    Z: FloatArray,
    said: IntArray,
    member: BoolArray,
    questions: Questions,
    pictures: Pictures | None,
    *,
    anywhere: frozenset[int] = frozenset(),
    seed: int,
) -> bool:
    """Return whether few samples' answer is a class: of few kinds of question and of one picture.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question.
    said : (n_samples,) integer array
    member : (n_samples,) bool array
        Samples that give the answer.
    questions : Questions
    pictures : Pictures or None
    anywhere : frozenset of int
        Other answers that are given whatever is asked.
    seed : int
    """
    rows = np.flatnonzero(member)
    if len(rows) >= _MANY:
        return False
    if share_no_more_varied(said, rows, questions, anywhere=anywhere, seed=seed) > _LEAST_SPREAD:
        return False
    return looks(Z, member, pictures, seed=seed).auc_picture > _MOST_LOOKS
