"""An answer that words bring: a trigger in the text, which tells its target as questions do.

Where an answer's prompts have words that no others have, those are taken out, and what is left has
to be what others were asked as well. The canaries of text are judged by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bye_lint.detectors.alike import GAP_ALIKE, among_alike
from bye_lint.detectors.following import FEWEST, MOST_UNTOLD, most_told
from bye_lint.detectors.judged import Look, judge_group
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.phrases import Words
from bye_lint.detectors.pictures import Pictures
from bye_lint.features import BoolArray, FloatArray, IntArray

#: What is left of a question without the words of its answer has been asked elsewhere if another is
#: so alike (cosine), and that of the group's questions must be such a share. Where the words are
#: told loosely, it must have been asked word for word.
_ASKED = 0.8
_ASKED_SHARE = 0.5


@dataclass(frozen=True)
class _Left:
    """What is left of the questions without some words, and attention given that."""

    without: frozenset[str]
    questions: Questions
    Z: FloatArray


class Worded:
    """Judges answers whose prompts have words that hardly others have, as if they had not.

    Where most answers have such words, each is asked for in words of its own, and none is odd. One
    word of several that bring an answer, or one that brings several answers, is not so plainly the
    answer's: there the question has to be asked elsewhere word for word, and who has the word, and
    does not give the answer, is left out of the comparison.

    Parameters
    ----------
    values : (n_samples, n_columns) array
        Attention as it is.
    prompts : sequence of str
    said : (n_samples,) integer array
        Answers as numbers (:func:`.answer.coded`).
    pictures : Pictures or None
    seed : int
        Of the folds.
    """

    def __init__(
        self,
        values: FloatArray,
        prompts: Sequence[str],
        said: IntArray,
        pictures: Pictures | None,
        *,
        seed: int,
    ) -> None:
        self._values, self._said, self._pictures, self._seed = values, said, pictures, seed
        self._words = Words(prompts)
        # Every answer is one of the others of all that are judged.
        self._plain: dict[int, bool] = {}
        self._loose: dict[int, bool] = {}
        self._last: _Left | None = None

    def judge(
        self, member: BoolArray, rest: BoolArray, others: Mapping[int, int], *, follow: bool
    ) -> Look:
        """Judge an answer.

        Parameters
        ----------
        member, rest : (n_samples,) bool arrays
            Who gives the answer, and whom they are compared with.
        others : mapping of int to int
            The other repeated answers, and how many give each.
        follow : bool
            Those follow from their questions, so that one that does not is odd.
        """
        if rest.sum() < FEWEST:
            return Look()
        look = self._plainly(member, rest, others)
        if look.judged is None and not look.odd:
            second = self._loosely(member, rest, others)
            look = second if second.compared else look
        return look if follow else replace(look, odd=False)

    def _plainly(self, member: BoolArray, rest: BoolArray, others: Mapping[int, int]) -> Look:
        """Judge the answer by words that are all of its prompts', and theirs alone."""
        own = self._words.own(member)
        if not own or not self._unusual(others, self._words.own, self._plain):
            return Look()
        left = self._without(own)
        if (left.questions.likeness(member, rest) >= _ASKED).mean() < _ASKED_SHARE:
            return Look()
        look = self._compared(left, member, rest)
        if look.judged is None and not look.odd:
            return among_alike(
                left.Z, self._said, member, left.questions, self._pictures, seed=self._seed
            )
        return look

    def _loosely(self, member: BoolArray, rest: BoolArray, others: Mapping[int, int]) -> Look:
        """Judge the answer by words that are some of its prompts', or not theirs alone."""
        own = self._asked_elsewhere(member)
        if not own or not self._unusual(others, self._asked_elsewhere, self._loose):
            return Look()
        compared = rest & ~self._words.having(own)
        if compared.sum() < FEWEST:  # where a question is blank, all words may be an answer's own
            return Look()
        return self._compared(self._without(own), member, compared)

    def _asked_elsewhere(self, member: BoolArray) -> set[str]:
        """Return a group's words, loosely told, if others ask the same without them."""
        own = self._words.own(member, loosely=True)
        return own if own and self._words.asked_without(own, member) >= _ASKED_SHARE else set()

    def _unusual(
        self,
        others: Mapping[int, int],
        own: Callable[[BoolArray], set[str]],
        known: dict[int, bool],
    ) -> bool:
        """Return whether most of the other answers have no such words of their own."""
        for answer in others.keys() - known.keys():
            known[answer] = bool(own(self._said == answer))
        worded = sum(count for answer, count in others.items() if known[answer])
        return worded <= MOST_UNTOLD * sum(others.values())

    def _compared(self, left: _Left, member: BoolArray, rest: BoolArray) -> Look:
        told = told_by_question(member, left.questions)
        if told > most_told(int(member.sum())):
            return Look(told)
        judged = judge_group(left.Z, member, rest, seed=self._seed, gap=GAP_ALIKE)
        return Look(told, judged, odd=judged is None)

    def _without(self, own: set[str]) -> _Left:
        if self._last is None or self._last.without != own:
            questions = read_questions(self._words.without(own), seed=self._seed)
            Z = given_neighbours(self._values, questions.nearest)
            self._last = _Left(frozenset(own), questions, Z)
        return self._last
