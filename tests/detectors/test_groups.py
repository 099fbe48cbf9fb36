"""What the search does with a second population; finding one and looking at it are given here."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors import groups
from bye_lint.detectors.accuse import Accusation
from bye_lint.detectors.answers import Answers
from bye_lint.detectors.groups import convincing, restrained
from bye_lint.detectors.halves import Population
from bye_lint.detectors.neighbours import read_questions
from bye_lint.detectors.pictures import Looks
from bye_lint.detectors.population import NO_MODE, Mode

N = 300
GROUP = np.arange(N) < 30


def accusation(separation: float, alike: float, member: np.ndarray = GROUP) -> Accusation:
    return Accusation(np.where(member, 9.0, 0.0), member * 0.99, member, separation, alike)


@pytest.mark.parametrize(
    ("separation", "alike", "alone", "found"),
    [
        (2.0, 0.8, True, True),
        (1.99, 1.0, True, False),
        (4.99, 0.79, True, False),
        (5.0, 0.0, True, True),
        (50.0, 0.79, False, False),
        (2.0, 0.8, False, True),
    ],
)
def test_attention_that_is_alone_has_to_be_overwhelming(
    separation: float, alike: float, alone: bool, found: bool
) -> None:
    assert convincing(accusation(separation, alike), alone=alone) is found


@pytest.mark.parametrize(
    ("count", "alike", "found"), [(9, 0.0, False), (10, 0.0, True), (9, 0.8, True)]
)
def test_a_handful_that_attention_alone_sets_apart_is_no_population(
    count: int, alike: float, found: bool
) -> None:
    assert convincing(accusation(50.0, alike, np.arange(N) < count)) is found


@pytest.mark.parametrize(
    ("separation", "alike", "spared"), [(4.9, 0.8, True), (5.0, 0.8, False), (4.9, 0.7, False)]
)
def test_who_answers_otherwise_is_spared_where_the_answers_accuse(
    separation: float, alike: float, spared: bool
) -> None:
    said = ["target" if i < 27 else f"answer {i % 40}" for i in range(N)]
    answers = Answers.of(said, np.full((N, 5), 200))
    group = restrained(accusation(separation, alike), answers)
    assert group.suspicious[:27].all()
    assert group.suspicious[27:30].any() is not np.bool_(spared)
    assert (group.posterior[27:30] == (0.5 if spared else 0.99)).all()


class Search:
    """One population after the other, each seen or told as a test has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.p_value, self.apart = "none", 1e-9, 6.0
        self.separation, self.alike = 6.0, 1.0
        self.anybody = True
        self.sizes: list[int] = []
        self.seen: list[np.ndarray] = []
        self.rounds, self.size = 1, 30
        monkeypatch.setattr(groups, "find_population", self._find)
        monkeypatch.setattr(groups, "accuse", self._accuse)
        monkeypatch.setattr(groups, "looks", self._looks)

    def _find(self, Z, *_, **__):
        self.sizes.append(len(Z))
        score = np.where(np.arange(len(Z)) < self.size, 9.0, 0.0)
        if len(self.sizes) > self.rounds:
            return Population(score, np.ones(Z.shape[1]), NO_MODE, 1.0)
        mode = Mode(1e-9, 5.0, self.apart, 30)
        return Population(score, np.ones(Z.shape[1]), mode, self.p_value)

    def _accuse(self, Z, score, *_, **__):
        member = (score > 5) & self.anybody
        return Accusation(2 * score, member * 0.99, member, self.separation, self.alike)

    def _looks(self, Z, group, *_, **__):
        self.seen.append(group)
        return Looks(self.kind, 1.0, 0.0)

    def __call__(self, *, answers=None, prompts=None, **settings):
        Z = np.random.default_rng(0).standard_normal((N, 4))
        answers = answers or [f"answer {i % 7}" for i in range(N)]
        questions = read_questions(prompts or [f"What is {i % 5}?" for i in range(N)])
        return groups.search(
            Z, lambda part: part[:, :1], answers, questions, None, seed=0, **settings
        )


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    return Search(monkeypatch)


