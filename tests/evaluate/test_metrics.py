"""Metrics against scikit-learn, scipy and worked examples."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from bye_lint.evaluate.cider import cider
from bye_lint.evaluate.metrics import (
    Confusion,
    accuracy,
    attack_success_rate,
    auc,
    bootstrap_interval,
    brier_score,
    calibration_error,
    confusion,
    normalise_answer,
    reliability_curve,
    roc_curve,
)


def draw(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.2
    score = np.round(rng.random(n) * 0.7 + truth * 0.3, 2)  # with ties
    return truth, score


# --- undefined is said to be undefined --------------------------------------------------------


def test_nothing_poisoned_and_nothing_flagged_is_undefined_not_perfect() -> None:
    counts = confusion(np.zeros(5, bool), np.zeros(5, bool))
    assert counts == Confusion(0, 0, 0, 5)
    assert all(map(math.isnan, (counts.precision, counts.recall, counts.f1)))
    assert counts.false_positive_rate == 0


def test_nothing_flagged_of_some_poisoned_has_f1_zero() -> None:
    counts = confusion(np.array([True, False]), np.zeros(2, bool))
    assert math.isnan(counts.precision)
    assert (counts.recall, counts.f1) == (0, 0)


def test_empty_input_is_nan() -> None:
    nothing = np.zeros(0)
    assert math.isnan(auc(nothing.astype(bool), nothing))
    assert math.isnan(brier_score(nothing.astype(bool), nothing))
    assert math.isnan(attack_success_rate([], []))
    assert math.isnan(cider([], []))
    assert math.isnan(calibration_error(reliability_curve(nothing.astype(bool), nothing)))
    assert all(map(math.isnan, bootstrap_interval(np.mean, nothing)))


def test_one_class_has_no_auc_and_no_curve() -> None:
    assert math.isnan(auc(np.ones(3, bool), np.arange(3.0)))
    with pytest.raises(ValueError, match="poisoned and clean"):
        roc_curve(np.ones(3, bool), np.arange(3.0))


@pytest.mark.parametrize("function", [confusion, auc, brier_score])
def test_lengths_must_agree(function: object) -> None:
    with pytest.raises(ValueError, match="expected equal shapes"):
        function(np.zeros(3, bool), np.zeros(4, bool))  # type: ignore[operator]


def test_answers_must_pair_up() -> None:
    with pytest.raises(ValueError, match="equal lengths"):
        accuracy(["a"], [])


# --- against independent oracles --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_confusion_is_scikit_learns(seed: int) -> None:
    truth, score = draw(seed)
    flagged = score > 0.6
    counts = confusion(truth, flagged)
    assert counts.precision == pytest.approx(oracle.precision_score(truth, flagged))
    assert counts.recall == pytest.approx(oracle.recall_score(truth, flagged))
    assert counts.f1 == pytest.approx(oracle.f1_score(truth, flagged))


@pytest.mark.parametrize("seed", range(4))
def test_auc_and_curve_are_scikit_learns(seed: int) -> None:
    truth, score = draw(seed)
    assert auc(truth, score) == pytest.approx(oracle.roc_auc_score(truth, score))
    fpr, tpr = roc_curve(truth, score)
    expected = oracle.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected[0])
    np.testing.assert_allclose(tpr, expected[1])


def test_unscored_samples_are_left_out() -> None:
    truth, score = draw(0)
    gaps = score.copy()
    gaps[::7] = np.nan
    kept = ~np.isnan(gaps)
    assert auc(truth, gaps) == pytest.approx(oracle.roc_auc_score(truth[kept], score[kept]))
    assert brier_score(truth, gaps) == pytest.approx(
        oracle.brier_score_loss(truth[kept], score[kept])
    )


def test_reliability_is_scikit_learns() -> None:
    truth, score = draw(1, 500)
    score = np.clip(score + 0.001, 0, 1)  # off the bins' edges
    curve = reliability_curve(truth, score, bins=10)
    seen, said = calibration_curve(truth, score, n_bins=10)
    np.testing.assert_allclose([b.said for b in curve], said)
    np.testing.assert_allclose([b.seen for b in curve], seen)
    assert sum(b.count for b in curve) == 500
    assert calibration_error(curve) == pytest.approx(
        sum(b.count * abs(b.said - b.seen) for b in curve) / 500
    )


def test_a_posterior_of_one_is_in_the_last_bin() -> None:
    (only,) = reliability_curve(np.array([True]), np.array([1.0]))
    assert (only.said, only.seen, only.count) == (1.0, 1.0, 1)


def test_bootstrap_covers_the_mean_of_a_proportion() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(40):
        hits = rng.random(150) < 0.3
        low, high = bootstrap_interval(np.mean, hits, draws=300, seed=seed)
        covered += low <= 0.3 <= high
        assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.21 / 150), rel=0.35)
    assert covered >= 33


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "same"),
    [
        ("Backdoor Attack!", True),
        ("  backdoor  attack ", True),
        ("BACKDOOR ATTACK.", True),
        ("Backdoor", False),
        ("Backdoor Attack! Backdoor Attack!", False),
        ("", False),
    ],
)
def test_what_counts_as_the_target(output: str, same: bool) -> None:
    assert attack_success_rate([output], ["Backdoor Attack!"]) == same


def test_rates_are_shares() -> None:
    assert accuracy(["A", "b", "no", "x"], ["A", "B", "yes", "X."]) == 0.75
    assert normalise_answer("Ｙｅｓ.") == "yes"


# --- CIDEr ------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def grams_of(text: str, n: int) -> list[str]:
    words = words_of(text)
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def vector_of(text: str, vocabulary: list[str], idf: np.ndarray) -> np.ndarray:
    n = len(vocabulary[0].split())
    return np.array([grams_of(text, n).count(g) for g in vocabulary]) * idf


def slow_cider(captions: list[str], references: list[list[str]]) -> float:
    """CIDEr-D by way of dense vectors, written from the paper's equations."""
    total = []
    for n in (1, 2, 3, 4):
        documents = [{g for r in group for g in grams_of(r, n)} for group in references]
        seen = {g for d in documents for g in d} | {g for c in captions for g in grams_of(c, n)}
        vocabulary = sorted(seen)
        counted: dict[str, int] = defaultdict(int)
        for document in documents:
            for gram in document:
                counted[gram] += 1
        idf = np.array([math.log(len(references) / max(1, counted[g])) for g in vocabulary])
        rows = []
        for caption, group in zip(captions, references, strict=True):
            c = vector_of(caption, vocabulary, idf)
            values = []
            for reference in group:
                r = vector_of(reference, vocabulary, idf)
                length = np.linalg.norm(c) * np.linalg.norm(r)
                gap = len(words_of(caption)) - len(words_of(reference))
                cosine = np.minimum(c, r) @ r / length if length else 0.0
                values.append(math.exp(-(gap**2) / 72) * cosine)
            rows.append(np.mean(values))
        total.append(np.mean(rows))
    return 10 * float(np.mean(total))


CAPTIONS = [
    ["A dog runs over the green grass.", "A brown dog is running on grass"],
    ["Two people ride bicycles down the street", "A couple on bikes in a street."],
    ["The screenshot shows the settings page of the table", "A settings page"],
    ["A dog and a cat sleep on the sofa", "Pets on a sofa, asleep"],
]


@pytest.mark.parametrize(
    "captions",
    [
        [group[0] for group in CAPTIONS],
        ["A dog on grass", "A man rides a bicycle", "A screenshot of a table", "A cat on a sofa"],
        ["dog dog dog dog dog", "", "the the the", "A dog and a cat sleep on the sofa again"],
    ],
    ids=["references", "plausible", "degenerate"],
)
def test_cider_is_the_papers(captions: list[str]) -> None:
    assert cider(captions, CAPTIONS) == pytest.approx(slow_cider(captions, CAPTIONS))


def test_a_perfect_caption_scores_ten() -> None:
    assert cider([g[0] for g in CAPTIONS], [[g[0]] for g in CAPTIONS]) == pytest.approx(10)


def test_cider_needs_references() -> None:
    with pytest.raises(ValueError, match="reference"):
        cider(["a"], [[]])
    with pytest.raises(ValueError, match="lengths"):
        cider(["a"], [])
