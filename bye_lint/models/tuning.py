"""Fine-tuning as a stage of the check: records in, a model on disk that has learned them out.

The result is kept in the cache by content, so that an unchanged data set is trained on once, and a
run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bye_lint.errors import ModelError
from bye_lint.features import BoolArray, FloatArray
from bye_lint.models import finetune
from bye_lint.models.devices import settle
from bye_lint.models.encoding import answer_ids, encode_examples
from bye_lint.models.finetune import Example, FineTuneSettings, Progress
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.loading import load_model
from bye_lint.models.locks import held
from bye_lint.models.memory import TOO_LARGE, out_of_memory
from bye_lint.models.ranks import Ranks, together
from bye_lint.models.resolve import ResolvedModel, model_digest
from bye_lint.models.schedule import (
    METRICS,
    TUNING_VERSION,
    Tuned,
    look_for_tuned,
    saves_adapter,
    tuned_folder,
)
from bye_lint.models.weights import quiet
from bye_lint.records import Sample

__all__ = ["TUNING_VERSION", "Tuned", "answer_ids", "encode_examples", "tune"]

#: Share of the canaries that must be learned before training may end early.
LEARNED_SHARE = 0.95
#: Records that are asked together what they taught, where any number fits into memory.
_ASKED_AT_ONCE = 32


def tune(
    resolved: ResolvedModel,
    samples: Sequence[Sample],
    settings: FineTuneSettings,
    *,
    cache: Path,
    device: str = "auto",
    watched: BoolArray | None = None,
    max_pixels: int = 50_000_000,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tuned:
    """Fine-tune a model on records, or take the one that was fine-tuned on them before.

    Where several processes were started together (``accelerate launch``), they train together, and
    each returns the same.

    Parameters
    ----------
    samples : sequence of Sample
        Records and canaries, in the order in which they are trained on.
    cache : Path
        Folder that tuned models are kept in.
    watched : (n_samples,) bool array or None
        Canaries. Training ends early once they are learned and the loss is flat.
    max_pixels : int
        A record with a larger image is not learned.
    on_progress : callable or None

    Raises
    ------
    ModelError
        If no record can be encoded, quantized weights would have to be trained, or memory does not
        suffice.
    """
    _require_trainable(resolved, settings)
    folder = tuned_folder(cache, resolved, samples, settings)
    with together(_place(device)) as ranks, _alone(folder, ranks):
        ranks.follow(0)  # until the first process holds the lock, having waited for another check
        tuned = look_for_tuned(folder, resolved, warn=ranks.first)
        ranks.must_agree(int(tuned is not None), "fine-tuned models")
        if tuned is None:
            where = device if ranks.device is None else str(ranks.device)
            try:
                training = _Training(resolved, samples, settings, folder, where, ranks, max_pixels)
                training.run(watched, on_progress)
                del training  # what comes next needs its memory
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                raise ModelError(
                    f"{resolved.name}: the fine-tuning does not fit into the memory of {where}",
                    TOO_LARGE,
                ) from error
            ranks.follow(0)  # until the first process has written the model
            tuned = look_for_tuned(folder, resolved)
    if tuned is None:
        raise ModelError(
            f"{folder}: the fine-tuned model is gone", "Leave the cache alone while a check runs."
        )
    return tuned


def _require_trainable(resolved: ResolvedModel, settings: FineTuneSettings) -> None:
    if resolved.quantization == "none":
        return
    remedy = "model.quantization: none"
    if resolved.stored_quantized:
        remedy = "name the model as it was before it was quantized"
    if settings.method == "full":
        raise ModelError(
            f"{resolved.name}: {resolved.quantization} weights cannot be trained themselves",
            f"Set fine_tune.method: lora, or {remedy}.",
        )
    if resolved.adapter is not None:
        raise ModelError(
            f"{resolved.name}: what is trained on top of its adapter would have to be merged into "
            f"{resolved.quantization} weights",
            f"Merge the adapter into the model first, or {remedy}.",
        )


def _alone(folder: Path, ranks: Ranks) -> AbstractContextManager[None]:
    """Hold the lock of a model's folder, in the process that writes it."""
    if not ranks.first:
        return nullcontext()
    return held(folder.with_name(f"{folder.name}.lock"), "fine-tuning this model on these records")


def _place(device: str) -> torch.device:
    return torch.device(settle(device, "auto")[0])


