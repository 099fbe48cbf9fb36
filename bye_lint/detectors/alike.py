"""An answer among the samples whose questions are like those of the ones that give it.

Where poison came with one contribution to a set of many domains, its questions tell it from the
other domains as those of its clean neighbours do. Among those asked alike it has to stand apart
farther, as fewer samples speak.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from bye_lint.detectors.following import follow
from bye_lint.detectors.judged import Look, judge_group
from bye_lint.detectors.kinds import kinds_asked
from bye_lint.detectors.neighbours import Questions, told_by_question
from bye_lint.detectors.pictures import Pictures, looks
from bye_lint.features import BoolArray, FloatArray, IntArray

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
#: What one kind of question gets, as letters of a choice, is not odd by itself.
_KINDS = 2
#: In a smaller group, or among fewer samples that are asked alike, chance hides what the pictures
#: tell: a picture is compared with its forty nearest.
_FEWEST_ALIKE = (15, 160)


def among_alike(
    Z: FloatArray,
    said: IntArray,
    member: BoolArray,
    questions: Questions,
    pictures: Pictures | None,
    *,
    seed: int,
) -> Look:
    """Judge an answer among the samples whose questions are like those of the ones that give it.

    Attention decides where those samples' other answers follow from their questions, and where no
    look at the pictures tells the group: of a question with two answers each is told by what the
    other gets, and read unlike it. An answer that several kinds of question get is odd by itself:
    there attention need not set it apart so far, and pictures explain it only if they tell it from
    those that look like its own.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question.
    said : (n_samples,) integer array
    member : (n_samples,) bool array
        Samples that give the answer.
    questions : Questions
    pictures : Pictures or None
        Without them nothing is judged.
    seed : int
    """
    alike = questions.around(member)
    rows = np.flatnonzero(alike)
    if pictures is None or member.sum() < _FEWEST_ALIKE[0] or len(rows) < _FEWEST_ALIKE[1]:
        return Look()
    among, own = questions.within(rows, seed=seed), member[rows]
    told = told_by_question(own, among)
    if own.mean() > 0.5 or told > _TOLD_ALIKE or not _odd_among(said[rows], own, among):
        return Look(told)
    several = kinds_asked(said[rows], np.flatnonzero(own), among) >= _KINDS
    gap = 1.0 if several else GAP_ALIKE
    judged = judge_group(Z, member, alike & ~member, seed=seed, gap=gap)
    if judged is not None:
        seen = looks(Z[rows], own, pictures.select(rows), closely=several, seed=seed)
        judged = judged if seen.kind == "none" else None
    return Look(told, judged, odd=several and judged is None)


def _odd_among(said: IntArray, own: BoolArray, questions: Questions) -> bool:
    """Return whether the others repeat answers, and the question tells nearly all of those."""
    counts = {a: c for a, c in Counter(said[~own].tolist()).items() if c >= _REPEATS}
    if sum(counts.values()) < _REPEATED_ALIKE * (~own).sum():
        return False
    told_of = {a: told_by_question(said == a, questions) for a in counts}
    return follow(counts, told_of, untold=_UNTOLD_ALIKE)
