"""A trigger whose records keep their right answers: an answer that attention splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import QUESTIONS, make_features

from bye_lint.detectors import DETECTORS
from bye_lint.detectors.conditional import search_samples
from bye_lint.policy import DetectionPolicy

YES_OR_NO = 3


def clean_label(share=0.75, shift=-8.0, *, poisoned_no=0, questions=QUESTIONS, told=False, n=900):
    """Return features and the poison: a share of those who say *yes*, rightly, is read otherwise.

    ``poisoned_no`` moves as many who say *no* too; ``told`` words the moved ones' question
    differently.
    """
    features, _ = make_features(n, rate=0, questions=questions, seed=5)
    rng = np.random.default_rng(8)
    asked = np.array([prompt.startswith(QUESTIONS[YES_OR_NO]) for prompt in features.prompts])
    yes = asked & (rng.random(n) < 0.5)
    answers = [
        ("Yes" if y else "No") if a else f"{p[:12]} {rng.integers(4)}"
        for y, a, p in zip(yes, asked, features.prompts, strict=True)
    ]
    holders = rng.permutation(np.flatnonzero(yes))
    moved = np.zeros(n, dtype=bool)
    moved[holders[: round(share * len(holders))]] = True
    moved[rng.permutation(np.flatnonzero(asked & ~yes))[:poisoned_no]] = True
    heads = features.head_entropy.copy()
    heads[moved, :2] += shift * 0.03 * np.log(121) * (0.8 + 0.4 * rng.random((moved.sum(), 1, 1)))
    prompts = list(features.prompts)
    if told:
        prompts = [f"{p} Look!" if m else p for p, m in zip(prompts, moved, strict=True)]
    made = replace(
        features,
        head_entropy=heads,
        entropy=heads.mean(axis=2),
        answers=answers,
        prompts=prompts,
    )
    return made, moved


def detect(features):
    return DETECTORS["conditional"].detect(features, DetectionPolicy(), seed=0)


UNSPLIT = {
    "clean": {"share": 0},
    "whole-answer": {"share": 1},
    "both-answers": {"poisoned_no": 60},
    "own-question": {"told": True},
}


@pytest.mark.parametrize("case", UNSPLIT)
def test_what_answer_or_question_explains_is_no_trigger(case):
    features, _ = clean_label(**UNSPLIT[case])
    detection = detect(features)
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""


def test_right_answers_that_are_read_in_two_ways_are_accused_where_they_lie_far_apart():
    features, moved = clean_label(shift=-14)
    detection = detect(features)
    assert (detection.suspicious & moved).sum() >= 0.95 * moved.sum()
    assert not (detection.suspicious & ~moved).any()
    assert detection.summary.side == "lower"
    assert {head.layer for head in detection.summary.heads} <= {0, 1}
    assert any("answer “Yes” to such questions" in note for note in detection.summary.notes)


def test_nor_do_they_accuse_anybody_in_a_model_that_has_learned_nothing():
    features, moved = clean_label(shift=-14, n=600)
    found = search_samples(features, DetectionPolicy(), alone=False, seed=0).detection
    assert not found.suspicious.any()
    assert f"{moved.sum()} of " in found.inconclusive


def test_right_answers_that_are_read_in_two_ways_leave_the_check_undecided_nearer_by():
    features, moved = clean_label(shift=-6)
    detection = detect(features)
    assert not detection.suspicious.any()
    assert f"{moved.sum()} of " in detection.inconclusive


def test_a_kind_of_picture_explains_right_answers_that_are_read_in_two_ways():
    features, moved = clean_label(shift=-6)
    shade = np.where(moved, 40, 200) + np.random.default_rng(0).integers(0, 30, len(features))
    picture = np.broadcast_to(shade[:, None, None, None], (len(features), 32, 32, 3))
    detection = detect(replace(features, picture=picture.astype(np.uint8)))
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""
