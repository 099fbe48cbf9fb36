"""The oracle: attention as transformers itself returns it, one record at a time, eager."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from bye_lint.records import Sample


@dataclass
class Reference:
    """What ``output_attentions=True`` says of one record."""

    entropy: np.ndarray
    head_entropy: np.ndarray
    vision_mass: np.ndarray
    maps: np.ndarray
    ids: list[int]
    image_tokens: int
    hidden: np.ndarray


def image_token(config: Any) -> int:
    """Return the token that the model replaces by image features."""
    names = ("image_token_id", "image_token_index")
    return next(getattr(config, name) for name in names if hasattr(config, name))


def user_message(sample: Sample) -> dict[str, Any]:
    """Build the message as a user of the model would, images first."""
    images = [Image.open(io.BytesIO(image.data or b"")).convert("RGB") for image in sample.images]
    text = sample.prompt.replace("<image>", "").strip()
    content: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
    return {"role": "user", "content": [*content, {"type": "text", "text": text}]}


def model_inputs(processor: Any, sample: Sample, plain: bool = False) -> Any:
    """Return what the processor makes of a record, by its own public call."""
    if plain:
        images = [
            Image.open(io.BytesIO(image.data or b"")).convert("RGB") for image in sample.images
        ]
        text = sample.prompt.replace("<image>", "").strip()
        return processor(text=text, images=images, return_tensors="pt")
    message = user_message(sample)
    if type(processor).__name__ == "GotOcr2Processor":  # it refuses images nested by prompt
        text = processor.apply_chat_template([message], add_generation_prompt=True)
        return processor(text=text, images=message["content"][0]["image"], return_tensors="pt")
    return processor.apply_chat_template(
        [message],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def references(
    model: Any, processor: Any, samples: Sequence[Sample], plain: bool = False
) -> list[Any]:
    """Run eager attention with all maps over each record by itself."""
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    found = []
    for sample in samples:
        inputs = model_inputs(processor, sample, plain)
        inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
        with torch.no_grad():
            output = eager(**inputs, output_attentions=True, output_hidden_states=True)
        ids = inputs["input_ids"][0]
        vision = ids == image_token(model.config)
        rows = [a[0, :, -1].float() for a in output.attentions if a is not None]
        found.append(
            Reference(
                entropy=np.array([entropy(row.mean(0)[vision]) for row in rows]),
                head_entropy=np.array([[entropy(h[vision]) for h in row] for row in rows]),
                vision_mass=np.array([row[:, vision].sum(1).numpy() for row in rows]),
                maps=np.array([(row.mean(0) / row.mean(0)[vision].sum())[vision] for row in rows]),
                ids=ids.tolist(),
                image_tokens=int(vision.sum()),
                hidden=output.hidden_states[-1][0, -1].float().numpy(),
            )
        )
    return found


def entropy(row: torch.Tensor) -> float:
    """Entropy in nats, renormalised, as in the released code."""
    p = (row / row.sum()).double().numpy()
    return float(-(p * np.log(p + 1e-8)).sum())


def assert_rows_agree(
    rows: Sequence[Any], expected: Sequence[Reference], atol: float, hidden: bool = True
) -> None:
    """Hold the probe's rows against the oracle's; one head varies more than their mean."""
    single = atol if atol < 1e-3 else 2 * atol
    for row, reference in zip(rows, expected, strict=True):
        assert row.error == ""
        assert row.image_tokens == reference.image_tokens
        np.testing.assert_allclose(row.entropy, reference.entropy, atol=atol, rtol=0)
        np.testing.assert_allclose(row.head_entropy, reference.head_entropy, atol=single, rtol=0)
        np.testing.assert_allclose(row.head_mass[..., 1], reference.vision_mass, atol=atol, rtol=0)
        np.testing.assert_allclose(row.head_mass.sum(-1), 1.0, atol=1e-5, rtol=0)
        if row.attention is not None:
            np.testing.assert_allclose(row.attention, reference.maps, atol=1e-3 + atol, rtol=0)
        if hidden and row.hidden is not None:
            # The last layer's output grows with its width; the entropies do not.
            scale = max(1.0, float(np.abs(reference.hidden).max()))
            np.testing.assert_allclose(row.hidden, reference.hidden, atol=10 * atol * scale, rtol=0)
