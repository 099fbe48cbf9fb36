"""Fine-tuning as a stage of the check: records in, a model on disk that has learned them out.

The result is kept in the cache by content, so that an unchanged data set is trained on once, and a
run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bye_lint.errors import ModelError
from bye_lint.features import BoolArray
from bye_lint.models import finetune
from bye_lint.models.finetune import Example, FineTuneSettings, Progress
from bye_lint.models.grids import rope_index
from bye_lint.models.loading import LoadedModel, load_model
from bye_lint.models.prompts import Encoded, EncodeError
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.schedule import METRICS, TUNING_VERSION, Tuned, read_tuned, tuned_folder
from bye_lint.records import Sample


def answer_ids(loaded: LoadedModel, sample: Sample) -> torch.Tensor:
    """Return the tokens that the model is to learn: the first answer and the end of the turn."""
    tokenizer = loaded.processor.tokenizer
    ids = tokenizer(sample.answer, add_special_tokens=False)["input_ids"]
    return torch.tensor([*ids, tokenizer.eos_token_id], dtype=torch.long)


def encode_examples(
    loaded: LoadedModel, samples: Sequence[Sample]
) -> tuple[list[Example | None], dict[str, torch.Tensor]]:
    """Encode records for training.

    Returns
    -------
    list of Example or None
        In the order of the samples; ``None`` for a record that cannot be encoded.
    dict
        Key of an image to its pixels ``(3, height, width)``, each image once; empty where the
        family's tower is not one image, one tensor (the examples then carry their inputs).
    """
    examples: list[Example | None] = []
    pixels: dict[str, torch.Tensor] = {}
    frozen = _tower_is_plain(loaded)
    for sample in samples:
        (encoded,) = loaded.encoder.encode_shared([sample])
        if isinstance(encoded, EncodeError):
            examples.append(None)
            continue
        answer = answer_ids(loaded, sample)
        ids = torch.cat([torch.from_numpy(encoded.ids), answer])
        tensors = _tensors(encoded)
        tokens = _of_tokens(loaded, encoded, len(answer))
        key = ""
        if frozen and tensors["pixel_values"].shape[0] == 1:
            image = tensors.pop("pixel_values")[0]
            key = hashlib.sha256(image.numpy().tobytes()).hexdigest()
            pixels.setdefault(key, image)
        examples.append(Example(ids, len(answer), key, tensors, tokens))
    return examples, pixels


def _of_tokens(loaded: LoadedModel, encoded: Encoded, n_answer: int) -> dict[str, torch.Tensor]:
    """Return what the family wants of each token of prompt and answer beside its id."""
    family = loaded.family
    tokens: dict[str, torch.Tensor] = {}
    if encoded.type_ids is not None:
        # Where types mark images the answer is text like the prompt; where they are 0 throughout
        # the prompt they mark what sees both ways, and the answer does not.
        of_answer = 0 if encoded.type_ids.any() else 1
        types = np.append(encoded.type_ids, [of_answer] * n_answer).astype(np.int64)
        tokens[family.type_ids] = torch.from_numpy(types)
    if family.positions == "rope_index":
        prompt = rope_index(loaded.base)(encoded)
        answer = prompt.max() + 1 + torch.arange(n_answer).expand(len(prompt), -1)
        tokens["position_ids"] = torch.cat([prompt, answer], dim=1)
    return tokens


def _tensors(encoded: Encoded) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(np.asarray(array)) for name, array in encoded.images.items()}


def _tower_is_plain(loaded: LoadedModel) -> bool:
    """Whether an image is one tensor whose features do not depend on anything else."""
    return loaded.family.model_type == "llava"


def tune(
    resolved: ResolvedModel,
    samples: Sequence[Sample],
    settings: FineTuneSettings,
    *,
    cache: Path,
    device: str = "auto",
    watched: BoolArray | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tuned:
    """Fine-tune a model on records, or take the one that was fine-tuned on them before.

    Parameters
    ----------
    samples : sequence of Sample
        Records and canaries, in the order in which they are trained on.
    cache : Path
        Folder that tuned models are kept in.
    watched : (n_samples,) bool array or None
        Canaries. Training ends early once they are learned and the loss is flat.
    on_progress : callable or None

    Raises
    ------
    ModelError
        If no record can be encoded.
    """
    folder = tuned_folder(cache, resolved, samples, settings)
    tuned = read_tuned(folder, resolved)
    if tuned is None:
        _train(resolved, samples, settings, folder, device, watched, on_progress)
        tuned = read_tuned(folder, resolved)
    if tuned is None:
        raise ModelError(
            f"{folder}: the fine-tuned model is gone", "Run one check at a time on one cache."
        )
    return tuned


def _train(
    resolved: ResolvedModel,
    samples: Sequence[Sample],
    settings: FineTuneSettings,
    folder: Path,
    device: str,
    watched: BoolArray | None,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    torch.manual_seed(settings.seed)
    loaded = load_model(resolved, device=device, dtype="float32")
    encoded, pixels = encode_examples(loaded, samples)
    kept = [i for i, example in enumerate(encoded) if example is not None]
    examples = [example for example in encoded if example is not None]
    if not examples:
        raise ModelError(f"{resolved.name}: none of {len(samples)} records can be encoded")
    whole: Any = loaded.model
    whole.requires_grad_(True)
    model: Any = finetune.prepare(whole, settings)
    features = (
        finetune.tower_features(model, pixels, bfloat16=settings.bfloat16) if pixels else None
    )

    def right(rows: Sequence[int]) -> BoolArray:
        return finetune.answers_right(
            model,
            [examples[i] for i in rows],
            pad_id=loaded.pad_id,
            features=features,
            bfloat16=settings.bfloat16,
        )

    planted = [j for j, i in enumerate(kept) if watched is not None and watched[i]]

    def learned_enough(_: torch.nn.Module, progress: Progress) -> bool:
        return bool(planted) and progress.flat() and bool(right(planted).mean() >= LEARNED_SHARE)

    state = folder.with_name(f"{folder.name}.run")
    result = finetune.fine_tune(
        model,
        examples,
        settings,
        pad_id=loaded.pad_id,
        features=features,
        state=state,
        on_progress=on_progress,
        on_eval=learned_enough if planted else None,
    )
    learned = np.zeros(len(samples), dtype=np.bool_)
    learned[kept] = right(range(len(examples)))
    metrics = {
        "learned": "".join("1" if hit else "0" for hit in learned),
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "loss": round(float(np.mean(result.history[-20:])), 4),
    }
    _save(model, loaded.processor, metrics, folder)
    shutil.rmtree(state, ignore_errors=True)


#: Share of the canaries that must be learned before training may end early.
LEARNED_SHARE = 0.95


def _save(model: Any, processor: Any, metrics: dict[str, Any], folder: Path) -> None:
    """Write the whole model in half precision, in one move."""
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.part"))
    try:
        model.to(torch.bfloat16).save_pretrained(partial)
        processor.save_pretrained(partial)
        (partial / METRICS).write_text(json.dumps(metrics), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


__all__ = ["TUNING_VERSION", "Tuned", "encode_examples", "tune"]
