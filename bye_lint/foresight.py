"""Before the work: what the cache holds of it, and what is left to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from bye_lint import models
from bye_lint.features import FloatArray
from bye_lint.learning import place, plant, resolve, settings, tunes
from bye_lint.models import FeatureRow, ResolvedModel
from bye_lint.planning import Plan, Tuning, make_plan
from bye_lint.policy import Policy
from bye_lint.progress import Progress
from bye_lint.readings import Readings
from bye_lint.records import Sample
from bye_lint.store import FeatureStore, cache_folder


@dataclass(frozen=True)
class Kept:
    """What the cache holds of some samples' rows.

    Attributes
    ----------
    store : FeatureStore
        The part of the cache that belongs to the model.
    keys : sequence of str
        Key of each sample's row.
    rows : sequence of FeatureRow or None
        Without their attention; ``None`` for those that must be read.
    """

    store: FeatureStore
    keys: Sequence[str]
    rows: Sequence[FeatureRow | None]


@dataclass(frozen=True)
class Foreseen:
    """A plan, and the rows that were found on the way; ``None`` before the model has learned."""

    plan: Plan
    kept: Kept | None


def look_up(samples: Sequence[Sample], model: ResolvedModel, device: str, dtype: str) -> Kept:
    """Look into the cache for what a model read before."""
    store = FeatureStore(cache_folder(), namespace=model.whole_digest[:40])
    keys = models.feature_keys(samples, model, dtype=dtype, device=device)
    return Kept(store, keys, models.cached_rows(store, keys, attention=True, leave=True))


def kept_attention(
    samples: Sequence[Sample], model: ResolvedModel, device: str, dtype: str
) -> list[FloatArray | None]:
    """Return the attention maps of some samples that a model has read."""
    store = FeatureStore(cache_folder(), namespace=model.whole_digest[:40])
    keys = models.feature_keys(samples, model, dtype=dtype, device=device)
    return models.stored_attention([store], keys)


def foresee_plan(records: Sequence[Sample], policy: Policy, *, progress: Progress) -> Plan:
    """Say what a check would take; nothing is trained or read, and torch is not needed.

    Raises
    ------
    ModelError
        If the model cannot be used.
    """
    model = resolve(policy.model, policy.base, fetch=False)
    for warning in model.warnings:
        progress.say(f"warning: {warning}")
    readings = Readings.of(records, policy.dataset.turns)
    copies = plant(readings.samples, policy, progress)[1] if tunes(policy) else ()
    return foresee(readings, copies, model, policy, *place(policy.model)).plan


def foresee(
    readings: Readings,
    copies: Sequence[Sample],
    model: ResolvedModel,
    policy: Policy,
    device: str,
    dtype: str,
) -> Foreseen:
    """Look into the cache, and estimate what is left to do for records and canaries."""
    everything = [*readings.samples, *copies]
    tuning: Tuning = "none"
    ready: ResolvedModel | None = model
    if tunes(policy):
        folder = models.tuned_folder(cache_folder(), model, everything, settings(model, policy))
        found = models.look_for_tuned(folder, model)
        tuning, ready = ("needed", None) if found is None else ("cached", found.model)
    kept = None
    if ready is not None and find_spec("transformers") is not None:  # its version is in the keys
        kept = look_up(everything, ready, device, dtype)
    plan = make_plan(
        everything,
        len(copies),
        policy,
        model,
        records=len(set(readings.record.tolist())),
        device=device,
        dtype=dtype,
        tuning=tuning,
        cached=[row is not None for row in kept.rows] if kept else (),
    )
    return Foreseen(plan, kept)
