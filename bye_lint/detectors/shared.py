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

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.answer import coded
from bye_lint.detectors.judged import Judged, judge_group
from bye_lint.detectors.kinds import belongs
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.phrases import Words
from bye_lint.detectors.pictures import looks
from bye_lint.features import BoolArray, FloatArray, IntArray, PixelArray

#: An answer that the question tells better than this belongs to the question.
MOST_TOLD = 0.66
#: Where more than this share of the other repeated answers is not told by the question either,
#: every answer is like that (a set of one question), and none is odd for it.
MOST_UNTOLD = 0.5
#: Among samples that are asked alike, where few questions tell little: the most that a question
#: may tell of the answer; how many times that quantile the group's median is; the share of the
#: others that repeat answers, for the question to be seen to tell those, and the share of them that
#: it may fail to tell. On clean data answers stood apart three times as far, classes of one
#: question: it failed to tell most of the others. Of planted ones' others it failed to tell none.
_TOLD_ALIKE = 0.8
GAP_ALIKE = 2.0
_REPEATED_ALIKE = 0.2
_UNTOLD_ALIKE = 0.25
_REPEATS = 3
#: In a smaller group, or among fewer samples that are asked alike, chance hides what the pictures
#: tell: a picture is compared with its forty nearest.
_FEWEST_ALIKE = (15, 160)
#: What is left of a question without the words of its answer has been asked elsewhere if another is
#: so alike (cosine), and that of the group's questions must be such a share.
_ASKED = 0.8
_ASKED_SHARE = 0.5
#: In smaller groups chance hides what the question tells.
FEWEST = 9
FEWEST_SHARE = 0.004


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


@dataclass(frozen=True)
class OddAnswer:
    """An answer given whatever was asked, by samples that the model reads like the rest.

    ``told`` is the AUC of the answer from the question, ``member`` a (n_samples,) bool array.
    ``pattern``: attention tells them, and so does a pattern that their pictures share.
    """

    answer: str
    member: BoolArray
    told: float
    pattern: bool = False