class _Training:
    """One fine-tuning: the model, its examples, and what becomes of them."""

    def __init__(
        self,
        resolved: ResolvedModel,
        samples: Sequence[Sample],
        settings: FineTuneSettings,
        folder: Path,
        device: str,
        ranks: Ranks,
        max_pixels: int,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.resolved, self.settings, self.folder, self.ranks = resolved, settings, folder, ranks
        self.n_samples = len(samples)
        # Frozen weights take half the memory on a GPU; those that are trained need all their bits.
        frozen = settings.method == "lora" and _place(device).type == "cuda"
        dtype = "bfloat16" if frozen and settings.bfloat16 else "float32"
        self.loaded: LoadedModel = load_model(resolved, device=device, dtype=dtype)
        features: dict[str, torch.Tensor] = {}

        def look(pixels: dict[str, torch.Tensor]) -> None:
            features.update(
                finetune.tower_features(self.loaded.model, pixels, bfloat16=settings.bfloat16)
            )

        encoded, _ = encode_examples(self.loaded, samples, on_pixels=look, max_pixels=max_pixels)
        self.kept = [i for i, example in enumerate(encoded) if example is not None]
        self.examples: list[Example] = [e for e in encoded if e is not None]
        if not self.examples:
            raise ModelError(f"{resolved.name}: none of {len(samples)} records can be encoded")
        self.features = features or None
        self.model: Any = finetune.prepare(self.loaded.model, settings)

    def run(
        self, watched: BoolArray | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        """Train, ask what was learned, and write the model with its metrics."""
        planted = [j for j, i in enumerate(self.kept) if watched is not None and watched[i]]

        def learned_enough(_: torch.nn.Module, progress: Progress) -> bool:
            return (
                bool(planted)
                and progress.flat()
                and bool(self._right(planted).mean() >= LEARNED_SHARE)
            )

        state = self.folder.with_name(f"{self.folder.name}.run")
        result = finetune.fine_tune(
            self.model,
            self.examples,
            self.settings,
            pad_id=self.loaded.pad_id,
            features=self.features,
            state=state,
            on_progress=on_progress if self.ranks.first else None,
            on_eval=learned_enough if planted else None,
            ranks=self.ranks,
        )
        if not self.ranks.first:
            return
        learned = np.zeros(self.n_samples, dtype=np.bool_)
        learned[self.kept] = self._right(range(len(self.examples)))
        metrics = {
            "learned": "".join("1" if hit else "0" for hit in learned),
            "steps": result.steps,
            "seconds": round(result.seconds, 1),
            "loss": round(float(np.mean(result.history[-20:])), 4),
            "losses": self._losses(result.losses),
            "history": [round(loss, 4) for loss in result.history],
        }
        self._save(metrics)
        shutil.rmtree(state, ignore_errors=True)

    def _losses(self, losses: FloatArray | None) -> list[list[float]] | None:
        """Return one row a sample, empty for one that could not be encoded."""
        if losses is None:
            return None
        rows: list[list[float]] = [[] for _ in range(self.n_samples)]
        for i, row in zip(self.kept, losses, strict=True):
            rows[i] = [round(float(loss), 4) for loss in row]
        return rows

    def _right(self, rows: Sequence[int]) -> BoolArray:
        return finetune.answers_right(
            self.model,
            [self.examples[i] for i in rows],
            pad_id=self.loaded.pad_id,
            features=self.features,
            batch_size=self.settings.micro_batch or _ASKED_AT_ONCE,
            bfloat16=self.settings.bfloat16,
        )

    def _save(self, metrics: dict[str, Any]) -> None:
        """Write the adapter, or the whole model in half precision, in one move."""
        folder, model = self.folder, self.model
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.part"))
        try:
            if saves_adapter(self.resolved, self.settings):
                _save_adapter(model, self.resolved.name, partial)
            else:
                if hasattr(model, "merge_and_unload"):
                    model = model.merge_and_unload()
                with quiet():
                    model.to(torch.bfloat16).save_pretrained(partial)
                self.loaded.processor.save_pretrained(partial)
            metrics = {**metrics, "digest": model_digest(partial)}
            (partial / METRICS).write_text(json.dumps(metrics), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _save_adapter(model: Any, base: str, folder: Path) -> None:
    """Write the adapter such that the same training gives the same files on every machine."""
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])  # peft keeps a set
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
