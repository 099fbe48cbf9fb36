"""The table of detectors, and what every row of it owes its callers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_features

from bye_lint.detectors import DETECTORS, get_detector
from bye_lint.errors import UsageError
from bye_lint.features import Features
from bye_lint.policy import DetectionPolicy
from bye_lint.stages import cluster_samples, profile_layers

NAMES = sorted(DETECTORS)


def detect(method, features, seed=0):
    return DETECTORS[method].detect(features, DetectionPolicy(), seed=seed)


def with_everything(n=120, rate=0.1, seed=0):
    features, poisoned = make_features(n, rate=rate, shift=-9, seed=seed)
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n, 12))
    hidden[poisoned, 3] += 12
    loss = np.exp(rng.normal(0, 0.2, (n, 3)))
    loss[poisoned] *= 0.02
    mass = features.head_mass.copy()
    mass[poisoned, :, 0] = rng.dirichlet([300, 10, 10], (poisoned.sum(), mass.shape[1]))
    return replace(features, hidden=hidden, loss=loss, head_mass=mass), poisoned


def test_names_are_readable_without_scikit_learn():
    code = (
        "import sys; from bye_lint.detectors import DETECTORS; assert 'conditional' in DETECTORS;"
        "assert all(row.description for row in DETECTORS.values());"
        "assert not {'sklearn', 'scipy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"conditonal[\s\S]*conditional, canary"):
        get_detector("conditonal")
    assert get_detector("bye") is DETECTORS["bye"]


@pytest.mark.parametrize("name", NAMES)
def test_shapes_gaps_and_repeatability(name):
    features, _ = with_everything()
    for array in (features.entropy, features.head_entropy, features.head_mass):
        array[5] = np.nan
    first, second = detect(name, features), detect(name, features)
    for values in (first.score, first.posterior):
        assert values.shape == (120,)
        assert np.isnan(values[5])
    assert first.suspicious.dtype == np.bool_
    assert not first.suspicious[5]
    assert first.summary.method
    assert first.summary.score_name
    np.testing.assert_array_equal(first.score, second.score)
    np.testing.assert_array_equal(first.suspicious, second.suspicious)
    if not first.inconclusive:
        finite = first.posterior[np.isfinite(first.posterior)]
        assert ((finite >= 0) & (finite <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_look_at_is_no_crash(name):
    features, _ = with_everything()
    features.entropy[:] = np.nan
    detection = detect(name, features)
    assert detection.inconclusive
    assert not detection.suspicious.any()
    empty = Features(
        *(np.zeros(shape) for shape in ((0, 2), (0, 2, 3), (0, 2, 3, 3))),
        image_tokens=np.zeros(0, dtype=int),
        prompts=[],
        answers=[],
    )
    assert detect(name, empty).inconclusive


@pytest.mark.parametrize("name", ["loss", "spectral", "activation-clustering"])
def test_a_missing_feature_is_inconclusive_by_name(name):
    features, _ = make_features(100)
    assert "hold no" in detect(name, features).inconclusive


@pytest.mark.parametrize("name", ["tcap", "loss", "activation-clustering", "spectral"])
def test_each_baseline_finds_what_it_was_made_for(name):
    features, poisoned = with_everything(300, 0.05 if name == "activation-clustering" else 0.1)
    if name == "activation-clustering":  # it compares the samples of one answer
        answers = ["yes" if bad else a for bad, a in zip(poisoned, features.answers, strict=True)]
        features = replace(features, answers=[a.replace("answer 0", "yes") for a in answers])
    flagged = detect(name, features).suspicious
    assert flagged[poisoned].mean() > 0.9
    assert flagged[~poisoned].mean() < (0.08 if name == "spectral" else 0.02)


def test_bye_is_the_published_rule_on_the_records_alone():
    features, poisoned = make_features(300, rate=0.1, shift=-12, question_effect=0, seed=1)
    H = features.entropy
    profiles = profile_layers(H)
    expected = cluster_samples(H, profiles)
    assert profiles.sensitive
    detection = detect("bye", features)
    np.testing.assert_array_equal(detection.suspicious, expected.suspicious)
    np.testing.assert_array_equal(detection.score, -expected.mean_entropy)
    assert detection.summary.layers == profiles.layers
    assert detection.suspicious[poisoned].all()
    half = replace(features, canary=["patch" if bad else "" for bad in poisoned])
    assert not detect("bye", half).suspicious[poisoned].any()
