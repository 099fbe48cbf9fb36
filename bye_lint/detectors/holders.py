"""Who else gives an accused answer.

A trigger may not show in every image it is put on, a black square on black ground, and attention
tells nothing of it there. The target is still what the record teaches.

Only poison explains such an answer if nothing leads to it: the questions don't, where they lead to
the others; nor, where one question is asked of all, do the pictures, where they tell the others. A
few are too few to show what leads to them; theirs must be an answer that nobody else speaks of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bye_lint.detectors.answer import clipped, coded
from bye_lint.detectors.following import FEWEST, MOST_TOLD, answers_follow
from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.detectors.pictures import Pictures, told_by_picture
from bye_lint.features import BoolArray, FloatArray
from bye_lint.spelling import folded

#: Least share of those who give an answer that attention has to accuse, for the others to be
#: accused with them, and how many times the share among those who don't.
_LEAST_SHARE = 0.2
_TIMES = 10.0
#: The same share where the others are fewer than ``FEWEST``.
_LEAST_SHARE_FEW = 0.8
#: Odds of a holder of such an answer, whatever attention says of it.
_ODDS = 20.0
POSTERIOR = _ODDS / (1 + _ODDS)


@dataclass(frozen=True)
class Verdicts:
    """What is said of each of some samples.

    ``score``, ``posterior`` and ``suspicious`` are (n_samples,) arrays, ``by_answer`` those who
    were added to the suspects; ``notes`` say so.
    """

    score: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    by_answer: BoolArray
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, score: FloatArray, posterior: FloatArray, suspicious: BoolArray) -> Verdicts:
        """Return what attention says."""
        return cls(score, posterior, suspicious, np.zeros(len(suspicious), dtype=np.bool_))


def with_other_holders(
    said: Verdicts,
    threshold: float | None,
    prompts: Sequence[str],
    answers: Sequence[str],
    questions: Questions,
    pictures: Pictures | None,
) -> Verdicts:
    """Accuse also those who give an accused answer, where only poison explains that they do.

    Parameters
    ----------
    said : Verdicts
        By attention.
    threshold : float or None
        Least score of the accused; those that are added score as much.
    prompts, answers : sequences of str
    questions : Questions
    pictures : Pictures or None
    """
    score, posterior, suspicious = said.score, said.posterior, said.suspicious
    notes = []
    for answer, left in _other_holders(prompts, answers, suspicious, questions, pictures):
        suspicious = suspicious | left
        posterior = np.where(left, np.maximum(posterior, POSTERIOR), posterior)
        if threshold is not None:
            score = np.where(left, np.maximum(score, threshold), score)
        notes.append(
            f"{int(left.sum())} more are accused for giving their answer, “{clipped(answer)}”, "
            "whatever is asked: attention does not tell them"
        )
    return Verdicts(score, posterior, suspicious, suspicious & ~said.suspicious, tuple(notes))


def _other_holders(
    prompts: Sequence[str],
    answers: Sequence[str],
    accused: BoolArray,
    questions: Questions,
    pictures: Pictures | None,
) -> list[tuple[str, BoolArray]]:
    """Return each accused answer that others give, too, and who they are.

    It is given whatever is asked, or shown, in a set whose other answers follow, by the accused and
    by the others alike: those whom a question, or a picture, leads to it stay out.
    """
    said = coded(answers)
    found: list[tuple[str, BoolArray]] = []
    by_question = partial(told_by_question, questions=questions)
    by_picture = None if pictures is None else partial(_told_by_picture, pictures=pictures)
    for answer, count in Counter(said[accused].tolist()).items():
        member = said == answer
        left = member & ~accused
        if count < FEWEST or not left.any() or member.all():
            continue
        few = left.sum() < FEWEST
        least = _LEAST_SHARE_FEW if few else _LEAST_SHARE
        if count / member.sum() < max(least, _TIMES * accused[~member].mean()):
            continue
        groups = (member,) if few else (member, left)
        if _leads_to(by_question, *groups) or (few and _spoken_of(prompts, answers, member)):
            continue
        others = np.flatnonzero(~member)
        if answers_follow(said, by_question, others) or (
            by_picture is not None
            and not _leads_to(by_picture, *groups)
            and answers_follow(said, by_picture, others)
        ):
            first = answers[int(np.flatnonzero(member)[0])]
            found.append((first, left))
    return found


def _told_by_picture(member: BoolArray, pictures: Pictures) -> float:
    return told_by_picture(member, pictures.nearest())


def _leads_to(told: Callable[[BoolArray], float], *groups: BoolArray) -> bool:
    return max(told(group) for group in groups) > MOST_TOLD


def _spoken_of(prompts: Sequence[str], answers: Sequence[str], member: BoolArray) -> bool:
    """Return whether others have an answer's words, in what they are asked or what they say."""
    (own,) = folded([answers[int(np.flatnonzero(member)[0])]])
    others = {text for i in np.flatnonzero(~member).tolist() for text in (prompts[i], answers[i])}
    return any(f" {own} " in f" {text} " for text in folded(others))
