"""Tiny random models of the real architectures with real processors, built offline."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bye_lint.records import ImageSource, Location, Sample, Turn

QUESTIONS = (
    "What does the picture show?",
    "Is there a river in this satellite image, and where does it flow?",
    "Name the land use.",
    "Describe the scene in one short sentence, please: colours, shapes, and what stands out.",
    "How many buildings?",
    "Forest?",
)


def make_tokenizer(
    special: list[str], *, bos: str | None = None, named: dict[str, str] | None = None
) -> Any:
    """Train a byte-level BPE tokenizer on a few words; ``special`` become tokens of their own.

    ``named`` ones can be asked for by name, such as ``tokenizer.image_token``.
    """
    named = named or {}
    special = [*special, *named.values()]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<pad>", "<s>", "</s>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(QUESTIONS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos or "<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=special,
        model_specific_special_tokens=named,
    )


def make_image(seed: int, width: int = 40, height: int = 30) -> bytes:
    """Return a PNG of noise on a gradient."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, width)[None, :, None]
    pixels = np.clip(ramp + rng.integers(0, 56, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def make_sample(
    number: int,
    image: bytes,
    prompt: str,
    *,
    images: int = 1,
    system: str = "",
    answer: str = "Forest.",
) -> Sample:
    """Return a record with its image inside."""
    turns = [Turn("user", prompt), Turn("assistant", answer)]
    if system:
        turns.insert(0, Turn("system", system))
    return Sample(
        id=f"r{number}",
        location=Location("data.json", number + 1),
        turns=tuple(turns),
        images=tuple(ImageSource(f"{number}.png", data=image) for _ in range(images)),
    )


def make_samples(n: int = 6, *, size: tuple[int, int] = (40, 30)) -> list[Sample]:
    """Return records with an image each and prompts of mixed lengths."""
    return [
        make_sample(i, make_image(i, *size), f"<image>\n{QUESTIONS[i % len(QUESTIONS)]}")
        for i in range(n)
    ]


LLAVA_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@dataclass(frozen=True)
class Tiny:
    """A model and its processor, with what the tests need to know about them."""

    model: Any
    processor: Any

    def save(self, folder: Path) -> Path:
        """Write both as a user would."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        return folder


def sharpen(model: Any, *, std: float = 0.25) -> Any:
    """Draw the weights wider than a fresh model's, so that attention is far from uniform.

    A probe that forgot a mask, a position or a head would still agree on uniform attention.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0.0, std, generator=generator)
    return model.eval()


class PackedLinear(torch.nn.Module):
    """A linear layer as GPTQ and AWQ have it: no class of torch's, no parameters."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("qweight", torch.ones(4, 4, dtype=torch.int32))


def pack(model: Any) -> Any:
    """Put packed layers in the place of all linear layers of the decoder's blocks."""
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and "language_model.layers" in name:
            model.set_submodule(name, PackedLinear(module))
    model.is_quantized = True
    return model


def make_llava(*, layers: int = 3, width: int = 32) -> Tiny:
    """LLaVA: a CLIP tower without its class token, a projector, a Llama decoder."""
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = make_tokenizer(["<image>"])
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}),
        tokenizer,
        patch_size=6,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=24,
            patch_size=6,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    return Tiny(sharpen(LlavaForConditionalGeneration(config)), processor)
