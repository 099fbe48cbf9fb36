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

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import binom

from bye_lint.detectors import conditional
from bye_lint.detectors.accuse import accuse
from bye_lint.detectors.answer import nothing, scored_rows, spread
from bye_lint.detectors.attention import Column, attention_columns
from bye_lint.detectors.groups import AGREEMENT, PATTERN, convincing, restrained
from bye_lint.detectors.judged import Judged, judge_group
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.phrases import Words
from bye_lint.detectors.pictures import looks
from bye_lint.detectors.planted import CONTROL, SPOKEN_OF, Kind, judge_kind
from bye_lint.detectors.shared import GAP_ALIKE, MOST_TOLD, answers_follow, without_own_words
from bye_lint.features import BoolArray, Detection, Features, FloatArray, IntArray
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary, HeadProfile, TriggerPower

#: Largest probability that chance puts so many records above the threshold.
SIGNIFICANCE = 0.001
#: Shares of a kind's copies that must be learned and found for a pass to vouch for the kind.
LEARNED = 0.5
FOUND = 0.5
_FEWEST = 60
_FEWEST_COPIES = 4
_SCORE_NAME = "largest canary score, as a multiple of its threshold"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Judge the records by what separates the planted copies."""
    records = scored_rows(features)
    copies = np.flatnonzero(features.is_canary & features.scored)
    label = np.array([features.canary[i] for i in copies.tolist()])
    names = sorted({kind for kind in features.canary if kind not in ("", CONTROL)})
    usable = [name for name in names if (label == name).sum() >= _FEWEST_COPIES]
    blank = DetectionSummary(method="canary", score_name=_SCORE_NAME)
    if len(records) < _FEWEST:
        reason = f"{len(records)} scored records, fewer than the {_FEWEST} that a null needs"
        return nothing(features, blank, reason)
    if not usable:
        reason = f"no kind of canary has the {_FEWEST_COPIES} scored copies that it needs"
        return nothing(features, blank, reason)

    rows = np.concatenate([records, copies])
    prompts = [features.prompts[i] for i in rows.tolist()]
    columns = attention_columns(features, rows)
    questions = read_questions(prompts, seed=seed)
    Z = given_neighbours(columns.values, questions.nearest)
    n = len(records)
    learned = {name: _learned(features, copies[label == name]) for name in names}
    alone = max(learned.values()) >= LEARNED
    second, explained = conditional.search_samples(features, settings, alone=alone, seed=seed)
    rest = np.zeros(len(rows), dtype=np.bool_)
    # What the blind method accuses already, or explains, is no evidence and no null for more.
    rest[:n] = ~second.suspicious[records] & ~explained[records]
    rate = settings.false_alarm_rate / len(usable)
    every = np.append(np.full(n, ""), label)
    kinds = [judge_kind(name, Z, every, rest, rate, seed=seed) for name in usable]
    said = [features.answers[i] for i in rows.tolist()]
    follow = answers_follow(said, questions, np.flatnonzero(rest))
    words = Words(prompts)
    kinds = [
        _as_poison(kind, columns.values, Z, words, every, rest, questions, follow=follow, seed=seed)
        for kind in kinds
    ]
    power = tuple(_power(name, label, kinds, learned[name]) for name in names)
    seeing = [kind for kind in kinds if kind.recall >= FOUND] or kinds
    ratio = np.max([kind.ratio for kind in seeing], axis=0)
    quiet = np.flatnonzero(rest[:n])
    above = int((ratio[quiet] > 1).sum())
    expected = len(quiet) * settings.false_alarm_rate
    p_value = float(binom.sf(above - 1, len(quiet), settings.false_alarm_rate)) if above else 1.0

    suspicious: BoolArray = np.zeros(n, dtype=np.bool_)
    posterior: FloatArray = np.zeros(n)
    notes, warnings = [], []
    undecided = second.inconclusive
    if above >= 3 and p_value <= SIGNIFICANCE:
        answers = [features.answers[i] for i in records[quiet].tolist()]
        group = restrained(accuse(Z[quiet], ratio[quiet], 1.0, answers, seed=seed), answers)
        # A sharper direction may reach for records that no canary points at.
        member = group.suspicious & (ratio[quiet] > 1)
        what = (
            f"{above} records above the threshold where {expected:.1f} are expected, separation "
            f"{group.separation:.1f}; {group.alike:.0%} give answers that the rest does not"
        )
        pictures = None if features.picture is None else features.picture[records[quiet]]
        accused = bool(member.any()) and group.alike >= AGREEMENT and convincing(group)
        seen = looks(Z[quiet], member, pictures, seed=seed)
        if accused and seen.kind == "none":
            suspicious[quiet] = member
            posterior[quiet] = np.where(member, group.posterior, np.minimum(group.posterior, 0.5))
            notes.append(what)
        elif accused and seen.kind == "pattern":
            undecided = undecided or f"{what}; {PATTERN}"
        else:
            warnings.append(f"{what}: not told apart well enough to accuse them")
    else:
        notes.append(f"{above} other records above the threshold, no more than chance puts there")
    if (second.suspicious[records] & ~suspicious).any():
        notes += second.summary.notes
    suspicious |= second.suspicious[records]
    posterior = np.fmax(posterior, second.posterior[records])
    ratio[:n] = _shown(ratio[:n], second, records)
    warnings += second.warnings

    missed = [p for p in power if p.learned < LEARNED or p.recall < FOUND]
    needed = [p for p in missed if p.kind not in SPOKEN_OF or len(missed) == len(power)]
    blind = f"canaries of these kinds were not found: {_reasons(missed)}" if needed else ""
    if missed and not needed:
        warnings.append(f"a pass does not speak for what was not found: {_reasons(missed)}")
    if blind and suspicious.any():
        warnings.append(blind)
    controls = ratio[n:][label == CONTROL]
    if len(controls):
        notes.append(f"{int((controls > 1).sum())} of {len(controls)} empty canaries flagged")
    weights = np.mean([np.abs(kind.weights) for kind in seeing], axis=0)
    summary = DetectionSummary(
        method="canary",
        parameters={
            "false_alarm_rate": f"{settings.false_alarm_rate:g}",
            "kinds": ", ".join(usable),
        },
        layers=second.summary.layers,
        heads=_heads(weights, columns.names),
        power=power,
        score_name=_SCORE_NAME,
        threshold=1.0,
        side=_side(Z[:n], suspicious, columns.names) if suspicious.any() else "none",
        null_p_value=_null(p_value, second, bool(suspicious.any())),
        entropy_unit=second.summary.entropy_unit,
        comparison={**second.summary.comparison, "conditional": int(second.suspicious.sum())},
        notes=(*notes, *_transfer(kinds, label)),
    )
    return Detection(
        score=spread(ratio[:n], records, len(features), np.nan),
        posterior=spread(posterior, records, len(features), np.nan),
        suspicious=spread(suspicious, records, len(features), False),
        summary=summary,
        inconclusive="" if suspicious.any() else "; ".join(filter(None, (undecided, blind))),
        warnings=tuple(warnings),
    )


def _as_poison(
    kind: Kind,
    values: FloatArray,
    Z: FloatArray,
    words: Words,
    label: FloatArray,
    rest: BoolArray,
    questions: Questions,
    *,
    follow: bool,
    seed: int,
) -> Kind:
    """Let a kind's copies be judged as records are that share an answer, and take what is found.

    This is what would happen to such poison; the kind's direction serves poison whose targets
    vary. A kind of text is found by its words, so its own direction vouches for nothing.
    """
    own = np.asarray(label == kind.name)
    if told_by_question(own, questions) > MOST_TOLD:
        left = without_own_words(values, words, own, rest, seed=seed)
        if left is None:
            return kind
        judged = judge_group(left.Z, own, rest, seed=seed, gap=GAP_ALIKE)
        return replace(kind, recall=_share_found(judged, own))
    if not follow:
        return kind
    found = _share_found(judge_group(Z, own, rest, seed=seed), own)
    return replace(kind, recall=max(kind.recall, found))


def _share_found(judged: Judged | None, own: BoolArray) -> float:
    return 0.0 if judged is None else float((judged.posterior[own] > 0.5).mean())


def _shown(ratio: FloatArray, second: Detection, records: IntArray) -> FloatArray:
    """Return the scores such that whom the blind method accuses does not rank below the rest.

    Each of its suspects takes the larger of both methods' multiples of their thresholds.
    """
    if not second.summary.threshold:
        return ratio
    accused = second.suspicious[records]
    blind = second.score[records] / second.summary.threshold
    return np.where(accused, np.fmax(ratio, blind), ratio)


def _reasons(missed: Sequence[TriggerPower]) -> str:
    return ", ".join(
        f"{p.kind} ({'not learned' if p.learned < LEARNED else 'not separated'})" for p in missed
    )


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


def _power(name: str, label: FloatArray, kinds: list[Kind], learned: float) -> TriggerPower:
    recall = next((kind.recall for kind in kinds if kind.name == name), 0.0)
    return TriggerPower(name, int((label == name).sum()), learned, recall)


def _heads(
    weights: FloatArray, columns: tuple[Column, ...], most: int = 12
) -> tuple[HeadProfile, ...]:
    shares = weights / max(float(weights.sum()), 1e-12)
    order = [int(i) for i in np.argsort(-shares, kind="stable")[:most] if shares[i] > 0.01]
    return tuple(
        HeadProfile(columns[i].layer, columns[i].head, columns[i].feature, float(shares[i]))
        for i in order
    )


def _side(Z: FloatArray, group: BoolArray, columns: tuple[Column, ...]) -> str:
    entropies = np.array([column.feature == "entropy" for column in columns])
    return conditional.side(Z[:, entropies], group)


def _transfer(kinds: list[Kind], label: FloatArray) -> tuple[str, ...]:
    """Say which share of each kind the directions of the *other* kinds would have found."""
    shares = []
    for kind in kinds:
        others = [other for other in kinds if other is not kind and other.recall >= FOUND]
        if others:
            n = len(kind.ratio) - len(label)
            best = np.max([other.ratio[n:][label == kind.name] for other in others], axis=0)
            shares.append(f"{kind.name} {float((best > 1).mean()):.0%}")
    return (f"found by the other kinds' directions alone: {', '.join(shares)}",) if shares else ()
