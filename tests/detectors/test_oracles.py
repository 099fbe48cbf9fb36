"""The statistics that verdicts rest on, each against a calculation of another kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from bye_lint.detectors.answers import Answers, answer_odds
from bye_lint.detectors.direction import direction
from bye_lint.detectors.discriminant import set_apart
from bye_lint.detectors.following import MOST_TOLD, most_told
from bye_lint.detectors.neighbours import largest
from bye_lint.detectors.phrases import Words
from bye_lint.detectors.population import NO_MODE, facing_spread, second_mode
from bye_lint.detectors.posterior import posterior_of_second
from bye_lint.detectors.tcap import dawid_skene, head_profiles
from bye_lint.detectors.wording import standardise
from bye_lint.robust import FOLDS, never_falling, stratified_folds


def two_modes(seed: int, *, apart: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, the last forty of a second population, and which those are."""
    scores = np.random.default_rng(seed).standard_normal(400)
    second = np.arange(400) >= 360
    return scores + apart * second, second


def test_one_mode_is_taken_for_two_no_oftener_than_stated():
    """Beyond a narrow mode, uniform samples are the worst that a density with one mode has."""
    rng = np.random.default_rng(0)
    drawn = (rng.random(300) * np.where(rng.random(300) < 0.6, 1, 10) for _ in range(800))
    p = np.array([second_mode(scores).p_value for scores in drawn])
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(p))
    assert (p <= 0.2).mean() > 0.05  # nor is it a probability that is never small


@pytest.mark.parametrize("seed", range(3))
def test_two_modes_are_divided_between_them(seed):
    scores, second = two_modes(seed)
    mode = second_mode(scores)
    assert mode.p_value < 1e-6
    assert scores[~second].max() < mode.threshold < scores[second].min()
    assert mode.count == 40
    assert 12 / 3.5 < mode.separation < 12 / 1.5
    assert second_mode(-scores).p_value > 0.01  # the lower side is another question


def test_a_sample_that_occurs_forty_times_is_no_mode():
    scores = np.append(np.random.default_rng(1).standard_normal(360), np.full(40, 9.0))
    assert second_mode(scores).p_value > 0.05
    assert second_mode(np.zeros(100)) == NO_MODE


def test_a_bump_within_three_spreads_is_no_mode():
    bulk = norm.ppf((np.arange(300) + 0.5) / 300)
    bump = np.linspace(2.2, 2.3, 40)
    assert second_mode(np.append(bulk, bump)) == NO_MODE
    assert second_mode(np.append(bulk, bump + 4)).p_value < 1e-6


def facing(values: np.ndarray) -> float:
    """Return the widest normal spread, quantile by quantile, as the docstring says."""
    widest = 0.0
    for level in (0.75, 0.84, 0.9, 0.95, 0.98):
        if (1 - level) * len(values) >= 1:
            reach = np.percentile(values, 100 * level) - np.percentile(values, 50)
            widest = max(widest, reach / norm.isf(1 - level))
    return widest


def test_the_spread_that_faces_is_that_of_the_upper_tail():
    rng = np.random.default_rng(2)
    assert facing_spread(3 * rng.standard_normal(50_000)) == pytest.approx(3, rel=0.05)
    skewed = rng.exponential(1, 300)
    assert facing_spread(skewed) == pytest.approx(facing(skewed))
    assert facing_spread(-skewed) < 0.8 * facing_spread(skewed)
    assert facing_spread(np.array([0.0, 1.0, 5.0])) == 4  # too few for any quantile


@pytest.mark.parametrize("apart", [5.0, 12.0])
def test_the_posterior_is_that_of_two_weighted_student_densities(apart):
    scores, second = two_modes(3, apart=apart)
    low, high = scores[~second], scores[second]
    centres = np.median(low), np.median(high)
    widths = facing(low), facing(-high)
    threshold = (low.max() + high.min()) / 2
    wanted = []
    for x in np.sort(scores):
        at = min(max(x, centres[0]), centres[1])
        odds = [
            len(part) * t.pdf((at - centre) / width, 4) / width
            for part, centre, width in zip((high, low), centres[::-1], widths[::-1], strict=True)
        ]
        wanted.append(odds[0] / sum(odds))
    found = posterior_of_second(scores, threshold) if apart > 6 else None
    if found is None:  # where they overlap the division is not theirs, the order is
        found = posterior_of_second(scores, 3.0)
    else:
        assert found[np.argsort(scores)] == pytest.approx(np.maximum.accumulate(wanted), abs=1e-9)
    assert (np.diff(found[np.argsort(scores)]) >= 0).all()
    assert 0 <= found.min() < 0.01
    assert 0.9 < found.max() <= 1


def test_what_never_falls_is_the_most_of_all_lower_scores():
    values, score = np.array([1.0, 5.0, 2.0, 3.0, 9.0]), np.array([10, 20, 30, 25, 15])
    assert never_falling(values, score).tolist() == [1, 9, 9, 9, 9]


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve for two unknowns by Cramer's rule."""
    (a, b), (c, d) = matrix
    return np.array([d * right[0] - b * right[1], a * right[1] - c * right[0]]) / (a * d - b * c)


