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
