"""From a second population to accused samples: sharpen the direction, weigh the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.answers import Answers, agreement, answer_odds
from bye_lint.detectors.direction import direction, project
from bye_lint.detectors.population import second_mode, separation
from bye_lint.detectors.posterior import posterior_of_second
from bye_lint.features import BoolArray, FloatArray
from bye_lint.robust import FOLDS, stratified_folds

#: Fewest samples of which some teach what sets them apart while it is tried on the others.
FEWEST_TAUGHT = 2 * FOLDS


@dataclass(frozen=True)
class Accusation:
    """A group of samples and how sure it is.

    Attributes
    ----------
    score : (n_samples,) array
        Robust z along the direction that sets the group apart; no sample took part in
        choosing its own direction.
    posterior : (n_samples,) array
        Probability of belonging to the group, answers weighed.
    suspicious : (n_samples,) bool array
        Posterior above one half.
    separation : float
        Distance of group and rest in spreads, along ``score``.
    alike : float
        Share of the group whose answers tell them from the rest.
    """

    score: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    separation: float
    alike: float


def accuse(
    Z: FloatArray, score: FloatArray, threshold: float, answers: Answers, *, seed: int
) -> Accusation:
    """Turn a second mode of a score into a group.

    A direction that is taught by the whole group sharpens the score, if the group stands
    further apart along it; the answers' odds multiply those of attention.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Standardised features.
    score : (n_samples,) array
    threshold : float
        Division of the score; samples on both sides.
    answers : Answers
    seed : int
        Of the folds.
    """
    posterior = posterior_of_second(score, threshold)
    group = posterior > 0.5
    apart = separation(score, group)
    sharper = _sharpen(Z, group, seed)
    if sharper is not None and sharper[1] > apart:
        score, apart, posterior = sharper
        group = posterior > 0.5
    alike = agreement(answers, group)
    certain = np.clip(posterior, 0, 1 - 1e-12)
    odds = certain / (1 - certain) * answer_odds(answers, posterior, alike)
    posterior = odds / (1 + odds)
    return Accusation(score, posterior, posterior > 0.5, apart, alike)


def _sharpen(
    Z: FloatArray, group: BoolArray, seed: int
) -> tuple[FloatArray, float, FloatArray] | None:
    """Return score, separation and posterior along out-of-fold directions of a group."""
    if group.sum() < FEWEST_TAUGHT:
        return None
    score = np.zeros(len(Z))
    folds = stratified_folds(group, ~group, seed=seed)
    for fold in range(FOLDS):
        test = folds == fold
        score[test] = project(Z, direction(Z[~test], group[~test]))[test]
    mode = second_mode(score)
    if not 0.5 * group.sum() <= mode.count <= 2 * group.sum():
        return None
    posterior = posterior_of_second(score, mode.threshold)
    return score, separation(score, posterior > 0.5), posterior
