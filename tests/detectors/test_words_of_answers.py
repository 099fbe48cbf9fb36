"""What the wording of a question predicts of its attention, and what is left over."""

from __future__ import annotations

import numpy as np

from bye_lint.detectors import wording
from bye_lint.detectors.wording import residuals, standardise, wording_design

N = 300


def design_of(prompts: list[str]):
    return wording_design(prompts, np.full(len(prompts), 121))


def random_words(seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{k}" for k in rng.choice(60, 6, replace=False)) for _ in range(N)]


def test_many_words_explain_nothing_of_noise() -> None:
    """Out of fold: of their own samples they would explain a fifth."""
    values = np.random.default_rng(1).standard_normal((N, 8))
    assert not residuals(values, design_of(random_words()), seed=0).explained.any()


def test_where_wording_explains_nothing_nothing_is_predicted() -> None:
    values = np.random.default_rng(1).standard_normal((N, 8))
    folds = np.arange(N) % 5
    predicted, _ = wording._predict(values, design_of(random_words()), folds)
    for fold in range(5):
        assert np.ptp(predicted[folds == fold], axis=0).max() < 1e-12


def two_questions() -> tuple[list[str], np.ndarray]:
    first = np.arange(N) % 3 == 0
    return ["Is there a river?" if one else "Describe the scene." for one in first], first


def test_what_a_question_moves_is_taken_off() -> None:
    prompts, first = two_questions()
    values = np.random.default_rng(1).standard_normal((N, 1)) + 100.0 * first[:, None]
    left = residuals(values, design_of(prompts), seed=0)
    assert left.explained[0] > 0.99
    assert abs(np.median(left.values[first]) - np.median(left.values[~first])) < 0.5


def test_a_question_that_scatters_more_is_given_more_room() -> None:
    prompts, first = two_questions()
    values = np.random.default_rng(1).standard_normal((N, 1)) * np.where(first, 4.0, 1.0)[:, None]
    left = residuals(values, design_of(prompts), seed=0).values
    assert left[first].std() < 2 * left[~first].std()


def test_poison_does_not_bend_what_is_predicted_for_its_question() -> None:
    prompts, first = two_questions()
    values = np.random.default_rng(1).standard_normal((N, 1))
    poisoned = np.flatnonzero(first)[:25]
    values[poisoned] += 60.0
    left = residuals(values, design_of(prompts), seed=0).values[:, 0]
    clean = first.copy()
    clean[poisoned] = False
    assert abs(np.median(left[clean])) < 2
    assert (left[poisoned] > 10).all()


def test_words_of_few_prompts_are_no_columns() -> None:
    def columns(times: int) -> int:
        prompts = ["what river", "which lake"] * 100
        prompts[: 2 * times : 2] = ["what river here"] * times
        return design_of(prompts).shape[1]

    assert columns(5) == columns(4) + 2  # the word, and the whole prompt


def test_a_nearly_discrete_feature_is_no_constant_and_makes_no_giants() -> None:
    values = np.zeros((N, 2))
    values[:30, 0] = 1.0
    scaled = standardise(values)
    np.testing.assert_allclose(scaled[:30, 0], 10 / values[:, 0].std())
    assert not scaled[30:, 0].any()
    assert not scaled[:, 1].any()
