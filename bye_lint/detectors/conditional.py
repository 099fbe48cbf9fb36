"""Method ``conditional``: a second mode of attention *given the question*, on either side.

What the published rule lacks, one by one (docs/method.md tells it at length):

- the wording of the question is regressed out of every layer's and head's feature, out of
  fold, with "no regression" among the strengths (:mod:`.wording`);
- the minority is looked for on both sides, since a global trigger *raises* entropy;
- many layers and heads that agree count together: half the samples choose a direction, the
  other half are judged along it, and the other way round, so that choosing costs nothing in
  the null;
- the alternative is any distribution with one mode, whatever its skew and tails
  (:mod:`.population`), so that clean data give nothing;
- both halves together must speak against one mode, the second must stand apart from the bulk,
  and where it does not stand apart overwhelmingly its answers must agree (:mod:`.answers`);
- it must stand apart from images that look the same, too (:mod:`.pictures`): a kind of picture
  is a population and no poison, and the search goes on without it (:mod:`.groups`);
- samples that are asked and answer alike should be read alike: a trigger may leave the right
  answers where they are (:mod:`.split`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.answer import FEWEST_SCORED, clipped, nothing, scatter, scored_rows
from bye_lint.detectors.attention import Column, attention_columns
from bye_lint.detectors.direction import direction, shifts
from bye_lint.detectors.groups import (
    AGREEMENT,
    PATTERN,
    SEPARATION,
    SEPARATION_ALONE,
    SIGNIFICANCE,
    Found,
    search,
)
from bye_lint.detectors.holders import Verdicts, with_other_holders
from bye_lint.detectors.misplaced import Misplaced, misplaced_answers
from bye_lint.detectors.neighbours import given_neighbours, read_questions
from bye_lint.detectors.pictures import Pictures
from bye_lint.detectors.repeats import judge_once
from bye_lint.detectors.shared import OddAnswer, SharedAnswer, shared_answers
from bye_lint.detectors.split import Split, split_answers
from bye_lint.detectors.wording import residuals, standardise, wording_design
from bye_lint.features import NATS, BoolArray, Detection, Features, FloatArray, comparable
from bye_lint.policy import DetectionPolicy
from bye_lint.results import DetectionSummary, HeadProfile
from bye_lint.stages import cluster_samples, profile_layers

_MOST_HEADS = 12
#: Unit of the layers' profiles: what the question leaves, in spreads of the bulk.
GIVEN = "robust z, given the question"
_SCORE_NAME = "robust z of attention given the question"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Look for a second population in the attention, given the wording of the question."""
    return judge_once(features, lambda part: search_samples(part, settings, seed=seed).detection)


@dataclass(frozen=True)
class Searched:
    """What :func:`search_samples` came to.

    Attributes
    ----------
    detection : Detection
    explained : (n_samples,) bool array
        Samples of a population that is explained, or may be.
    set_aside : tuple of str
        What is said of these populations; among the detection's notes, too.
    """

    detection: Detection
    explained: BoolArray
    set_aside: tuple[str, ...] = ()


