"""What wording predicts: of all strengths the best for each feature, whatever it takes at once."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors import wording
from bye_lint.detectors.wording import _Fold, _predict, wording_design


def one_round(values, design, folds):
    """Predict by all strengths at once, and take the best of each feature."""
    parts = [_Fold(design, folds, fold) for fold in np.unique(folds)]
    options = np.zeros((4, *values.shape))
    for part in parts:
        mean, rotated = part.given(values)
        options[0, part.test] = mean
        for i, strength in enumerate(wording._STRENGTHS, start=1):
            options[i, part.test] = part.predict(mean, rotated, strength)
    errors = ((values - options) ** 2).mean(axis=1)
    gain = 1 - errors[1:].min(axis=0) / errors[0]
    best = np.where(gain > wording._MIN_GAIN, errors[1:].argmin(axis=0) + 1, 0)
    return options[best, :, np.arange(values.shape[1])].T, np.where(best > 0, gain, 0), best


@pytest.mark.parametrize("seed", range(3))
def test_each_feature_gets_the_strength_that_predicts_it_best(monkeypatch, seed):
    monkeypatch.setattr(wording, "_ROUNDS", 1)
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 5, 400)
    design = wording_design([f"w{k} it is v{m}" for k, m in zip(kind, rng.integers(0, 60, 400),
                            strict=True)], np.full(400, 9))  # fmt: skip
    values = rng.standard_normal((400, 12)) + np.linspace(0, 3, 12) * kind[:, None]
    chosen, explained = _predict(values, design, np.arange(400) % 5)
    wanted, gain, best = one_round(values, design, np.arange(400) % 5)
    assert len(np.unique(best)) > 2
    assert chosen == pytest.approx(wanted, abs=1e-12)
    assert explained == pytest.approx(gain, abs=1e-12)
