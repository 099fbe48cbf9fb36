"""From usable samples to scores: the model learns them, its attention is read and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from bye_lint import models
from bye_lint.canaries import wanted_kinds
from bye_lint.detectors import get_detector
from bye_lint.detectors.answer import at_fdr
from bye_lint.errors import MissingExtraError, UsageError
from bye_lint.features import Detection, Features, FloatArray
from bye_lint.foresight import Kept, foresee, kept_attention, look_up
from bye_lint.learning import fine_tune, place, plant, resolve, settings, tunes
from bye_lint.models import FeatureRow, FineTuneSettings, ResolvedModel, Tuned
from bye_lint.planning import plan_line
from bye_lint.policy import Policy
from bye_lint.progress import Progress, Task
from bye_lint.readings import Readings
from bye_lint.records import Sample
from bye_lint.store import require_writable

#: What a score needs of the extra [model], by the name it is imported under.
_EXTRA = ("torch", "transformers", "sklearn", "scipy")

#: Returns the attention maps of samples.
Attention = Callable[[Sequence[Sample]], Sequence[FloatArray | None]]


def _none(samples: Sequence[Sample]) -> list[FloatArray | None]:
    return [None] * len(samples)


@dataclass(frozen=True)
class Scores:
    """What the model and the detector say of the records, one row each, in their order.

    Of a record with several questions they say what they say of the one that speaks for it
    (:meth:`bye_lint.readings.Readings.spokesmen`).

    Attributes
    ----------
    samples : sequence of Sample
        The question that each row is about, with its answer and images.
    question : sequence of int
        Which of its record's questions that is, counted from 1.
    rows : sequence of FeatureRow
        Without the attention maps, which lie in the cache; see :meth:`maps`.
    features : Features
    detection : Detection
    model : ResolvedModel
        The model that looked: the given one, or the one fine-tuned on the data.
    device, dtype : str
    fine_tuned : str
        How the model was fine-tuned by the check, or an empty string.
    attention : callable
        Returns the attention maps of samples.
    """

    samples: Sequence[Sample]
    question: Sequence[int]
    rows: Sequence[FeatureRow]
    features: Features
    detection: Detection
    model: ResolvedModel
    device: str
    dtype: str
    fine_tuned: str = ""
    attention: Attention = _none

    def maps(self, places: Iterable[int]) -> dict[int, tuple[FloatArray, tuple[int, int]]]:
        """Return attention map (layers, image tokens) and token grid (rows, columns) of some rows.

        Those of all rows need not fit into memory.
        """
        grids = {i: grid for i in places if (grid := self.rows[i].grid) is not None}
        attention = {i: self.rows[i].attention for i in grids}
        left = [i for i, found in attention.items() if found is None]
        if left:
            loaded = self.attention([self.samples[i] for i in left])
            attention |= dict(zip(left, loaded, strict=True))
        return {i: (found, grids[i]) for i, found in attention.items() if found is not None}


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
        """Return one row a sample, in their order; the attention may be left where it lies."""

    def attention(
        self, samples: Sequence[Sample], model: ResolvedModel
    ) -> Sequence[FloatArray | None]:
        """Return the attention maps of samples whose rows lack them, where there are any."""


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
    records: Sequence[Sample],
    policy: Policy,
    *,
    progress: Progress,
    source: RowSource | None = None,
) -> Scores:
    """Score records with the policy's model and detector.

    Each question of a record is a sample of its own. A model that was not given as fine-tuned first
    learns the samples, and with them canaries: copies of a few that carry known triggers. Those are
    read and judged along, so that the detector knows what it can see, and then left out.

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
    readings = Readings.of(records, policy.dataset.turns)
    samples = readings.samples
    kinds: tuple[str, ...] = ()
    copies: tuple[Sample, ...] = ()
    learned, losses, how = None, None, ""
    attention: Attention
    if tunes(policy):
        kinds, copies = plant(samples, policy, progress)
    everything = [*samples, *copies]
    kept = None
    if source is None:
        with progress.stage("cache", "Looking into the cache"):
            foreseen = foresee(readings, copies, model, policy, device, dtype)
        progress.say(plan_line(foreseen.plan))
        kept = foreseen.kept
    if tunes(policy):
        if source is None:
            tuned = fine_tune(model, everything, len(samples), policy, device, progress)
        else:
            tuned = source.fine_tuned(model, everything, settings(model, policy))
        model, learned, losses = tuned.model, tuned.learned, tuned.losses
        how = f"{tuned.steps} steps, loss {tuned.loss:.3f}, {len(copies)} canaries"
    if source is None:
        kept = kept or look_up(everything, model, device, dtype)
        rows = extract(everything, kept, model, policy, device, dtype, progress)
        attention = partial(kept_attention, model=model, device=device, dtype=dtype)
    else:
        rows = source.rows(everything, model)
        attention = partial(source.attention, model=model)
    canary = [""] * len(samples) + list(kinds)
    features = models.to_features(rows, everything, canary=canary if copies else ())
    if copies:
        features = replace(features, canary_kinds=wanted_kinds(samples))
    if learned is not None:
        known = np.where(features.is_canary, learned.astype(float), np.nan)
        features = replace(features, target_learned=known, loss=losses)
    with progress.stage("detect", "Looking for a second population"):
        detection = detect(features, policy)
    n = len(samples)
    spoken = readings.spokesmen(
        detection.suspicious[:n], detection.posterior[:n], detection.score[:n]
    )
    return Scores(
        [samples[i] for i in spoken],
        readings.question[spoken].tolist(),
        [rows[i] for i in spoken],
        features.select(spoken),
        detection.select(spoken),
        model,
        device,
        dtype,
        how,
        attention,
    )


def extract(
    samples: Sequence[Sample],
    kept: Kept,
    model: ResolvedModel,
    policy: Policy,
    device: str,
    dtype: str,
    progress: Progress,
) -> list[FeatureRow]:
    """Return the samples' rows: what the cache holds, and the rest read by the model."""
    present = [row for row in kept.rows if row is not None]
    if len(present) == len(kept.rows):
        return present
    require_writable(kept.store.folder)
    with progress.stage("load", f"Loading model {model.name}"):
        loaded = models.load_model(model, device=device, dtype=dtype)
    with progress.stage("extract", "Reading attention") as task:
        rows = models.extract(
            loaded,
            samples,
            batch_tokens=policy.model.batch_tokens,
            maps=True,
            store=kept.store,
            keys=kept.keys,
            known=kept.rows,
            leave=True,
            progress=Tally(task, len(samples)),
            max_pixels=policy.dataset.max_pixels,
        )
    kept.store.prune()
    return rows


class Tally:
    """Adds up what was just finished, for a task that wants to know how far it is."""

    def __init__(self, task: Task, total: int) -> None:
        self._task, self._total, self._done = task, total, 0

    def __call__(self, finished: int) -> None:
        self._done += finished
        self._task.update(self._done, self._total)


def detect(features: Features, policy: Policy) -> Detection:
    """Ask the policy's detector, and choose suspects at the gate's false-discovery rate if any."""
    detector = get_detector(policy.detection.method)
    found = detector.detect(features, policy.detection, seed=policy.seed)
    return found if policy.gate.fdr is None else at_fdr(found, policy.gate.fdr)
