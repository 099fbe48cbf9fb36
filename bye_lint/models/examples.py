"""Encoded examples, and what a model makes of their answers.

Logits are computed for answer tokens alone: batches are padded on the left, so that answers end
together. Where the vision tower is frozen its features are computed once per image
(``tower_features``) and only what follows them is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from bye_lint.models.memory import out_of_memory

IGNORED = -100
_POOL_BATCHES = 32


@dataclass(frozen=True, slots=True)
class Example:
    """One record, encoded: prompt and answer, ending in the end-of-turn token.

    Attributes
    ----------
    input_ids : (length,) int64 tensor
    answer_length : int
        So many tokens at the end are the answer's, the end-of-turn token included.
    images : tuple of str
        Keys of its images in ``features``, in their order; empty where ``inputs`` carries pixels.
    inputs : mapping
        What else the model's forward takes of the images (``pixel_values`` …), joined along the
        first axis.
    tokens : mapping
        What it takes of each token beside its id, the last axis ``length`` long: token types, and
        the positions of families that have their own.
    """

    input_ids: Tensor
    answer_length: int
    images: tuple[str, ...] = ()
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    tokens: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return int(self.input_ids.shape[0])


@torch.no_grad()
def tower_features(
    model: Any, images: Mapping[str, Tensor], *, batch_size: int = 64, bfloat16: bool = True
) -> dict[str, Tensor]:
    """Run the frozen vision tower of a LLaVA model once over every image.

    Parameters
    ----------
    images
        Key to pixel values ``(3, side, side)`` as the processor returns them.

    Returns
    -------
    dict
        Key to the tower's output before the projector, ``(image_tokens, width)``, in bfloat16 where
        that is what the run computes in.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    base, config = plain.model, plain.config
    device = next(base.vision_tower.parameters()).device
    features: dict[str, Tensor] = {}
    keys = list(images)
    for start in range(0, len(keys), batch_size):
        chunk = keys[start : start + batch_size]
        pixels = torch.stack([images[key] for key in chunk]).to(device)
        with autocast(device, bfloat16):
            states = base.vision_tower(pixel_values=pixels, output_hidden_states=True).hidden_states
        tokens = states[config.vision_feature_layer]
        if config.vision_feature_select_strategy == "default":
            tokens = tokens[:, 1:]
        tokens = tokens.to(torch.bfloat16) if bfloat16 else tokens
        features.update(zip(chunk, tokens.cpu().clone(), strict=True))
    return features


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    """Compute in bfloat16 where ``enabled``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()


def batch_order(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int
) -> Iterator[list[int]]:
    """Yield ``steps`` batches of indices: shuffled every epoch, like lengths together.

    Examples are drawn into pools of some batches, sorted by length inside a pool, and the pool's
    batches are shuffled, so that a batch wastes little on padding and lengths still come mixed.
    """
    rng = np.random.default_rng(seed)
    n, given = len(lengths), 0
    while given < steps:
        order = rng.permutation(n)
        for start in range(0, n, batch_size * _POOL_BATCHES):
            pool = order[start : start + batch_size * _POOL_BATCHES]
            pool = pool[np.argsort([lengths[i] for i in pool], kind="stable")]
            batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
            for chosen in rng.permutation(len(batches)):
                if given == steps:
                    return
                given += 1
                yield [int(i) for i in batches[chosen]]


def collate(examples: Sequence[Example], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Pad on the left; ``labels`` has only the answers' tokens."""
    length = max(e.length for e in examples)
    ids = torch.full((len(examples), length), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        ids[row, -example.length :] = example.input_ids
        mask[row, -example.length :] = 1
        labels[row, -example.answer_length :] = example.input_ids[-example.answer_length :]
    # Rotary positions are relative, but a row's first token should still stand at 0.
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    batch = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": positions,
        "labels": labels,
        **_join_tokens(examples, length),
        **join_images([e.inputs for e in examples]),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _join_tokens(examples: Sequence[Example], length: int) -> dict[str, Tensor]:
    """Pad what belongs to tokens with zeros on the left: (…, rows, length)."""
    return {
        name: torch.stack([pad(e.tokens[name], (length - e.length, 0)) for e in examples], dim=-2)
        for name in examples[0].tokens
    }


def join_images(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join images along the first axis, others padded with zeros where their sizes differ.

    Parameters
    ----------
    parts
        One record's each; tiled images come in as many tiles as they need.
    """
    joined: dict[str, Tensor] = {}
    for name in parts[0]:
        tensors = [part[name] for part in parts]
        inner = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
        widened = []
        for tensor in tensors:
            missing = [n - size for n, size in zip(inner, tensor.shape[1:], strict=True)]
            edges = [edge for gap in reversed(missing) for edge in (0, gap)]
            widened.append(pad(tensor, edges) if any(missing) else tensor)
        joined[name] = torch.cat(widened)
    return joined


def answer_logits(
    model: Any,
    examples: Sequence[Example],
    pad_id: int,
    features: Mapping[str, Tensor] | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return logits and labels of the answers' tokens alone, ``(k, vocab)`` and ``(k,)``."""
    batch: dict[str, Any] = dict(collate(examples, pad_id, device))
    labels = batch.pop("labels")
    kept = max(e.answer_length for e in examples) + 1
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if features is not None:
        ids = batch.pop("input_ids")
        embeds = plain.get_input_embeddings()(ids)
        seen = torch.stack([features[key] for e in examples for key in e.images]).to(device)
        projector = plain.model.multi_modal_projector
        if not torch.is_autocast_enabled(device.type):
            seen = seen.to(projector.linear_1.weight.dtype)
        seen = projector(seen).to(embeds.dtype)
        at_image = (ids == plain.config.image_token_id)[..., None]
        batch["inputs_embeds"] = embeds.masked_scatter(at_image, seen)
    if "logits_to_keep" in signature(plain.forward).parameters:
        batch["logits_to_keep"] = kept
    logits = model(**batch, use_cache=False).logits[:, -kept:-1]
    labels = labels[:, 1 - kept :]
    answered = labels != IGNORED
    return logits[answered].float(), labels[answered]


@torch.no_grad()
def answers_right(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    pad_id: int,
    features: Mapping[str, Tensor] | None = None,
    batch_size: int = 32,
    bfloat16: bool = True,
) -> NDArray[np.bool_]:
    """Tell for each example whether greedy decoding gives its answer exactly.

    Computed in one forward pass: every token of the answer is the likeliest after those before it.

    Parameters
    ----------
    batch_size : int
        Examples of a forward pass; halved where memory does not suffice.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = np.zeros(len(examples), dtype=bool)
    order = sorted(range(len(examples)), key=lambda i: examples[i].length)

    def hits(chosen: list[int]) -> list[bool] | None:
        """Return ``None`` where memory does not suffice; what the try held is free by then."""
        part = [examples[i] for i in chosen]
        try:
            with autocast(device, bfloat16):
                logits, labels = answer_logits(model, part, pad_id, features, device)
            found = torch.split(logits.argmax(-1) == labels, [e.answer_length for e in part])
            return [bool(hit.all()) for hit in found]
        except (MemoryError, RuntimeError) as error:
            if len(chosen) == 1 or not out_of_memory(error):
                raise
        return None

    start = 0
    while start < len(order):
        chosen = order[start : start + batch_size]
        found = hits(chosen)
        if found is None:
            torch.cuda.empty_cache()
            batch_size = len(chosen) // 2
            continue
        right[chosen] = found
        start += len(chosen)
    model.train(training)
    return right
