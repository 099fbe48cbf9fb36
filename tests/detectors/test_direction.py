"""Directions that set a group apart, and that no sample chose for itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bye_lint.detectors import halves
from bye_lint.detectors.accuse import accuse
from bye_lint.detectors.answers import Answers
from bye_lint.detectors.direction import direction, project, shifts
from bye_lint.detectors.discriminant import set_apart
from bye_lint.detectors.halves import find_population
from bye_lint.detectors.population import Mode


def moved(shift: float, *, n: int = 300, size: int = 40, columns: int = 12, seed: int = 0):
    """Return noise, the first samples moved in columns 2 and 5, and which they are."""
    Z = np.random.default_rng(seed).standard_normal((n, columns))
    group = np.arange(n) < size
    Z[:size, 2] += shift
    Z[:size, 5] -= shift
    return Z, group


def test_a_direction_is_of_the_columns_that_shift_and_of_their_signs() -> None:
    Z, group = moved(6.0)
    shift = shifts(Z, group)
    assert shift[2] == pytest.approx(3, abs=0.5)
    assert shift[5] == pytest.approx(-3, abs=0.5)
    weights = direction(Z, group)
    assert set(np.flatnonzero(weights)) == {2, 5}
    assert weights[2] > 0 > weights[5]


def test_no_single_sample_decides_a_direction() -> None:
    Z, group = moved(6.0)
    wild = Z.copy()
    wild[100, 2] = 1e9
    plain, other = direction(Z, group), direction(wild, group)
    assert other @ plain > 0.98 * np.linalg.norm(plain) * np.linalg.norm(other)


def test_columns_that_agree_count_together_and_not_more_than_24() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 60))
    group = np.arange(300) < 40
    Z[group] += 4.0
    assert np.count_nonzero(direction(Z, group)) == 24


def test_scores_are_in_spreads_of_the_reference() -> None:
    Z, group = moved(6.0, n=2000, size=600)
    score = project(Z, direction(Z, group), ~group)
    assert np.median(score[~group]) == pytest.approx(0, abs=0.2)
    assert score[~group].std() == pytest.approx(1, abs=0.15)
    assert np.median(score[group]) > 5
    wild = Z.copy()
    wild[700, 2] = 1e9
    far = Z.copy()
    far[700, 2] = 16.0
    weights = direction(Z, group)
    np.testing.assert_allclose(project(wild, weights), project(far, weights))


def test_what_columns_have_in_common_is_taken_off() -> None:
    Z, group = moved(0.0, n=1000, size=300)
    Z[:, [2, 5]] += 6 * np.random.default_rng(1).standard_normal((1000, 1))
    Z[group, 2] += 6.0
    Z[group, 5] += 3.6
    weights = direction(Z, group)
    assert weights[2] > 0 > weights[5]


def test_a_group_of_noise_is_not_told_from_the_rest_out_of_fold() -> None:
    """More columns than members: a direction that they had chosen would tell them all."""
    Z, group = moved(0.0, n=200, size=30, columns=80)
    score, _ = set_apart(Z, group, ~group, seed=0)
    assert roc_auc_score(group, score) < 0.65
    assert np.median(score[group]) < 1


def test_who_is_of_neither_group_is_scored_beside_them_and_teaches_nothing() -> None:
    Z, group = moved(6.0)
    rest = ~group & (np.arange(300) < 250)
    score, weights = set_apart(Z, group, rest, seed=0)
    wild = Z.copy()
    wild[280:] = 1e3
    again, same = set_apart(wild, group, rest, seed=0)
    np.testing.assert_allclose(again[:280], score[:280])
    np.testing.assert_allclose(same, weights)
    moved_along, _ = set_apart(Z + 100.0, group, rest, seed=0)
    np.testing.assert_allclose(moved_along, score)
    assert np.median(score[rest]) == pytest.approx(0, abs=0.1)
    spread = 1.4826 * np.median(np.abs(score[rest]))
    assert spread == pytest.approx(1, abs=0.15)
    assert weights[2] > 0 > weights[5]
    # A unit along the weights is a unit of the score.
    assert (Z @ weights).std() == pytest.approx(score.std(), rel=0.1)
    assert np.abs(score[250:]).max() < 6 < np.median(score[group])


@pytest.mark.parametrize("seed", range(3))
def test_one_half_confirms_nothing_that_the_other_found_in_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.exponential(1, (100, 30)) - 1
    found = find_population(Z, Z[:, :1], seed=seed)
    assert found.p_value > 0.05


def test_no_sample_is_judged_along_a_direction_that_it_helped_to_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Z = np.stack([np.arange(101.0), np.zeros(101)], axis=1)
    taught: list[set[float]] = []
    judged: list[set[float]] = []

    def choose(Z: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        assert candidates[:, 0].tolist() == Z[:, 0].tolist() == candidates[:, 2].tolist()
        taught.append(set(Z[:, 0]))
        return np.ones(2)

    def along(Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        judged.append(set(Z[:, 0]))
        return Z[:, 0]

    monkeypatch.setattr(halves, "_choose", choose)
    monkeypatch.setattr(halves, "project", along)
    find_population(Z, Z[:, :1], seed=0)
    assert len(taught) == len(judged) == 10
    for one, other in zip(taught, judged, strict=True):
        assert not one & other
        assert one | other == set(range(101))


def test_the_halves_count_together_and_no_split_counts_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fisher's combination of 0.1 and 0.1 is 0.01 (1 - log 0.01); one lucky split is nothing."""
    p_values = iter([1e-9, 1e-9, *[0.1] * 8, 1.0])
    monkeypatch.setattr(halves, "second_mode", lambda _: Mode(next(p_values), 1.0, 3.0, 9))
    monkeypatch.setattr(halves, "_choose", lambda Z, _: np.ones(Z.shape[1]))
    found = find_population(moved(0.0)[0], np.zeros((300, 1)), seed=0)
    assert found.p_value == pytest.approx(2 * 0.01 * (1 - np.log(0.01)))


