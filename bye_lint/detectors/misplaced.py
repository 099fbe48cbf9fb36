"""Answers, or the ends of them, that are out of place: what attention can say nothing of.

Where five of a thousand records share a planted target, a model may learn it from them or not, and
no statistic of attention vouches for either. And where a target follows a usual answer (*Yes. Go to
this page*), the first token, at which attention is read, gives nothing away.

But what such questions are answered is known: one kind gets *yes* or *no*, another one of ten
classes. Words that answer questions of several kinds, none of which anybody else answers so, belong
to none of them. Descriptions are one kind more, each in words of its own. That accuses nobody, and
it is no pass.

A rare class is out of place nowhere: questions that ask for a class get it, and the answers around
it are the same for all of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bye_lint.detectors.answer import numbered
from bye_lint.detectors.following import FEWEST, FEWEST_SHARE
from bye_lint.detectors.kinds import count_kinds, recurring
from bye_lint.detectors.neighbours import Questions
from bye_lint.detectors.pictures import Pictures
from bye_lint.features import IntArray
from bye_lint.spelling import words

#: Fewer samples teach nothing worth the name. Where whole answers are the same, ``FEWEST`` and more
#: are judged by their attention (:mod:`.shared`).
_FEWEST = 3
#: Of a sample's nearest questions: share that may have an answer that none of the others has (where
#: more have, new answers are usual), and how many may have the sample's own, or how many times as
#: many as chance brings there.
_NEW = 0.05
_SAME = 2
#: Share of new answers from which questions are open, as those for a description: they are of one
#: kind. Whole answers count as out of place there if so many are in open and in other questions.
_OPEN = 0.5
_FEWEST_OPEN = 2
#: Kinds of question, told by their answers, that the answer has to be out of place in.
_KINDS = 2
#: Words that a part of an answer is told by; of fewer it is the whole.
_WORDS = 2

Part = Literal["are", "begin", "end"]

_CUTS: tuple[tuple[Part, Callable[[list[str]], list[str]]], ...] = (
    ("are", lambda said: said),
    ("begin", lambda said: said[:_WORDS]),
    ("end", lambda said: said[-_WORDS:]),
)


@dataclass(frozen=True)
class Misplaced:
    """Words that are out of place.

    Attributes
    ----------
    part : str
        ``are``: whole answers are these words; ``begin`` or ``end``: answers that differ begin or
        end with them.
    words : str
        Without case and punctuation.
    count : int
        How many samples' answers do.
    alone : int
        How many pictures they are about that are asked what nobody else answers so.
    """

    part: Part
    words: str
    count: int
    alone: int


def misplaced_answers(
    answers: Sequence[str], questions: Questions, pictures: Pictures | None = None
) -> tuple[Misplaced, ...]:
    """Return the words that are out of place in several kinds of question.

    Whole answers are looked at where few samples give them, and beginnings and ends wherever the
    whole answers differ.

    Parameters
    ----------
    answers : sequence of str
    questions : Questions
        Of the same samples.
    pictures : Pictures or None
        What is said of one picture in answer to several questions is a matter of the picture: it
        counts once. Without them every sample counts.
    """
    spoken = [words(answer) for answer in answers]
    whole, _ = numbered(map(" ".join, spoken))
    n = len(spoken)
    least = max(_FEWEST, round(FEWEST_SHARE * n))
    found = []
    for part, cut in _CUTS:
        said, texts = numbered(" ".join(cut(one)) for one in spoken)
        for one in np.flatnonzero(np.bincount(said) >= least):
            rows = np.flatnonzero(said == one)
            judged_whole = len(rows) >= FEWEST or part != "are"
            if judged_whole and (whole[rows] == whole[rows[0]]).all():
                continue
            around, open_ = _around(said, rows, questions)
            kinds = count_kinds(list(around.values()))
            alone = set(around)
            if part == "are" and min(len(around), len(open_)) >= _FEWEST_OPEN:
                kinds += 1
                alone |= open_
            count = len(alone if pictures is None else {int(pictures.same[i]) for i in alone})
            if count >= _FEWEST and kinds >= _KINDS:
                found.append(Misplaced(part, texts[one], len(rows), count))
    return tuple(found)


def _around(
    said: IntArray, rows: IntArray, questions: Questions
) -> tuple[dict[int, frozenset[int]], set[int]]:
    """Return, for each sample that is alone with what it says, what is said around it.

    Those that are asked what everybody answers in words of his own are returned apart.
    """
    one = said[rows[0]]
    near = said[questions.nearest[rows]]
    most = max(_SAME, _SAME * near.shape[1] * len(rows) / len(said))
    around: dict[int, frozenset[int]] = {}
    open_: set[int] = set()
    few = (near == one).sum(axis=1) <= most
    for row, answers in zip(rows[few].tolist(), near[few], strict=True):
        _, times = np.unique(answers[answers != one], return_counts=True)
        new = (times == 1).sum() / max(1, times.sum())
        if times.size and new <= _NEW:
            around[row] = recurring(answers, one)
        elif new >= _OPEN:
            open_.add(row)
    return around, open_
