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
- both halves must find their second mode, it must stand apart from the bulk, and where it
  does not stand apart overwhelmingly its answers must agree (:mod:`.answers`);
- it must stand apart from images that look the same, too (:mod:`.pictures`): a kind of picture
  is a population, and no poison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bye_lint.detectors.accuse import Accusation, accuse
from bye_lint.detectors.answer import nothing, scored_rows, spread
from bye_lint.detectors.attention import Column, attention_columns
from bye_lint.detectors.direction import direction, shifts
from bye_lint.detectors.halves import find_population
from bye_lint.detectors.neighbours import (
    Questions,
    given_neighbours,
    read_questions,
    told_by_question,
)
from bye_lint.detectors.pictures import LEAST_SEPARATION, separation_given_pictures
from bye_lint.detectors.shared import shared_answers
from bye_lint.detectors.wording import residuals, standardise, wording_design
from bye_lint.features import BoolArray, Detection, Features, FloatArray
from bye_lint.policy import DetectionPolicy
from bye_lint.records import DetectionSummary, HeadProfile
from bye_lint.stages import cluster_samples, profile_layers

#: Largest p-value of one mode at which a second population is believed in.
SIGNIFICANCE = 0.001
#: Least separation of two populations, the published index and threshold made robust: where
#: the suspects' answers agree, and where attention has to bear the accusation alone.
SEPARATION = 2.0
SEPARATION_ALONE = 5.0
#: Share of the suspects whose answers must tell them from the rest to count as agreement.
AGREEMENT = 0.8
#: A group that the question tells this well is a kind of question, unless this share of it
#: gives one answer.
QUESTION = 0.9
ONE_ANSWER = 0.9
_FEWEST = 60
_MOST_HEADS = 12
#: Unit of the layers' profiles: what the question leaves, in spreads of the bulk.
GIVEN = "robust z, given the question"
_SCORE_NAME = "robust z of attention given the question"


