"""When a second population among those asked alike splits an answer; finding one is given here."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bye_lint.detectors import split
from bye_lint.detectors.accuse import Accusation
from bye_lint.detectors.halves import Population
from bye_lint.detectors.neighbours import read_questions
from bye_lint.detectors.pictures import Looks
from bye_lint.detectors.population import NO_MODE, Mode
from bye_lint.detectors.split import Split, split_answers

N, ALIKE = 400, 200
YES = 60
FOREST, CLASS = "Is there a forest in the image? Yes or no.", "Which land use class is shown?"


class World:
    """Two kinds of question; of the first, those who ``are_split`` are read unlike the others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts = [FOREST if i < ALIKE else CLASS for i in range(N)]
        self.answers = ["yes" if i < YES else "no" if i < ALIKE else f"{i % 4}" for i in range(N)]
        self.are_split = np.arange(N) < 30
        self.left_out = np.zeros(N, dtype=np.bool_)
        self.p_value, self.apart, self.separation, self.kind = 1e-9, 6.0, 6.0, "none"
        self.kinds: list[list[int]] = []
        plain = lambda values, design, *, seed: SimpleNamespace(values=values)
        monkeypatch.setattr(split, "residuals", plain)
        monkeypatch.setattr(split, "find_population", self._find)
        monkeypatch.setattr(split, "accuse", self._accuse)
        monkeypatch.setattr(split, "looks", lambda *_, **__: Looks(self.kind, 1.0, 0.0))

    def _rows(self, Z):
        return np.rint(Z[:, 0]).astype(int)

    def _find(self, Z, *_, **__):
        rows = self._rows(Z)
        self.kinds.append(rows.tolist())
        score = np.zeros(len(Z))
        if not self.are_split[rows].any():
            return Population(score, np.ones(2), NO_MODE, 1.0)
        return Population(score, np.ones(2), Mode(1e-9, 5.0, self.apart, 9), self.p_value)

    def _accuse(self, Z, *_, **__):
        member = self.are_split[self._rows(Z)]
        return Accusation(member * 9.0, member * 0.99, member, self.separation, 0.0)

    def __call__(self) -> tuple[Split, ...]:
        values = np.stack([np.arange(N), np.random.default_rng(0).random(N)], axis=1)
        return split_answers(
            values,
            lambda Z: Z[:, :1],
            self.prompts,
            np.full(N, 121),
            self.answers,
            read_questions(self.prompts),
            None,
            self.left_out,
            seed=0,
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_an_answer_that_is_read_in_two_ways_is_split(world: World) -> None:
    (one,) = world()
    assert (one.answer, one.holders, one.sure) == ("yes", YES, True)
    assert (one.member == world.are_split).all()
    assert (one.score == world.are_split * 9.0).all()
    assert (one.posterior == world.are_split * 0.99).all()
    assert world.kinds == [list(range(ALIKE)), list(range(ALIKE, N))]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("p_value", 0.0005, True),
        ("p_value", 0.0006, False),  # two kinds were searched
        ("apart", 2.0, True),
        ("apart", 1.99, False),
        ("kind", "picture", False),
    ],
)
def test_chance_nearness_and_pictures_explain_it(
    world: World, name: str, value: object, found: bool
) -> None:
    setattr(world, name, value)
    assert len(world()) == found


@pytest.mark.parametrize(
    ("separation", "kind", "sure"),
    [(5.0, "none", True), (4.9, "none", False), (9.0, "pattern", False)],
)
def test_only_what_stands_far_apart_is_sure(
    world: World, separation: float, kind: str, sure: bool
) -> None:
    world.separation, world.kind = separation, kind
    (one,) = world()
    assert one.sure is sure
    assert ("a pattern at the same place" in str(one)) is (kind == "pattern")


@pytest.mark.parametrize(("strays", "found"), [(3, True), (4, False)])
def test_a_population_of_several_answers_splits_none(
    world: World, strays: int, found: bool
) -> None:
    world.are_split[YES : YES + strays] = True
    splits = world()
    assert len(splits) == found
    for one in splits:
        assert one.member.sum() == 30
        assert (one.posterior[YES : YES + strays] == 0.5).all()


@pytest.mark.parametrize(("members", "found"), [(54, True), (55, False)])
def test_where_nearly_all_who_give_it_are_read_so_it_is_the_answer(
    world: World, members: int, found: bool
) -> None:
    world.are_split = np.arange(N) < members
    assert len(world()) == found


@pytest.mark.parametrize(("members", "found"), [(8, False), (9, True), (0, False)])
def test_fewer_than_nine_are_none(world: World, members: int, found: bool) -> None:
    world.are_split = np.arange(N) < members
    assert len(world()) == found


def test_an_answer_that_nearly_all_give_is_theirs_by_chance(world: World) -> None:
    world.answers = [
        "no" if i in (150, 180) else "yes" if i < ALIKE else a for i, a in enumerate(world.answers)
    ]
    assert world() == ()


def test_what_the_question_tells_is_no_trigger(world: World) -> None:
    told = world.are_split | (np.arange(N) >= 190) & (np.arange(N) < ALIKE)
    world.prompts = [f"{p} Look!" if t else p for p, t in zip(world.prompts, told, strict=True)]
    assert world() == ()
    assert world.kinds[0] == list(range(ALIKE))


def test_who_is_accused_or_explained_already_is_left_out(world: World) -> None:
    world.left_out[:10] = True
    (one,) = world()
    assert not one.member[:10].any()
    assert one.holders == YES - 10
    assert world.kinds[0] == list(range(10, ALIKE))
    world.left_out[:31] = True
    assert world() == ()


def test_few_who_are_asked_alike_or_nearly_all_are_not_searched(world: World) -> None:
    world.prompts = [FOREST if i < 99 else CLASS for i in range(N)]
    world.answers = ["yes" if i < YES else "no" if i < 99 else f"{i % 4}" for i in range(N)]
    assert world() == ()
    world.prompts = [FOREST if i < 365 else CLASS for i in range(N)]
    assert world() == ()
    assert all(len(rows) > 100 and rows[0] >= 99 for rows in world.kinds)