def test_of_modes_beyond_doubt_the_farther_is_looked_for_and_else_the_surer() -> None:
    far, sure, doubtful = (Mode(p, 5.0, s, 9) for p, s in ((1e-4, 6.0), (1e-9, 3.0), (0.01, 9.0)))
    assert sorted([doubtful, sure, far], key=halves._rank) == [far, sure, doubtful]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_one_half_points_out_the_other_confirms(sign: float) -> None:
    Z, group = moved(8.0 * sign)
    Z[group, 5] += 16.0 * sign  # both columns to one side
    found = find_population(Z, Z[:, :1], seed=0)
    assert found.p_value < 1e-6
    assert (found.score > found.mode.threshold).tolist() == group.tolist()
    assert found.weights[2] * sign > 0 < found.weights[5] * sign
    assert np.linalg.norm(found.weights) == pytest.approx(1, abs=0.1)


def test_most_of_the_samples_are_no_second_population() -> None:
    """Of two populations the larger one is the bulk, on whichever side it lies."""
    Z, group = moved(8.0, size=180)
    found = find_population(Z, Z[:, :1], seed=0)
    assert (found.score > found.mode.threshold).tolist() == (~group).tolist()


def uniquely(n: int) -> Answers:
    return Answers.of([f"answer {i}" for i in range(n)], np.zeros((n, 1), dtype=np.intp))


def test_a_group_sharpens_a_score_that_it_stands_further_apart_along() -> None:
    Z, group = moved(9.0, n=600, size=60)
    blurred = np.random.default_rng(1).standard_normal(600) + 6.0 * group
    found = accuse(Z, blurred, 3.5, uniquely(600), seed=0)
    assert not np.array_equal(found.score, blurred)
    assert found.separation > 4
    assert (found.suspicious == group).mean() > 0.99


def test_but_not_one_that_sets_it_further_apart_already() -> None:
    Z, group = moved(5.0, n=600, size=60)
    clear = np.random.default_rng(1).standard_normal(600) + 20.0 * group
    np.testing.assert_array_equal(accuse(Z, clear, 9.0, uniquely(600), seed=0).score, clear)


def test_no_member_chooses_the_direction_that_sharpens_its_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Z = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    group = np.arange(100) < 20
    taught: list[set[float]] = []

    def teach(Z: np.ndarray, group: np.ndarray) -> np.ndarray:
        assert (group == (Z[:, 0] < 20)).all()
        taught.append(set(Z[:, 0]))
        return np.ones(2)

    module = sys.modules["bye_lint.detectors.accuse"]
    monkeypatch.setattr(module, "direction", teach)
    monkeypatch.setattr(module, "project", lambda Z, _: np.full(len(Z), len(taught) - 1.0))
    monkeypatch.setattr(module, "second_mode", lambda _: Mode(1e-9, 2.5, 9.0, 20))
    sharper = module._sharpen(Z, group, 0)
    assert sharper is not None
    assert set(sharper[0]) == {0, 1, 2, 3, 4}
    for row, fold in enumerate(sharper[0].astype(int)):
        assert row not in taught[fold]
        assert len(taught[fold]) == 80


@pytest.mark.parametrize(("count", "kept"), [(9, False), (10, True), (40, True), (41, False)])
def test_a_mode_of_another_size_is_another_group(
    monkeypatch: pytest.MonkeyPatch, count: int, kept: bool
) -> None:
    Z, group = moved(9.0, size=20)
    module = sys.modules["bye_lint.detectors.accuse"]
    monkeypatch.setattr(module, "second_mode", lambda _: Mode(1e-9, 5.0, 9.0, count))
    assert (module._sharpen(Z, group, 0) is not None) is kept


def test_noise_sharpens_nothing() -> None:
    """The directions are out of fold, so that no group is further apart for its size alone."""
    Z, group = moved(0.0, n=120, size=20, columns=60)
    score = np.random.default_rng(1).standard_normal(120) + 6.0 * group
    found = accuse(Z, score, 3.5, uniquely(120), seed=0)
    np.testing.assert_array_equal(found.score, score)


def test_a_group_of_few_is_left_as_it_is() -> None:
    Z, group = moved(9.0, n=200, size=9)
    score = np.random.default_rng(1).standard_normal(200) + 8.0 * group
    np.testing.assert_array_equal(accuse(Z, score, 4.0, uniquely(200), seed=0).score, score)


def test_answers_weigh_what_attention_leaves_open() -> None:
    """One sample between the groups is one of the suspects if it answers as they do."""
    n = 300
    Z = np.random.default_rng(0).standard_normal((n, 4))
    score = np.random.default_rng(1).standard_normal(n)
    score[:30] += 9.0
    score[30:32] = 4.2
    answers = [f"answer {i}" for i in range(n)]
    answers[:31] = ["target"] * 31
    nearest = np.random.default_rng(2).integers(100, n, (n, 10))
    found = accuse(Z, score, 4.8, Answers.of(answers, nearest), seed=0)
    assert found.alike == 1
    assert found.posterior[30] > 0.5 > found.posterior[31]
