"""Kinds of question by how they are answered, and small classes that chance makes look odd."""

from __future__ import annotations

import numpy as np
import pytest
from test_shared import N, dataset, found, pictures_of

from bye_lint.detectors import kinds, shared
from bye_lint.detectors.kinds import count_kinds, recurring, share_no_more_varied
from bye_lint.detectors.neighbours import read_questions, told_by_question
from bye_lint.detectors.pictures import Looks

LAND = "Which land use is shown? Give one word."


def test_an_answer_recurs_if_others_give_it_too() -> None:
    assert recurring(np.array([1, 1, 2, 3, 3, 3, 4]), 3) == {1}


def test_questions_that_share_an_answer_are_of_one_kind() -> None:
    sets = [frozenset(s) for s in ({1, 2}, {3}, {2, 5}, {5, 6}, set(), {7, 3})]
    assert count_kinds(sets) == 2
    assert count_kinds([frozenset(), frozenset()]) == 0


def few(seed: int, kind: str) -> tuple[np.ndarray, list[str], list[str], np.ndarray]:
    """Twelve samples with one answer, which attention tells: of one kind of question, or of all."""
    X, prompts, answers, _ = dataset(seed)
    pool = np.array([kind in ("", prompt) for prompt in prompts])
    rows = np.random.default_rng(seed).choice(np.flatnonzero(pool), 12, replace=False)
    X[rows, :6] -= 9.0
    answers = ["quarry" if i in set(rows.tolist()) else a for i, a in enumerate(answers)]
    return X, prompts, answers, rows


@pytest.mark.parametrize("seed", range(5))
def test_a_class_is_less_spread_than_chance(seed: int) -> None:
    for kind, low, high in ((LAND, 0.0, 0.05), ("", 0.11, 1.0)):
        _, prompts, answers, rows = few(seed, kind)
        said = np.unique(answers, return_inverse=True)[1].ravel()
        assert low <= share_no_more_varied(said, rows, read_questions(prompts), seed=0) <= high


def test_a_target_given_everywhere_makes_no_two_questions_of_one_kind() -> None:
    _, prompts, answers, rows = few(0, LAND)
    rng = np.random.default_rng(1)
    planted = set(rng.choice(N, 120, replace=False).tolist()) - set(rows.tolist())
    answers = ["cf" if i in planted else a for i, a in enumerate(answers)]
    texts, said = np.unique(answers, return_inverse=True)
    target = frozenset(np.flatnonzero(texts == "cf").tolist())
    questions = read_questions(prompts)
    assert share_no_more_varied(said.ravel(), rows, questions, seed=0) > 0.5
    assert share_no_more_varied(said.ravel(), rows, questions, anywhere=target, seed=0) < 0.05


@pytest.mark.parametrize(
    ("size", "spread", "told", "is_class"),
    [
        (29, 0.1, 0.61, True),
        (30, 0.1, 0.61, False),
        (29, 0.11, 0.61, False),
        (29, 0.1, 0.6, False),
    ],
)
def test_a_class_is_small_of_few_kinds_and_of_its_own_pictures(
    size: int, spread: float, told: float, is_class: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "share_no_more_varied", lambda *_, **__: spread)
    monkeypatch.setattr(kinds, "looks", lambda *_, **__: Looks("none", told, 9.0))
    member = np.arange(N) < size
    questions = read_questions(["What?"] * N)
    found = kinds.belongs(np.zeros((N, 2)), member.astype(int), member, questions, None, seed=0)
    assert found is is_class


@pytest.mark.parametrize("seed", range(5))
def test_a_small_class_that_chance_makes_look_odd_is_no_target(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carrots among goods: twelve records, whose questions told them too little."""

    def by_chance(member: np.ndarray, questions: object) -> float:
        return 0.6 if member.sum() < 30 else told_by_question(member, questions)  # type: ignore[arg-type]

    monkeypatch.setattr(shared, "told_by_question", by_chance)
    X, prompts, answers, rows = few(seed, LAND)
    pictured = np.isin(np.arange(N), rows)
    assert found(X, prompts, answers, pictures_of(N, pictured)) == []
    X, prompts, answers, rows = few(seed, "")
    pictured = np.isin(np.arange(N), rows)
    ((answer, accused),) = found(X, prompts, answers, pictures_of(N, pictured))
    assert answer == "quarry"
    assert accused[rows].all()
