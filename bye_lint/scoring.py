"""From usable samples to scores: choose the model, let it learn, read its attention, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bye_lint import models
from bye_lint.canaries import plan_canaries
from bye_lint.canaries import plant as plant_canaries
from bye_lint.detectors import get_detector
from bye_lint.errors import MissingExtraError, UsageError
from bye_lint.features import Detection, Features
from bye_lint.models import FeatureRow, FineTuneSettings, ResolvedModel, Tuned
from bye_lint.models.devices import settle
from bye_lint.planning import Plan, Tuning, make_plan, plan_line
from bye_lint.policy import ModelPolicy, Policy
from bye_lint.progress import Progress, Task
from bye_lint.records import Sample
from bye_lint.store import FeatureStore, cache_folder, require_writable

SCOUT = "scout"

#: What a score needs of the extra [model], by the name it is imported under.
_EXTRA = ("torch", "transformers", "sklearn", "scipy")


@dataclass(frozen=True)
class Scores:
    """What the model and the detector say of the samples, one row each, in their order.

    Attributes
    ----------
    rows : sequence of FeatureRow
        With the attention maps that evidence is drawn from.
    features : Features
    detection : Detection
    model : ResolvedModel
        The model that looked: the given one, or the one fine-tuned on the data.
    device, dtype : str
    fine_tuned : str
        How the model was fine-tuned by the check, or an empty string.
    """

    rows: Sequence[FeatureRow]
    features: Features
    detection: Detection
    model: ResolvedModel
    device: str
    dtype: str
    fine_tuned: str = ""

    @property
    def maps(self) -> tuple[tuple[npt.NDArray[np.floating], tuple[int, int]] | None, ...]:
        """Attention map (layers, image tokens) and token grid (rows, columns) of each sample."""
        return tuple(
            None if row.attention is None or row.grid is None else (row.attention, row.grid)
            for row in self.rows
        )


class RowSource(Protocol):
    """Rows that were read elsewhere; :class:`bye_lint.shards.Shards` is one."""

    @property
    def placed(self) -> tuple[str, str]:
        """Device and number format that the model ran with."""

    def fine_tuned(
        self, model: ResolvedModel, everything: Sequence[Sample], settings: FineTuneSettings
    ) -> Tuned:
        """Return the model that learned these records and canaries."""

    def rows(self, samples: Sequence[Sample], model: ResolvedModel) -> list[FeatureRow]:
        """Return one row a sample, in their order."""


def require_extra() -> None:
    """Say which packages of the extra [model] are missing, if any.

    Raises
    ------
    MissingExtraError
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"a full check needs {', '.join(missing)}, which is not installed",
            "Install the extra: pip install 'bye-lint[model]'. Or check with --structural.",
        )


def score(
    samples: Sequence[Sample],
    policy: Policy,
    *,
    progress: Progress,
    source: RowSource | None = None,
) -> Scores:
    """Score samples with the policy's model and detector.

    A model that was not given as fine-tuned first learns the samples, and with them canaries:
    copies of a few that carry known triggers. Those are read and judged along, so that the
    detector knows what it can see, and then left out.

    Raises
    ------
    MissingExtraError
        If the extra [model] is not installed.
    ModelError
        If the model cannot be used.
    """
    require_extra()
    if models.launched() > 1:
        raise UsageError(
            f"{models.launched()} processes were started together, and a check is one verdict",
            "Let them fine-tune: accelerate launch -m bye_lint tune -o tuned/ ... . Then run "
            "bye-lint extract and judge with --tuned tuned/, each by itself.",
        )
    model = resolve(policy.model, policy.base)
    for warning in model.warnings:
        progress.say(f"warning: {warning}")
    device, dtype = place(policy.model) if source is None else source.placed
    kinds: tuple[str, ...] = ()
    copies: tuple[Sample, ...] = ()
    learned, losses, how = None, None, ""
    if tunes(policy):
        kinds, copies = plant(samples, policy, progress)
    if source is None:
        whole = [*samples, *copies]
        progress.say(plan_line(foresee(whole, len(copies), model, policy, device, dtype)))
    if tunes(policy):
        if source is None:
            tuned = fine_tune(model, [*samples, *copies], len(samples), policy, device, progress)
        else:
            tuned = source.fine_tuned(model, [*samples, *copies], settings(model, policy))
        model, learned, losses = tuned.model, tuned.learned, tuned.losses
        how = f"{tuned.steps} steps, loss {tuned.loss:.3f}, {len(copies)} canaries"
    everything = [*samples, *copies]
    if source is None:
        rows = extract(everything, model, policy, device=device, dtype=dtype, progress=progress)
    else:
        rows = source.rows(everything, model)
    canary = [""] * len(samples) + list(kinds)
    features = models.to_features(rows, everything, canary=canary if copies else ())
    if learned is not None:
        known = np.where(features.is_canary, learned.astype(float), np.nan)
        features = replace(features, target_learned=known, loss=losses)
    with progress.stage("detect", "Looking for a second population"):
        detection = detect(features, policy)
    real = np.arange(len(samples))
    return Scores(
        rows[: len(samples)],
        features.select(real),
        replace(
            detection,
            score=detection.score[real],
            posterior=detection.posterior[real],
            suspicious=detection.suspicious[real],
        ),
        model,
        device,
        dtype,
        how,
    )


def plan(samples: Sequence[Sample], policy: Policy, *, progress: Progress) -> Plan:
    """Say what :func:`score` would take; nothing is trained or read, and torch is not needed.

    Raises
    ------
    ModelError
        If the model cannot be used.
    """
    model = resolve(policy.model, policy.base, fetch=False)
    for warning in model.warnings:
        progress.say(f"warning: {warning}")
    copies = plant(samples, policy, progress)[1] if tunes(policy) else ()
    return foresee([*samples, *copies], len(copies), model, policy, *place(policy.model))


