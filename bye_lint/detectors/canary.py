"""Method ``canary``: planted triggers teach where to look, how far to trust it, and its power.

Copies of some records carry known triggers with targets of their own. What sets the copies of
one kind apart from the records is a direction over layers, heads and components, given the
question; what lies far along it, where hardly any record lies by the bulk's own tail, is
suspicious if more records lie there than the stated false-alarm rate explains. The copies'
own out-of-fold scores say which share of such poison would have been found: a kind that was
not learned, or is not separated, is not vouched for, and without it there is no pass.

Records are never taught to be clean: they only give median and spread, so poison among them
dilutes the directions and does not reverse them. Copies never enter the null, the findings or
the counts; copies that carry nothing (``control``) must not be flagged and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

from bye_lint.detectors import FEWEST_COPIES, conditional
from bye_lint.detectors.accuse import accuse
from bye_lint.detectors.answer import FEWEST_SCORED, nothing, scatter, scored_rows
from bye_lint.detectors.answers import Answers
from bye_lint.detectors.copies import View, judge_kinds, read_view
from bye_lint.detectors.groups import AGREEMENT, PATTERN, convincing, restrained
from bye_lint.detectors.holders import Verdicts, with_other_holders
from bye_lint.detectors.pictures import looks
from bye_lint.detectors.planted import CONTROL, SPOKEN_OF, Kind
from bye_lint.detectors.repeats import judge_once
from bye_lint.features import BoolArray, Detection, Features, FloatArray, IntArray, TextArray
from bye_lint.policy import DetectionPolicy
from bye_lint.results import FOUND, LEARNED, DetectionSummary, TriggerPower

#: Largest probability that chance puts so many records above the threshold.
SIGNIFICANCE = 0.001
_FEWEST_ABOVE = 3
_SCORE_NAME = "largest canary score, as a multiple of its threshold"


@dataclass(frozen=True)
class _Pointed:
    """What the canaries' directions say of the records that nothing accuses yet.

    Attributes
    ----------
    suspicious, posterior : (n_records,) arrays
    p_value : float
        That chance puts so many records above the threshold.
    note : str
        What lies there.
    undecided : str
        Why a group can be neither accused nor cleared, or an empty string.
    """

    suspicious: BoolArray
    posterior: FloatArray
    p_value: float
    note: str = ""
    undecided: str = ""


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Judge the records by what separates the planted copies."""
    return judge_once(features, lambda part: _detect(part, settings, seed=seed))


def _detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    records = scored_rows(features)
    copies = np.flatnonzero(features.is_canary & features.scored)
    planted = Counter(features.canary[i] for i in copies.tolist())
    names = sorted({*features.canary, *features.canary_kinds} - {"", CONTROL})
    usable = [name for name in names if planted[name] >= FEWEST_COPIES]
    blank = DetectionSummary(method="canary", score_name=_SCORE_NAME)
    if len(records) < FEWEST_SCORED:
        reason = (
            f"{len(records)} scored records that differ, fewer than the {FEWEST_SCORED} "
            "that a null needs"
        )
        return nothing(features, blank, reason)
    if not usable:
        reason = f"no kind of canary has the {FEWEST_COPIES} scored copies that it needs"
        return nothing(features, blank, reason)

    n = len(records)
    view = read_view(features, records, copies, seed=seed)
    learned = {name: _learned(features, view.copies_of(name)) for name in names}
    alone = max(learned.values()) >= LEARNED
    searched = conditional.search_samples(features, settings, alone=alone, seed=seed)
    second, explained = searched.detection, searched.explained
    accused = second.suspicious[records]
    rest = np.zeros(len(view.Z), dtype=np.bool_)
    # What the blind method accuses already, or explains, is no evidence and no null for more.
    rest[:n] = ~accused & ~explained[records]
    kinds = judge_kinds(view, usable, rest, settings.false_alarm_rate, seed=seed)
    seeing = [kind for kind in kinds if kind.recall >= FOUND] or kinds
    ratio = np.max([kind.ratio for kind in seeing], axis=0)
    pointed = _pointed_at(view, ratio, rest, settings.false_alarm_rate, seed=seed)

    said = Verdicts.of(
        _shown(ratio[:n], second, records),
        np.fmax(pointed.posterior, second.posterior[records]),
        accused | pointed.suspicious,
    )
    if pointed.suspicious.any():  # the blind method has looked for others beside its own
        asked = view.questions.within(np.arange(n), seed=seed)
        shown = None if view.pictures is None else view.pictures.select(np.arange(n))
        said = with_other_holders(said, 1.0, view.prompts[:n], view.answers[:n], asked, shown)
    found = bool(said.suspicious.any())
    power = tuple(
        TriggerPower(name, planted[name], learned[name], _recall(name, kinds)) for name in names
    )
    blind, unspoken = _not_found(power)
    by_blind = (accused & ~pointed.suspicious).any()
    blindly = second.summary.notes if by_blind else searched.set_aside
    notes = [pointed.note, *blindly, *said.notes]
    notes += [_controls(ratio, view.label), _transfer(kinds, view.label)]
    notes += [unspoken, blind if found else ""]
    weights = np.mean([np.abs(kind.weights) for kind in seeing], axis=0)
    summary = DetectionSummary(
        method="canary",
        parameters={
            "false_alarm_rate": f"{settings.false_alarm_rate:g}",
            "kinds": ", ".join(usable),
        },
        layers=second.summary.layers,
        heads=conditional.top_columns(weights, view.columns),
        power=power,
        score_name=_SCORE_NAME,
        threshold=1.0,
        side=conditional.side(view.Z[:n], said.suspicious, view.columns),
        null_p_value=_null(pointed.p_value, second, found),
        entropy_unit=second.summary.entropy_unit,
        comparison={**second.summary.comparison, "conditional": int(second.suspicious.sum())},
        notes=tuple(filter(None, notes)),
    )
    undecided = second.inconclusive or pointed.undecided
    n_rows = len(features)
    by_answer = False if second.by_answer is None else second.by_answer[records]
    return Detection(
        score=scatter(said.score, records, n_rows, np.nan),
        posterior=scatter(said.posterior, records, n_rows, np.nan),
        suspicious=scatter(said.suspicious, records, n_rows, False),
        by_answer=scatter(said.by_answer | by_answer, records, n_rows, False),
        summary=summary,
        # Not for want of suspects alone: they may be allowed, or accepted.
        inconclusive="; ".join(filter(None, (undecided, blind))),
    )


