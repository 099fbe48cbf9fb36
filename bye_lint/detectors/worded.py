"""An answer that words bring: a trigger in the text, which tells its target as questions do.

Where an answer's prompts have words that no others have, those are taken out, and what is left has
to be what others were asked as well. The canaries of text are judged by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bye_lint.detectors.alike import GAP_ALIKE, among_alike
from bye_lint.detectors.following import MOST_UNTOLD, most_told
from bye_lint.detectors.judged import Look, judge_group
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.phrases import Words
from bye_lint.features import BoolArray, FloatArray, IntArray, PixelArray

#: What is left of a question without the words of its answer has been asked elsewhere if another is
#: so alike (cosine), and that of the group's questions must be such a share. Where the words are
#: told loosely, it must have been asked word for word.
_ASKED = 0.8
_ASKED_SHARE = 0.5


def judge_worded(
    values: FloatArray,
    words: Words,
    said: IntArray,
    member: BoolArray,
    rest: BoolArray,
    others: Mapping[int, int],
    pictures: PixelArray | None,
    *,
    follow: bool,
    seed: int,
) -> Look:
    """Judge an answer whose prompts have words that hardly others have, as if they had not.

    Where most answers have such words, each is asked for in words of its own, and none is odd. One
    word of several that bring an answer, or one that brings several answers, is not so plainly the
    answer's: there the question has to be asked elsewhere word for word, and who has the word, and
    does not give the answer, is left out of the comparison.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Attention as it is.
    words : Words
        Of the prompts.
    said : (n_samples,) integer array
    member, rest : (n_samples,) bool arrays
        Who gives the answer, and whom they are compared with.
    others : mapping of int to int
        The other repeated answers, and how many give each.
    follow : bool
        Those follow from their questions, so that one that does not is odd.
    pictures : (n_samples, side, side, 3) uint8 array or None
    seed : int
    """
    look = _plainly(values, words, said, member, rest, others, pictures, seed=seed)
    if look.judged is None and not look.odd:
        look = _loosely(values, words, said, member, rest, others, seed=seed)
    return look if follow else replace(look, odd=False)


def _plainly(
    values: FloatArray,
    words: Words,
    said: IntArray,
    member: BoolArray,
    rest: BoolArray,
    others: Mapping[int, int],
    pictures: PixelArray | None,
    *,
    seed: int,
) -> Look:
    """Judge the answer by words that are all of its prompts', and theirs alone."""
    own = words.own(member)
    if not own or not _unusual(others, lambda answer: bool(words.own(said == answer))):
        return Look()
    left = _left(values, words, own, seed=seed)
    if (left.questions.likeness(member, rest) >= _ASKED).mean() < _ASKED_SHARE:
        return Look()
    told = told_by_question(member, left.questions)
    if told > most_told(int(member.sum())):
        return among_alike(left.Z, said, member, left.questions, pictures, seed=seed)
    judged = judge_group(left.Z, member, rest, seed=seed, gap=GAP_ALIKE)
    return Look(told, judged, odd=judged is None)


def _loosely(
    values: FloatArray,
    words: Words,
    said: IntArray,
    member: BoolArray,
    rest: BoolArray,
    others: Mapping[int, int],
    *,
    seed: int,
) -> Look:
    """Judge the answer by words that are some of its prompts', or not theirs alone."""

    def worded(group: BoolArray) -> set[str]:
        own = words.own(group, loosely=True)
        return own if own and words.asked_without(own, group) >= _ASKED_SHARE else set()

    own = worded(member)
    if not own or not _unusual(others, lambda answer: bool(worded(said == answer))):
        return Look()
    left = _left(values, words, own, seed=seed)
    told = told_by_question(member, left.questions)
    if told > most_told(int(member.sum())):
        return Look(told)
    judged = judge_group(left.Z, member, rest & ~words.having(own), seed=seed, gap=GAP_ALIKE)
    return Look(told, judged, odd=judged is None)


def _unusual(others: Mapping[int, int], worded: Callable[[int], bool]) -> bool:
    """Return whether most of the other answers have no such words of their own."""
    count = sum(n for answer, n in others.items() if worded(answer))
    return count <= MOST_UNTOLD * sum(others.values())


@dataclass(frozen=True)
class _Left:
    """What is left of the questions without a group's own words, and attention given that."""

    questions: Questions
    Z: FloatArray


def _left(values: FloatArray, words: Words, own: set[str], *, seed: int) -> _Left:
    questions = read_questions(words.without(own), seed=seed)
    return _Left(questions, given_neighbours(values, questions.nearest))
