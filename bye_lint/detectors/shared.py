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

from bye_lint.detectors.neighbours import told_by_question
from bye_lint.features import BoolArray, FloatArray, IntArray

#: An answer that the question tells better than this belongs to the question.
MOST_TOLD = 0.7
#: Where more than this share of the other repeated answers is not told by the question either,
#: every answer is like that (a set of one question), and none is odd for it.
MOST_UNTOLD = 0.5
#: The group's attention must be told from the rest's as well as this, and leave a gap: the
#: group's lower quartile above nearly all of the rest.
LEAST_AUC = 0.98
_GAP_QUANTILE = 0.995
_FEWEST = 6
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
    Z: FloatArray, answers: Sequence[str], nearest: IntArray, *, seed: int
) -> tuple[SharedAnswer, ...]:
    """Return the answers that no question tells and the attention does.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question (:func:`.neighbours.given_neighbours`).
    answers : sequence of str
    nearest : (n_samples, k) integer array
        Samples with the nearest questions.
    seed : int
        Of the folds.
    """
    n = len(answers)
    least = max(_FEWEST, round(_FEWEST_SHARE * n))
    given = np.array([" ".join(answer.split()).casefold() for answer in answers])
    counts = {a: c for a, c in Counter(given.tolist()).most_common() if c >= least and a}
    told_of = {answer: told_by_question(given == answer, nearest) for answer in counts}
    free = [answer for answer, told in told_of.items() if told <= MOST_TOLD]
    found = []
    for answer in free:
        count, told, member = counts[answer], told_of[answer], given == answer
        others = sum(c for a, c in counts.items() if a != answer)
        untold = sum(counts[a] for a in free if a != answer)
        if count > n / 2 or untold > MOST_UNTOLD * others:
            continue
        score, weights = set_apart(Z, member, ~member, seed=seed)
        auc = float(roc_auc_score(member, score))
        gap = np.quantile(score[member], 0.25) > np.quantile(score[~member], _GAP_QUANTILE)
        if auc < LEAST_AUC or not gap:
            continue
        posterior = _posterior(score, member)
        first = next(a for a, g in zip(answers, given, strict=True) if g == answer)
        found.append(SharedAnswer(first, count, score, posterior, weights, told, auc))
    return tuple(found)


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


def _posterior(score: FloatArray, member: BoolArray) -> FloatArray:
    """Weigh two Student densities and the answer; never falls with the score."""
    density = []
    for part in (member, ~member):
        centre = float(np.median(score[part]))
        low, high = np.quantile(score[part], [0.1, 0.9])
        width = max(float(high - low) / 2.56, 0.5)
        density.append(-2.5 * np.log1p(((score - centre) / width) ** 2 / 4) - np.log(width))
    odds = density[0] - density[1] + np.log(np.where(member, *_PRIOR))
    for part in (member, ~member):
        order = np.flatnonzero(part)[np.argsort(score[part], kind="stable")]
        odds[order] = np.maximum.accumulate(odds[order])
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))
