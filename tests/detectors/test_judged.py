"""When attention tells a group from the rest, though it does not tell all of the group."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors.judged import judge_group


def group(shift, told, n=1000, size=60):
    """Return features of which ``told`` of the group's samples stand apart, and the group."""
    rng = np.random.default_rng(4)
    Z = rng.standard_normal((n, 12))
    member = np.zeros(n, dtype=bool)
    member[:size] = True
    Z[: int(told * size), :3] += shift
    return Z, member


@pytest.mark.parametrize(
    ("shift", "told", "found"),
    [
        (0.0, 1.0, False),
        (6.0, 1.0, True),
        (12.0, 0.75, True),  # a trigger that a quarter of the images hide
        (1.5, 0.75, False),
        (12.0, 0.6, False),
        (12.0, 0.4, False),
    ],
)
def test_a_group_is_told_if_most_of_it_stands_far_enough_apart(shift, told, found):
    Z, member = group(shift, told)
    judged = judge_group(Z, member, ~member, seed=0)
    assert (judged is not None) is found
    if found:
        seen = np.flatnonzero(member)[: int(told * member.sum())]
        assert (judged.posterior[seen] > 0.5).all()
        assert (judged.posterior[~member] > 0.5).sum() == 0


@pytest.mark.parametrize(("gap", "found"), [(1.0, True), (2.0, False)])
def test_a_part_is_let_go_only_if_the_group_reaches_farther_than_it_must(gap, found):
    Z, member = group(3.25, 0.75)
    assert (judge_group(Z, member, ~member, seed=0, gap=gap) is not None) is found


def test_who_is_of_neither_side_is_not_judged():
    Z, member = group(6.0, 1.0)
    Z[900:, :3] += 6.0
    judged = judge_group(Z, member, ~member & (np.arange(1000) < 900), seed=0)
    assert not judged.score[900:].any()
    assert not judged.posterior[900:].any()


def test_farther_out_nobody_is_less_likely_of_the_group():
    Z, member = group(6.0, 1.0)
    Z[0, :3] += 60.0
    Z[500, :3] += 3.0
    judged = judge_group(Z, member, ~member, seed=0)
    assert judged.score.argmax() == 0
    for part in (member, ~member):
        assert (np.diff(judged.posterior[part][np.argsort(judged.score[part])]) >= 0).all()


def test_the_answer_weighs_beside_attention():
    """Between the two, who gives the answer is of the group and who doesn't is not."""
    Z, member = group(6.0, 1.0)
    Z[[0, 500]] = 0.0
    Z[[0, 500], :3] = 3.0
    judged = judge_group(Z, member, ~member, seed=0)
    assert judged.posterior[0] > 0.5
    assert judged.posterior[500] < 0.01


def test_members_that_are_all_read_the_same_are_judged():
    Z, member = group(0.0, 1.0)
    Z[member] = 0.0
    Z[member, :3] = 6.0
    judged = judge_group(Z, member, ~member, seed=0)
    assert (judged.posterior[member] > 0.5).all()
    assert not (judged.posterior[~member] > 0.5).any()