def search_samples(
    features: Features, settings: DetectionPolicy, *, alone: bool = True, seed: int
) -> Searched:
    """Do as :func:`detect`, and say which samples are of a population that is explained.

    Parameters
    ----------
    alone : bool
        Attention may accuse samples whose answers don't agree. What a model pays attention to is
        evidence of what it has learned, so one that has learned nothing accuses nobody by it.
    """
    rows = scored_rows(features)
    explained: BoolArray = np.zeros(len(features), dtype=np.bool_)
    if len(rows) < FEWEST_SCORED:
        summary = DetectionSummary(method="conditional", score_name=_SCORE_NAME)
        reason = (
            f"{len(rows)} scored samples that differ, fewer than the {FEWEST_SCORED} "
            "that a null needs"
        )
        return Searched(nothing(features, summary, reason), explained)
    columns = attention_columns(features, rows)
    if not np.ptp(columns.values, axis=0).any():
        summary = DetectionSummary(method="conditional", score_name=_SCORE_NAME)
        reason = "attention is the same in every sample: the model does not look at the images"
        return Searched(nothing(features, summary, reason), explained)
    names = columns.names
    entropies = np.array([column.feature == "entropy" for column in names])
    prompts = [features.prompts[i] for i in rows]
    answers = [features.answers[i] for i in rows]
    design = wording_design(prompts, features.image_tokens[rows])
    given = residuals(columns.values, design, seed=seed)
    questions = read_questions(prompts, seed=seed)
    pictures = None if features.picture is None else Pictures(features.picture[rows])

    def combine(part: FloatArray) -> FloatArray:
        return _combinations(part[:, entropies])

    found = search(given.values, combine, answers, questions, pictures, alone=alone, seed=seed)
    explained[rows] = found.explained
    usual = given_neighbours(columns.values, questions.nearest)
    told, odd = shared_answers(
        columns.values, usual, prompts, answers, questions, pictures, seed=seed
    )
    accused = _of_population(found, given.values, names)
    for shared in told:
        accused = _joined_by(accused, shared, usual, names)
    splits = split_answers(
        columns.values, combine, prompts, features.image_tokens[rows], answers, questions, pictures,
        accused.suspicious | found.explained, seed=seed,
    )  # fmt: skip
    sure = [split for split in splits if split.sure and alone]
    for split in sure:
        accused = _joined_by(accused, split, given.values, names)
    anybody = bool(accused.suspicious.any())
    threshold = float(accused.score[accused.suspicious].min()) if anybody else None
    by_attention = Verdicts.of(accused.score, accused.posterior, accused.suspicious)
    whole = with_other_holders(by_attention, threshold, prompts, answers, questions, pictures)
    # Suspects may be allowed, or accepted: what is in doubt besides them is said all the same.
    others = np.flatnonzero(~whole.suspicious)
    astray = misplaced_answers(
        [answers[i] for i in others],
        questions if len(others) == len(answers) else questions.within(others, seed=seed),
        None if pictures is None else pictures.select(others),
    )
    left = [one for one in odd if not (one.member & whole.suspicious).any()]
    unsure = [split for split in splits if not (split.sure and alone)]
    doubts = (found.undecided, *map(_odd, left), *map(str, unsure), *map(_misplaced, astray))
    undecided = "; ".join(filter(None, doubts))
    profiles = profile_layers(given.values[:, entropies], settings.bsi, settings.threshold, seed)
    H = comparable(features)[0].entropy[rows]
    published = profile_layers(H, settings.bsi, settings.threshold, seed)
    rule = cluster_samples(H, published, seed)
    summary = DetectionSummary(
        method="conditional",
        parameters={
            "significance": f"{SIGNIFICANCE:g}",
            "separation": f"{SEPARATION:g}",
            "separation_alone": f"{SEPARATION_ALONE:g}",
            "agreement": f"{AGREEMENT:g}",
            "bsi": settings.bsi,
            "threshold": f"{settings.threshold:g}",
        },
        layers=profiles.layers,
        heads=accused.heads,
        score_name=_SCORE_NAME,
        threshold=threshold,
        side=accused.side,
        null_p_value=_consistent(found.p_value, anybody),
        entropy_unit=_given(columns.entropy_unit),
        comparison={f"bye ({settings.bsi})": int(rule.suspicious.sum())},
        notes=(
            _explained(given.explained[entropies]),
            *found.notes,
            *map(_told, told),
            *map(str, sure),
            *found.warnings,
            *whole.notes,
        ),
    )
    n = len(features)
    detection = Detection(
        score=scatter(whole.score, rows, n, np.nan),
        posterior=scatter(whole.posterior, rows, n, np.nan),
        suspicious=scatter(whole.suspicious, rows, n, False),
        by_answer=scatter(whole.by_answer, rows, n, False),
        summary=summary,
        inconclusive=undecided,
    )
    return Searched(detection, explained, found.warnings)


def _given(unit: str) -> str:
    """Return the unit of what the question leaves of entropies in ``unit``."""
    return GIVEN if unit == NATS else f"{GIVEN}, of the {unit}"


@dataclass(frozen=True)
class _Accused:
    """Who is accused so far; ``side`` and ``heads`` are those of what accused last."""

    score: FloatArray
    posterior: FloatArray
    suspicious: BoolArray
    side: str = "none"
    heads: tuple[HeadProfile, ...] = ()


