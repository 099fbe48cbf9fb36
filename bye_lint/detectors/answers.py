"""Do the suspects answer alike? Evidence beside attention, and a prior for what it means.

Poisoned records share a target, or a few. A natural kind of picture (every lake of a satellite
set) can be a population of its own in attention too, but its records answer as diversely as
their questions ask. An attacker may vary targets, so agreement is asked for only where
attention alone is not overwhelming, and answers that do not agree count for nothing.

What agrees is judged beside what such questions get: five records that say *yes* tell nothing if
they are asked what half of the others say *yes* to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from bye_lint.detectors.answer import coded
from bye_lint.features import BoolArray, FloatArray, IntArray

_FEWEST = 3
_RATIO = 5.0
_PRIOR_COUNT = 5.0
_CAP = 50.0
#: Largest probability that the questions alone bring a group's answer so often.
_CHANCE = 0.001
_NOBODY = -1


@dataclass(frozen=True)
class Answers:
    """The samples' answers, and whose questions are like whose.

    Attributes
    ----------
    said : (n_samples,) integer array
        Equal where answers are equal but for case, blanks and punctuation (:mod:`.spelling`).
    nearest : (n_samples, k) integer array
        Samples whose questions are most like each sample's; -1 for one that is left out.
    """

    said: IntArray
    nearest: IntArray

    @classmethod
    def of(cls, answers: Sequence[str], nearest: IntArray) -> Answers:
        """Return some answers as numbers, with the samples that are asked alike."""
        return cls(coded(answers), nearest)

    def within(self, rows: IntArray) -> Answers:
        """Return the answers of some samples, (k,) integers, among themselves."""
        place = np.full(len(self.said) + 1, _NOBODY, dtype=np.intp)
        place[rows] = np.arange(len(rows))
        return Answers(self.said[rows], place[self.nearest[rows]])

    def usual(self, group: BoolArray) -> FloatArray:
        """Return how often the others give a group's answers to questions like the group's.

        Parameters
        ----------
        group : (n_samples,) bool array

        Returns
        -------
        (n_answers,) array
            For each answer the share of those asked like the members who give it, members left
            out; 0 where the group does not give it or nobody else is asked so.
        """
        rows = np.flatnonzero(group)
        near = self.nearest[rows]
        others = (near != _NOBODY) & ~group[near]
        alike = others & (self.said[near] == self.said[rows][:, None])
        size = int(self.said.max()) + 1
        asked = np.bincount(self.said[rows], weights=others.sum(axis=1), minlength=size)
        given = np.bincount(self.said[rows], weights=alike.sum(axis=1), minlength=size)
        return np.asarray(given / np.maximum(asked, 1))


def agreement(answers: Answers, group: BoolArray) -> float:
    """Return the share of a group whose answers tell them from the rest, in [0, 1].

    0 for an empty group.
    """
    return float(telling(answers, group)[group].mean()) if group.any() else 0.0


def telling(answers: Answers, group: BoolArray) -> BoolArray:
    """Return which samples give an answer that tells the group from the rest.

    An answer tells if at least three of the group give it, the group gives it at five times the
    rate of the rest, and its questions do not explain it: others that are asked alike give it too
    rarely for chance to bring it so often (binomial tail of 0.001).

    Parameters
    ----------
    answers : Answers
    group : (n_samples,) bool array

    Returns
    -------
    (n_samples,) bool array
        In the group and outside of it.
    """
    size = int(group.sum())
    if not size:
        return np.zeros(len(group), dtype=np.bool_)
    said = answers.said
    inside = np.bincount(said[group], minlength=said.max() + 1)
    outside = np.bincount(said[~group], minlength=said.max() + 1)
    # Half a record is added to the rest, so that an answer unseen there is not infinitely rare.
    rate = (outside + 0.5) / max(len(said) - size, 1)
    tells = (inside >= _FEWEST) & (inside / size >= _RATIO * rate)
    tells &= binom.sf(inside - 1, size, answers.usual(group)) <= _CHANCE
    return np.asarray(tells[said])


def answer_odds(answers: Answers, posterior: FloatArray, alike: float) -> FloatArray:
    """Return how many times likelier each answer is among the suspects than in the rest.

    Each sample is weighed by the *others'* posteriors, so that none vouches for itself. The
    suspects are taken for a group of which the share ``alike`` draws from common targets; where
    nothing agrees the odds are 1 for all.

    Parameters
    ----------
    answers : Answers
    posterior : (n_samples,) array
        Probability of belonging to the suspects, by attention alone.
    alike : float
        From :func:`agreement`.

    Returns
    -------
    (n_samples,) array
        At most 50, so that an answer alone accuses nobody.
    """
    said = answers.said
    inside = np.bincount(said, weights=posterior)[said] - posterior
    outside = np.bincount(said, weights=1 - posterior)[said] - (1 - posterior)
    size, rest = posterior.sum() - posterior, (1 - posterior).sum() - (1 - posterior)
    rate = (outside + 0.5) / (rest + 1)
    shared = (inside + _PRIOR_COUNT * rate) / (size + _PRIOR_COUNT) / rate
    return np.asarray(np.minimum(alike * shared + (1 - alike), _CAP))
