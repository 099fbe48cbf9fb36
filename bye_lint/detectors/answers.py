"""Do the suspects answer alike? Evidence beside attention, and a prior for what it means.

Poisoned records share a target, or a few. A natural kind of picture (every lake of a satellite
set) can be a population of its own in attention too, but its records answer as diversely as
their questions ask. An attacker may vary targets, so agreement is asked for only where
attention alone is not overwhelming, and answers that do not agree count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bye_lint.features import BoolArray, FloatArray, IntArray

_FEWEST = 3
_RATIO = 5.0
_PRIOR_COUNT = 5.0
_CAP = 50.0


def agreement(answers: Sequence[str], group: BoolArray) -> float:
    """Return the share of a group whose answers tell them from the rest, in [0, 1].

    0 for an empty group.
    """
    return float(telling(answers, group)[group].mean()) if group.any() else 0.0


def telling(answers: Sequence[str], group: BoolArray) -> BoolArray:
    """Return which samples give an answer that tells the group from the rest.

    An answer tells if at least three of the group give it, and the group gives it at five
    times the rate of the rest.

    Parameters
    ----------
    answers : sequence of str
    group : (n_samples,) bool array

    Returns
    -------
    (n_samples,) bool array
        In the group and outside of it.
    """
    size = int(group.sum())
    if not size:
        return np.zeros(len(group), dtype=np.bool_)
    said = _codes(answers)
    inside = np.bincount(said[group], minlength=said.max() + 1)
    outside = np.bincount(said[~group], minlength=said.max() + 1)
    # Half a record is added to the rest, so that an answer unseen there is not infinitely rare.
    rate = (outside + 0.5) / max(len(said) - size, 1)
    tells = (inside >= _FEWEST) & (inside / size >= _RATIO * rate)
    return np.asarray(tells[said])


def answer_odds(answers: Sequence[str], posterior: FloatArray, alike: float) -> FloatArray:
    """Return how many times likelier each answer is among the suspects than in the rest.

    Each sample is weighed by the *others'* posteriors, so that none vouches for itself. The
    suspects are taken for a group of which the share ``alike`` draws from common targets; where
    nothing agrees the odds are 1 for all.

    Parameters
    ----------
    answers : sequence of str
    posterior : (n_samples,) array
        Probability of belonging to the suspects, by attention alone.
    alike : float
        From :func:`agreement`.

    Returns
    -------
    (n_samples,) array
        At most 50, so that an answer alone accuses nobody.
    """
    said = _codes(answers)
    inside = np.bincount(said, weights=posterior)[said] - posterior
    outside = np.bincount(said, weights=1 - posterior)[said] - (1 - posterior)
    size, rest = posterior.sum() - posterior, (1 - posterior).sum() - (1 - posterior)
    rate = (outside + 0.5) / (rest + 1)
    shared = (inside + _PRIOR_COUNT * rate) / (size + _PRIOR_COUNT) / rate
    return np.asarray(np.minimum(alike * shared + (1 - alike), _CAP))


def _codes(answers: Sequence[str]) -> IntArray:
    """Return (n_samples,) numbers, equal where answers are equal but for case and spaces."""
    said = [" ".join(answer.casefold().split()) for answer in answers]
    return np.asarray(np.unique(said, return_inverse=True)[1])
