"""The attention features as columns of one matrix, with a name for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bye_lint.features import Features, FloatArray, IntArray, comparable

COMPONENTS = ("system", "vision", "text")
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Column:
    """What a column measures; ``head`` is -1 where heads are averaged."""

    feature: str
    layer: int
    head: int = -1


@dataclass(frozen=True)
class Columns:
    """Features of some samples as a matrix.

    Attributes
    ----------
    values : (n_samples, n_columns) array
        Entropies in ``entropy_unit``, masses as log odds.
    names : tuple of Column
    entropy_unit : str
    """

    values: FloatArray
    names: tuple[Column, ...]
    entropy_unit: str


def attention_columns(features: Features, rows: IntArray) -> Columns:
    """Return layer entropies, head entropies and head masses as columns.

    Entropies are such that large images are not outliers by their size
    (:func:`bye_lint.features.comparable`). Masses become log odds, which have no walls at 0 and 1.
    Columns that are mostly not finite are left out.

    Parameters
    ----------
    rows : (n,) integer array
        Which samples.
    """
    alike, unit = comparable(features)
    blocks: list[FloatArray] = [np.asarray(alike.entropy, dtype=np.float64)[rows]]
    names = [Column("entropy", layer) for layer in range(features.entropy.shape[1])]
    if features.head_entropy.ndim == 3 and features.head_entropy.size:
        per_head = np.asarray(alike.head_entropy, dtype=np.float64)[rows]
        blocks.append(per_head.reshape(len(rows), -1))
        names += [Column("head entropy", *place) for place in np.ndindex(per_head.shape[1:])]
    if features.head_mass.ndim == 4 and features.head_mass.size:
        mass = np.clip(np.asarray(features.head_mass, dtype=np.float64)[rows], _FLOOR, 1 - _FLOOR)
        odds = np.log(mass / (1 - mass))
        for i, component in enumerate(COMPONENTS):
            blocks.append(odds[..., i].reshape(len(rows), -1))
            names += [Column(f"{component} mass", *place) for place in np.ndindex(odds.shape[1:3])]
    values = np.concatenate(blocks, axis=1)
    keep = np.isfinite(values).mean(axis=0) > 0.5 if len(rows) else np.ones(len(names), np.bool_)
    # Not left out for one: a record could take a head away from the judgement of all.
    for column in np.flatnonzero(keep & ~np.isfinite(values).all(axis=0)):
        known = np.isfinite(values[:, column])
        values[~known, column] = np.median(values[known, column])
    return Columns(
        values[:, keep],
        tuple(name for name, kept in zip(names, keep, strict=True) if kept),
        unit,
    )
