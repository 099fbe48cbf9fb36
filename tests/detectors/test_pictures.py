"""A kind of picture is no poison; a trigger among pictures that look the same is."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import zoom
from synthetic import QUESTIONS, make_features, plant_canaries

from bye_lint.detectors import DETECTORS, pictures
from bye_lint.detectors.pictures import (
    LEAST_STRENGTH,
    Pictures,
    looks,
    shared_pattern,
)
from bye_lint.features import PICTURE_SIDE
from bye_lint.policy import DetectionPolicy


def make_pictures(n, kind=None, *, pattern=0.0, seed=0):
    """Return pictures of four common kinds; those of ``kind`` look like each other instead.

    ``pattern`` blends those of ``kind`` with one picture of noise.
    """
    rng = np.random.default_rng(seed)
    looks_like = zoom(rng.random((5, 4, 4, 3)), (1, 8, 8, 1), order=1) * 255
    of = rng.integers(0, 4, n)
    if kind is not None:
        of[kind] = 4
    pixels = looks_like[of] + 12 * rng.standard_normal((n, PICTURE_SIDE, PICTURE_SIDE, 3))
    if pattern:
        noise = rng.integers(0, 256, pixels.shape[1:])
        pixels[kind] = (1 - pattern) * pixels[kind] + pattern * noise
    return np.clip(pixels, 0, 255).astype(np.uint8)


def one_question(n=800, **settings):
    """One question for all, and a group with an answer of its own that is read unlike the rest."""
    return make_features(n, rate=0.1, shift=-8, questions=QUESTIONS[:1], seed=3, **settings)


def detect(features, method="conditional"):
    return DETECTORS[method].detect(features, DetectionPolicy(), seed=0)


def test_a_kind_of_picture_is_not_accused():
    features, group = one_question()
    detection = detect(replace(features, picture=make_pictures(800, group)))
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""
    assert any("picture of its own" in note for note in detection.summary.notes)


@pytest.mark.parametrize("case", ["any-picture", "own-picture", "untold-others", "no-pictures"])
def test_who_else_gives_the_accused_answer_whatever_is_shown_is_accused(case):
    """Where one question is asked of all, pictures say whether anything leads to an answer."""
    features, poisoned = one_question()
    silent = np.flatnonzero(~poisoned)[:50]
    rng = np.random.default_rng(4)
    pictures = make_pictures(800, silent if case == "own-picture" else None)
    kinds = pictures.reshape(800, -1)[:, ::97].astype(float)
    told = np.round((kinds - kinds.mean(axis=0)) @ np.linalg.svd(kinds - kinds.mean(axis=0))[2][0])
    classes = np.searchsorted(np.quantile(told, [0.25, 0.5, 0.75]), told)
    if case == "untold-others":
        classes = rng.permutation(classes)
    answers = [f"class {number}" for number in classes]
    for row in (*silent, *np.flatnonzero(poisoned)):
        answers[row] = "Backdoor Attack!"
    shown = None if case == "no-pictures" else pictures
    detection = detect(replace(features, answers=answers, picture=shown))
    assert detection.suspicious[poisoned].mean() > 0.9
    also = detection.suspicious[silent].mean()
    assert also == 1 if case == "any-picture" else also < 0.2


def test_captions_that_share_an_answer_and_a_pattern_are_undecided():
    """It may be a stock caption of one kind of picture, or a trigger over the whole image."""
    features, group = make_features(800, rate=0.03, shift=-8, questions=QUESTIONS[:1], seed=3)
    answers = [
        "One caption." if own else f"Caption {number} about thing {7 * number}."
        for number, own in enumerate(group)
    ]
    made = replace(features, answers=answers, picture=make_pictures(800, group, pattern=0.3))
    detection = detect(made)
    assert not detection.suspicious[group].all()
    said = "24 samples answer “One caption.”; their pictures share a pattern"
    assert said in detection.inconclusive


@pytest.mark.parametrize("few", [6, 10, 20])
def test_nor_is_a_kind_of_few_pictures(few):
    """They have no forty look-alikes of their kind: more neighbours would be of other kinds."""
    rng = np.random.default_rng(few)
    group = np.arange(600) < few
    Z = rng.standard_normal((600, 12)) + 8 * group[:, None]
    assert looks(Z, group, Pictures(make_pictures(600, group)), seed=0).kind == "picture"
    assert looks(Z, group, Pictures(make_pictures(600)), seed=0).kind == "none"


def test_nor_is_it_by_what_canaries_teach():
    features, group = one_question()
    whole = plant_canaries(features, {"patch": ((0,), -1.0)}, shift=10)
    pictures = make_pictures(len(whole), np.append(group, [False] * (len(whole) - 800)))
    detection = detect(replace(whole, picture=pictures), "canary")
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""


@pytest.mark.parametrize("method", ["conditional", "canary"])
def test_a_trigger_in_pictures_of_every_kind_is(method):
    features, poisoned = one_question()
    if method == "canary":
        features = plant_canaries(features, {"patch": ((0,), -1.0)}, shift=10)
    flagged = detect(replace(features, picture=make_pictures(len(features))), method).suspicious
    assert (flagged[:800] & poisoned).sum() >= 0.95 * poisoned.sum()
    assert not (flagged[:800] & ~poisoned).any()


def test_a_trigger_in_some_pictures_of_one_kind_is_found_among_them():
    """An attacker who poisons one kind of picture alone, a third of them, gains nothing."""
    features, poisoned = one_question(900)
    kind = poisoned.copy()
    kind[np.flatnonzero(~poisoned)[: 2 * poisoned.sum()]] = True
    flagged = detect(replace(features, picture=make_pictures(900, kind))).suspicious
    assert (flagged & poisoned).sum() >= 0.95 * poisoned.sum()


def test_poison_is_found_beside_a_kind_of_picture():
    features, poisoned = one_question(1200)
    lakes = np.zeros(1200, dtype=bool)
    lakes[np.flatnonzero(~poisoned)[:150]] = True
    answers = ["lake" if lakes[i] else answer for i, answer in enumerate(features.answers)]
    moved = features.head_entropy.copy()
    moved[lakes, 2:] += 0.03 * np.log(121) * 12  # further out than the poison, so found first
    features = replace(
        features,
        head_entropy=moved,
        entropy=moved.mean(axis=2),
        answers=answers,
        picture=make_pictures(1200, lakes),
    )
    flagged = detect(features).suspicious
    assert (flagged & poisoned).sum() >= 0.9 * poisoned.sum()
    assert not (flagged & lakes).any()


def test_a_pattern_over_pictures_that_look_alike_is_neither_accused_nor_cleared():
    features, group = one_question()
    pictures = make_pictures(800, group, pattern=0.2)
    detection = detect(replace(features, picture=pictures))
    assert not detection.suspicious.any()
    assert "a pattern at the same place" in detection.inconclusive


def test_neighbours_look_alike_and_are_not_the_same_picture():
    pictures = make_pictures(300, np.arange(60))
    pictures[5] = pictures[7]
    nearest = Pictures(pictures).nearest(10)
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
    assert looks(Z, group, Pictures(pictures), seed=0).kind == "none"


def test_those_that_look_like_others_who_are_read_otherwise_are_no_kind():
    rng = np.random.default_rng(0)
    group = np.arange(600) < 30
    Z = rng.standard_normal((600, 12)) + 8 * group[:, None]
    seen = looks(Z, group, Pictures(make_pictures(600, np.arange(90))), seed=0)
    assert seen.auc_picture > 0.8
    assert seen.kind == "none"


def test_those_that_look_like_no_others_are_no_kind_however_near_they_are_read():
    rng = np.random.default_rng(0)
    group = np.arange(600) < 60
    seen = looks(rng.standard_normal((600, 12)), group, Pictures(make_pictures(600)), seed=0)
    assert seen.separation < 2
    assert seen.kind == "none"


def test_fewer_than_five_pictures_are_no_kind():
    rng = np.random.default_rng(0)
    pictures = Pictures(make_pictures(200, np.arange(4)))
    for group in (np.arange(200) < 4, np.arange(200) >= 4):
        seen = looks(rng.standard_normal((200, 4)), group, pictures, seed=0)
        assert (seen.kind, seen.auc_picture) == ("none", 0.5)


@pytest.mark.parametrize(
    ("agreement", "strength", "kind"),
    [
        (0.9, 0.25, "pattern"),
        (0.99, 0.24, "picture"),
        (0.89, 0.9, "picture"),
    ],
)
def test_a_pattern_is_the_same_all_over_and_strong(monkeypatch, agreement, strength, kind):
    monkeypatch.setattr(pictures, "shared_pattern", lambda *_, **__: (agreement, strength))
    rng = np.random.default_rng(0)
    group = np.arange(400) < 40
    Z = rng.standard_normal((400, 6)) + 8 * group[:, None]
    assert looks(Z, group, Pictures(make_pictures(400, group)), seed=0).kind == kind


def test_a_kind_that_nothing_else_looks_like_is_one_when_looked_at_closely():
    rng = np.random.default_rng(0)
    group = np.arange(400) < 40
    Z = rng.standard_normal((400, 6)) + 8 * group[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            looks(Z, group, Pictures(make_pictures(400, group)), closely=True, seed=0).kind
            == "picture"
        )


def test_a_pattern_that_all_pictures_have_is_nobodys():
    group = np.arange(400) < 80
    everybody = make_pictures(400, np.ones(400, dtype=bool), pattern=0.2)
    agreement, strength = shared_pattern(everybody, group, seed=0)
    assert agreement < 0.5
    assert strength < LEAST_STRENGTH


def test_unknown_pictures_explain_nothing():
    rng = np.random.default_rng(0)
    group = np.arange(100) < 10
    assert looks(rng.random((100, 3)), group, None, seed=0).kind == "none"


def test_the_shared_pattern_is_told_from_likeness():
    group = np.arange(400) < 80
    likeness = shared_pattern(make_pictures(400, group), group, seed=0)
    blended = shared_pattern(make_pictures(400, group, pattern=0.2), group, seed=0)
    assert likeness[1] < LEAST_STRENGTH < 0.5 * blended[1]
    assert blended[0] > 0.95