def test_a_population_that_nothing_explains_is_accused(search: Search) -> None:
    found = search()
    assert (found.suspicious == GROUP).all()
    assert (found.posterior == GROUP * 0.99).all()
    assert (found.score == GROUP * 18.0).all()
    assert not found.explained.any()
    assert found.undecided == ""
    assert len(search.sizes) == 1


@pytest.mark.parametrize(("p_value", "apart"), [(0.0011, 6.0), (1e-9, 1.9)])
def test_what_may_be_chance_or_stands_near_is_no_population(
    search: Search, p_value: float, apart: float
) -> None:
    search.p_value, search.apart = p_value, apart
    found = search()
    assert not found.suspicious.any()
    assert found.undecided == ""
    assert found.p_value == p_value
    assert found.warnings == ()
    assert "one population" in found.notes[0]


@pytest.mark.parametrize(("p_value", "apart"), [(0.001, 6.0), (1e-9, 2.0)])
def test_the_bounds_are_of_what_is_believed_in(
    search: Search, p_value: float, apart: float
) -> None:
    search.p_value, search.apart = p_value, apart
    assert search().suspicious.any()


def test_a_kind_of_picture_is_explained_and_the_rest_is_searched(search: Search) -> None:
    search.kind = "picture"
    found = search()
    assert search.sizes == [300, 270]
    assert not found.suspicious.any()
    assert (found.explained == GROUP).all()
    assert "not poison" in found.warnings[0]
    assert found.notes == ()
    assert found.undecided == ""


def test_a_shared_pattern_is_undecided(search: Search) -> None:
    search.kind = "pattern"
    found = search()
    assert not found.suspicious.any()
    assert (found.explained == GROUP).all()
    assert "a pattern at the same place" in found.undecided
    assert found.notes == ()


def test_attention_may_not_accuse_alone_where_it_has_learned_nothing(search: Search) -> None:
    search.alike = 0.0
    assert search().suspicious.any()
    search.sizes.clear()
    found = search(alone=False)
    assert not found.suspicious.any()
    assert not found.explained.any()
    assert "too little to accuse them" in found.warnings[0]


def asked(other: str = "What is it?") -> list[str]:
    return ["Of which colour is the sky?" if own else other for own in GROUP]


def test_a_question_that_is_answered_this_way_and_that_is_no_trigger(search: Search) -> None:
    found = search(prompts=asked())
    assert not found.suspicious.any()
    assert (found.explained == GROUP).all()
    assert search.seen == []


def test_one_that_always_gets_one_answer_may_be(search: Search) -> None:
    answers = ["target" if own else f"answer {i % 7}" for i, own in enumerate(GROUP)]
    answers[0] = "another"
    assert (search(prompts=asked(), answers=answers).suspicious == GROUP).all()
    search.sizes.clear()
    answers[1:4] = ["a", "b", "c"]
    assert not search(prompts=asked(), answers=answers).suspicious.any()


def test_a_mode_that_nobody_belongs_to_ends_the_search(search: Search) -> None:
    search.anybody, search.rounds, search.alike = False, 99, 0.0
    found = search()
    assert search.sizes == [300]
    assert search.seen == []
    assert "too little to accuse them" in found.warnings[0]
    assert found.undecided == ""


def test_where_hardly_anything_is_left_nothing_more_is_searched(search: Search) -> None:
    search.kind, search.rounds, search.size = "picture", 99, 250
    assert search().undecided == ""
    assert search.sizes == [300]


def test_many_modes_that_fall_short_hide_nothing(search: Search) -> None:
    search.alike, search.separation, search.rounds = 0.0, 3.0, 99
    found = search()
    assert search.sizes == [300, 270, 240, 210, 180]
    assert found.undecided == ""
    assert not found.explained.any()
