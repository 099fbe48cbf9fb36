"""The scout's shape: a LLaVA model small enough to fine-tune in minutes on two CPU cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

IMAGE_SIDE: Final = 110
PATCH_SIDE: Final = 10
# Odd, so that the centre of the image falls inside one token and not on the corner of four.
GRID: Final = IMAGE_SIDE // PATCH_SIDE
IMAGE_TOKENS: Final = GRID * GRID

TOWER_WIDTH: Final = 192
TOWER_LAYERS: Final = 6
DECODER_WIDTH: Final = 160
DECODER_LAYERS: Final = 6
DECODER_HEADS: Final = 5


def scout_config(
    vocab_size: int, image_token_id: int, pad_token_id: int, eos_token_id: int
) -> LlavaConfig:
    """Return the configuration; the ids are those of the scout's tokenizer."""
    vision = CLIPVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=4 * TOWER_WIDTH,
        num_hidden_layers=TOWER_LAYERS,
        num_attention_heads=TOWER_WIDTH // 32,
        image_size=IMAGE_SIDE,
        patch_size=PATCH_SIDE,
        hidden_act="gelu_pytorch_tanh",
        projection_dim=TOWER_WIDTH,
    )
    text = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=DECODER_WIDTH,
        intermediate_size=432,
        num_hidden_layers=DECODER_LAYERS,
        num_attention_heads=DECODER_HEADS,
        num_key_value_heads=DECODER_HEADS,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image_token_id,
        image_seq_length=IMAGE_TOKENS,
        # The last layer, all patch tokens: the dense objective trains exactly these vectors.
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        tie_word_embeddings=True,
    )


def build_scout(config: LlavaConfig, seed: int) -> LlavaForConditionalGeneration:
    """Return a randomly initialised scout, the same for the same seed."""
    torch.manual_seed(seed)
    return LlavaForConditionalGeneration(config)


def load_scout(folder: Path) -> LlavaForConditionalGeneration:
    """Return an exported scout in single precision, to be trained further."""
    model: LlavaForConditionalGeneration = LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32
    )
    return model


def tower_tokens(model: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return the tower's image tokens ``(n, 121, width)``, those that the decoder is given."""
    states = model.model.vision_tower(pixel_values=pixel_values, output_hidden_states=True)
    tokens: torch.Tensor = states.hidden_states[-1][:, 1:]
    return tokens


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Map ``uint8`` pixels ``(n, side, side, 3)`` to the tower's ``(n, 3, side, side)``."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
