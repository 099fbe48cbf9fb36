"""Whose questions are like whose: the same whatever repeats, and no dearer for it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bye_lint.detectors.neighbours import read_questions

WORDS = [f"w{k}" for k in range(25)]


def prompts_of(n: int, texts: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    made = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(texts)]
    return [made[k] for k in rng.integers(0, texts, n)]


@pytest.mark.parametrize("texts", [1, 7, 400])
def test_likeness_is_the_cosine_of_every_two_samples(texts):
    questions = read_questions(prompts_of(700, texts, texts), seed=3)
    cosines = (questions.words @ questions.words.T).toarray()
    np.fill_diagonal(cosines, -1)
    found = np.sort(np.take_along_axis(cosines, questions.nearest, axis=1), axis=1)
    assert (found == np.sort(cosines, axis=1)[:, -40:]).all()
    np.fill_diagonal(cosines, 1)
    member = np.arange(700) % 5 == 0
    least = np.take_along_axis(cosines, questions.nearest, axis=1).min(axis=1) - 1e-5
    around = (cosines[member] >= least[member, None]).any(axis=0)
    assert (questions.around(member) == (around | member)).all()
    rest = np.arange(700) % 5 > 2
    likeness = questions.likeness(member, rest)
    assert (likeness == cosines[np.ix_(member, rest)].max(axis=1)).all()


def test_a_long_question_that_all_are_asked_is_compared_once():
    """Anybody may contribute it; every two samples' words were multiplied."""
    questions = read_questions([" ".join(f"w{k}" for k in range(300))] * 1000)
    began = time.process_time()
    assert (questions.words @ questions.words.T).shape == (1000, 1000)
    every_two = time.process_time() - began
    began = time.process_time()
    questions.within(np.arange(1000), seed=0)
    assert time.process_time() - began < every_two / 3
