"""Records and planted copies side by side, and what each kind of copy teaches of the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bye_lint.detectors.answer import coded
from bye_lint.detectors.attention import Column, attention_columns
from bye_lint.detectors.following import MOST_TOLD, follow, repeated
from bye_lint.detectors.judged import Judged, judge_group
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.pictures import Pictures
from bye_lint.detectors.planted import Kind, judge_kind
from bye_lint.detectors.worded import Worded
from bye_lint.features import BoolArray, Features, FloatArray, IntArray, TextArray


@dataclass(frozen=True)
class View:
    """Records, then copies, as the detector reads them: a row of each array for each of both.

    Attributes
    ----------
    records, copies : integer arrays
        Their rows in the features.
    label : (n_rows,) array of str
        Kind of each copy, empty for records.
    values, Z : (n_rows, n_columns) arrays
        Attention as it is, and given the question.
    """

    records: IntArray
    copies: IntArray
    label: TextArray
    columns: tuple[Column, ...]
    values: FloatArray
    Z: FloatArray
    prompts: list[str]
    answers: list[str]
    questions: Questions
    pictures: Pictures | None

    def copies_of(self, name: str) -> IntArray:
        """Return the rows in the features of the copies of one kind."""
        mine: BoolArray = self.label[len(self.records) :] == name
        return np.asarray(self.copies[mine])


def read_view(features: Features, records: IntArray, copies: IntArray, *, seed: int) -> View:
    """Return the rows of some records and copies, attention given the question among them."""
    rows = np.concatenate([records, copies])
    prompts = [features.prompts[i] for i in rows.tolist()]
    columns = attention_columns(features, rows)
    questions = read_questions(prompts, seed=seed)
    return View(
        records=records,
        copies=copies,
        label=np.array([""] * len(records) + [features.canary[i] for i in copies.tolist()]),
        columns=columns.names,
        values=columns.values,
        Z=given_neighbours(columns.values, questions.nearest),
        prompts=prompts,
        answers=[features.answers[i] for i in rows.tolist()],
        questions=questions,
        pictures=None if features.picture is None else Pictures(features.picture[rows]),
    )


def judge_kinds(
    view: View, usable: Sequence[str], rest: BoolArray, false_alarm_rate: float, *, seed: int
) -> list[Kind]:
    """Judge the kinds that have copies enough, each at its part of the false-alarm rate.

    Parameters
    ----------
    usable : sequence of str
        Their names.
    rest : (n_rows,) bool array
        Records that nothing accuses yet.
    """
    rate = false_alarm_rate / len(usable)
    asked = _Asked.of(view, rest, seed=seed)
    return [
        _as_poison(
            judge_kind(name, view.Z, view.label, rest, rate, seed=seed), view, asked, seed=seed
        )
        for name in usable
    ]


@dataclass(frozen=True)
class _Asked:
    """What the copies' answers are compared with.

    Attributes
    ----------
    rest : (n_rows,) bool array
        Records that nothing accuses yet.
    worded : Worded
    counts : dict of int to int
        How many of them give each answer that is repeated.
    follow : bool
        Those answers follow from their questions.
    """

    rest: BoolArray
    worded: Worded
    counts: dict[int, int]
    follow: bool

    @classmethod
    def of(cls, view: View, rest: BoolArray, *, seed: int) -> _Asked:
        said = coded(view.answers)
        counts = repeated(said, np.flatnonzero(rest))
        told_of = {a: told_by_question(said == a, view.questions) for a in counts}
        worded = Worded(view.values, view.prompts, said, view.pictures, seed=seed)
        return cls(rest, worded, counts, follow(counts, told_of))


def _as_poison(kind: Kind, view: View, asked: _Asked, *, seed: int) -> Kind:
    """Let a kind's copies be judged as records are that share an answer, and take what is found.

    This is what would happen to such poison; the kind's direction serves poison whose targets
    vary. A kind of text is found by its words, so its own direction vouches for nothing.
    """
    own = np.asarray(view.label == kind.name)
    if told_by_question(own, view.questions) > MOST_TOLD:
        look = asked.worded.judge(own, asked.rest, asked.counts, follow=asked.follow)
        return replace(kind, recall=_share_found(look.judged, own)) if look.compared else kind
    if not asked.follow:
        return kind
    found = _share_found(judge_group(view.Z, own, asked.rest, seed=seed), own)
    return replace(kind, recall=max(kind.recall, found))


def _share_found(judged: Judged | None, own: BoolArray) -> float:
    return 0.0 if judged is None else float((judged.posterior[own] > 0.5).mean())
