"""One answer, read in two ways: a trigger whose records keep their right answers.

A clean-label attack changes no answer, it puts its trigger on records that give the target already
(Turner et al., arXiv 1912.02771). The question explains their answer then, and where they are many
the wording explains part of their attention as well. So attention is looked at among the samples
that are asked alike, given the wording of those questions alone. A second population there that
gives one answer, while others who are asked alike give the same and are read like everybody else,
is not explained by the answer; nor may the question or the pictures tell it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from bye_lint.detectors.accuse import Accusation, accuse
from bye_lint.detectors.answer import clipped, coded, scatter
from bye_lint.detectors.answers import Answers
from bye_lint.detectors.direction import direction
from bye_lint.detectors.following import FEWEST, MOST_TOLD
from bye_lint.detectors.groups import (
    ONE_ANSWER,
    PATTERN,
    SEPARATION,
    SEPARATION_ALONE,
    SIGNIFICANCE,
)
from bye_lint.detectors.halves import Population, find_population
from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.detectors.pictures import Pictures, looks
from bye_lint.detectors.wording import residuals, wording_design
from bye_lint.features import BoolArray, FloatArray, IntArray

#: Samples that give an answer, and that are asked like them, for attention to be split.
_HOLDERS = 30
_FEWEST_ALIKE = 100
#: A kind of question that is nearly the whole set has been searched with the whole set.
_MOST_ALIKE = 0.9
#: Least share of those who give the answer that is read like everybody else.
_SPARED = 0.1
#: Largest probability that a group gives one answer so often by chance.
_CHANCE = 0.001
#: Share of two answers' samples that are of both, from which on their questions are of one kind.
_SAME_KIND = 0.7
_MOST_KINDS = 12


@dataclass(frozen=True)
class Split:
    """Samples that attention sets apart from others who are asked alike and answer alike.

    Attributes
    ----------
    answer : str
    member : (n_samples,) bool array
    holders : int
        How many of those who are asked alike give the answer.
    score, posterior : (n_samples,) arrays
        Robust z among those who are asked alike; probability. 0 for everybody else.
    weights : (n_columns,) array
        What sets them apart.
    separation : float
    pattern : bool
        The pictures share a pattern, which may be a trigger or a kind of picture.
    """

    answer: str
    member: BoolArray
    holders: int
    score: FloatArray
    posterior: FloatArray
    weights: FloatArray
    separation: float
    pattern: bool

    @property
    def sure(self) -> bool:
        """Whether the group stands as far apart as attention must that accuses alone."""
        return self.separation >= SEPARATION_ALONE and not self.pattern

    def __str__(self) -> str:
        told = (
            f"{int(self.member.sum())} of {self.holders} samples that answer "
            f"“{clipped(self.answer)}” to such questions are read unlike the others (separation "
            f"{self.separation:.1f}), which neither the question nor the picture explains"
        )
        return f"{told}; {PATTERN}" if self.pattern else told


def split_answers(
    values: FloatArray,
    combine: Callable[[FloatArray], FloatArray],
    prompts: Sequence[str],
    image_tokens: IntArray,
    answers: Sequence[str],
    questions: Questions,
    pictures: Pictures | None,
    left_out: BoolArray,
    *,
    seed: int,
) -> tuple[Split, ...]:
    """Return the answers whose samples attention splits.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Attention as it is.
    combine : callable
        Makes further candidates, (n, k), of some rows given the question.
    prompts : sequence of str
    image_tokens : (n_samples,) integer array
    answers : sequence of str
    questions : Questions
        Of the prompts.
    pictures : Pictures or None
    left_out : (n_samples,) bool array
        Samples that are accused or explained already.
    seed : int
    """
    said = coded(answers)
    kinds = list(_asked_alike(said, questions, left_out))
    found: list[Split] = []
    for rows in kinds:
        design = wording_design([prompts[i] for i in rows], image_tokens[rows])
        Z = residuals(values[rows], design, seed=seed).values
        second = find_population(Z, combine(Z), seed=seed)
        if second.p_value > SIGNIFICANCE / len(kinds) or second.mode.separation < SEPARATION:
            continue
        among = questions.within(rows, seed=seed)
        group = _of_one_answer(Z, second, said[rows], among, seed=seed)
        if group is None:
            continue
        member = group.suspicious
        shown = None if pictures is None else pictures.select(rows)
        kind = looks(Z, member, shown, seed=seed).kind
        if kind == "picture":
            continue
        own = said[rows] == said[rows][member][0]
        n = len(said)
        found.append(
            Split(
                answers[int(rows[member][0])],
                scatter(member, rows, n, False),
                int(own.sum()),
                scatter(group.score, rows, n, 0.0),
                scatter(group.posterior, rows, n, 0.0),
                direction(Z, member),
                group.separation,
                kind == "pattern",
            )
        )
    return tuple(found)


def _asked_alike(said: IntArray, questions: Questions, left_out: BoolArray) -> Iterator[IntArray]:
    """Yield the samples that are asked like those who give a common answer, each kind once."""
    seen: list[BoolArray] = []
    for answer, count in Counter(said[~left_out].tolist()).most_common():
        if count < _HOLDERS or len(seen) == _MOST_KINDS:
            return
        alike = questions.around((said == answer) & ~left_out) & ~left_out
        if not _FEWEST_ALIKE <= alike.sum() <= _MOST_ALIKE * len(said):
            continue
        if all((alike & kind).sum() < _SAME_KIND * (alike | kind).sum() for kind in seen):
            seen.append(alike)
            yield np.flatnonzero(alike)


def _of_one_answer(
    Z: FloatArray, second: Population, said: IntArray, questions: Questions, *, seed: int
) -> Accusation | None:
    """Return the part of a second population that gives one answer, if it is nearly all of it.

    ``None`` where that may be chance, where nearly everybody who gives the answer is in it, so that
    attention follows the answer, or where the question tells who.
    """
    group = accuse(
        Z, second.score, second.mode.threshold, Answers(said, questions.nearest), seed=seed
    )
    inside = group.suspicious
    if not inside.any():
        return None
    answer, count = Counter(said[inside].tolist()).most_common(1)[0]
    holders = said == answer
    member = inside & holders
    if count < max(FEWEST, ONE_ANSWER * inside.sum()):
        return None
    if (holders & ~member).sum() < _SPARED * holders.sum():
        return None
    if binom.sf(count - 1, int(inside.sum()), holders.mean()) > _CHANCE:
        return None
    if told_by_question(member, questions) > MOST_TOLD:
        return None
    posterior = np.where(member, group.posterior, np.minimum(group.posterior, 0.5))
    return Accusation(group.score, posterior, member, group.separation, group.alike)
