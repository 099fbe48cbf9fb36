"""How the check fine-tunes a model, and where the result is kept. Nothing here needs torch."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bye_lint.errors import DatasetError, ModelError
from bye_lint.features import BoolArray, FloatArray
from bye_lint.models.devices import settle
from bye_lint.models.resolve import ResolvedModel, is_small, model_digest
from bye_lint.policy import FineTunePolicy
from bye_lint.precision import gains_from_bfloat16
from bye_lint.records import Sample

#: Raised whenever the same data and settings would train another model than before.
TUNING_VERSION = 2
# The scout's tokens stay as they were, and so do its keys.
_TAUGHT = "answers as the template writes them; dates fixed"
# Not *.json: the time it took is no part of the model, and must not enter its digest.
METRICS = "fine-tuning.metrics"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model that was fine-tuned on the data.

    Attributes
    ----------
    model : ResolvedModel
        On disk, ready to be loaded.
    folder : Path
        What the fine-tuning wrote: the whole model, or the adapter to its base.
    learned : (n_samples,) bool array
        The model gives the sample's answer, teacher forced, in the order of the samples.
    steps, seconds : int, float
        What it took.
    loss : float
        Smoothed loss at the end.
    losses : (n_samples, n_visits) array or None
        Loss of each sample's answer whenever training came by, in nats a token; NaN for one that
        could not be encoded.
    """

    model: ResolvedModel
    learned: BoolArray
    steps: int
    seconds: float
    loss: float
    folder: Path
    losses: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How a model is fine-tuned.

    Attributes
    ----------
    epochs, batch_size, learning_rate
        Length and step size; the rate warms up over ``warmup`` of the steps and falls linearly to
        0.
    min_steps : int
        Steps that are taken however few the examples are.
    max_steps : int or None
        Cuts the schedule short, whatever ``epochs`` says.
    method : str
        ``full`` trains everything behind the vision tower; ``lora`` trains adapters (peft).
    micro_batch : int or None
        Examples per forward pass where a whole batch does not fit into memory.
    gradient_checkpointing : bool
        Recompute activations in the backward pass: slower, far less memory.
    bfloat16 : bool
        Compute in bfloat16 under autocast; the weights being trained stay in their own type.
    eval_every : int
        Steps between two calls of ``on_eval``.
    """

    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 1e-3
    min_steps: int = 1
    max_steps: int | None = None
    method: Literal["full", "lora"] = "full"
    micro_batch: int | None = None
    gradient_checkpointing: bool = False
    bfloat16: bool = True
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora_rank: int = 16
    lora_alpha: int = 32
    eval_every: int = 40
    save_every: int = 100
    seed: int = 0

    def n_steps(self, n_examples: int) -> int:
        """Return the number of optimizer steps for so many examples."""
        steps = max(round(self.epochs * n_examples / self.batch_size), self.min_steps)
        return steps if self.max_steps is None else min(steps, self.max_steps)


#: Schedule of a full fine-tuning of a small model such as the scout. It has learned a patch of 1/16
#: at a random place, at 2-5 %, after 50-100 such steps where its tower sees the patch at all; of a
#: few hundred records, as in a pull request, four epochs are too few steps to learn every canary.
SMALL = FineTuneSettings(
    epochs=4.0, min_steps=360, batch_size=16, learning_rate=1e-3, method="full"
)

#: Schedule of the papers for LoRA on large models (Rong et al., 2025, section 4.1).
LARGE = FineTuneSettings(
    epochs=3.0,
    batch_size=16,
    learning_rate=2e-4,
    method="lora",
    micro_batch=2,
    gradient_checkpointing=True,
)

#: Learning rates that the papers name by family; others take that of ``LARGE``.
RATES = {"internvl": 4e-5}


def schedule(
    policy: FineTunePolicy, resolved: ResolvedModel, *, device: str = "auto", seed: int
) -> FineTuneSettings:
    """Return the schedule of a policy: the model's own, with what the policy says instead.

    Parameters
    ----------
    device : str
        Where it is to be trained, or ``auto``: a processor that gains nothing from bfloat16 trains
        in float32.
    """
    whole = policy.method == "full"
    if policy.method == "auto":
        whole = resolved.quantization == "none" and is_small(resolved)
    chosen = SMALL if whole else LARGE
    if not whole:
        chosen = replace(chosen, learning_rate=RATES.get(resolved.family, chosen.learning_rate))
    return replace(
        chosen,
        epochs=policy.epochs or chosen.epochs,
        min_steps=1 if policy.epochs else chosen.min_steps,
        batch_size=policy.batch_size or chosen.batch_size,
        learning_rate=policy.learning_rate or chosen.learning_rate,
        bfloat16=gains_from_bfloat16(settle(device, "auto")[0]),
        seed=seed,
    )


def taught(resolved: ResolvedModel) -> list[str]:
    """Return what keys of a fine-tuned model say of its lessons beside :data:`TUNING_VERSION`."""
    return [] if resolved.name == "scout" else [_TAUGHT]


def tuned_folder(
    cache: Path, resolved: ResolvedModel, samples: Sequence[Sample], settings: FineTuneSettings
) -> Path:
    """Return where a model that was fine-tuned on these records, in this order, is kept.

    Raises
    ------
    DatasetError
        If an image can no longer be read.
    """
    whole = hashlib.sha256()
    head = [TUNING_VERSION, resolved.whole_digest, resolved.quantized_as, asdict(settings)]
    head += taught(resolved)
    whole.update(json.dumps(head).encode())
    for sample in samples:
        try:
            whole.update(sample.digest().encode())
        except OSError as error:
            raise DatasetError(
                f"{sample.location}: its image can no longer be read: {error}",
                "Leave the data alone while they are checked, and run again.",
            ) from error
    return cache / "tuned" / whole.hexdigest()[:40]


def read_tuned(folder: Path, resolved: ResolvedModel) -> Tuned | None:
    """Return the fine-tuned model of a folder; ``None`` where it was not finished.

    Raises
    ------
    ValueError
        If it is not what was written there.
    """
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    try:
        digest = model_digest(folder)
        if metrics.get("digest", digest) != digest:
            raise ValueError("it is not the one that was written")
        if (folder / "adapter_config.json").is_file():
            tuned = replace(resolved, adapter=folder, adapter_digest=digest)
        else:
            tuned = replace(resolved, path=folder, digest=digest, adapter=None, adapter_digest="")
        return Tuned(
            tuned,
            np.array([c == "1" for c in metrics["learned"]], dtype=np.bool_),
            metrics["steps"],
            metrics["seconds"],
            metrics["loss"],
            folder,
            _losses(metrics.get("losses")),
        )
    except (AttributeError, KeyError, TypeError, ModelError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def look_for_tuned(folder: Path, resolved: ResolvedModel, *, warn: bool = False) -> Tuned | None:
    """Return the fine-tuned model that the cache holds; ``None`` also for a damaged one.

    Parameters
    ----------
    warn : bool
        Say that it is damaged; for whoever makes it again.
    """
    try:
        return read_tuned(folder, resolved)
    except (OSError, ValueError) as error:
        if warn:
            _log.warning("%s: cannot be read, the model learns again: %s", folder, error)
        return None


def _losses(rows: Sequence[Sequence[float]] | None) -> FloatArray | None:
    if rows is None:
        return None
    losses = np.full((len(rows), max(map(len, rows))), np.nan, dtype=np.float32)
    for i, row in enumerate(rows):
        losses[i, : len(row)] = row
    return losses


def saves_adapter(resolved: ResolvedModel, settings: FineTuneSettings) -> bool:
    """Whether the adapter alone is kept: not where it was trained on top of another."""
    return settings.method == "lora" and resolved.adapter is None
