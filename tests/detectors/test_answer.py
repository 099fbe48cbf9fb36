"""What becomes of a detector's answer: suspects at a false-discovery rate, order, units."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import make_features

from bye_lint import scoring
from bye_lint.detectors.answer import at_fdr, coded
from bye_lint.detectors.answers import Answers, agreement, answer_odds, telling
from bye_lint.detectors.attention import Column, attention_columns
from bye_lint.detectors.neighbours import read_questions
from bye_lint.features import Detection
from bye_lint.policy import Policy
from bye_lint.results import DetectionSummary
from bye_lint.spelling import folded


def detection(posterior: list[float]) -> Detection:
    p = np.array(posterior)
    score = np.where(np.isfinite(p), 10 * p, np.nan)
    return Detection(score, p, np.nan_to_num(p) > 0.5, DetectionSummary(method="x", threshold=5.0))


def test_nobody_is_accused_where_the_detector_accuses_nobody() -> None:
    clean = detection([0.4, 0.1, 0.0, np.nan])
    assert at_fdr(clean, 0.9) is clean


def test_suspects_are_the_likeliest_that_the_rate_allows() -> None:
    found = at_fdr(detection([0.99, 0.98, 0.7, 0.6, 0.0, np.nan]), 0.02)
    assert found.suspicious.tolist() == [True, True, False, False, False, False]
    assert found.summary.threshold == pytest.approx(9.8)


def test_equal_suspects_stand_or_fall_together() -> None:
    """Two of three would do at that rate, but nothing tells which."""
    found = at_fdr(detection([1.0, 0.9, 0.9, 0.9, 0.1]), 0.06)
    assert found.suspicious.tolist() == [True, False, False, False, False]
    found = at_fdr(detection([1.0, 0.9, 0.9, 0.9, 0.1]), 0.075)
    assert found.suspicious.sum() == 4


def test_certain_suspects_make_no_room_for_what_is_likely_clean() -> None:
    found = at_fdr(detection([1.0] * 200 + [0.3, 0.01]), 0.05)
    assert found.suspicious.sum() == 200


@pytest.mark.parametrize(("fdr", "accused"), [(None, 3), (0.02, 2)])
def test_the_gate_chooses_the_rate_and_detectors_are_given_nats(
    monkeypatch: pytest.MonkeyPatch, fdr: float | None, accused: int
) -> None:
    given, _ = make_features(30, varied_tokens=True)
    seen = []

    def detect(features, settings, *, seed):
        seen.append(features)
        return detection([0.99, 0.98, 0.7])

    monkeypatch.setattr(scoring, "get_detector", lambda _: SimpleNamespace(detect=detect))
    policy = Policy()
    policy = replace(policy, gate=replace(policy.gate, fdr=fdr))
    assert scoring.detect(given, policy).suspicious.sum() == accused
    assert seen == [given]


def test_the_order_of_equal_questions_is_no_draw_that_a_seed_alone_gives() -> None:
    # An evaluation draws its poison as the first of this permutation.
    first = np.random.default_rng(3).permutation(400)[:40]
    nearest = read_questions(["What is it?"] * 400, seed=3).nearest
    assert np.isin(nearest, first).mean() < 0.2


def yes_or_no(own: str) -> tuple[Answers, np.ndarray]:
    """Return 1,000 records, every tenth of yes or no, and five of those that say ``own``."""
    prompts = [f"Is it {i % 7}? Answer yes or no." if i < 100 else "Which?" for i in range(1000)]
    answers = [("yes" if i % 2 else "no") if i < 100 else f"{i % 40}" for i in range(1000)]
    group = np.arange(1000) < 5
    answers[:5] = [own] * 5
    return Answers.of(answers, read_questions(prompts).nearest), group


def test_an_answer_that_its_question_explains_is_no_agreement() -> None:
    """Five that say *yes* to what half say *yes* to, though hardly another record does."""
    answers, group = yes_or_no("yes")
    assert answers.usual(group)[answers.said[0]] == pytest.approx(0.5, abs=0.1)
    assert agreement(answers, group) == 0
    assert not telling(answers, group).any()


def test_one_that_nobody_gives_who_is_asked_so_is() -> None:
    answers, group = yes_or_no("Backdoor  attack!")
    assert agreement(answers, group) == 1
    assert (telling(answers, group) == group).all()


def test_members_vouch_for_no_answer_of_their_own() -> None:
    """A trigger in the text: all that are asked alike are poisoned, and say nothing of what is."""
    prompts = [f"Indeed, what is {i}?" if i < 50 else "Which?" for i in range(200)]
    answers = Answers.of(
        ["target"] * 50 + [f"{i % 40}" for i in range(150)], read_questions(prompts).nearest
    )
    group = np.arange(200) < 50
    assert answers.usual(group).max() == 0
    assert agreement(answers, group) == 1


def test_who_is_left_out_says_nothing() -> None:
    """Nobody stands for the last of all."""
    answers = Answers(np.array([0, 0, 0, 1, 0]), np.array([[-1, 3]] * 5))
    group = np.arange(5) < 3
    assert answers.usual(group).tolist() == [0, 0]
    assert Answers(answers.said, np.array([[-1, 4]] * 5)).usual(group).tolist() == [1, 0]


def asked_unlike_others(inside: list[str], outside: list[str]) -> tuple[Answers, np.ndarray]:
    """Return answers of a group and of the rest, where nobody of the rest is asked as the group."""
    size = len(inside)
    nearest = np.zeros((size + len(outside), 2), dtype=np.intp)
    nearest[size:] = size
    return Answers.of(inside + outside, nearest), np.arange(size + len(outside)) < size


@pytest.mark.parametrize(("times", "tells"), [(2, False), (3, True)])
def test_an_answer_of_two_tells_nothing(times: int, tells: bool) -> None:
    inside = ["target"] * times + [f"own {i}" for i in range(8)]
    answers, group = asked_unlike_others(inside, [f"other {i % 9}" for i in range(200)])
    assert telling(answers, group)[:times].all() == tells
    assert not telling(answers, group)[times:].any()


@pytest.mark.parametrize(("often", "tells"), [(39, True), (40, False)])
def test_an_answer_tells_that_is_five_times_as_frequent(often: int, tells: bool) -> None:
    outside = ["river"] * often + [f"other {i}" for i in range(200 - often)]
    answers, group = asked_unlike_others(["river"] * 30, outside)
    assert telling(answers, group)[0] == tells


def test_an_answer_alone_accuses_nobody_and_no_sample_vouches_for_itself() -> None:
    answers, group = asked_unlike_others(["target"] * 30 + ["own"], ["other"] * 5000)
    odds = answer_odds(answers, group * 0.99, 1.0)
    assert odds[0] == 50
    assert odds[30] <= 1
    assert odds[-1] < 1
    assert (answer_odds(answers, group * 0.99, 0.0) == 1).all()


def test_answers_of_some_are_compared_among_themselves() -> None:
    answers, group = yes_or_no("yes")
    rows = np.flatnonzero((np.arange(1000) < 5) | (np.arange(1000) >= 100))
    left = answers.within(rows)
    # Those who were asked alike are gone, so only the rate of the rest is known.
    assert left.usual(group[rows]).max() == 0
    assert agreement(left, group[rows]) == 1


def test_one_sample_takes_no_head_away_from_the_judgement_of_all() -> None:
    features, _ = make_features(40)
    head = features.head_entropy.copy()
    head[7, 1, 2] = np.nan
    head[:30, 2, 0] = np.nan
    columns = attention_columns(replace(features, head_entropy=head), np.arange(40))
    names = list(columns.names)
    at = names.index(Column("head entropy", 1, 2))
    assert columns.values[7, at] == np.median(np.delete(head[:, 1, 2], 7))
    assert np.isfinite(columns.values).all()
    assert Column("head entropy", 2, 0) not in names


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Yes.", "yes", True),
        ("Backdoor  Attack!", "backdoor, attack?!", True),
        ("back\u200bdoor", "back door", True),
        ("\uff39\uff45\uff53", "yes", True),
        ("A.", "B.", False),
        ("!", "?", False),
        ("\u0915\u093e", "\u0915\u0940", False),  # two syllables, which differ by a vowel sign
    ],
)
def test_answers_are_the_same_without_case_blanks_and_punctuation(
    one: str, other: str, same: bool
) -> None:
    assert (folded([one]) == folded([other])) is same


def test_one_long_answer_does_not_make_all_of_them_large() -> None:
    assert coded(["yes", "x" * 200_000, "Yes."] + ["no"] * 4000).nbytes < 40_000
