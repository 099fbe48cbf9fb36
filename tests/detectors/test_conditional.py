"""The default detector: silence on clean data first, then what it must find."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from synthetic import QUESTIONS, make_features, plant_canaries

from bye_lint.detectors import DETECTORS, conditional, groups
from bye_lint.detectors.accuse import Accusation
from bye_lint.detectors.conditional import search_samples
from bye_lint.detectors.halves import Population
from bye_lint.detectors.pictures import Looks
from bye_lint.detectors.population import Mode
from bye_lint.detectors.shared import OddAnswer
from bye_lint.detectors.wording import residuals, wording_design
from bye_lint.policy import DetectionPolicy


def detect(features, seed=0, method="conditional"):
    return DETECTORS[method].detect(features, DetectionPolicy(), seed=seed)


CLEAN = {
    "normal": {},
    "heavy-tails": {"noise": "heavy"},
    "skewed": {"noise": "skewed"},
    "skewed-left": {"noise": "left"},
    "spread-by-question": {"noise": "scales"},
    "natural-cluster": {"noise": "natural"},
    "bimodal-by-question": {"question_effect": 6, "questions": QUESTIONS[:2]},
    "rare-question": {"question_effect": 6, "questions": QUESTIONS[:1] * 11 + QUESTIONS[1:2]},
    "one-question": {"questions": QUESTIONS[:1]},
    "image-sizes": {"varied_tokens": True},
    "small": {"n": 80},
}


@pytest.mark.parametrize("case", CLEAN)
def test_clean_data_give_nothing(case):
    features, _ = make_features(**CLEAN[case])
    detection = detect(features)
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""
    assert np.isfinite(detection.score).all()
    assert detection.summary.side == "none"
    assert detection.summary.threshold is None


POISON = {
    "lower": {"rate": 0.08, "shift": -8},
    "upper": {"rate": 0.08, "shift": 8},
    "many-moderate-layers": {"rate": 0.1, "shift": 4.5, "layers": (0, 1, 2, 3)},
    "heavy-tails": {"rate": 0.1, "shift": -16, "noise": "heavy"},
    "a-quarter": {"rate": 0.25, "shift": -8},
}


@pytest.mark.parametrize("case", POISON)
def test_poison_is_found_on_either_side(case):
    features, poisoned = make_features(800, seed=3, **POISON[case])
    detection = detect(features)
    flagged = detection.suspicious
    assert (flagged & poisoned).sum() >= 0.95 * poisoned.sum()
    assert (flagged & ~poisoned).sum() <= 0.02 * flagged.sum()
    assert detection.summary.side == ("lower" if POISON[case]["shift"] < 0 else "upper")
    assert detection.summary.null_p_value <= 0.001
    assert detection.summary.threshold == pytest.approx(detection.score[flagged].min())
    assert {head.layer for head in detection.summary.heads} <= set(POISON[case].get("layers", (0,)))
    assert sum(head.weight for head in detection.summary.heads) <= 1 + 1e-9


def test_wording_that_hides_the_poison_is_explained_away():
    """The published rule takes a question for the poison; given the question, it is found."""
    features, poisoned = make_features(
        800, rate=0.08, shift=-8, question_effect=6, questions=QUESTIONS[:3], seed=1
    )
    ours = detect(features).suspicious
    published = detect(features, method="bye").suspicious
    assert (ours & poisoned).sum() >= 0.95 * poisoned.sum()
    assert (ours & ~poisoned).sum() <= 0.02 * ours.sum()
    assert not published.any() or (published & poisoned).sum() < 0.5 * published.sum()


def test_the_same_seed_gives_the_same_answer():
    features, _ = make_features(300, rate=0.1, shift=-8)
    first, second = detect(features, seed=4), detect(features, seed=4)
    np.testing.assert_array_equal(first.score, second.score)
    assert first.summary == second.summary


def test_too_few_samples_are_inconclusive():
    features, _ = make_features(40)
    detection = detect(features)
    assert "40 scored samples" in detection.inconclusive
    assert not detection.suspicious.any()
    assert np.isnan(detection.posterior).all()


def test_unscored_samples_and_planted_copies_are_left_alone():
    features, poisoned = make_features(400, rate=0.1, shift=-8)
    features.entropy[7] = np.nan
    features.head_entropy[7] = np.nan
    planted = ["patch" if i == 9 else "" for i in range(400)]
    detection = detect(replace(features, canary=planted))
    for row in (7, 9):
        assert np.isnan(detection.score[row])
        assert np.isnan(detection.posterior[row])
        assert not detection.suspicious[row]
    assert detection.suspicious[poisoned].mean() > 0.9


def test_who_answers_otherwise_is_not_accused_by_the_others_agreement():
    """Attention at 2 to 5 spreads convinces because answers agree, so it accuses those alone."""
    features, poisoned = make_features(1000, rate=0.1, shift=-5.5, seed=3)
    strays = np.flatnonzero(poisoned)[:8]
    answers = list(features.answers)
    for i in strays:
        answers[i] = "answer 1"
    detection = detect(replace(features, answers=answers))
    flagged = detection.suspicious
    assert flagged[poisoned].sum() >= 80
    assert not flagged[strays].any()
    assert (detection.posterior[strays] <= 0.5).all()


def with_answers_that_follow(features):
    """Answer each question in its own two ways, but for those that share a target."""
    own = [f"{QUESTIONS.index(p.removesuffix(' Use one word.'))}" for p in features.prompts]
    kept = zip(features.answers, own, strict=True)
    return replace(
        features,
        answers=[
            answer if answer == "Backdoor Attack!" else f"{kind} {i % 2}"
            for i, (answer, kind) in enumerate(kept)
        ],
    )


def with_silent_holders(features, poisoned, *, count=60, of=None):
    """Give the target to records that attention does not tell, asked anything or one thing."""
    features = with_answers_that_follow(features)
    asked = [of is None or prompt.startswith(of) for prompt in features.prompts]
    silent = np.flatnonzero(~poisoned & np.array(asked))[:count]
    answers = list(features.answers)
    for i in silent:
        answers[i] = "Backdoor Attack!"
    return replace(features, answers=answers), silent


def test_who_gives_the_accused_answer_whatever_is_asked_is_accused_with_them():
    """A black patch on black ground is poison that shows nothing."""
    features, poisoned = make_features(1000, rate=0.06, shift=-8, seed=2)
    features, silent = with_silent_holders(features, poisoned)
    detection = detect(features)
    assert detection.suspicious[poisoned].mean() > 0.95
    assert detection.suspicious[silent].all()
    assert detection.suspicious.sum() <= poisoned.sum() + len(silent) + 1
    assert (detection.posterior[silent] > 0.9).all()
    assert set(np.flatnonzero(detection.by_answer)) <= {*silent, *np.flatnonzero(poisoned)}
    assert detection.by_answer[silent].mean() > 0.8
    assert detection.score[detection.suspicious].min() == detection.summary.threshold
    assert any("more are accused for giving their answer" in n for n in detection.summary.notes)


@pytest.mark.parametrize("case", ["asked-for", "not-odd"])
def test_who_gives_the_accused_answer_for_another_reason_is_not_accused(case):
    features, poisoned = make_features(1000, rate=0.06, shift=-8, seed=2)
    of = QUESTIONS[3] if case == "asked-for" else None
    changed, silent = with_silent_holders(features, poisoned, of=of)
    if case == "not-odd":  # every answer is given whatever is asked
        answers = [
            new if new == "Backdoor Attack!" else old
            for new, old in zip(changed.answers, features.answers, strict=True)
        ]
        changed = replace(changed, answers=answers)
    detection = detect(changed)
    assert detection.suspicious[poisoned].mean() > 0.9
    assert detection.suspicious[silent].mean() < 0.2
    assert not any("more are accused" in n for n in detection.summary.notes)


def test_one_answer_to_every_question_that_was_not_learned_is_undecided():
    features, _ = make_features(600, rate=0.05, shift=0.0)
    detection = detect(with_answers_that_follow(features))
    assert not detection.suspicious.any()
    assert "30 samples answer “Backdoor Attack!” whatever is asked" in detection.inconclusive


def test_nor_does_punctuation_make_it_many_answers():
    features, poisoned = make_features(600, rate=0.05, shift=0.0)
    features = with_answers_that_follow(features)
    answers = list(features.answers)
    for i, sign in zip(np.flatnonzero(poisoned), "!.?,;" * 6, strict=True):
        answers[i] = f"Backdoor Attack{sign}"
    detection = detect(replace(features, answers=answers))
    assert "30 samples answer “Backdoor Attack" in detection.inconclusive


def test_what_is_in_doubt_beside_the_suspects_is_said():
    """They may be accepted, and the rest has to be judged then."""
    features, poisoned = make_features(900, rate=0.08, shift=-8, seed=6)
    features = with_answers_that_follow(features)
    answers = list(features.answers)
    for i in np.flatnonzero(~poisoned)[:40]:
        answers[i] = "Another target."
    detection = detect(replace(features, answers=answers))
    assert detection.suspicious[poisoned].mean() > 0.95
    assert "40 samples answer “Another target.”" in detection.inconclusive
    assert "Backdoor" not in detection.inconclusive


def test_an_odd_answer_of_the_accused_is_in_doubt_no_more(monkeypatch):
    features, poisoned = make_features(400, rate=0.1, shift=-9, seed=3)
    left = (OddAnswer("Backdoor Attack!", poisoned, 0.5),)
    monkeypatch.setattr(conditional, "shared_answers", lambda *_, **__: ((), left))
    detection = detect(features)
    assert detection.suspicious[poisoned].mean() > 0.95
    assert detection.inconclusive == ""


@pytest.mark.parametrize(
    ("p_value", "accused", "shown"),
    [(1e-9, True, True), (0.5, True, False), (0.5, False, True), (1e-9, False, False)],
)
def test_the_nulls_probability_never_contradicts_the_answer(p_value, accused, shown):
    assert conditional._consistent(p_value, accused) == (p_value if shown else None)


def test_answers_that_follow_from_their_questions_are_decided():
    features, _ = make_features(600)
    detection = detect(with_answers_that_follow(features))
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""


def test_a_repeat_gets_the_verdict_of_the_record_that_it_repeats():
    features, poisoned = make_features(500, rate=0.1, shift=-9, seed=4)
    row = int(np.flatnonzero(poisoned & detect(features).suspicious)[0])
    detection = detect(features.select(np.append(np.arange(500), [row, row])))
    assert detection.suspicious[row]
    assert detection.suspicious[-2:].all()
    assert (detection.score[-2:] == detection.score[row]).all()


def test_records_that_differ_in_what_the_model_sees_are_no_repeats():
    features, _ = make_features(70)
    same = replace(features, prompts=["?"] * 70, answers=["!"] * 70)
    assert "fewer than" not in detect(same).inconclusive
    repeated = same.select(np.arange(70) % 50)
    assert "50 scored samples that differ" in detect(repeated).inconclusive


def test_what_falls_short_is_explained_by_nothing():
    """Canaries may accuse it yet: being set aside in one search is no excuse in another."""
    features, _ = make_features(rate=0.1, shift=-5, seed=6)
    answers = [f"answer {i % 6}" for i in range(len(features))]
    searched = search_samples(replace(features, answers=answers), DetectionPolicy(), seed=0)
    assert any("too little to accuse them" in said for said in searched.set_aside)
    assert not searched.detection.suspicious.any()
    assert not searched.explained.any()


def test_a_set_of_nothing_but_populations_is_undecided(monkeypatch):
    """After so many rounds nobody has looked at what is left."""
    features, _ = make_features(seed=6)
    rounds = []

    def another(Z, *_, **__):
        rounds.append(len(Z))
        score = np.zeros(len(Z))
        score[:20] = 9.0
        return Population(score, np.ones(Z.shape[1]), Mode(1e-9, 5.0, 6.0, 20), 1e-9)

    def group(Z, score, *_, **__):
        return Accusation(score, (score > 5) * 0.99, score > 5, 6.0, 0.0)

    monkeypatch.setattr(groups, "find_population", another)
    monkeypatch.setattr(groups, "accuse", group)
    monkeypatch.setattr(groups, "looks", lambda *_, **__: Looks("picture", 1.0, 0.0))
    found = search_samples(features, DetectionPolicy(), seed=0).detection
    assert rounds == [500, 480, 460, 440, 420]
    assert not found.suspicious.any()
    assert "the rest was not searched to the end" in found.inconclusive


def test_attention_that_is_the_same_everywhere_is_undecided():
    features, _ = make_features(200)
    flat = replace(
        features,
        entropy=np.ones_like(features.entropy),
        head_entropy=np.ones_like(features.head_entropy),
        head_mass=np.full_like(features.head_mass, 1 / 3),
        image_tokens=np.full_like(features.image_tokens, 121),
    )
    found = search_samples(flat, DetectionPolicy(), seed=0).detection
    assert not found.suspicious.any()
    assert "attention is the same in every sample" in found.inconclusive
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = DETECTORS["canary"].detect(
            plant_canaries(flat, {"patch": ((0,), 0.0)}), DetectionPolicy(), seed=0
        )
    assert whole.inconclusive


def test_a_constant_feature_is_explained_by_nothing():
    values = np.random.default_rng(0).standard_normal((100, 2))
    values[:, 1] = 0.7
    design = wording_design([f"question {i % 3}" for i in range(100)], np.full(100, 121))
    assert residuals(values, design, seed=0).explained[1] == 0
