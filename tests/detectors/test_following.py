"""Which answers are repeated, and when they follow from what is asked."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors.following import answers_follow, follow, most_told, repeated


def test_few_samples_may_be_told_by_chance() -> None:
    assert most_told(9) == pytest.approx(0.5 + 3.5 / np.sqrt(108))
    assert most_told(9) > most_told(20) > most_told(1000) == 0.66


@pytest.mark.parametrize(("size", "least"), [(300, 9), (5000, 20)])
def test_an_answer_is_repeated_that_enough_give(size: int, least: int) -> None:
    said = np.arange(size) + 10
    said[:least] = 1
    said[-least + 1 :] = 2
    assert repeated(said, np.arange(size)) == {1: least}
    assert repeated(said, np.arange(1, size)) == {}


@pytest.mark.parametrize(
    ("astray", "told", "follows"), [(50, 0.66, True), (51, 0.66, False), (51, 0.67, True)]
)
def test_answers_follow_where_no_more_than_half_are_astray(
    astray: int, told: float, follows: bool
) -> None:
    assert follow({1: astray, 2: 100 - astray}, {1: told, 2: 0.9}) is follows


def test_answers_of_the_samples_that_count_alone_are_asked_about() -> None:
    said = np.repeat([1, 2, 3], [40, 40, 20])
    asked = []

    def told(member: np.ndarray) -> float:
        asked.append(int(member.sum()))
        return 0.5 if member[0] else 0.9

    assert not answers_follow(said, told, np.arange(60))
    assert asked == [40, 40]
    assert answers_follow(said, told, np.arange(40, 100))
