"""A second mode: what makes one, where it is divided from the bulk, and how far it stands apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bye_lint.detectors import population
from bye_lint.detectors.population import (
    NO_MODE,
    bulk,
    facing_spread,
    second_mode,
    separation,
)
from bye_lint.detectors.posterior import posterior_of_second


def two(seed: int = 0, *, far: float = 9.0, size: int = 30, n: int = 400) -> np.ndarray:
    """Return a bulk around 0, then a second population."""
    rng = np.random.default_rng(seed)
    return np.append(rng.standard_normal(n), rng.normal(far, 0.6, size))


DENSITIES = {
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy": lambda rng, n: rng.standard_t(2, n),
    "skewed": lambda rng, n: rng.exponential(1, n),
}


@pytest.mark.parametrize("density", DENSITIES)
def test_one_mode_is_rarely_two(density: str) -> None:
    """The p-value is one: as many samples are below it as it says, at the most."""
    draw = DENSITIES[density]
    p = [second_mode(draw(np.random.default_rng(seed), 200)).p_value for seed in range(300)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05


def test_it_counts_the_samples_between_two_others() -> None:
    x = np.sort(np.random.default_rng(1).standard_normal(60))
    x[-6:] += 2.0
    tails = []
    for inner, outer in zip(*population._intervals(60), strict=True):
        a, c = x[60 - inner], x[59 - outer]
        between = x[(x > a) & (x < c)]
        for fraction in population._FRACTIONS:
            beyond = int((between >= c - fraction * (c - a)).sum())
            tails.append(binom.sf(beyond - 1, len(between), fraction))
    tail = second_mode(x).p_value / population._tries(60)
    assert np.abs(np.array(tails) / tail - 1).min() < 1e-9
    assert tail < 0.01


def test_a_second_mode_is_found_above_and_not_below() -> None:
    mode = second_mode(two())
    assert mode.p_value < 1e-6
    assert mode.count == 30
    assert 3.5 < mode.threshold < 7
    assert mode.separation > 2
    assert second_mode(-two()).p_value > 0.01


def test_nearer_than_three_spreads_there_is_no_second_mode() -> None:
    rng = np.random.default_rng(0)
    near = np.append(rng.normal(0, 1, 400), rng.normal(2.4, 0.05, 60))
    assert second_mode(near).p_value > 0.001


def test_equal_scores_are_one_observation() -> None:
    scores = np.append(two(size=0), np.full(40, 9.0) + 1e-6 * np.arange(40))
    assert second_mode(scores).p_value > 0.01
    spaced = np.append(two(size=0), np.full(40, 9.0) + 0.01 * np.arange(40))
    assert second_mode(spaced).p_value < 1e-6


@pytest.mark.parametrize(
    "scores", [np.zeros(100), np.arange(7.0), np.repeat(np.arange(15.0), 9), np.zeros(0)]
)
def test_few_or_equal_scores_have_no_second_mode(scores: np.ndarray) -> None:
    assert second_mode(scores) == NO_MODE


def test_of_fewer_than_sixteen_there_is_none_however_far_they_stand() -> None:
    for low, high, found in ((12, 8, True), (9, 6, False)):
        scores = np.append(np.linspace(0, 1, low), np.linspace(9, 9.5, high))
        assert (second_mode(scores) != NO_MODE) is found


def test_the_division_is_the_middle_of_the_gap() -> None:
    scores = np.append(np.linspace(0, 1, 300), np.linspace(10, 11, 40))
    mode = second_mode(scores)
    assert mode.threshold == pytest.approx(5.5, abs=0.8)
    assert mode.count == 40


def test_of_several_gaps_the_widest_divides() -> None:
    x = np.concatenate([np.linspace(0, 1, 300), [2.4, 2.5, 2.6], np.linspace(10, 11, 40)])
    assert 5 < population._valley(x, 1.0, 9.0, 11.0) < 7


def test_the_bulk_is_the_densest_half() -> None:
    centre, spread = bulk(two(size=300, n=400, far=12.0))
    assert abs(centre) < 0.4
    assert 0.8 < spread < 3
    assert bulk(np.array([1.0, 3.0])) == (2.0, 0.0)
    assert bulk(np.zeros(0)) == (0.0, 0.0)
    normal = np.random.default_rng(0).normal(5, 2, 20_000)
    assert bulk(normal) == pytest.approx((5.0, 2.0), abs=0.2)


def test_separation_counts_the_sides_that_face_each_other() -> None:
    low, high = np.linspace(-1, 1, 101), np.linspace(9, 11, 101)
    above = np.arange(202) >= 101
    both = separation(np.append(low, high), above)
    assert both == pytest.approx(10 / (2 * facing_spread(low)))
    away = np.append(np.where(low < 0, 50 * low, low), np.where(high > 10, 50 * high, high))
    assert separation(away, above) == pytest.approx(both)
    near = np.append(np.where(low > 0, 5 * low, low), high)
    assert separation(near, above) < 0.5 * both


def test_one_sample_is_no_group() -> None:
    values = np.array([0.0, 0.1, 0.2, 9.0])
    assert separation(values, values > 5) == 0
    assert separation(values, values > 0.05) == 0


def test_the_spread_is_the_widest_that_a_tail_suggests() -> None:
    normal = np.random.default_rng(0).standard_normal(20_000)
    assert facing_spread(normal) == pytest.approx(1, abs=0.05)
    heavy = np.append(normal, np.full(1000, 20.0))
    assert facing_spread(heavy) > 5
    assert facing_spread(np.array([1.0, 2.0, 4.0])) == 2


def test_the_probability_rises_from_the_bulk_to_the_second_population() -> None:
    scores = np.append(two(), [4.5, -50.0, 50.0])
    posterior = posterior_of_second(scores, 4.6)
    assert (posterior[:400] < 0.5).all()
    assert (posterior[400:430] > 0.5).all()
    assert (np.diff(posterior[np.argsort(scores)]) >= 0).all()
    # Far out on either side it is what it is at the median.
    assert posterior[-2] < 1e-3
    assert posterior[-1] > 0.99


def test_between_two_alike_the_larger_population_is_likelier() -> None:
    middle = [5.0]
    even = np.concatenate([np.linspace(-1, 1, 200), np.linspace(9, 11, 200), middle])
    large = np.concatenate([np.linspace(-1, 1, 2000), np.linspace(9, 11, 20), middle])
    assert posterior_of_second(even, 5.1)[-1] == pytest.approx(0.5, abs=0.05)
    assert posterior_of_second(large, 5.1)[-1] < 0.1


def test_equal_scores_make_no_spread_of_nothing() -> None:
    scores = np.append(np.zeros(50), np.full(20, 9.0))
    posterior = posterior_of_second(np.append(scores, 4.0), 4.5)
    assert (posterior[:50] < 0.01).all()
    assert (posterior[50:70] > 0.9).all()
    assert 0 < posterior[70] < 0.5