def shared_answers(
    values: FloatArray,
    Z: FloatArray,
    prompts: Sequence[str],
    answers: Sequence[str],
    questions: Questions,
    pictures: PixelArray | None = None,
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
    pictures : (n_samples, side, side, 3) uint8 array or None
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
    words = Words(prompts)
    least = max(FEWEST, round(FEWEST_SHARE * len(said)))
    counts = {a: c for a, c in Counter(said.tolist()).most_common() if c >= least}
    told_of = {answer: told_by_question(said == answer, questions) for answer in counts}
    found: list[SharedAnswer] = []
    odd: list[OddAnswer] = []
    for answer, count in counts.items():
        told = told_of[answer]
        member = said == answer
        others = {a: c for a, c in counts.items() if a != answer}
        if member.mean() > 0.5:
            continue
        first = answers[int(np.flatnonzero(member)[0])]
        judged = None
        is_odd = told <= MOST_TOLD and _follow(others, told_of)
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
        if judged is None:
            told, judged = _among_alike(Z, said, member, questions, pictures, seed=seed)
        if judged is None:
            told, judged = _without_own_words(
                values, words, said, member, others, pictures, seed=seed
            )
        if judged is None:
            odd += [OddAnswer(first, member, told_of[answer])] if is_odd else []
            continue
        found.append(
            SharedAnswer(
                first, count, judged.score, judged.posterior, judged.weights, told, judged.auc
            )
        )
    return tuple(found), tuple(odd)


def _without_own_words(
    values: FloatArray,
    words: Words,
    said: IntArray,
    member: BoolArray,
    others: dict[int, int],
    pictures: PixelArray | None,
    *,
    seed: int,
) -> tuple[float, Judged | None]:
    """Judge an answer whose prompts have words that no others have, as if they had not.

    Where most answers have such words, each is asked for in words of its own, and none is odd.
    """
    left = without_own_words(values, words, member, ~member, seed=seed)
    if left is None:
        return 1.0, None
    told = told_by_question(member, left.questions)
    if told <= MOST_TOLD:
        judged = judge_group(left.Z, member, ~member, seed=seed, gap=GAP_ALIKE)
    else:
        told, judged = _among_alike(left.Z, said, member, left.questions, pictures, seed=seed)
    if judged is None:
        return told, None
    worded = sum(count for answer, count in others.items() if words.own(said == answer))
    return told, judged if worded <= MOST_UNTOLD * sum(others.values()) else None


@dataclass(frozen=True)
class Left:
    """What is left of the questions without a group's own words, and attention given that."""

    questions: Questions
    Z: FloatArray


def without_own_words(
    values: FloatArray, words: Words, member: BoolArray, rest: BoolArray, *, seed: int
) -> Left | None:
    """Take a group's own words out of the prompts.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Attention as it is.
    words : Words
        Of the prompts.
    member, rest : (n_samples,) bool arrays
    seed : int

    Returns
    -------
    Left or None
        ``None`` where the group has no words of its own, or nobody else was asked what is left.
    """
    own = words.own(member)
    if not own:
        return None
    questions = read_questions(words.without(own), seed=seed)
    if (questions.likeness(member, rest) >= _ASKED).mean() < _ASKED_SHARE:
        return None
    return Left(questions, given_neighbours(values, questions.nearest))


def _among_alike(
    Z: FloatArray,
    said: IntArray,
    member: BoolArray,
    questions: Questions,
    pictures: PixelArray | None,
    *,
    seed: int,
) -> tuple[float, Judged | None]:
    """Judge an answer among the samples whose questions are like those of the ones that give it.

    Attention decides where those samples' other answers follow from their questions, and where no
    look at the pictures tells the group: of a question with two answers each is told by what the
    other gets, and read unlike it.

    Returns
    -------
    told : float
        AUC of the answer from the question, among them.
    judged : Judged or None
    """
    alike = questions.around(member)
    rows = np.flatnonzero(alike)
    if pictures is None or member.sum() < _FEWEST_ALIKE[0] or len(rows) < _FEWEST_ALIKE[1]:
        return 1.0, None
    among, own = questions.within(rows, seed=seed), member[rows]
    told = told_by_question(own, among)
    if own.mean() > 0.5 or told > _TOLD_ALIKE:
        return told, None
    judged = judge_group(Z, member, alike & ~member, seed=seed, gap=GAP_ALIKE)
    if judged is None or not _odd_among(said[rows], own, among):
        return told, None
    seen = looks(Z[rows], own, pictures[rows], seed=seed)
    return told, judged if seen.kind == "none" else None


def _odd_among(said: IntArray, own: BoolArray, questions: Questions) -> bool:
    """Return whether the others repeat answers, and the question tells nearly all of those."""
    counts = {a: c for a, c in Counter(said[~own].tolist()).items() if c >= _REPEATS}
    repeated = sum(counts.values())
    if repeated < _REPEATED_ALIKE * (~own).sum():
        return False
    told = {a: told_by_question(said == a, questions) for a in counts}
    untold = sum(count for a, count in counts.items() if told[a] <= MOST_TOLD)
    return bool(untold <= _UNTOLD_ALIKE * repeated)


def _follow(counts: dict[int, int], told_of: dict[int, float]) -> bool:
    """Return whether most of the repeated answers follow from their questions."""
    untold = sum(count for answer, count in counts.items() if told_of[answer] <= MOST_TOLD)
    return untold <= MOST_UNTOLD * sum(counts.values())


def answers_follow(said: IntArray, told: Callable[[BoolArray], float], rows: IntArray) -> bool:
    """Return whether an answer that nothing tells would be odd among some samples'.

    Parameters
    ----------
    said : (n_samples,) integer array
        Answers as numbers (:func:`.answer.coded`).
    told : callable
        How well questions, or pictures, tell the members of a group (AUC).
    rows : integer array
        The samples whose answers count.
    """
    least = max(FEWEST, round(FEWEST_SHARE * len(rows)))
    counts = {a: c for a, c in Counter(said[rows].tolist()).items() if c >= least}
    return _follow(counts, {a: told(said == a) for a in counts})
