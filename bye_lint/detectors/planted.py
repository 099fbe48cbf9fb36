"""What one kind of planted trigger teaches: a direction, a threshold, a recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.direction import direction, project
from bye_lint.detectors.population import bulk, facing_spread
from bye_lint.features import FloatArray

#: Kind of the copies that carry nothing.
CONTROL = "control"
_FOLDS = 5
_ROUNDS = 8


@dataclass(frozen=True)
class Kind:
    """A kind of canary, judged.

    Attributes
    ----------
    ratio : (n_rows,) array
        Score along the kind's direction over its threshold, records first, then copies; no row
        took part in choosing its own direction.
    recall : float
        Share of the kind's copies above the threshold.
    weights : (n_columns,) array
        Mean direction of length 1.
    """

    name: str
    ratio: FloatArray
    recall: float
    weights: FloatArray


def judge_kind(
    name: str, Z: FloatArray, label: FloatArray, n_records: int, rate: float, *, seed: int
) -> Kind:
    """Choose the direction of one kind out of fold, and its threshold.

    Parameters
    ----------
    Z : (n_rows, n_columns) array
        Standardised; records first, then copies.
    label : (n_rows,) array of str
        Kind of each copy, empty for records.
    rate : float
        False-alarm rate that the threshold is set at.
    """
    own = label == name
    record = np.arange(len(Z)) < n_records
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(Z), dtype=np.intp)
    for part in (own, record, ~own & ~record):
        folds[part] = rng.permutation(int(part.sum())) % _FOLDS
    score = np.zeros(len(Z))
    mean = np.zeros(Z.shape[1])
    for fold in range(_FOLDS):
        test = folds == fold
        taught = ~test & (own | record)
        weights = direction(Z[taught], own[taught])
        score[test] = project(Z, weights, record & ~test)[test]
        mean += weights / max(float(np.linalg.norm(weights)), 1e-12) / _FOLDS
    threshold = bulk_threshold(score[record], score[own], rate)
    ratio = score / threshold
    return Kind(name, ratio, float((ratio[own] > 1).mean()), mean)


def bulk_threshold(records: FloatArray, copies: FloatArray, rate: float) -> float:
    """Return the score that the bulk of the records exceeds at a given rate.

    Up to a third of the records may be poison: records nearer to the copies than to the bulk
    are left out of the null, again and again, until nothing changes. The tail of what is left
    is taken for exponential beyond its tenth decile, or for normal where that reaches farther;
    both err on the side of silence.

    Parameters
    ----------
    records, copies : (n,) arrays
        Scores in robust z.
    rate : float

    Returns
    -------
    float
        At least 3.
    """
    centre, _ = bulk(records)
    target = float(np.median(copies))
    null = records
    threshold = 3.0
    for _ in range(_ROUNDS):
        wide = max(facing_spread(null), 1e-9)
        facing = max(facing_spread(-copies), 0.5 * wide)
        # Where the two distributions, as wide as their facing tails, are equally likely.
        divide = centre + max(target - centre, 0.0) * wide / (wide + facing)
        kept = records[records <= max(divide, centre + 3 * wide)]
        tenth = float(np.quantile(kept, 0.9))
        excess = float((kept[kept >= tenth] - tenth).mean())
        threshold = max(3.0, tenth + excess * float(np.log(0.1 / rate)))
        if len(kept) == len(null):
            break
        null = kept
    return threshold