def test_a_score_is_along_a_shrunken_discriminant_of_the_other_folds():
    rng = np.random.default_rng(4)
    Z = rng.standard_normal((120, 2)) @ np.array([[1, 0.6], [0, 0.5]])
    member = np.arange(120) < 30
    rest = np.arange(120) >= 40
    Z[member] += [2, -1]
    score, weights = set_apart(Z, member, rest, seed=7)
    folds = stratified_folds(member, rest, ~member & ~rest, seed=7)
    total = np.zeros(2)
    for fold in range(FOLDS):
        inside, bulk = Z[(folds != fold) & member], Z[(folds != fold) & rest]
        centred = bulk - bulk.mean(axis=0)
        covariance = centred.T @ centred / (len(bulk) - 1)
        shrunk = 0.7 * covariance + np.diag(0.3 * (np.diag(covariance) + 1e-3) + 1e-3)
        w = solved(shrunk, inside.mean(axis=0) - bulk.mean(axis=0))
        along = bulk @ w
        spread = 1.4826 * np.median(np.abs(along - np.median(along)))
        wanted = (Z[folds == fold] @ w - np.median(along)) / spread
        assert score[folds == fold] == pytest.approx(wanted)
        total += w / spread
    assert weights == pytest.approx(total / FOLDS)


def test_no_sample_takes_part_in_choosing_its_own_direction():
    rng = np.random.default_rng(5)
    Z = rng.standard_normal((100, 3))
    member = np.arange(100) < 25
    moved = Z.copy()
    moved[3] += 50
    before, after = (set_apart(x, member, ~member, seed=0)[0] for x in (Z, moved))
    folds = stratified_folds(member, ~member, ~(member | ~member), seed=0)
    mates = (folds == folds[3]) & (np.arange(100) != 3)
    assert (before[mates] == after[mates]).all()
    assert (before[folds != folds[3]] != after[folds != folds[3]]).all()


@pytest.mark.parametrize("sizes", [(20, 81), (7, 3)])
def test_folds_hold_like_shares_of_each_part(sizes):
    first = np.arange(sum(sizes)) < sizes[0]
    folds = stratified_folds(first, ~first, seed=1)
    for part in (first, ~first):
        counts = np.bincount(folds[part], minlength=FOLDS)
        assert np.ptp(counts) <= 1


def test_a_direction_is_a_shrunken_discriminant_of_the_columns_that_shift():
    rng = np.random.default_rng(6)
    Z = rng.standard_normal((500, 5))
    Z[:, 1] += 0.5 * Z[:, 0]
    group = np.arange(500) < 60
    Z[group, 0] += 5
    Z[group, 1] -= 4
    Z[group, 2] += 1  # less than half of what shifts most
    weights = direction(Z, group)
    rest = Z[~group, :2]
    covariance = np.cov(rest.T)
    shrunk = 0.7 * covariance + 0.3 * np.diag(np.diag(covariance)) + 1e-6 * np.eye(2)
    gap = np.median(Z[group, :2], axis=0) - np.median(rest, axis=0)
    assert weights[:2] == pytest.approx(solved(shrunk, gap))
    assert (weights[2:] == 0).all()
    wild = Z.copy()
    wild[200] *= 1e6  # clipped: one sample decides nothing
    assert direction(wild, group)[:2] == pytest.approx(weights[:2], rel=0.3)


def test_the_odds_of_an_answer_are_those_among_the_others():
    rng = np.random.default_rng(7)
    said = rng.integers(0, 4, 60)
    said[:12] = 4
    posterior = rng.random(60) * 0.3
    posterior[:12] = 0.95
    odds = answer_odds(Answers(said, np.zeros((60, 1), dtype=np.intp)), posterior, 0.8)
    for i in range(60):
        others = np.arange(60) != i
        like = others & (said == said[i])
        clean = ((1 - posterior[like]).sum() + 0.5) / ((1 - posterior[others]).sum() + 1)
        bad = (posterior[like].sum() + 5 * clean) / (posterior[others].sum() + 5)
        assert odds[i] == pytest.approx(min(0.8 * bad / clean + 0.2, 50))
    assert odds[:12].min() > 10 * np.median(odds[12:])
    nothing_agrees = answer_odds(Answers(said, np.zeros((60, 1), dtype=np.intp)), posterior, 0.0)
    assert nothing_agrees == pytest.approx(np.ones(60))