def _of_population(found: Found, Z: FloatArray, names: tuple[Column, ...]) -> _Accused:
    """Return whom a second population accuses."""
    if not found.suspicious.any():
        return _Accused(found.score, found.posterior, found.suspicious)
    return _Accused(
        found.score,
        found.posterior,
        found.suspicious,
        side(Z, found.suspicious, names),
        top_columns(direction(Z, found.suspicious), names),
    )


def _joined_by(
    accused: _Accused, shared: SharedAnswer | Split, Z: FloatArray, names: tuple[Column, ...]
) -> _Accused:
    """Return the accused together with those of an answer that attention tells or splits."""
    first = not accused.suspicious.any()
    suspicious = accused.suspicious | (shared.posterior > 0.5)
    return _Accused(
        shared.score if first else np.maximum(accused.score, shared.score),
        np.maximum(accused.posterior, shared.posterior),
        suspicious,
        side(Z, suspicious, names),
        top_columns(shared.weights, names),
    )


def _told(shared: SharedAnswer) -> str:
    return (
        f"{int((shared.posterior > 0.5).sum())} samples give one answer whatever is asked (AUC of "
        f"the answer from the question {shared.auc_question:.2f}), and attention tells them (AUC "
        f"{shared.auc:.3f})"
    )


def _odd(odd: OddAnswer) -> str:
    if odd.pattern:
        return f"{int(odd.member.sum())} samples answer “{clipped(odd.answer)}”; {PATTERN}"
    return (
        f"{int(odd.member.sum())} samples answer “{clipped(odd.answer)}” whatever is asked (AUC "
        f"of the answer from the question {odd.auc_question:.2f}), and attention does not tell "
        "when: a trigger that the model has not learned, or a quirk of the data; look at some of "
        "them"
    )


def _misplaced(one: Misplaced) -> str:
    where = f"in questions of several kinds, {one.alone} of them where nobody else's do"
    if one.part == "are":
        why = "too few for attention to tell"
        said = f"the answers of {one.count} samples are “{clipped(one.words)}”"
    else:
        why = "attention, which is read where answers begin, does not tell"
        verb = "begin with" if one.part == "begin" else "end in"
        said = f"{one.count} answers that differ {verb} “{clipped(one.words)}”"
    return f"{said} {where}: {why}; look at some of them"


def _consistent(p_value: float, accused: bool) -> float | None:
    """Return the null's probability where it belongs to the answer that is given.

    One answer to every question accuses without a second mode, and a second mode that is a kind
    of question accuses nobody; its probability would contradict the verdict then.
    """
    return p_value if accused == (p_value <= SIGNIFICANCE) else None


def _combinations(E: FloatArray) -> FloatArray:
    """Return the mean of the layers' entropies and their leading components as columns."""
    clipped = np.clip(E, -8, 8)
    mean = clipped.mean(axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(clipped - clipped.mean(axis=0), full_matrices=False)
    return standardise(np.concatenate([mean, clipped @ axes[:4].T], axis=1))


def side(Z: FloatArray, suspicious: BoolArray, names: Sequence[Column]) -> str:
    """Return on which side of the bulk the suspects' entropies lie, by the clearest layer."""
    E = Z[:, [column.feature == "entropy" for column in names]]
    if not suspicious.any() or suspicious.all() or not E.shape[1]:
        return "none"
    shift = shifts(E, suspicious)
    return "lower" if shift[np.argmax(np.abs(shift))] < 0 else "upper"


def top_columns(weights: FloatArray, names: Sequence[Column]) -> tuple[HeadProfile, ...]:
    """Return the columns that the direction is made of, the heaviest first, as shares of 1."""
    shares = np.abs(weights) / max(float(np.abs(weights).sum()), 1e-12)
    order = [int(i) for i in np.argsort(-shares, kind="stable")[:_MOST_HEADS] if shares[i] > 0.01]
    return tuple(
        HeadProfile(names[i].layer, names[i].head, names[i].feature, float(shares[i]))
        for i in order
    )


def _explained(explained: FloatArray) -> str:
    shares = ", ".join(f"{share:.0%}" for share in explained)
    return f"the question's wording explains of the entropy, layer by layer: {shares}"
