"""Planted triggers: silence on clean data, poison of kin, and honesty about power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import QUESTIONS, make_features, plant_canaries

from bye_lint.canaries import CANARY_KINDS, DEFAULT_KINDS
from bye_lint.detectors import DETECTORS, canary, conditional, planted
from bye_lint.detectors.accuse import Accusation
from bye_lint.detectors.conditional import Searched
from bye_lint.detectors.judged import Look
from bye_lint.detectors.planted import SPOKEN_OF, bulk_threshold
from bye_lint.detectors.population import bulk
from bye_lint.detectors.worded import Worded
from bye_lint.features import Detection
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary

KINDS = {"patch": ((0,), -1.0), "blend": ((1, 2), 1.0)}


def detect(features, method="canary", **settings):
    return DETECTORS[method].detect(features, DetectionPolicy(**settings), seed=0)


@pytest.mark.parametrize("noise", ["normal", "heavy", "skewed", "left", "scales", "natural"])
def test_clean_records_give_nothing_and_a_pass_that_is_vouched_for(noise):
    features, _ = make_features(400, noise=noise, seed=2)
    whole = plant_canaries(features, KINDS, shift=16.0 if noise == "heavy" else 10.0)
    detection = detect(whole)
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""
    assert [power.kind for power in detection.summary.power] == ["blend", "patch"]
    assert all(power.recall > 0.8 and power.planted == 15 for power in detection.summary.power)


def test_copies_are_neither_scored_nor_accused():
    features, _ = make_features(300, seed=2)
    whole = plant_canaries(features, {**KINDS, "control": ((0,), 0.0)})
    detection = detect(whole)
    planted = whole.is_canary
    assert np.isnan(detection.score[planted]).all()
    assert np.isnan(detection.posterior[planted]).all()
    assert not detection.suspicious.any()
    assert np.isfinite(detection.score[~planted]).all()
    assert "0 of 15 empty canaries flagged" in detection.summary.notes
    assert "control" not in [power.kind for power in detection.summary.power]


@pytest.mark.parametrize(
    ("rate", "layers", "shift"),
    [(0.02, (0,), -9), (0.08, (1, 2), 7), (0.25, (0,), -9)],
    ids=["two-percent", "global", "a-quarter"],
)
def test_poison_of_a_planted_kind_is_found(rate, layers, shift):
    features, poisoned = make_features(600, rate=rate, layers=layers, shift=shift, seed=4)
    detection = detect(plant_canaries(features, KINDS))
    flagged = detection.suspicious[:600]
    assert (flagged & poisoned).sum() >= 0.9 * poisoned.sum()
    assert (flagged & ~poisoned).sum() <= 0.03 * flagged.sum()
    assert detection.summary.side == ("lower" if shift < 0 else "upper")
    assert detection.summary.null_p_value < 1e-3
    assert detection.summary.heads


def blindly(monkeypatch, features, explained=None):
    """Let the blind method accuse nobody, and explain some."""
    n = len(features)
    nobody = np.zeros(n, dtype=bool)
    summary = DetectionSummary(method="conditional")
    found = Detection(np.zeros(n), np.zeros(n), nobody, summary)
    searched = Searched(found, nobody if explained is None else explained)
    monkeypatch.setattr(conditional, "search_samples", lambda *_, **__: searched)


@pytest.mark.parametrize("explained", [False, True])
def test_what_the_blind_method_explains_is_not_accused(monkeypatch, explained):
    features, poisoned = make_features(400, rate=0.08, shift=-9, seed=4)
    whole = plant_canaries(features, KINDS)
    apart = np.append(poisoned, [False] * (len(whole) - 400))
    blindly(monkeypatch, whole, apart if explained else None)
    suspicious = detect(whole).suspicious[:400]
    assert suspicious[poisoned].mean() > 0.9 if not explained else not suspicious.any()


@pytest.mark.parametrize(("rate", "found"), [(0.001, True), (0.05, False)])
def test_no_more_than_the_stated_rate_explains_are_not_accused(monkeypatch, rate, found):
    features, _ = make_features(400, rate=0.03, shift=-9, seed=4)
    whole = plant_canaries(features, KINDS)
    blindly(monkeypatch, whole)
    detection = detect(whole, false_alarm_rate=rate)
    assert detection.suspicious.any() == found
    assert any("no more than chance" in note for note in detection.summary.notes) != found


def test_a_record_that_no_canary_points_at_is_not_accused_with_the_others(monkeypatch):
    features, poisoned = make_features(400, rate=0.08, shift=-9, seed=4)
    whole = plant_canaries(features, KINDS)
    blindly(monkeypatch, whole)
    quiet = np.flatnonzero(~poisoned)[:3]

    def sharpened(Z, score, threshold, answers, *, seed):
        group = score > threshold
        group[quiet] = True
        return Accusation(score, group * 0.99, group, 9.0, 1.0)

    monkeypatch.setattr(canary, "accuse", sharpened)
    detection = detect(whole)
    assert detection.suspicious[:400][poisoned].mean() > 0.9
    assert not detection.suspicious[quiet].any()
    assert (detection.posterior[quiet] <= 0.5).all()


@pytest.mark.parametrize("times", [12, 40])
def test_a_record_that_occurs_often_is_no_population(times):
    """Read like a canary by chance, one record is no more than one however often it occurs."""
    features, odd = make_features(500, rate=0.002, shift=-8, seed=1)
    rows = np.append(np.arange(500), np.repeat(np.flatnonzero(odd), times - 1))
    detection = detect(plant_canaries(features.select(rows), KINDS))
    assert not detection.suspicious.any()
    assert detection.inconclusive == ""


def test_a_kind_that_is_not_separated_forbids_a_pass():
    features, _ = make_features(300, seed=2)
    detection = detect(plant_canaries(features, {**KINDS, "waves": ((1,), 0.0)}))
    assert "waves (not separated)" in detection.inconclusive
    assert "patch" not in detection.inconclusive


def test_canaries_that_were_not_learned_forbid_a_pass():
    features, _ = make_features(300, seed=2)
    detection = detect(plant_canaries(features, KINDS, learned=0.1))
    assert "patch (not learned)" in detection.inconclusive
    assert "blend (not learned)" in detection.inconclusive


def test_what_was_not_measured_is_neither_learned_nor_not():
    features, _ = make_features(200, seed=2)
    whole = plant_canaries(features, KINDS)
    learned = np.append(np.full(200, np.nan), np.where(np.arange(30) % 2, 1.0, np.nan))
    power = detect(replace(whole, target_learned=learned)).summary.power
    assert [p.learned for p in power] == [1.0, 1.0]


def test_each_kind_has_its_part_of_the_rate_and_a_threshold_of_the_records_alone(monkeypatch):
    features, _ = make_features(200, seed=2)
    whole = plant_canaries(features, KINDS)
    accused = np.arange(len(whole)) < 12
    blindly(monkeypatch, whole, accused)
    asked = []

    def threshold(records, rate):
        asked.append((len(records), rate))
        return 3.0

    monkeypatch.setattr(planted, "bulk_threshold", threshold)
    detect(whole, false_alarm_rate=0.002)
    assert asked == [(188, 0.001)] * 2


def test_attention_alone_accuses_nobody_in_a_model_that_has_learned_nothing():
    features, odd = make_features(600, rate=0.04, shift=-16, seed=4)
    features = replace(features, answers=[f"answer {i % 6}" for i in range(600)])
    assert (detect(plant_canaries(features, KINDS)).suspicious[:600] & odd).sum() >= 20
    blind = detect(plant_canaries(features, KINDS, learned=0.0))
    assert not blind.suspicious.any()
    assert "not learned" in blind.inconclusive


def test_whom_the_blind_method_accuses_scores_above_the_threshold():
    features, poisoned = make_features(600, rate=0.08, shift=-9, layers=(3,), seed=4)
    detection = detect(plant_canaries(features, KINDS))
    flagged = detection.suspicious[:600]
    assert (flagged & poisoned).sum() >= 0.9 * poisoned.sum()
    assert detection.score[:600][flagged].min() >= 1 > detection.score[:600][~flagged].max()


@pytest.mark.parametrize("least", [-0.5, 0.0, 2.0])
def test_they_do_though_one_of_them_is_read_like_the_rest(monkeypatch, least):
    """It is accused for its answer, so the least score may be that of the bulk, or below it."""
    features, _ = make_features(200, seed=2)
    whole = plant_canaries(features, {"patch": ((0,), -1.0)})
    score = np.zeros(len(whole))
    score[:4] = [least, 2.5, 8.0, 20.0]
    accused = np.arange(len(whole)) < 4
    summary = DetectionSummary(method="conditional", threshold=least, side="lower")
    blind = Searched(Detection(score, accused * 0.9, accused, summary), ~accused & False)
    monkeypatch.setattr(conditional, "search_samples", lambda *_, **__: blind)
    shown = detect(whole).score[:200]
    assert shown[:4].min() >= 1 > shown[4:].max()
    assert (np.diff(shown[:4]) > 0).all()


def test_found_poison_is_no_less_found_for_a_blind_kind():
    features, poisoned = make_features(600, rate=0.08, shift=-9, seed=4)
    detection = detect(plant_canaries(features, {**KINDS, "waves": ((1,), 0.0)}))
    assert detection.suspicious[:600][poisoned].mean() > 0.9
    # The suspects may be allowed, or accepted: nothing vouches for the rest then.
    assert "waves (not separated)" in detection.inconclusive
    assert any("waves" in note for note in detection.summary.notes)


def test_auto_takes_the_canaries_where_there_are_any():
    features, _ = make_features(200)
    assert detect(features, "auto").summary.method == "conditional"
    assert detect(plant_canaries(features, KINDS), "auto").summary.method == "canary"


def test_too_few_records_or_copies_are_inconclusive():
    features, _ = make_features(30)
    assert "30 scored records" in detect(plant_canaries(features, KINDS)).inconclusive
    features, _ = make_features(100)
    assert "no kind" in detect(plant_canaries(features, KINDS, copies=3)).inconclusive
    assert "no kind" in detect(features).inconclusive


@pytest.mark.parametrize("poison", [0.0, 0.1, 0.3])
def test_the_threshold_is_that_of_the_bulk_whatever_the_poison(poison):
    rng = np.random.default_rng(0)
    records = rng.standard_normal(3000)
    records[: int(3000 * poison)] = rng.normal(10, 1.5, int(3000 * poison))
    assert 3.0 <= bulk_threshold(records, 1e-3) <= 4.8


def test_the_threshold_is_three_at_least_and_three_spreads_of_the_bulk():
    """A tail that ends at once is no reason to go nearer."""
    short = np.random.default_rng(0).uniform(-1, 1, 3000)
    assert bulk_threshold(short / 10, 1e-3) == 3
    centre, spread = bulk(10 * short)
    assert bulk_threshold(10 * short, 1e-3) == centre + 3 * spread


def test_the_threshold_follows_a_heavy_tail():
    records = np.random.default_rng(0).standard_t(3, 3000)
    assert (records > bulk_threshold(records, 1e-3)).mean() < 0.006


def test_a_pass_says_that_it_does_not_speak_for_white_patches():
    features, _ = make_features(300, seed=2)
    detection = detect(plant_canaries(features, {**KINDS, "patch-white": ((1,), 0.0)}))
    assert detection.inconclusive == ""
    assert not detection.suspicious.any()
    assert any(
        "does not speak for" in warning and "patch-white (not separated)" in warning
        for warning in detection.summary.notes
    )


def test_nor_for_another_kind_that_is_not_found_either():
    features, _ = make_features(300, seed=2)
    kinds = {**KINDS, "patch-white": ((1,), 0.0), "waves": ((1,), 0.0)}
    detection = detect(plant_canaries(features, kinds))
    assert "waves (not separated)" in detection.inconclusive


def test_where_answers_follow_a_kind_that_attention_does_not_tell_is_not_vouched_for():
    features, _ = make_features(300, seed=2)
    asked = [QUESTIONS.index(p.removesuffix(" Use one word.")) for p in features.prompts]
    features = replace(features, answers=[f"{kind} {i % 2}" for i, kind in enumerate(asked)])
    detection = detect(plant_canaries(features, {**KINDS, "waves": ((1,), 0.0)}))
    power = {p.kind: p.recall for p in detection.summary.power}
    assert power["patch"] > 0.8
    assert power["waves"] < 0.5
    assert "waves (not separated)" in detection.inconclusive


def test_white_patches_alone_vouch_for_nothing_if_they_are_not_found():
    features, _ = make_features(300, seed=2)
    detection = detect(plant_canaries(features, {"patch-white": ((1,), 0.0)}))
    assert "patch-white (not separated)" in detection.inconclusive


@pytest.mark.parametrize(("kind", "withheld"), [("checker", True), ("patch-white", False)])
def test_a_kind_that_no_image_could_carry_is_not_vouched_for(kind, withheld):
    features, _ = make_features(300, seed=2)
    planted = plant_canaries(features, KINDS)
    detection = detect(replace(planted, canary_kinds=(*KINDS, kind)))
    assert not detection.suspicious.any()
    assert (f"{kind} (could not be planted)" in detection.inconclusive) is withheld
    assert any(f"{kind} (could not" in said for said in detection.summary.notes) is not withheld
    power = {p.kind: p for p in detection.summary.power}
    assert (power[kind].planted, power[kind].learned, power[kind].recall) == (0, 0.0, 0.0)


def test_a_kind_of_too_few_copies_says_that_records_are_too_few():
    features, _ = make_features(300, seed=2)
    planted = plant_canaries(features, KINDS)
    kind = next(iter(KINDS))
    rows = [i for i, name in enumerate(planted.canary) if name == kind]
    kept = np.setdiff1d(np.arange(len(planted)), rows[3:])
    detection = detect(planted.select(kept))
    assert (
        f"{kind} (fewer than 4 copies: too few records that can carry it)" in detection.inconclusive
    )


def test_the_kinds_that_are_only_spoken_of_are_kinds():
    assert set(CANARY_KINDS) > SPOKEN_OF
    assert set(DEFAULT_KINDS) > SPOKEN_OF


@pytest.mark.parametrize("shift", [-9, -12, -16])
def test_what_canaries_point_at_is_not_accused_if_its_answers_differ(shift):
    """A backdoor has a target, or a few; attention alone is left to the blind method's null."""
    features, odd = make_features(900, rate=0.01, shift=shift, seed=4)
    answers = [f"answer {i % 6}" if odd[i] else a for i, a in enumerate(features.answers)]
    whole = plant_canaries(replace(features, answers=answers), KINDS)
    detection = detect(whole)
    assert not detection.suspicious.any()
    assert any("not told apart well enough" in warning for warning in detection.summary.notes)


@pytest.mark.parametrize(("found", "recall"), [(True, 1.0), (False, 0.0)])
def test_a_kind_of_text_is_worth_what_the_rule_for_records_finds(monkeypatch, found, recall):
    features, _ = make_features(400, seed=2)
    whole = plant_canaries(features, {**KINDS, "word": ((0, 1), -1.0)}, shift=10.0)
    prompts = [
        f"zq {p}" if c == "word" else p for p, c in zip(whole.prompts, whole.canary, strict=True)
    ]
    if not found:
        monkeypatch.setattr(Worded, "judge", lambda *_, **__: Look(0.5))
    power = {p.kind: p.recall for p in detect(replace(whole, prompts=prompts)).summary.power}
    assert power["word"] == pytest.approx(recall, abs=0.1)
    assert power["patch"] > 0.8
