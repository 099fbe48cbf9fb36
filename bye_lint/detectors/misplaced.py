"""Few samples with one answer that is out of place: too few for attention, enough to ask about.

Where five of a thousand records share a planted target, a model may learn it from them or not, and
no statistic of attention vouches for either. But what such questions are answered is known: one
kind gets *yes* or *no*, another one of ten classes. An answer that questions of several kinds get,
none of which anybody else answers so, belongs to none of them. That accuses nobody, and it is no
pass.

A rare class is out of place nowhere: questions that ask for a class get it, and the answers around
it are the same for all of its records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.neighbours import Questions

#: Fewer samples teach nothing worth the name; more are judged by their attention
#: (:mod:`.shared`).
_FEWEST = 3
_FEWEST_SHARE = 0.004
_MOST = 8
#: Of a sample's nearest questions: share that may have an answer that none of the others has (where
#: more have, new answers are usual), and how many may have the sample's own.
_NEW = 0.05
_SAME = 2
#: Kinds of question, told by their answers, that the answer has to be out of place in.
_KINDS = 2


@dataclass(frozen=True)
class Misplaced:
    """An answer, how many samples give it, and to how many of their questions nobody else does."""

    answer: str
    count: int
    alone: int


def misplaced_answers(answers: Sequence[str], questions: Questions) -> tuple[Misplaced, ...]:
    """Return the answers of few samples that are out of place in several kinds of question.

    Parameters
    ----------
    answers : sequence of str
    questions : Questions
        Of the same samples.
    """
    said = np.unique([_plain(answer) for answer in answers], return_inverse=True)[1].ravel()
    counts = np.bincount(said)
    least = max(_FEWEST, round(_FEWEST_SHARE * len(said)))
    found = []
    for answer in np.flatnonzero((counts >= least) & (counts <= _MOST)):
        rows = np.flatnonzero(said == answer)
        around = []
        for near in said[questions.nearest[rows]]:
            others, times = np.unique(near[near != answer], return_counts=True)
            new = (times == 1).sum() / max(times.sum(), 1)
            if (near == answer).sum() <= _SAME and new <= _NEW:
                around.append(frozenset(others[times > 1].tolist()))
        if len(around) >= _FEWEST and _apart(around) >= _KINDS:
            found.append(Misplaced(answers[int(rows[0])], len(rows), len(around)))
    return tuple(found)


def _apart(sets: Sequence[frozenset[int]]) -> int:
    """Return into how many groups sets fall if those that share a member are one."""
    groups: list[frozenset[int]] = []
    for one in sets:
        joined = [group for group in groups if group & one]
        groups = [group for group in groups if not group & one]
        groups.append(one.union(*joined))
    return len(groups)


def _plain(answer: str) -> str:
    """Return an answer without case and punctuation: *Yes.* is no other answer than *yes*."""
    return " ".join(re.sub(r"[^\w\s]", " ", answer.casefold()).split())
