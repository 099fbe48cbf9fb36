"""The three stages against an independent re-computation, and on what nobody expects."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy
from sklearn.mixture import GaussianMixture

from bye_lint.errors import UsageError
from bye_lint.stages import attention_entropy, cluster_samples, profile_layers


def released_rule(H, threshold=2.0, seed=0, paper=False):
    """The published procedure, written anew in the plainest form."""
    sensitive = []
    for layer in range(H.shape[1]):
        gmm = GaussianMixture(n_components=2, random_state=seed).fit(H[:, [layer]])
        m1, m2 = gmm.means_[:, 0]
        v1, v2 = gmm.covariances_[:, 0, 0]
        if paper:
            keep = abs(m1 - m2) / (v1 + v2) ** 0.5 >= threshold
        else:
            keep = abs(m1 - m2) > threshold * (v1**0.5 + v2**0.5)
        if keep:
            sensitive.append(layer)
    if not sensitive:
        return sensitive, np.zeros(len(H), dtype=bool)
    mean = H[:, sensitive].mean(axis=1, keepdims=True)
    gmm = GaussianMixture(n_components=2, random_state=seed).fit(mean)
    return sensitive, gmm.predict(mean) == gmm.means_[:, 0].argmin()


def random_matrix(seed):
    """Entropies of all shapes: one or two populations, skew, heavy tails, duplicates, discrete."""
    rng = np.random.default_rng(seed)
    n, layers = int(rng.integers(20, 300)), int(rng.integers(1, 7))
    columns = []
    for _ in range(layers):
        kind = rng.integers(6)
        column = 3 + 0.3 * rng.standard_normal(n)
        if kind == 1:
            column -= rng.uniform(0.5, 3) * (rng.random(n) < rng.uniform(0.02, 0.5))
        elif kind == 2:
            column = 4 - rng.exponential(0.3, n)
        elif kind == 3:
            column = 3 + 0.1 * rng.standard_t(2, n)
        elif kind == 4:
            column = np.repeat(column[: n // 2 + 1], 2)[:n]
        elif kind == 5:
            column = rng.integers(0, 3, n) + 0.01 * rng.standard_normal(n)
        columns.append(column)
    H = np.stack(columns, axis=1)
    return H.astype(np.float32) if seed % 3 == 0 else H


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("paper", [False, True], ids=["released", "paper"])
def test_layers_and_suspects_are_those_of_the_published_rule(seed, paper):
    H = random_matrix(seed)
    layers, suspects = released_rule(H, paper=paper)
    profiles = profile_layers(H, bsi="paper" if paper else "released")
    assert list(profiles.sensitive) == layers
    np.testing.assert_array_equal(cluster_samples(H, profiles).suspicious, suspects)


def test_the_random_matrices_exercise_both_outcomes():
    chosen = [bool(profile_layers(random_matrix(seed)).sensitive) for seed in range(60)]
    assert 10 < sum(chosen) < 50


def test_other_thresholds_and_seeds_reach_the_mixture():
    H = random_matrix(7)
    for threshold, seed in [(0.5, 0), (1.0, 3), (3.0, 5)]:
        layers, suspects = released_rule(H, threshold=threshold, seed=seed)
        profiles = profile_layers(H, threshold=threshold, seed=seed)
        assert list(profiles.sensitive) == layers
        np.testing.assert_array_equal(cluster_samples(H, profiles, seed).suspicious, suspects)


def poisoned(n=200, share=0.1):
    rng = np.random.default_rng(1)
    H = 4 + 0.1 * rng.standard_normal((n, 3))
    H[: int(n * share), 1] -= 2
    return H


def test_profile_says_what_it_saw():
    profile = profile_layers(poisoned()).layers[1]
    assert profile.sensitive
    assert profile.layer == 1
    assert profile.means == pytest.approx((2, 4), abs=0.05)
    assert profile.stds == pytest.approx((0.1, 0.1), abs=0.03)
    assert profile.weights == pytest.approx((0.1, 0.9), abs=1e-3)
    assert profile.bsi == pytest.approx(2 / 0.2, rel=0.2)
    assert profile.note == ""


def test_clusters_give_the_lower_component_and_its_posterior():
    H = poisoned()
    clusters = cluster_samples(H, profile_layers(H))
    assert np.flatnonzero(clusters.suspicious).tolist() == list(range(20))
    assert (clusters.posterior[:20] > 0.99).all()
    np.testing.assert_allclose(clusters.mean_entropy, H[:, 1])


# --- what must not be flagged, and is said aloud -------------------------------------------


@pytest.mark.parametrize(
    ("H", "note"),
    [
        pytest.param(np.full((50, 1), 3.2), "constant", id="constant-column"),
        pytest.param(np.full((50, 1), np.nan), "no finite", id="all-nan"),
        pytest.param(np.full((50, 1), np.inf), "no finite", id="all-infinite"),
        pytest.param(np.array([[1.5]]), "1 scored", id="one-sample"),
        pytest.param(np.zeros((0, 1)), "no finite", id="no-sample"),
        pytest.param(np.array([[1.0], [np.nan], [np.inf]]), "1 scored", id="one-finite-sample"),
    ],
)
def test_a_layer_that_cannot_be_fitted_is_not_sensitive(H, note):
    profiles = profile_layers(H)
    assert profiles.sensitive == ()
    assert note in profiles.layers[0].note
    clusters = cluster_samples(H, profiles)
    assert not clusters.suspicious.any()
    assert clusters.suspicious.shape == (len(H),)
    assert clusters.note == "no sensitive layer"


def test_no_layers_at_all():
    profiles = profile_layers(np.zeros((5, 0)))
    assert profiles.layers == ()
    assert not cluster_samples(np.zeros((5, 0)), profiles).suspicious.any()


def test_one_population_has_no_sensitive_layer():
    H = np.random.default_rng(0).normal(4, 0.2, (500, 4))
    profiles = profile_layers(H)
    assert profiles.sensitive == ()
    assert (cluster_samples(H, profiles).posterior == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_with_a_missing_entropy_is_not_scored_and_changes_nothing(bad):
    H = poisoned()
    whole = cluster_samples(H, profile_layers(H))
    with_gap = np.vstack([H, [2.0, 2.0, bad]])
    profiles = profile_layers(with_gap)
    clusters = cluster_samples(with_gap, profiles)
    np.testing.assert_array_equal(clusters.suspicious[:-1], whole.suspicious)
    assert not clusters.suspicious[-1]
    assert np.isnan(clusters.posterior[-1])
    assert profiles.layers[0].note == "1 of 201 samples not scored"


def test_a_layer_without_entropies_costs_no_sample():
    H = np.column_stack([poisoned(), np.full(200, np.nan)])
    profiles = profile_layers(H)
    assert profiles.sensitive == (1,)
    assert cluster_samples(H, profiles).suspicious.sum() == 20


def test_sensitive_layers_that_cancel_out_accuse_nobody():
    H = np.tile([[1.0, 3.0], [3.0, 1.0]], (50, 1))
    profiles = profile_layers(H)
    assert profiles.sensitive == (0, 1)
    clusters = cluster_samples(H, profiles)
    assert not clusters.suspicious.any()
    assert "alike" in clusters.note


def test_a_mixture_that_did_not_converge_is_said_and_not_warned_of():
    H = np.random.default_rng(3).uniform(0, 1, (5000, 1)) ** 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile = profile_layers(H).layers[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converged = GaussianMixture(n_components=2, random_state=0).fit(H).converged_
    assert (profile.note == "") == converged


def test_bad_arguments_are_refused():
    with pytest.raises(UsageError, match="released, paper"):
        profile_layers(np.zeros((3, 2)), bsi="relased")
    with pytest.raises(ValueError, match=r"\(samples, layers\)"):
        profile_layers(np.zeros(3))
    with pytest.raises(ValueError, match="expected 3 layers"):
        cluster_samples(np.zeros((4, 2)), profile_layers(poisoned()))


# --- entropy ---------------------------------------------------------------------------------


def test_entropy_is_that_of_the_renormalised_attention():
    attention = np.random.default_rng(0).random((5, 24)) * 0.01
    expected = scipy_entropy(attention, axis=1)
    np.testing.assert_allclose(attention_entropy(attention, eps=0), expected)
    np.testing.assert_allclose(attention_entropy(attention), expected, atol=1e-6)


def test_entropy_of_uniform_attention_is_log_t_and_of_a_point_is_zero():
    attention = np.vstack([np.full(576, 0.001), np.eye(576)[3]])
    np.testing.assert_allclose(attention_entropy(attention), [np.log(576), 0], atol=1e-5)


def test_entropy_with_eps_is_the_published_formula():
    attention = np.array([[0.2, 0.2, 0.0, 0.4]])
    p = np.array([0.25, 0.25, 0.0, 0.5])
    expected = -(p * np.log(p + 1e-3)).sum()
    np.testing.assert_allclose(attention_entropy(attention, eps=1e-3), [expected])


def test_entropy_carries_leading_axes_and_float32():
    attention = np.random.default_rng(0).random((2, 3, 7)).astype(np.float32)
    out = attention_entropy(attention)
    assert out.shape == (2, 3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[1], attention_entropy(attention[1]))


def test_entropy_of_a_layer_that_ignores_the_image_is_nan():
    attention = np.array([[0.0, 0.0], [0.5, np.nan], [np.inf, 1.0], [0.3, 0.3]])
    out = attention_entropy(attention)
    assert np.isnan(out[:3]).all()
    assert out[3] == pytest.approx(np.log(2))


@pytest.mark.parametrize("attention", [np.zeros((3, 0)), np.float64(0.5), np.array([[-0.1, 1.1]])])
def test_entropy_refuses_what_is_not_attention(attention):
    with pytest.raises(ValueError, match="expected attention"):
        attention_entropy(attention)
