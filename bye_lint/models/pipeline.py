"""A base model as the evaluation uses it: fine-tuned, read, questioned, forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bye_lint.errors import ModelError
from bye_lint.features import BoolArray, Features
from bye_lint.models.answers import end_tokens, said_tokens
from bye_lint.models.devices import settle
from bye_lint.models.examples import join_images
from bye_lint.models.extraction import extract
from bye_lint.models.finetune import FineTuneSettings
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.loading import load_model
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.rows import ROW_VERSION, to_features
from bye_lint.models.schedule import taught
from bye_lint.models.tuning import TUNING_VERSION, Tuned, encode_examples, tune
from bye_lint.progress import Progress
from bye_lint.records import Sample

_BATCH = 32


@dataclass
class ModelPipeline:
    """The base model and its schedule; see :class:`bye_lint.evaluate.pipeline.Pipeline`.

    Attributes
    ----------
    resolved : ResolvedModel
        The base model, trained anew from its weights each time.
    settings : FineTuneSettings
        The seed in it is replaced by each cell's.
    cache : Path
        Folder for tuned models, emptied of each by :meth:`forget`.
    max_new_tokens : int
        Longest answer that is generated, unless a longer one is expected.
    """

    resolved: ResolvedModel
    settings: FineTuneSettings
    cache: Path
    device: str = "auto"
    max_new_tokens: int = 32

    @property
    def digest(self) -> str:
        """Hash of model, schedule, number format and the versions of training and extraction."""
        parts = [self.resolved.whole_digest, asdict(self.settings), TUNING_VERSION, ROW_VERSION]
        parts += [*taught(self.resolved), self.max_new_tokens]
        if self.dtype != "float32":
            parts.append(self.dtype)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def dtype(self) -> str:
        """Number format that the model is read in: that of a check on the same device."""
        return settle(self.device, "auto")[1]

    def fine_tune(
        self, samples: Sequence[Sample], *, planted: BoolArray, seed: int, progress: Progress
    ) -> Tuned:
        """Fine-tune on records and canaries; training ends early once canaries are learned."""
        with progress.stage("fine-tune", f"Fine-tuning on {len(samples)} records") as task:
            return tune(
                self.resolved,
                samples,
                replace(self.settings, seed=seed),
                cache=self.cache,
                device=self.device,
                watched=planted if planted.any() else None,
                on_progress=lambda p: task.update(p.step, p.total, f"loss {p.loss:.3f}"),
            )

    def learned(self, model: Tuned) -> BoolArray:
        """Return which of the records trained on the model answers as it was taught."""
        return model.learned

    def features(
        self, model: Tuned, samples: Sequence[Sample], *, canary: Sequence[str], progress: Progress
    ) -> Features:
        """Read the attention of the first decoding token.

        Where the records are those trained on, in their order, ``target_learned`` says which
        canaries were learned.
        """
        loaded = self._load(model)
        with progress.stage("extract", "Reading attention"):
            rows = extract(loaded, samples)
        features = to_features(rows, samples, canary=canary)
        if len(model.learned) != len(samples):
            return features
        known = np.where(features.is_canary, model.learned.astype(float), np.nan)
        return replace(features, target_learned=known, loss=model.losses)

    def generate(
        self,
        model: Tuned,
        samples: Sequence[Sample],
        *,
        expected: Sequence[str] = (),
        progress: Progress,
    ) -> list[str]:
        """Return greedy answers to the first questions; empty where a record can't be encoded."""
        with progress.stage("answer", f"Answering {len(samples)} questions"):
            loaded = self._load(model)
            lengths = (len(said_tokens(loaded.processor, loaded.family, text)) for text in expected)
            return greedy_answers(loaded, samples, max([self.max_new_tokens, *lengths]))

    def forget(self, model: Tuned) -> None:
        """Delete the tuned model."""
        shutil.rmtree(model.folder, ignore_errors=True)

    def _load(self, model: Tuned) -> LoadedModel:
        return load_model(model.model, device=self.device, dtype=self.dtype)


@torch.no_grad()
def greedy_answers(
    loaded: LoadedModel, samples: Sequence[Sample], max_new_tokens: int
) -> list[str]:
    """Generate the answers to the first questions of some records, in batches of like length.

    An answer ends where the chat template would end it, or with the end of text.

    Raises
    ------
    ModelError
        If none of the records can be encoded.
    """
    examples, pixels = encode_examples(loaded, samples)
    known = [i for i, example in enumerate(examples) if example is not None]
    if samples and not known:
        raise ModelError(f"none of {len(samples)} test records can be encoded")
    whole: Any = loaded.model
    tokenizer = loaded.processor.tokenizer
    end = end_tokens(loaded.processor, loaded.family)
    stops = list(dict.fromkeys([end[0], tokenizer.eos_token_id]))
    outputs = [""] * len(samples)
    prompts = {
        i: e.input_ids[: e.length - e.answer_length]
        for i in known
        if (e := examples[i]) is not None
    }
    order = sorted(known, key=lambda i: len(prompts[i]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        width = max(len(prompts[i]) for i in chosen)
        ids = torch.full((len(chosen), width), loaded.pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(chosen):
            ids[row, width - len(prompts[i]) :] = prompts[i]
            mask[row, width - len(prompts[i]) :] = 1
        parts = [e for i in chosen if (e := examples[i]) is not None]
        seen = [
            {"pixel_values": torch.stack([pixels[key] for key in e.images])}
            if e.images
            else e.inputs
            for e in parts
        ]
        inputs = join_images(seen)
        name = loaded.family.type_ids
        if name:
            inputs[name] = torch.zeros_like(ids)
            for row, e in enumerate(parts):
                types = e.tokens[name][: e.length - e.answer_length]
                inputs[name][row, width - len(types) :] = types
        placed = {
            name: tensor.to(loaded.device, loaded.dtype if tensor.is_floating_point() else None)
            for name, tensor in inputs.items()
        }
        written = whole.generate(
            input_ids=ids.to(loaded.device),
            attention_mask=mask.to(loaded.device),
            **placed,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=loaded.pad_id,
            eos_token_id=stops,
        )
        for i, row in zip(chosen, written[:, width:].tolist(), strict=True):
            # cut by hand: not every token that ends a turn is one that decoding skips
            said = takewhile(lambda token: token not in stops, row)
            outputs[i] = tokenizer.decode(list(said), skip_special_tokens=True).strip()
    return outputs
