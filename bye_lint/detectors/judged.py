"""The attention's verdict on a group that is named by its answer, and on each of its members."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from bye_lint.detectors.discriminant import set_apart
from bye_lint.features import BoolArray, FloatArray
from bye_lint.robust import log_student, logistic, never_falling

#: The group's attention must be told from the rest's as well as this, and stand apart: the
#: group's median above nearly all of the rest.
LEAST_AUC = 0.9
_GAP_QUANTILE = 0.99
#: A trigger is not learned in every record, nor shown by every image. Of a group whose median
#: reaches so many times as far as it must, a part may be read like the rest.
_FAR = 1.5
_LEAST_AUC_FAR = 0.85
#: Prior odds of the samples that give the answer and of those that do not.
_PRIOR = (20.0, 1e-4)


@dataclass(frozen=True)
class Judged:
    """A group that attention tells from the rest.

    Attributes
    ----------
    score, posterior : (n_samples,) arrays
        Out of fold, in robust z of the rest; probability of belonging to the group.
    weights : (n_columns,) array
    auc : float
        Of the group from the rest.
    """

    score: FloatArray
    posterior: FloatArray
    weights: FloatArray
    auc: float


@dataclass(frozen=True)
class Look:
    """What one look at a group that is named by its answer came to.

    Attributes
    ----------
    auc_question : float
        AUC of the answer from the question; NaN where nothing could be compared.
    judged : Judged or None
        Attention's verdict, where it tells the group and nothing else does.
    odd : bool
        Nothing tells the group, attention neither, where the other answers follow.
    """

    auc_question: float = math.nan
    judged: Judged | None = None
    odd: bool = False

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare with."""
        return not math.isnan(self.auc_question)


def judge_group(
    Z: FloatArray, member: BoolArray, rest: BoolArray, *, seed: int, gap: float = 1.0
) -> Judged | None:
    """Return the attention's verdict on samples of one answer; ``None`` where it tells too little.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
    member, rest : (n_samples,) bool arrays
        Samples in neither are not judged: their score and probability are 0.
    seed : int
        Of the folds.
    gap : float
        How many times the score of nearly all of the rest the group's median has to reach.
    """
    score, weights = set_apart(Z, member, rest, seed=seed)
    seen = member | rest
    auc = float(roc_auc_score(member[seen], score[seen]))
    far = float(np.quantile(score[rest], _GAP_QUANTILE))
    if far <= 0:  # attention is the same in all of them
        return None
    apart = np.median(score[member]) / far
    if apart <= gap or auc < (_LEAST_AUC_FAR if apart > _FAR * gap else LEAST_AUC):
        return None
    posterior = _posterior(score, member, rest)
    return Judged(np.where(seen, score, 0.0), np.where(seen, posterior, 0.0), weights, auc)


def _posterior(score: FloatArray, member: BoolArray, rest: BoolArray) -> FloatArray:
    """Weigh two Student densities and the answer; never falls with the score."""
    density = []
    for part in (member, rest):
        centre = float(np.median(score[part]))
        low, high = np.quantile(score[part], [0.1, 0.9])
        width = max(float(high - low) / 2.56, 0.5)
        density.append(log_student((score - centre) / width) - np.log(width))
    odds = density[0] - density[1] + np.log(np.where(member, *_PRIOR))
    for part in (member, rest):
        odds[part] = never_falling(odds[part], score[part])
    return logistic(odds)
