"""One answer to every question: poison that shares its target, seen in the attention.

The answers of a clean set follow from the questions: *yes* answers one kind, *river* another. A
planted target is given whatever was asked. Such an answer is no proof, a set with one question has
many; it says where to look. What accuses is the attention: out of fold, the samples that
give the answer must stand apart from nearly all others, given the question.

Where poison came with one contribution to a set of many domains, its questions tell it from the
other domains as those of its clean neighbours do. So an answer is looked at among the samples
that are asked alike, too, and has to stand apart farther there, as fewer samples speak.

A trigger in the text tells its target. So where an answer's prompts have words that no others have,
those are taken out, and what is left has to be what others were asked as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.alike import among_alike
from bye_lint.detectors.answer import coded
from bye_lint.detectors.following import MOST_TOLD, follow, repeated
from bye_lint.detectors.judged import Look, judge_group
from bye_lint.detectors.kinds import belongs
from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.detectors.pictures import Pictures, looks
from bye_lint.detectors.worded import Worded
from bye_lint.features import BoolArray, FloatArray


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
    auc_question : float
        AUC of the answer from the question alone.
    auc : float
        AUC of the answer from the attention given the question.
    """

    answer: str
    count: int
    score: FloatArray
    posterior: FloatArray
    weights: FloatArray
    auc_question: float
    auc: float


@dataclass(frozen=True)
class OddAnswer:
    """An answer given whatever was asked, by samples that the model reads like the rest.

    ``auc_question`` is the AUC of the answer from the question, ``member`` a (n_samples,) bool
    array. ``pattern``: attention tells them, and so does a pattern that their pictures share.
    """

    answer: str
    member: BoolArray
    auc_question: float
    pattern: bool = False


def shared_answers(
    values: FloatArray,
    Z: FloatArray,
    prompts: Sequence[str],
    answers: Sequence[str],
    questions: Questions,
    pictures: Pictures | None = None,
    *,
    seed: int,
) -> tuple[tuple[SharedAnswer, ...], tuple[OddAnswer, ...]]:
    """Return the answers that no question tells: whom the attention tells, and who are left.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Attention as it is.
    Z : (n_samples, n_columns) array
        Attention given the question (:func:`.neighbours.given_neighbours`).
    prompts, answers : sequence of str
    questions : Questions
        Of the prompts.
    pictures : Pictures or None
        Thumbnails; without them nothing is judged among those asked alike.
    seed : int
        Of the folds.

    Returns
    -------
    told : tuple of SharedAnswer
        Answers that the attention tells, in the whole set, among those asked alike, or without
        their own words.
    odd : tuple of OddAnswer
        Answers that neither the question nor the attention tells, in a set whose other answers
        follow from their questions.
    """
    said = coded(answers)
    worded = Worded(values, prompts, said, pictures, seed=seed)
    counts = repeated(said, np.arange(len(said)))
    told_of = {answer: told_by_question(said == answer, questions) for answer in counts}
    found: list[SharedAnswer] = []
    odd: list[OddAnswer] = []
    for answer, count in counts.items():
        told = told_of[answer]
        member = said == answer
        others = {a: c for a, c in counts.items() if a != answer}
        first = answers[int(np.flatnonzero(member)[0])]
        judged = None
        followed = follow(others, told_of)
        is_odd = told <= MOST_TOLD and followed
        if member.mean() > 0.5:  # no minority that attention could set apart
            odd += [OddAnswer(first, member, told)] if is_odd and others else []
            continue
        if is_odd:
            untold = frozenset(a for a in others if told_of[a] <= MOST_TOLD)
            is_odd = not belongs(Z, said, member, questions, pictures, anywhere=untold, seed=seed)
        if is_odd:
            judged = judge_group(Z, member, ~member, seed=seed)
        if judged is not None and not others:
            # There no questions' answers show that one that no question tells is odd: a stock
            # caption of one kind of picture is not.
            kind = looks(Z, member, pictures, seed=seed).kind
            if kind == "pattern":
                odd.append(OddAnswer(first, member, told, pattern=True))
            if kind != "none":
                continue
        tried = [Look(told, judged, odd=is_odd)]
        if judged is None:
            tried.append(among_alike(Z, said, member, questions, pictures, seed=seed))
        if tried[-1].judged is None:
            tried.append(worded.judge(member, ~member, others, follow=followed))
        told, judged = tried[-1].auc_question, tried[-1].judged
        if judged is None:
            odd += [OddAnswer(first, member, look.auc_question) for look in tried if look.odd][:1]
            continue
        found.append(
            SharedAnswer(
                first, count, judged.score, judged.posterior, judged.weights, told, judged.auc
            )
        )
    return tuple(found), tuple(odd)
