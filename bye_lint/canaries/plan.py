"""Which records are copied, with which trigger and target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from bye_lint.canaries.kinds import CANARY_KINDS, CONTROL, DEFAULT_KINDS
from bye_lint.canaries.targets import choose_targets, stable_hash
from bye_lint.errors import UsageError
from bye_lint.records import Sample


@dataclass(frozen=True, slots=True)
class Canary:
    """One copy to be planted.

    Attributes
    ----------
    index : int
        Position of the source among the samples that were planned for.
    digest : str
        Digest of the source's content.
    kind : str
        Name in :data:`CANARY_KINDS`.
    target : str
        Answer that the copy teaches; the source's own for a control.
    seed : int
        Randomness of this copy alone.
    """

    index: int
    digest: str
    kind: str
    target: str
    seed: int


def plan_canaries(
    samples: Sequence[Sample],
    *,
    share: float,
    kinds: Sequence[str] = DEFAULT_KINDS,
    least: int = 0,
    seed: int = 0,
) -> tuple[Canary, ...]:
    """Choose which records are copied with which trigger and target.

    Every kind orders the records by a hash of seed, kind and content and takes the first ones; no
    record is copied twice. The result depends on the content of the set alone, not on its order.

    Parameters
    ----------
    samples : sequence of Sample
        Records whose images cannot be read, without a question or without an answer are passed
        over.
    share : float
        Copies as a share of the records, in [0, 0.5].
    kinds : sequence of str
        Names in :data:`CANARY_KINDS`, each at most once.
    least : int
        Copies that each kind gets if the share allows as many for all.

    Returns
    -------
    tuple of Canary
        Ordered by kind as given, then by draw.

    Raises
    ------
    UsageError
        If a kind is unknown; the message lists those there are.
    ValueError
        If the share is out of range or a kind is named twice.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"share must be between 0 and 0.5, got {share}")
    if len(set(kinds)) != len(kinds):
        raise ValueError(f"a kind is named twice: {', '.join(kinds)}")
    for name in kinds:
        if name not in CANARY_KINDS:
            known = ", ".join(CANARY_KINDS)
            raise UsageError(f"unknown canary kind {name!r}", f"Known kinds: {known}.")

    digests = _usable(samples)
    targets = choose_targets([sample.answer for sample in samples], kinds, seed=seed)
    weights = [CANARY_KINDS[kind].weight for kind in kinds]
    counts = _apportion(round(share * len(samples)), weights, least=least)
    taken: set[str] = set()
    planned: list[Canary] = []
    for name, count in zip(kinds, counts, strict=True):
        order = _in_order(name, samples, digests, taken, targets[name], seed)
        planned += order[:count]
        taken.update(canary.digest for canary in order[:count])
    return tuple(planned)


def further_canaries(
    planned: Sequence[Canary], samples: Sequence[Sample], kinds: Iterable[str], *, seed: int = 0
) -> dict[str, list[Canary]]:
    """Return whom kinds would be planted on after those that are planned, each in its order.

    Parameters
    ----------
    planned : sequence of Canary
        At least one of each of the kinds.
    kinds : iterable of str
        One record may stand under several.
    samples, seed
        As for :func:`plan_canaries`.
    """
    targets = {canary.kind: canary.target for canary in planned}
    taken = {canary.digest for canary in planned}
    digests = _usable(samples)
    return {kind: _in_order(kind, samples, digests, taken, targets[kind], seed) for kind in kinds}


def _in_order(
    kind: str,
    samples: Sequence[Sample],
    digests: Mapping[str, int],
    taken: Set[str],
    target: str,
    seed: int,
) -> list[Canary]:
    needs_image = _needs_image(kind)
    order = sorted(
        (stable_hash(seed, kind, digest), digest, index)
        for digest, index in digests.items()
        if digest not in taken and (samples[index].images or not needs_image)
    )
    return [
        Canary(
            index,
            digest,
            kind,
            samples[index].answer if kind == CONTROL else target,
            int(drawn[:15], 16),
        )
        for drawn, digest, index in order
    ]


def wanted_kinds(
    samples: Sequence[Sample], kinds: Sequence[str] = DEFAULT_KINDS
) -> tuple[str, ...]:
    """Return the kinds that samples could be poisoned with: those of the image if one has any."""
    pictured = any(sample.images for sample in samples)
    return tuple(kind for kind in kinds if pictured or not _needs_image(kind))


def _needs_image(kind: str) -> bool:
    return CANARY_KINDS[kind].trigger.family not in ("text", CONTROL)


def _usable(samples: Sequence[Sample]) -> dict[str, int]:
    """Map the digest of each usable record to its first position."""
    digests: dict[str, int] = {}
    for index, sample in enumerate(samples):
        roles = {turn.role for turn in sample.turns}
        if not {"user", "assistant"} <= roles or not sample.answer.strip():
            continue
        try:
            digests.setdefault(sample.digest(), index)
        except OSError:
            continue
    return digests


def _apportion(total: int, weights: Sequence[float], *, least: int = 0) -> list[int]:
    """Split a number in proportion to weights, by largest remainders.

    Where ``total`` allows ``least`` for all, those with fewer take from those with the most.
    """
    if not weights:
        return []
    exact = total * np.asarray(weights, dtype=float) / sum(weights)
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]:
        counts[index] += 1
    if total >= least * len(counts):
        while counts.min() < least:
            counts[counts.argmax()] -= 1
            counts[counts.argmin()] += 1
    return [int(count) for count in counts]
