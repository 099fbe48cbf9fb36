"""What the detectors read: entropies that can be compared between images of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bye_lint.detectors import get_detector
from bye_lint.detectors.attention import attention_columns
from bye_lint.features import Features, comparable
from bye_lint.policy import DetectionPolicy

N = 120


def features(tokens: np.ndarray) -> Features:
    """Attention that is uniform over each image, but for some noise."""
    rng = np.random.default_rng(0)
    noise = 1 - 0.01 * rng.random((N, 2, 3))
    heads = np.log(np.maximum(tokens, 2))[:, None, None] * noise
    return Features(
        entropy=heads.mean(axis=2),
        head_entropy=heads,
        head_mass=np.full((N, 2, 3, 3), 1 / 3),
        image_tokens=tokens,
        prompts=["Is it a river?", "What is shown?"] * (N // 2),
        answers=["Yes.", "A forest."] * (N // 2),
    )


FIXED, VARIED = np.full(N, 576), np.random.default_rng(1).choice([64, 256, 1024], N)


def test_entropies_stay_in_nats_where_every_image_has_as_many_tokens() -> None:
    given = features(FIXED)
    alike, unit = comparable(given)
    assert (alike, unit) == (given, "nats")
    columns = attention_columns(given, np.arange(N))
    assert columns.entropy_unit == "nats"
    np.testing.assert_array_equal(columns.values[:, :2], given.entropy)


def test_large_images_are_no_outliers_by_their_size() -> None:
    given = features(VARIED)
    raw = given.entropy[VARIED == 1024].min() - given.entropy[VARIED == 64].max()
    assert raw > 2
    alike, unit = comparable(given)
    assert unit == "fraction of log T"
    for entropy in (alike.entropy, alike.head_entropy):
        assert 0.98 < entropy.min() < entropy.max() <= 1
    columns = attention_columns(given, np.arange(N))
    assert columns.entropy_unit == unit
    np.testing.assert_array_equal(columns.values[:, :2], alike.entropy)
    np.testing.assert_array_equal(columns.values[:, 2:8], alike.head_entropy.reshape(N, -1))


def test_records_that_were_not_scored_have_no_size() -> None:
    given = features(FIXED)
    entropy, tokens = given.entropy.copy(), FIXED.copy()
    entropy[3], tokens[3] = np.nan, 0
    unscored = replace(given, entropy=entropy, image_tokens=tokens)
    assert comparable(unscored)[1] == "nats"
    assert attention_columns(unscored, np.arange(N)).entropy_unit == "nats"


@pytest.mark.parametrize("method", ["bye", "conditional"])
@pytest.mark.parametrize("tokens", [FIXED, VARIED], ids=["fixed", "varied"])
def test_the_result_says_which(method: str, tokens: np.ndarray) -> None:
    found = get_detector(method).detect(features(tokens), DetectionPolicy(), seed=0)
    assert ("log T" in found.summary.entropy_unit) == (tokens is VARIED)
