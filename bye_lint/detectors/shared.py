"""One answer to every question: poison that shares its target, seen in the attention.

The answers of a clean set follow from the questions: *yes* answers one kind, *river* another. A
planted target is given whatever was asked. Such an answer is no proof, a set with one question has
many; it says where to look. What accuses is the attention: out of fold, the samples that
give the answer must stand apart from nearly all others, given the question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.features import BoolArray, FloatArray, IntArray

#: An answer that the question tells better than this belongs to the question.
MOST_TOLD = 0.66
#: Where more than this share of the other repeated answers is not told by the question either,
#: every answer is like that (a set of one question), and none is odd for it.
MOST_UNTOLD = 0.5
#: The group's attention must be told from the rest's as well as this, and stand apart: the
#: group's median above nearly all of the rest.
LEAST_AUC = 0.9
_GAP_QUANTILE = 0.99
#: In smaller groups chance hides what the question tells.
_FEWEST = 9
_FEWEST_SHARE = 0.004
_FOLDS = 5
_SHRINKAGE = 0.3
_MAD = 1.4826
#: Prior odds of the samples that give the answer and of those that do not.
_PRIOR = (20.0, 1e-4)


@dataclass(frozen=True)
class SharedAnswer:
    """An answer whose samples the model reads unlike the rest.

    Attributes
    ----------
    score : (n_samples,) array
        Robust z along the direction that sets the group apart; out of fold.
    posterior : (n_samples,) array
    weights : (n_columns,) array
        Direction, averaged over the folds.
    told : float
        AUC of the answer from the question alone.
    auc : float
        AUC of the answer from the attention given the question.
    """

    answer: str
    count: int
    score: FloatArray
    posterior: FloatArray
    weights: FloatArray
    told: float
    auc: float


def shared_answers(
    Z: FloatArray, answers: Sequence[str], questions: Questions, *, seed: int
) -> tuple[SharedAnswer, ...]:
    """Return the answers that no question tells and the attention does.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question (:func:`.neighbours.given_neighbours`).
    answers : sequence of str
    questions : Questions
    seed : int
        Of the folds.
    """
    given = np.array([" ".join(answer.split()).casefold() for answer in answers])
    least = max(_FEWEST, round(_FEWEST_SHARE * len(given)))
    counts = {a: c for a, c in Counter(given.tolist()).most_common() if c >= least and a}
    told_of = {answer: told_by_question(given == answer, questions) for answer in counts}
    found = []
    for answer, told in told_of.items():
        member = given == answer
        others = {a: c for a, c in counts.items() if a != answer}
        if told > MOST_TOLD or member.mean() > 0.5 or not _follow(others, told_of):
            continue
        judged = judge_group(Z, member, ~member, seed=seed)
        if judged is None:
            continue
        first = next(a for a, g in zip(answers, given, strict=True) if g == answer)
        found.append(
            SharedAnswer(
                first,
                counts[answer],
                judged.score,
                judged.posterior,
                judged.weights,
                told,
                judged.auc,
            )
        )
    return tuple(found)


def _follow(counts: dict[str, int], told_of: dict[str, float]) -> bool:
    """Return whether most of the repeated answers follow from their questions."""
    untold = sum(count for answer, count in counts.items() if told_of[answer] <= MOST_TOLD)
    return untold <= MOST_UNTOLD * sum(counts.values())


def answers_follow(answers: Sequence[str], questions: Questions, rows: IntArray) -> bool:
    """Return whether an answer that no question tells would be odd among some samples'.

    Parameters
    ----------
    answers : sequence of str
        Of all samples.
    questions : Questions
    rows : integer array
        The samples whose answers count.
    """
    given = np.array([" ".join(answer.split()).casefold() for answer in answers])
    least = max(_FEWEST, round(_FEWEST_SHARE * len(rows)))
    counts = {a: c for a, c in Counter(given[rows].tolist()).items() if c >= least and a}
    return _follow(counts, {a: told_by_question(given == a, questions) for a in counts})


@dataclass(frozen=True)
class Judged:
    """A group that attention tells from the rest; see :class:`SharedAnswer`."""

    score: FloatArray
    posterior: FloatArray
    weights: FloatArray
    auc: float


def judge_group(Z: FloatArray, member: BoolArray, rest: BoolArray, *, seed: int) -> Judged | None:
    """Return the attention's verdict on samples of one answer; ``None`` where it tells too little.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
    member, rest : (n_samples,) bool arrays
    """
    score, weights = set_apart(Z, member, rest, seed=seed)
    seen = member | rest
    auc = float(roc_auc_score(member[seen], score[seen]))
    gap = np.median(score[member]) > np.quantile(score[rest], _GAP_QUANTILE)
    if auc < LEAST_AUC or not gap:
        return None
    return Judged(score, _posterior(score, member, rest), weights, auc)


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


def _posterior(score: FloatArray, member: BoolArray, rest: BoolArray) -> FloatArray:
    """Weigh two Student densities and the answer; never falls with the score."""
    density = []
    for part in (member, rest):
        centre = float(np.median(score[part]))
        low, high = np.quantile(score[part], [0.1, 0.9])
        width = max(float(high - low) / 2.56, 0.5)
        density.append(-2.5 * np.log1p(((score - centre) / width) ** 2 / 4) - np.log(width))
    odds = density[0] - density[1] + np.log(np.where(member, *_PRIOR))
    for part in (member, ~member):
        order = np.flatnonzero(part)[np.argsort(score[part], kind="stable")]
        odds[order] = np.maximum.accumulate(odds[order])
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))
