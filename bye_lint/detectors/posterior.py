"""The probability of belonging to a second population, once there is one."""

from __future__ import annotations

import numpy as np

from bye_lint.detectors.population import facing_spread
from bye_lint.features import FloatArray
from bye_lint.robust import log_student, logistic


def posterior_of_second(scores: FloatArray, threshold: float) -> FloatArray:
    """Return the probability that a score comes from the population above a threshold.

    Between the two medians each population is a Student density with 4 degrees of freedom, as
    wide as the widest that its quantiles on that side suggest, weighted by its size: a lone
    sample in the gap belongs to neither for certain. Beyond the medians the probability stays
    what it is there, so that it never falls with the score.

    Parameters
    ----------
    scores : (n_samples,) array
    threshold : float
        Where a second mode was divided from the bulk; samples on both sides.

    Returns
    -------
    (n_samples,) array
    """
    high = scores > threshold
    low, second = scores[~high], scores[high]
    centres = float(np.median(low)), float(np.median(second))
    least = 0.05 * (centres[1] - centres[0])
    widths = max(facing_spread(low), least), max(facing_spread(-second), least)
    x = np.clip(scores, *centres)
    log_odds = np.log(len(second) / widths[1]) - np.log(len(low) / widths[0])
    log_odds = log_odds + log_student((x - centres[1]) / widths[1])
    log_odds = log_odds - log_student((x - centres[0]) / widths[0])
    return logistic(log_odds)
