"""The search for poison among second populations: what is found is accused, or explained.

A data set may hold a kind of question or of picture that is a population of its own, and poison
besides. So a population that is explained is set aside, and the search goes on in the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bye_lint.detectors.accuse import FEWEST_TAUGHT, Accusation, accuse
from bye_lint.detectors.answer import FEWEST_SCORED
from bye_lint.detectors.answers import Answers, telling
from bye_lint.detectors.direction import project
from bye_lint.detectors.halves import find_population
from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.detectors.pictures import Pictures, looks
from bye_lint.features import BoolArray, FloatArray, IntArray

#: Largest p-value of one mode at which a second population is believed in.
SIGNIFICANCE = 0.001
#: Least separation of two populations, the published index and threshold made robust: where
#: the suspects' answers agree, and where attention has to bear the accusation alone.
SEPARATION = 2.0
SEPARATION_ALONE = 5.0
#: Share of the suspects whose answers must tell them from the rest to count as agreement.
AGREEMENT = 0.8
#: A group that the question tells this well is a kind of question, unless this share of it
#: gives one answer.
QUESTION = 0.9
ONE_ANSWER = 0.9
#: Why a group that shares a pattern is neither accused nor cleared.
PATTERN = (
    "their pictures share a pattern at the same place: a trigger over the whole image, or a kind "
    "of picture; look at some of them"
)
#: A set of more populations than these is undecided: nobody looked at what is left.
_ROUNDS = 5
_MANY = "so many populations of their own stand apart that the rest was not searched to the end"


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes
    ----------
    score, posterior : (n_samples,) arrays
        Robust z along the direction that counted in the end; probability of being accused.
    suspicious : (n_samples,) bool array
    explained : (n_samples,) bool array
        In a population that is a kind of question or of picture, or may be one.
    p_value : float
        Of the null, in the round that decided.
    notes, warnings : tuple of str
    undecided : str
        Why a population can be neither accused nor explained, or an empty string.
    """

    score: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    explained: BoolArray
    p_value: float
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    undecided: str = ""


def search(
    Z: FloatArray,
    combine: Callable[[FloatArray], FloatArray],
    answers: Sequence[str],
    questions: Questions,
    pictures: Pictures | None,
    *,
    alone: bool = True,
    seed: int,
) -> Found:
    """Look for second populations until one is accused or none is left.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question, standardised.
    combine : callable
        Makes further candidates, (n, k), of some rows of ``Z``.
    answers : sequence of str
    questions : Questions
    pictures : Pictures or None
    alone : bool
        Attention may accuse samples whose answers don't agree.
    seed : int
    """
    n = len(Z)
    known = Answers.of(answers, questions.nearest)
    aside: BoolArray = np.zeros(n, dtype=np.bool_)
    explained: BoolArray = np.zeros(n, dtype=np.bool_)
    nobody: BoolArray = np.zeros(n, dtype=np.bool_)
    score: FloatArray = np.zeros(n)
    warnings: list[str] = []
    undecided = ""
    p_value = 1.0
    for _ in range(_ROUNDS):
        rows = np.flatnonzero(~aside)
        found = find_population(Z[rows], combine(Z[rows]), seed=seed)
        p_value = found.p_value
        score = project(Z, found.weights, ~aside) if aside.any() else found.score
        score[rows] = found.score
        if p_value > SIGNIFICANCE or found.mode.separation < SEPARATION:
            break
        said = known.within(rows)
        group = restrained(
            accuse(Z[rows], found.score, found.mode.threshold, said, seed=seed), said
        )
        member = nobody.copy()
        member[rows] = group.suspicious
        what = _described(group)
        accused = bool(member.any()) and convincing(group, alone=alone)
        of_question = accused and _of_a_question(member, known.said, questions)
        seen = None
        if accused and not of_question:
            shown = None if pictures is None else pictures.select(rows)
            seen = looks(Z[rows], group.suspicious, shown, seed=seed)
            if seen.kind == "none":
                posterior = np.zeros(n)
                score[rows], posterior[rows] = group.score, group.posterior
                return Found(score, posterior, member, explained, p_value, (what,), tuple(warnings))
        if seen is not None and seen.kind == "pattern":
            undecided = f"{what}; {PATTERN}"
        elif accused:
            warnings.append(f"{what}: a kind of question or picture of its own, not poison")
        else:
            warnings.append(f"{what}: too little to accuse them; look at some of them")
        aside |= member
        # What falls short is set aside here alone: canaries, or an answer, may accuse it yet.
        explained |= member & accused
        if not member.any() or n - aside.sum() < FEWEST_SCORED:
            break
    else:
        # Modes that fall short hide nothing; a set of nothing but populations might.
        if explained[aside].all():
            undecided = "; ".join(filter(None, (undecided, _MANY)))
    notes = ("one population: no second mode stands apart along what other samples point out",)
    return Found(
        score,
        np.zeros(n),
        nobody,
        explained,
        p_value,
        () if warnings or undecided else notes,
        tuple(warnings),
        undecided,
    )


def _described(group: Accusation) -> str:
    return (
        f"a second mode of {int(group.suspicious.sum())} samples, separation "
        f"{group.separation:.1f}; {group.alike:.0%} of them give answers that the rest does not"
    )


def restrained(group: Accusation, answers: Answers) -> Accusation:
    """Return the group without members that nothing but attention accuses, where it may not alone.

    Where the answers' agreement carries the accusation, a sample that answers otherwise has no
    part in it: its probability is held at even.
    """
    if group.separation >= SEPARATION_ALONE or group.alike < AGREEMENT:
        return group
    alike = telling(answers, group.suspicious)
    posterior = np.where(alike, group.posterior, np.minimum(group.posterior, 0.5))
    return replace(group, posterior=posterior, suspicious=posterior > 0.5)


def convincing(group: Accusation, *, alone: bool = True) -> bool:
    """Return whether a group stands far enough apart for its size and its answers' agreement."""
    if group.alike >= AGREEMENT:
        return group.separation >= SEPARATION
    # Fewer are outliers as likely as a population.
    enough = int(group.suspicious.sum()) >= FEWEST_TAUGHT
    return alone and enough and group.separation >= SEPARATION_ALONE


def _of_a_question(group: BoolArray, said: IntArray, questions: Questions) -> bool:
    """Return whether a group is one kind of question, answered this way and that.

    A trigger in the text is told by the question too, but its records share one answer.
    """
    if told_by_question(group, questions) <= QUESTION:
        return False
    return bool(np.bincount(said[group]).max() < ONE_ANSWER * group.sum())