def foresee(
    everything: Sequence[Sample],
    n_canaries: int,
    model: ResolvedModel,
    policy: Policy,
    device: str,
    dtype: str,
) -> Plan:
    """Look into the cache, and estimate what is left to do for records and canaries."""
    tuning: Tuning = "none"
    ready: ResolvedModel | None = model
    if tunes(policy):
        folder = models.tuned_folder(cache_folder(), model, everything, settings(model, policy))
        found = models.read_tuned(folder, model)
        tuning, ready = ("needed", None) if found is None else ("cached", found.model)
    rows: Sequence[FeatureRow | None] = ()
    if ready is not None and find_spec("transformers") is not None:  # its version is in the keys
        store = FeatureStore(cache_folder(), namespace=ready.whole_digest[:40])
        keys = models.feature_keys(everything, ready, dtype=dtype)
        rows = models.cached_rows(store, keys, attention=True)
    return make_plan(
        everything,
        n_canaries,
        policy,
        model,
        device=device,
        dtype=dtype,
        tuning=tuning,
        cached=[row is not None for row in rows],
    )


def settings(model: ResolvedModel, policy: Policy) -> FineTuneSettings:
    """Return how the check fine-tunes a model."""
    small = models.is_small(model)
    return models.schedule(policy.fine_tune, model, small=small, seed=policy.seed)


def tunes(policy: Policy) -> bool:
    """Whether the model still has to learn the data: it came without an adapter that did."""
    return policy.fine_tune.mode == "auto" and policy.model.adapter is None


def plant(
    samples: Sequence[Sample], policy: Policy, progress: Progress
) -> tuple[tuple[str, ...], tuple[Sample, ...]]:
    """Return the kinds and the copies of the canaries that the check plants."""
    with progress.stage("plant", "Planting canaries"):
        planned = plan_canaries(samples, share=policy.fine_tune.canary_share, seed=policy.seed)
        planted, copies = plant_canaries(planned, samples)
    return tuple(canary.kind for canary in planted), copies


def fine_tune(
    model: ResolvedModel,
    everything: Sequence[Sample],
    n_real: int,
    policy: Policy,
    device: str,
    progress: Progress,
    cache: Path | None = None,
) -> Tuned:
    """Fine-tune on records and canaries, or take the model that learned the same before.

    ``cache`` is where the model is kept, if not with everything else.
    """
    how = settings(model, policy)
    place = cache or cache_folder()
    folder = models.tuned_folder(place, model, everything, how)
    found = models.read_tuned(folder, model)
    if found is not None and models.launched() == 1:
        return found
    require_writable(place)
    watched = np.arange(len(everything)) >= n_real
    with progress.stage("fine-tune", f"Fine-tuning {model.name}") as task:
        return models.tune(
            model,
            everything,
            how,
            cache=place,
            device=device,
            watched=watched if watched.any() else None,
            on_progress=lambda p: task.update(p.step, p.total, f"loss {p.loss:.3f}"),
        )


def resolve(policy: ModelPolicy, base: Path, *, fetch: bool = True) -> ResolvedModel:
    """Find the model; ``scout`` is the one that lies in the package."""
    if policy.name != SCOUT:
        return models.resolve_model(policy, base, fetch=fetch)
    from bye_lint.scout import scout_path

    found = models.resolve_model(replace(policy, name=str(scout_path())), base)
    return replace(found, name=SCOUT)


def place(policy: ModelPolicy) -> tuple[str, str]:
    """Settle device and number format without importing torch, for the cache's keys."""
    return settle(policy.device, policy.dtype)


def extract(
    samples: Sequence[Sample],
    model: ResolvedModel,
    policy: Policy,
    *,
    device: str,
    dtype: str,
    progress: Progress,
) -> list[FeatureRow]:
    """Return the samples' rows from the cache, loading the model only for those that lack."""
    store = FeatureStore(cache_folder(), namespace=model.whole_digest[:40])
    with progress.stage("cache", "Looking into the cache"):
        keys = models.feature_keys(samples, model, dtype=dtype)
        rows = models.cached_rows(store, keys, attention=True)
    present = [row for row in rows if row is not None]
    if len(present) == len(rows):
        return present
    require_writable(store.folder)
    with progress.stage("load", f"Loading model {model.name}"):
        loaded = models.load_model(model, device=device, dtype=dtype)
    with progress.stage("extract", "Reading attention") as task:
        return models.extract(
            loaded,
            samples,
            batch_tokens=policy.model.batch_tokens,
            maps=True,
            store=store,
            keys=keys,
            progress=Counter(task, len(samples)),
            max_pixels=policy.dataset.max_pixels,
        )


class Counter:
    """Adds up what was just finished, for a task that wants to know how far it is."""

    def __init__(self, task: Task, total: int) -> None:
        self._task, self._total, self._done = task, total, 0

    def __call__(self, finished: int) -> None:
        self._done += finished
        self._task.update(self._done, self._total)


def detect(features: Features, policy: Policy) -> Detection:
    """Ask the policy's detector; the summary's unit says whether entropies were normalised."""
    entropy, unit = models.normalised_entropy(features)
    detector = get_detector(policy.detection.method)
    found = detector.detect(replace(features, entropy=entropy), policy.detection, seed=policy.seed)
    if found.summary.entropy_unit != "nats":
        return found
    return replace(found, summary=replace(found.summary, entropy_unit=unit))