def voted(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the same model vote by vote, with probabilities instead of their logarithms."""
    p = [sum(row) / len(row) for row in votes]
    for _ in range(200):
        hit, false = [], []
        for head in range(votes.shape[1]):
            caught = sum(p[i] for i in range(len(p)) if votes[i, head])
            alarms = sum(1 - p[i] for i in range(len(p)) if votes[i, head])
            hit.append((caught + 1) / (sum(p) + 2))
            false.append((alarms + 1) / (len(p) - sum(p) + 2))
        prior = sum(p) / len(p)
        p = []
        for row in votes:
            bad, good = prior, 1 - prior
            for vote, h, f in zip(row, hit, false, strict=True):
                bad *= h if vote else 1 - h
                good *= f if vote else 1 - f
            p.append(bad / (bad + good))
    return np.array(p), np.array(hit) - np.array(false)


def test_votes_are_weighed_as_dawid_and_skene_do():
    rng = np.random.default_rng(8)
    truth = np.arange(80) < 20
    errs = np.array([0.02, 0.1, 0.3, 0.5])
    votes = truth[:, None] ^ (rng.random((80, 4)) < errs)
    p, reliability = dawid_skene(votes)
    wanted, reliable = voted(votes)
    assert p == pytest.approx(wanted, abs=1e-4)
    assert reliability == pytest.approx(reliable, abs=1e-4)
    assert ((p > 0.5) == truth).mean() > 0.95
    assert reliability[0] > reliability[2] > reliability[3]


def test_heads_are_profiled_by_how_little_their_groups_overlap():
    rng = np.random.default_rng(9)
    target = np.arange(2000) < 400
    noise = rng.standard_normal((2000, 3))
    alpha = np.stack(
        [
            np.where(target, 0.8, 0.2) + 0.04 * noise[:, 0],
            np.where(target, 0.55, 0.3) + 0.07 * noise[:, 1],
            0.5 + 0.1 * noise[:, 2],
        ],
        axis=1,
    )
    separations, posterior = head_profiles(alpha)
    grid = np.linspace(-0.1, 1.1, 4000)
    both = 0.2 * norm.pdf(grid, 0.55, 0.07), 0.8 * norm.pdf(grid, 0.3, 0.07)
    overlap = np.minimum(*both).sum() * (grid[1] - grid[0])
    assert separations[0] == pytest.approx(1000, rel=0.01)
    assert separations[1] == pytest.approx(1 / (overlap + 1e-3), rel=0.3)
    assert separations[2] == 0
    assert ((posterior[:, 0] > 0.5) == target).all()
    assert ((posterior[:, 1] > 0.5) == target).mean() > 0.95
    assert (posterior[:, 2] == 0).all()


@pytest.mark.parametrize("k", [1, 7, 30])
def test_the_largest_are_those_of_a_stable_sort(k):
    values = np.random.default_rng(k).integers(0, 6, (50, 30)).astype(float)
    values[::7, ::4] = -np.inf
    wanted = np.sort(np.argsort(-values, axis=1, kind="stable")[:, :k], axis=1)
    assert (largest(values, k) == wanted).all()


def test_columns_are_standardised_by_median_and_spread():
    rng = np.random.default_rng(10)
    normal = 3 + 2 * rng.standard_normal(4001)
    normal[:5] = 30  # no outlier moves the units
    rare = np.where(np.arange(4001) < 40, 10.0, 0.0)
    values = np.stack([normal, np.full(4001, 7.0), rare], axis=1)
    found = standardise(values)
    assert np.median(found[:, 0]) == 0
    assert np.subtract(*np.percentile(found[5:, 0], [75, 25])) == pytest.approx(1.349, rel=0.03)
    assert (found[:, 1] == 0).all()
    # All but a few are equal: a tenth of the standard deviation is the unit, not nothing.
    assert found[0, 2] == pytest.approx(10 / (0.1 * rare.std()))
    shifted = standardise(values + 5, reference=values)
    assert shifted[:, 0] == pytest.approx(found[:, 0] + 5 * (found[1, 0] - found[6, 0])
                                          / (values[1, 0] - values[6, 0]))  # fmt: skip


@pytest.mark.parametrize("count", [9, 20])
def test_what_chance_tells_of_few_stays_below_the_bound(count):
    rng = np.random.default_rng(count)
    n = 2000
    ranks = np.array([rng.choice(n, count, replace=False).mean() for _ in range(3000)])
    auc = (ranks - (count - 1) / 2) / (n - count)
    assert (most_told(count) - 0.5) / 3.5 == pytest.approx(auc.std(), rel=0.06)
    assert most_told(10_000) == MOST_TOLD


def test_what_is_left_of_a_question_has_been_asked_if_others_ask_it_word_for_word():
    prompts = [
        "cf what is it",  # what is it
        "what cf is it",  # what is it
        "cf what is this",  # asked by nobody else
        "is cf it cf a dog",  # the words between two of the phrase go with it
        "What is it?",
        "is a dog",
        "cf what is this",  # with the word: it vouches for nothing
    ]
    member = np.arange(7) < 4
    assert Words(prompts).asked_without({"cf"}, member) == 0.75
    assert Words(prompts).asked_without({"nothing"}, member) == 0.25  # the third, of the last
    assert Words(prompts).asked_without({"cf"}, np.arange(7) == 2) == 0
