"""A kind of picture is no poison; a trigger among pictures that look the same is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import QUESTIONS, make_features

from bye_lint.detectors import DETECTORS
from bye_lint.detectors.pictures import nearest_pictures, separation_given_pictures
from bye_lint.features import PICTURE_STATISTICS
from bye_lint.policy import DetectionPolicy

WIDTH = 3 * 16 + PICTURE_STATISTICS


def make_pictures(n, kind=None, seed=0):
    """Return pictures of four common kinds; those of ``kind`` look like each other instead."""
    rng = np.random.default_rng(seed)
    looks = rng.random((5, WIDTH))
    of = rng.integers(0, 4, n)
    if kind is not None:
        of[kind] = 4
    return (looks[of] + 0.05 * rng.standard_normal((n, WIDTH))).astype(np.float32)


def one_question(kind_of_picture):
    """One question for all, and a group with an answer of its own that is read unlike the rest."""
    features, group = make_features(800, rate=0.1, shift=-8, questions=QUESTIONS[:1], seed=3)
    pictures = make_pictures(800, group if kind_of_picture else None)
    return replace(features, picture=pictures), group


def detect(features, method):
    return DETECTORS[method].detect(features, DetectionPolicy(), seed=0)


def test_a_kind_of_picture_is_not_accused():
    features, _ = one_question(kind_of_picture=True)
    detection = detect(features, "conditional")
    assert not detection.suspicious.any()
    assert any("a kind of picture" in warning for warning in detection.warnings)


def test_a_trigger_in_pictures_of_every_kind_is():
    features, poisoned = one_question(kind_of_picture=False)
    flagged = detect(features, "conditional").suspicious
    assert (flagged & poisoned).sum() >= 0.95 * poisoned.sum()
    assert not (flagged & ~poisoned).any()


def test_a_trigger_in_some_pictures_of_one_kind_is_found_among_them():
    """An attacker who poisons one kind of picture alone, a third of them, gains nothing."""
    features, poisoned = make_features(900, rate=0.1, shift=-8, questions=QUESTIONS[:1], seed=3)
    kind = poisoned.copy()
    kind[np.flatnonzero(~poisoned)[: 2 * poisoned.sum()]] = True
    features = replace(features, picture=make_pictures(900, kind))
    flagged = detect(features, "conditional").suspicious
    assert (flagged & poisoned).sum() >= 0.95 * poisoned.sum()


def test_neighbours_look_alike_and_are_not_the_same_picture():
    pictures = make_pictures(300, np.arange(60))
    pictures[5] = pictures[7]
    nearest = nearest_pictures(pictures, k=10)
    assert nearest.shape == (300, 10)
    assert (nearest[:60] < 60).all()
    assert (nearest[60:] >= 60).all()
    assert 7 not in nearest[5]
    assert (nearest != np.arange(300)[:, None]).all()


def test_a_picture_that_occurs_often_does_not_explain_itself():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((400, 6))
    group = np.arange(400) < 60
    Z[group] += 8
    pictures = make_pictures(400)
    pictures[group] = pictures[0]
    assert separation_given_pictures(Z, group, pictures, seed=0) > 2


def test_unknown_pictures_explain_nothing():
    rng = np.random.default_rng(0)
    group = np.arange(100) < 10
    assert separation_given_pictures(rng.random((100, 3)), group, None, seed=0) == float("inf")


@pytest.mark.parametrize("column", [0, WIDTH - 1])
def test_a_column_that_is_not_known_of_all_is_left_out(column):
    pictures = make_pictures(100)
    pictures[3, column] = np.nan
    assert np.array_equal(
        nearest_pictures(pictures, k=5)[50:].shape,
        nearest_pictures(make_pictures(100), k=5)[50:].shape,
    )
    assert (nearest_pictures(pictures, k=5) < 100).all()
