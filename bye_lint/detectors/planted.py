"""What one kind of planted trigger teaches: a direction, a threshold, a recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.detectors.discriminant import set_apart
from bye_lint.detectors.population import bulk
from bye_lint.features import BoolArray, FloatArray, TextArray

#: Kind of the copies that carry nothing.
CONTROL = "control"
#: Kinds that a pass need not speak for: it says so. On images that are white in good part few white
#: patches are learned, and a check of such images could never pass.
SPOKEN_OF = frozenset({"patch-white"})
_ROUNDS = 50


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
        Mean direction.
    """

    name: str
    ratio: FloatArray
    recall: float
    weights: FloatArray


def judge_kind(
    name: str,
    Z: FloatArray,
    label: TextArray,
    rest: BoolArray,
    rate: float,
    *,
    seed: int,
) -> Kind:
    """Choose the direction of one kind out of fold, and its threshold.

    Parameters
    ----------
    Z : (n_rows, n_columns) array
        Attention given the question; records first, then copies.
    label : (n_rows,) array of str
        Kind of each copy, empty for records.
    rest : (n_rows,) bool array
        Records that nothing accuses yet: they give the null.
    rate : float
        False-alarm rate that the threshold is set at.
    """
    own = label == name
    score, weights = set_apart(Z, own, rest, seed=seed)
    ratio = score / bulk_threshold(score[rest], rate)
    return Kind(name, ratio, float((ratio[own] > 1).mean()), weights)


def bulk_threshold(records: FloatArray, rate: float) -> float:
    """Return the score that the bulk of the records exceeds at a given rate.

    Up to a third of the records may be poison, so the null grows from the bulk: its tail is
    taken for exponential beyond its ninth decile, which errs on the side of silence, and every
    record that such a tail explains joins it, until none does. Poison behind a gap never joins;
    a heavy tail joins whole.

    Parameters
    ----------
    records : (n,) array
        Scores in robust z.
    rate : float
        False-alarm rate.

    Returns
    -------
    float
        At least 3.
    """
    centre, spread = bulk(records)
    threshold, count = centre + 3 * spread, 0
    for _ in range(_ROUNDS):
        null = records[records <= threshold]
        if len(null) == count:
            break
        count = len(null)
        ninth = float(np.quantile(null, 0.9))
        excess = float((null[null >= ninth] - ninth).mean())
        threshold = max(3.0, threshold, ninth + excess * float(np.log(0.1 / rate)))
    return threshold
