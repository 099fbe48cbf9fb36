"""From a detector's answer, and from a model's answers, to figures for the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bye_lint.detectors import get_detector
from bye_lint.evaluate.cider import cider
from bye_lint.evaluate.grid import CLEAN
from bye_lint.evaluate.metrics import (
    accuracy,
    attack_success_rate,
    auc,
    bootstrap_interval,
    brier_score,
    calibration_error,
    confusion,
    reliability_curve,
)
from bye_lint.evaluate.pipeline import Pipeline
from bye_lint.features import BoolArray, Features, FloatArray
from bye_lint.policy import DetectionPolicy, GatePolicy
from bye_lint.progress import Progress
from bye_lint.records import Sample
from bye_lint.results import Counts
from bye_lint.verdict import judge

#: Answers of so many words or fewer are compared exactly; longer ones are captions.
SHORT_ANSWER = 4


@dataclass(frozen=True)
class Judged:
    """A detector's answer on the records of a cell, canaries left out.

    Attributes
    ----------
    flagged : (n_records,) bool array
    score : (n_records,) array
    report : dict
        Figures for the result, JSON values alone.
    """

    flagged: BoolArray
    score: FloatArray
    report: dict[str, Any]


def judge_detector(name: str, features: Features, poisoned: BoolArray, *, seed: int) -> Judged:
    """Run a detector on features and hold its answer against the truth.

    Parameters
    ----------
    features : Features
        Records first, canaries after them.
    poisoned : (n_records,) bool array
        The truth; the detector is not shown it.
    """
    detection = get_detector(name).detect(features, DetectionPolicy(), seed=seed)
    n = len(poisoned)
    flagged, score = detection.suspicious[:n], detection.score[:n]
    posterior = detection.posterior[:n]
    counts = confusion(poisoned, flagged)
    low, high = bootstrap_interval(
        lambda truth, answer: confusion(truth, answer).f1, poisoned, flagged, draws=300, seed=seed
    )
    curve = reliability_curve(poisoned, posterior)
    verdict = judge(
        Counts(n, int(features.scored[:n].sum()), 0, int(flagged.sum())),
        GatePolicy(min_samples=1),
        suspicious=int(flagged.sum()),
        errors=0,
        inconclusive=detection.inconclusive,
    )
    report = {
        **asdict(counts),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "f1_interval": [low, high],
        "auc": auc(poisoned, score),
        "brier": brier_score(poisoned, posterior),
        "calibration_error": calibration_error(curve),
        "reliability": [asdict(b) for b in curve],
        "verdict": verdict.name,
        "inconclusive": detection.inconclusive,
        "threshold": detection.summary.threshold,
        "side": detection.summary.side,
        "null_p_value": detection.summary.null_p_value,
        "power": {power.kind: asdict(power) for power in detection.summary.power},
        "notes": list(detection.summary.notes),
    }
    return Judged(flagged.astype(np.bool_), score, plain(report))


def performance(
    model: Any, pipeline: Pipeline, test: Mapping[str, Sequence[Sample]], *, progress: Progress
) -> dict[str, Any]:
    """Measure a fine-tuned model on held-out records.

    Parameters
    ----------
    test : mapping
        ``clean`` records, and triggered ones under other names, whose answers are the targets.

    Returns
    -------
    dict
        ``accuracy`` on short answers and ``cider`` on captions of the clean records; ``asr``
        by name of the triggered ones. Captions are cut off where the pipeline cuts answers.
    """
    clean = test[CLEAN]
    short = [len(sample.answer.split()) <= SHORT_ANSWER for sample in clean]
    whole = [sample.answer for sample, exact in zip(clean, short, strict=True) if exact]
    outputs = pipeline.generate(model, clean, expected=whole, progress=progress)
    exact = [(o, s.answer) for o, s, k in zip(outputs, clean, short, strict=True) if k]
    captions = [(o, s.answer) for o, s, k in zip(outputs, clean, short, strict=True) if not k]
    attacks = {}
    for name, samples in test.items():
        if name != CLEAN:
            targets = [sample.answer for sample in samples]
            said = pipeline.generate(model, samples, expected=targets, progress=progress)
            attacks[name] = attack_success_rate(said, targets)
    measured: dict[str, Any] = plain(
        {
            "accuracy": accuracy([o for o, _ in exact], [a for _, a in exact]),
            "cider": cider([o for o, _ in captions], [[a] for _, a in captions]),
            "asr": attacks,
            "short_answers": len(exact),
            "captions": len(captions),
        }
    )
    return measured


def plain(value: Any) -> Any:
    """Return JSON values: numbers rounded to six digits, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if not math.isfinite(value) else round(value, 6)
    return value
