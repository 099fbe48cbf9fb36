"""What makes a record a repeat of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bye_lint.detectors.repeats import distinct
from bye_lint.features import Features


def twice(**changes) -> Features:
    """Return one record two times, but for what a test changes in the second."""
    features = Features(
        np.ones((2, 2)),
        np.ones((2, 2, 3)),
        np.ones((2, 2, 3, 3)),
        image_tokens=np.full(2, 121),
        prompts=["What?"] * 2,
        answers=["river"] * 2,
        canary=["", ""],
        picture=np.zeros((2, 32, 32, 3), dtype=np.uint8),
    )
    return replace(features, **changes)


def read(by: float) -> np.ndarray:
    heads = np.ones((2, 2, 3))
    heads[1, 1, 2] += by
    return heads


OTHER = np.zeros((2, 32, 32, 3), dtype=np.uint8)
OTHER[1, 5, 5] = 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"picture": None},
        {"head_entropy": read(5e-4)},
        {"head_entropy": np.full((2, 2, 3), np.nan)},
        {"canary": ["patch", "patch"]},
        {"canary": []},
    ],
)
def test_the_same_record_read_the_same_is_a_repeat(changes) -> None:
    first, place = distinct(twice(**changes))
    assert first.tolist() == [0]
    assert place.tolist() == [0, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": ["What?", "Which?"]},
        {"answers": ["river", "lake"]},
        {"canary": ["", "patch"]},
        {"picture": OTHER},
        {"head_entropy": read(2e-3)},
        {"head_entropy": read(np.nan)},
    ],
)
def test_whatever_differs_makes_it_another(changes) -> None:
    first, place = distinct(twice(**changes))
    assert first.tolist() == [0, 1]
    assert place.tolist() == [0, 1]


def test_each_repeats_the_first_that_is_read_like_it() -> None:
    features = twice(head_entropy=read(1.0)).select(np.array([0, 1, 0, 1, 1]))
    first, place = distinct(features)
    assert first.tolist() == [0, 1]
    assert place.tolist() == [0, 1, 0, 1, 1]
