"""Records that occur many times: whom each repeats, and what it costs to find out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_features

from bye_lint.detectors.repeats import distinct


def features_of(attention: list[list[float]], **fields: list[str]):
    features, _ = make_features(len(attention), n_layers=1, n_heads=len(attention[0]))
    same = {"prompts": ["?"] * len(attention), "answers": ["!"] * len(attention)}
    return replace(features, head_entropy=np.array(attention)[:, None, :], **{**same, **fields})


def one_by_one(features) -> tuple[list[int], list[int]]:
    """Compare every sample with those before it, as it is written."""
    first: list[int] = []
    place = []
    for i in range(len(features)):
        alike = [
            at
            for at, one in enumerate(first)
            if features.prompts[one] == features.prompts[i]
            and np.allclose(
                features.head_entropy[one],
                features.head_entropy[i],
                rtol=0,
                atol=1e-3,
                equal_nan=True,
            )
        ]
        first += [] if alike else [i]
        place.append(alike[0] if alike else len(first) - 1)
    return first, place


@pytest.mark.parametrize(
    ("attention", "fields"),
    [
        pytest.param([[1.0, 2.0], [1.0, 2.1]], {}, id="read otherwise by one head"),
        pytest.param([[1.0, 2.0], [1.0, np.nan]], {}, id="not read by one head"),
        pytest.param([[1.0, np.inf], [1.0, -np.inf]], {}, id="infinite on either side"),
        pytest.param([[1.0], [1.0]], {"prompts": ["?", "??"]}, id="asked otherwise"),
        pytest.param([[1.0], [1.0]], {"answers": ["!", "!!"]}, id="answered otherwise"),
        pytest.param([[1.0], [1.0]], {"canary": ["", "wave"]}, id="a planted copy"),
    ],
)
def test_what_differs_is_no_repeat(attention, fields):
    first, place = distinct(features_of(attention, **fields))
    assert (first.tolist(), place.tolist()) == ([0, 1], [0, 1])


def test_a_repeat_is_that_of_the_first_it_is_read_like():
    """The third is read like both before it, which are no repeats of each other."""
    first, place = distinct(features_of([[1.0], [1.0018], [1.0009], [3.0], [1.0]]))
    assert (first.tolist(), place.tolist()) == ([0, 1, 3], [0, 1, 0, 2, 0])


@pytest.mark.parametrize("seed", range(8))
def test_repeats_are_those_of_a_comparison_one_by_one(seed):
    rng = np.random.default_rng(seed)
    attention = rng.standard_normal((12, 4))[rng.integers(0, 12, 80)]
    attention = attention + rng.integers(-3, 4, attention.shape) * 4e-4
    attention[rng.random(attention.shape) < 0.05] = np.nan
    attention[rng.random(attention.shape) < 0.02] = np.inf
    prompts = [str(k) for k in rng.integers(0, 2, 80)]
    features = features_of(attention.tolist(), prompts=prompts)
    first, place = distinct(features)
    assert (first.tolist(), place.tolist()) == one_by_one(features)


def test_nothing_has_no_repeats():
    features, _ = make_features(60)
    first, place = distinct(features.select(np.arange(0)))
    assert len(first) == len(place) == 0
    headless = replace(features, prompts=["?"] * 60, answers=["!"] * 60)
    headless = replace(headless, head_entropy=np.zeros((60, 0, 0)))
    assert distinct(headless)[0].tolist() == [0]


def test_many_records_that_differ_only_in_how_they_are_read_are_no_repeats():
    """Anybody may contribute them; compared one by one in Python, so many took a quarter hour."""
    features, _ = make_features(2000, n_layers=6, n_heads=5)
    same = replace(features, prompts=["?"] * 2000, answers=["!"] * 2000)
    first, _ = distinct(same)
    assert len(first) == 2000
