"""Mixtures on histograms against scikit-learn's on the samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from bye_lint import mixtures
from bye_lint.mixtures import fit_mixtures, histograms, log_densities


def columns(seed, n=2000):
    rng = np.random.default_rng(seed)
    poisoned = rng.random(n) < 0.1
    return np.column_stack(
        [
            rng.normal(4, 0.2, n) - 1.5 * poisoned,
            rng.normal(0, 1, n) + 6 * poisoned,
            np.where(rng.random(n) < 0.5, rng.normal(-3, 1, n), rng.normal(3, 0.5, n)),
        ]
    )


def test_one_component_is_mean_and_variance():
    X = columns(0)
    fit = fit_mixtures(histograms(X), 1)
    np.testing.assert_allclose(fit.means[:, 0], X.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(fit.stds[:, 0] ** 2, X.var(axis=0) + 1e-6, rtol=1e-6)
    np.testing.assert_allclose(fit.weights, 1)


@pytest.mark.parametrize("seed", range(3))
def test_separated_components_are_those_of_scikit_learn(seed):
    X = columns(seed)
    fit = fit_mixtures(histograms(X), 2)
    for j in range(X.shape[1]):
        oracle = GaussianMixture(2, random_state=0, tol=1e-6).fit(X[:, [j]])
        order = np.argsort(oracle.means_[:, 0])
        np.testing.assert_allclose(fit.means[j], oracle.means_[order, 0], atol=5e-3)
        np.testing.assert_allclose(fit.weights[j], oracle.weights_[order], atol=5e-3)
        stds = np.sqrt(oracle.covariances_[order, 0, 0])
        np.testing.assert_allclose(fit.stds[j], stds, rtol=0.02)
        likelihood = oracle.score(X[:, [j]]) * len(X)
        assert fit.log_likelihood[j] == pytest.approx(likelihood, abs=0.002 * len(X))
        assert fit.aic[j] == pytest.approx(oracle.aic(X[:, [j]]), abs=0.005 * len(X))


def test_no_worse_a_fit_than_scikit_learn_on_hard_columns():
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.exponential(1, 1500), rng.standard_t(4, 1500), rng.random(1500)])
    for k in (2, 3):
        fit = fit_mixtures(histograms(X), k)
        for j in range(3):
            oracle = GaussianMixture(k, random_state=0).fit(X[:, [j]])
            assert fit.log_likelihood[j] / 1500 > oracle.score(X[:, [j]]) - 0.01


def test_aic_prefers_the_number_of_populations():
    data = histograms(columns(0))
    aic = np.array([fit_mixtures(data, k).aic for k in (1, 2, 3)])
    assert (aic[0] > aic[1]).all()


def test_densities_integrate_to_the_weights():
    fit = fit_mixtures(histograms(columns(2)), 2)
    grid = np.linspace(-20, 20, 40001)
    density = np.exp(log_densities(np.broadcast_to(grid, (3, len(grid))), fit))
    np.testing.assert_allclose(density.sum(axis=1) * (grid[1] - grid[0]), fit.weights, atol=1e-6)


def test_a_constant_column_is_no_division_by_zero():
    X = np.column_stack([np.full(50, 3.0), np.arange(50.0)])
    fit = fit_mixtures(histograms(X), 2)
    assert np.isfinite(fit.means).all()
    np.testing.assert_allclose((fit.weights * fit.means).sum(axis=1), [3.0, 24.5])


def test_a_column_is_fitted_alike_alone_and_among_others(monkeypatch):
    data = histograms(np.column_stack([columns(0), columns(1)]))
    together = fit_mixtures(data, 3)
    monkeypatch.setattr(mixtures, "_CACHED", 1)
    alone = fit_mixtures(data, 3)
    np.testing.assert_allclose(together.means, alone.means, atol=1e-9)
    np.testing.assert_allclose(together.aic, alone.aic)


def test_bins_that_nobody_is_in_cost_nothing():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(0, 1, 300), rng.random(300)])
    data = histograms(X)
    assert data.counts.shape[1] <= 300
    np.testing.assert_array_equal(data.counts.sum(axis=1), 300)
    assert (np.diff(data.places[1][data.counts[1] > 0]) > 0).all()


def test_a_large_offset_does_not_cancel_the_spread():
    X = columns(0)[:, :1]
    near, far = fit_mixtures(histograms(X), 2), fit_mixtures(histograms(X + 1e6), 2)
    np.testing.assert_allclose(far.means - 1e6, near.means, atol=1e-4)
    np.testing.assert_allclose(far.stds, near.stds, rtol=1e-3)


def test_no_component_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_mixtures(histograms(columns(0)), 0)