def _pointed_at(
    view: View, ratio: FloatArray, rest: BoolArray, false_alarm_rate: float, *, seed: int
) -> _Pointed:
    """Judge the records above the threshold, if they are more than the stated rate explains."""
    n = len(view.records)
    quiet = np.flatnonzero(rest)
    above = int((ratio[quiet] > 1).sum())
    expected = len(quiet) * false_alarm_rate
    p_value = float(binom.sf(above - 1, len(quiet), false_alarm_rate)) if above else 1.0
    blank = _Pointed(np.zeros(n, dtype=np.bool_), np.zeros(n), p_value)
    if above < _FEWEST_ABOVE or p_value > SIGNIFICANCE:
        what = f"{above} other records above the threshold, no more than chance puts there"
        return replace(blank, note=what)
    answers = Answers.of(view.answers, view.questions.nearest).within(quiet)
    group = restrained(accuse(view.Z[quiet], ratio[quiet], 1.0, answers, seed=seed), answers)
    # A sharper direction may reach for records that no canary points at.
    member = group.suspicious & (ratio[quiet] > 1)
    what = (
        f"{above} records above the threshold where {expected:.1f} are expected, separation "
        f"{group.separation:.1f}; {group.alike:.0%} give answers that the rest does not"
    )
    pictures = None if view.pictures is None else view.pictures.select(quiet)
    agreed = bool(member.any()) and group.alike >= AGREEMENT and convincing(group)
    seen = looks(view.Z[quiet], member, pictures, seed=seed)
    if agreed and seen.kind == "none":
        posterior = np.where(member, group.posterior, np.minimum(group.posterior, 0.5))
        return replace(
            blank,
            suspicious=scatter(member, quiet, n, False),
            posterior=scatter(posterior, quiet, n, 0.0),
            note=what,
        )
    if agreed and seen.kind == "pattern":
        return replace(blank, undecided=f"{what}; {PATTERN}")
    return replace(blank, note=f"{what}: not told apart well enough to accuse them")


def _shown(ratio: FloatArray, second: Detection, records: IntArray) -> FloatArray:
    """Return the scores such that whom the blind method accuses does not rank below the rest.

    Each of its suspects takes the larger of both methods' multiples of their thresholds.
    """
    least = second.summary.threshold
    if least is None:
        return ratio
    accused = second.suspicious[records]
    blind = second.score[records]
    # Of a part that is read like the rest the least score may be nothing to take multiples of.
    blind = blind / least if least > 0 else 1 + blind - least
    return np.where(accused, np.fmax(ratio, blind), ratio)


def _not_found(power: Sequence[TriggerPower]) -> tuple[str, str]:
    """Return why there is no pass, and what a pass does not speak for; one of them, or neither."""
    missed = [p for p in power if p.state == "missed"]
    if not missed:
        return "", ""
    reasons = ", ".join(f"{p.kind} ({_missed(p)})" for p in missed)
    if len(missed) < len(power) and all(p.kind in SPOKEN_OF for p in missed):
        return "", f"a pass does not speak for what was not found: {reasons}"
    return f"canaries of these kinds were not found: {reasons}", ""


def _missed(power: TriggerPower) -> str:
    if not power.planted:
        return "could not be planted"
    if power.planted < FEWEST_COPIES:
        return f"fewer than {FEWEST_COPIES} copies: too few records that can carry it"
    return "not learned" if power.learned < LEARNED else "not separated"


def _controls(ratio: FloatArray, label: TextArray) -> str:
    flagged = ratio[label == CONTROL] > 1
    return f"{flagged.sum()} of {len(flagged)} empty canaries flagged" if len(flagged) else ""


def _null(p_value: float, second: Detection, accused: bool) -> float | None:
    """Return the probability on clean data that belongs to the answer that is given."""
    if second.suspicious.any():
        return second.summary.null_p_value
    return p_value if accused == (p_value <= SIGNIFICANCE) else None


def _learned(features: Features, copies: IntArray) -> float:
    """Return the share of copies whose target the model prefers; 1 where it was not measured."""
    if features.target_learned is None or not len(copies):
        return 1.0 if len(copies) else 0.0
    measured = features.target_learned[copies]
    measured = measured[np.isfinite(measured)]
    return float(measured.mean()) if len(measured) else 0.0


def _recall(name: str, kinds: Sequence[Kind]) -> float:
    return next((kind.recall for kind in kinds if kind.name == name), 0.0)


def _transfer(kinds: Sequence[Kind], label: TextArray) -> str:
    """Say which share of each kind the directions of the *other* kinds would have found."""
    shares = []
    for kind in kinds:
        others = [other for other in kinds if other is not kind and other.recall >= FOUND]
        if others:
            best = np.max([other.ratio[label == kind.name] for other in others], axis=0)
            shares.append(f"{kind.name} {float((best > 1).mean()):.0%}")
    return f"found by the other kinds' directions alone: {', '.join(shares)}" if shares else ""