def detect(features: Features, settings: DetectionPolicy, *, seed: int) -> Detection:
    """Look for a second population in the attention, given the wording of the question."""
    rows = scored_rows(features)
    if len(rows) < _FEWEST:
        summary = DetectionSummary(method="conditional", score_name=_SCORE_NAME)
        reason = f"{len(rows)} scored samples, fewer than the {_FEWEST} that a null needs"
        return nothing(features, summary, reason)
    columns = attention_columns(features, rows)
    design = wording_design([features.prompts[i] for i in rows], features.image_tokens[rows])
    given = residuals(columns.values, design, seed=seed)
    Z = given.values
    entropies = np.array([c.feature == "entropy" for c in columns.names])

    questions = read_questions([features.prompts[i] for i in rows], seed=seed)
    found = find_population(Z, _combinations(Z[:, entropies]), seed=seed)
    score, mode = found.score, found.mode
    profiles = profile_layers(Z[:, entropies], settings.bsi, settings.threshold, seed)
    published = profile_layers(features.entropy[rows], settings.bsi, settings.threshold, seed)
    rule = cluster_samples(features.entropy[rows], published, seed)
    suspicious: BoolArray = np.zeros(len(rows), dtype=np.bool_)
    posterior: FloatArray = np.zeros(len(rows))
    threshold: float | None = None
    where = "none"
    heads: tuple[HeadProfile, ...] = ()
    notes = [_explained(given.explained[entropies])]
    warnings: tuple[str, ...] = ()
    if found.p_value <= SIGNIFICANCE and mode.separation >= SEPARATION:
        answers = [features.answers[i] for i in rows]
        group = accuse(Z, score, mode.threshold, answers, seed=seed)
        what = (
            f"a second mode of {int(group.suspicious.sum())} samples, separation "
            f"{group.separation:.1f}; {group.alike:.0%} of them give answers that the rest does not"
        )
        pictures = None if features.picture is None else features.picture[rows]
        alike = (
            _of_a_question(group.suspicious, answers, questions)
            or separation_given_pictures(Z, group.suspicious, pictures, seed=seed)
            < LEAST_SEPARATION
        )
        if group.suspicious.any() and convincing(group) and not alike:
            score, posterior, suspicious = group.score, group.posterior, group.suspicious
            threshold = float(score[suspicious].min())
            where = side(Z[:, entropies], suspicious)
            heads = _speakers(direction(Z, suspicious), columns.names)
            notes.append(what)
        else:
            warnings = (f"{what}: a kind of picture of its own rather than poison",)
    else:
        notes.append("one population: no second mode stands apart in both halves of the samples")
    said = [features.answers[i] for i in rows]
    usual = given_neighbours(columns.values, questions.nearest)
    for shared in shared_answers(usual, said, questions, seed=seed):
        accused = shared.posterior > 0.5
        notes.append(
            f"{int(accused.sum())} samples give one answer whatever is asked (AUC of the answer "
            f"from the question {shared.told:.2f}), and attention tells them (AUC {shared.auc:.3f})"
        )
        score = shared.score if not suspicious.any() else np.maximum(score, shared.score)
        posterior = np.maximum(posterior, shared.posterior)
        suspicious = suspicious | accused
        threshold = float(score[suspicious].min())
        where = side(usual[:, entropies], suspicious)
        heads = _speakers(shared.weights, columns.names)
        warnings = ()
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
        heads=heads,
        score_name=_SCORE_NAME,
        threshold=threshold,
        side=where,
        null_p_value=_consistent(found.p_value, bool(suspicious.any())),
        entropy_unit=GIVEN,
        comparison={f"bye ({settings.bsi})": int(rule.suspicious.sum())},
        notes=tuple(notes),
    )
    n = len(features)
    return Detection(
        score=spread(score, rows, n, np.nan),
        posterior=spread(posterior, rows, n, np.nan),
        suspicious=spread(suspicious, rows, n, False),
        summary=summary,
        warnings=warnings,
    )


def convincing(group: Accusation) -> bool:
    """Return whether a group stands far enough apart for the agreement of its answers."""
    least = SEPARATION if group.alike >= AGREEMENT else SEPARATION_ALONE
    return group.separation >= least


def _consistent(p_value: float, accused: bool) -> float | None:
    """Return the null's probability where it belongs to the answer that is given.

    One answer to every question accuses without a second mode, and a second mode that is a kind
    of question accuses nobody; its probability would contradict the verdict then.
    """
    return p_value if accused == (p_value <= SIGNIFICANCE) else None


def _of_a_question(group: BoolArray, answers: Sequence[str], questions: Questions) -> bool:
    """Return whether a group is one kind of question, answered this way and that.

    A trigger in the text is told by the question too, but its records share one answer.
    """
    if told_by_question(group, questions) <= QUESTION:
        return False
    commonest = Counter(answers[int(i)] for i in np.flatnonzero(group)).most_common(1)[0][1]
    return bool(commonest < ONE_ANSWER * group.sum())


def _combinations(E: FloatArray) -> FloatArray:
    """Return the mean of the layers' entropies and their leading components as columns."""
    clipped = np.clip(E, -8, 8)
    mean = clipped.mean(axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(clipped - clipped.mean(axis=0), full_matrices=False)
    return standardise(np.concatenate([mean, clipped @ axes[:4].T], axis=1))


def side(E: FloatArray, suspicious: BoolArray) -> str:
    """Return on which side of the bulk the suspects' entropies lie, by the clearest layer."""
    if not suspicious.any() or suspicious.all() or not E.shape[1]:
        return "none"
    shift = shifts(E, suspicious)
    return "lower" if shift[np.argmax(np.abs(shift))] < 0 else "upper"


def _speakers(weights: FloatArray, names: tuple[Column, ...]) -> tuple[HeadProfile, ...]:
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
