"""Model families as rows of data. A family is supported when its row stands here and
``tests/models`` has held its probe against eager attention; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bye_lint.errors import UnsupportedModelError

Positions = Literal["sequence", "rope_index"]
Grid = Literal["none", "square", "patches", "grid_thw", "spatial_shapes"]


@dataclass(frozen=True, slots=True)
class Family:
    """How the attention of one architecture is read.

    Attributes
    ----------
    model_type : str
        ``model_type`` of the configuration.
    title : str
        Name as its authors write it.
    decoder : str
        Path of the language model below the base model (the class without the head).
    positions : str
        ``sequence``: 0, 1, 2, … ; ``rope_index``: the model's own multimodal positions.
    causal : bool
        Each token sees only those before it, so that records about one image can share the
        keys and values of their common beginning. False where image tokens (or the whole prompt)
        see each other both ways, or where a token's place in the row counts.
    whole_tower : bool
        The vision tower's last layer is taken, whatever ``vision_feature_layer`` says.
    trim_last : bool
        The last decoder layer may be run for the last prompt position alone.
    type_ids : str
        Name of the token-type input that the model needs beside the token ids, if any.
    grid : str
        How image tokens are laid out: a known grid of ``patches``, ``grid_thw`` or
        ``spatial_shapes``, a ``square`` where there is one tile and the count is a square number,
        or ``none``.
    tiles : bool
        The processor enlarges small images to cut them into tiles.
    plain_prompt : str
        Prompt for families whose processor has no chat template, made of ``{images}``, ``{bos}``
        and ``{text}``.
    note : str
        What is special, for the documentation.
    """

    model_type: str
    title: str
    decoder: str = "language_model"
    positions: Positions = "sequence"
    causal: bool = True
    whole_tower: bool = False
    trim_last: bool = True
    type_ids: str = ""
    grid: Grid = "square"
    tiles: bool = False
    plain_prompt: str = ""
    note: str = ""


_QWEN_POSITIONS = "multimodal rotary positions; the token count follows the image's size"

_ROWS = (
    Family("llava", "LLaVA 1.5 and relatives", grid="patches", note="fixed token count"),
    Family("aya_vision", "Aya Vision", tiles=True, note="tiles and a thumbnail; sliding windows"),
    Family(
        "cohere2_vision",
        "Command A Vision",
        tiles=True,
        note="tiles and a thumbnail; sliding windows",
    ),
    Family("deepseek_vl", "DeepSeek-VL", note="fixed token count"),
    Family("fast_vlm", "FastVLM", note="fixed token count; a convolutional tower"),
    Family(
        "gemma3",
        "Gemma 3",
        causal=False,
        type_ids="token_type_ids",
        note="image tokens see each other both ways; sliding windows",
    ),
    Family(
        "glm46v",
        "GLM-4.6V",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family(
        "glm4v",
        "GLM-4.1V",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family("got_ocr2", "GOT-OCR 2.0", note="fixed token count"),
    Family(
        "granite4_vision",
        "Granite 4 Vision",
        whole_tower=True,
        grid="none",
        note="tiles, row ends as image tokens; image features are added at several layers",
    ),
    Family("idefics2", "Idefics2", decoder="text_model", grid="none", note="a resampler"),
    Family("idefics3", "Idefics3", decoder="text_model", tiles=True, note="tiles and a thumbnail"),
    Family("internvl", "InternVL 2.5, 3 and 3.5", tiles=True, note="tiles and a thumbnail"),
    Family(
        "lfm2_vl",
        "LFM2-VL",
        grid="spatial_shapes",
        note="only its full-attention layers are read; tiles and a thumbnail",
    ),
    Family("lighton_ocr", "LightOnOCR", grid="none", note="row breaks between image tokens"),
    Family(
        "llama4",
        "Llama 4",
        decoder="language_model.model",
        causal=False,
        trim_last=False,
        grid="none",
        note="tiles and a thumbnail; chunked attention; queries scaled by their place in the row",
    ),
    Family("llava_next", "LLaVA-NeXT (1.6)", grid="none", note="tiles, row ends as image tokens"),
    Family(
        "llava_onevision", "LLaVA-OneVision", grid="none", note="tiles, row ends as image tokens"
    ),
    Family("mistral3", "Mistral Small 3.1", grid="none", note="row breaks between image tokens"),
    Family("ovis2", "Ovis2", tiles=True, note="tiles; visual words mixed by probability"),
    Family(
        "paligemma",
        "PaliGemma and PaliGemma 2",
        causal=False,
        type_ids="token_type_ids",
        plain_prompt="{images}{bos}{text}\n",
        note="the whole prompt sees itself both ways; capped scores",
    ),
    Family(
        "qwen2_5_vl",
        "Qwen2.5-VL",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family(
        "qwen2_vl",
        "Qwen2-VL",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family(
        "qwen3_5",
        "Qwen3.5",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note="only its full-attention layers are read; " + _QWEN_POSITIONS,
    ),
    Family(
        "qwen3_vl",
        "Qwen3-VL",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family(
        "qwen3_vl_moe",
        "Qwen3-VL, mixture of experts",
        positions="rope_index",
        type_ids="mm_token_type_ids",
        grid="grid_thw",
        note=_QWEN_POSITIONS,
    ),
    Family(
        "smolvlm",
        "SmolVLM and SmolVLM2",
        decoder="text_model",
        tiles=True,
        note="tiles and a thumbnail",
    ),
    Family("video_llama_3", "VideoLLaMA 3", grid="none", note="the token count follows the image"),
    Family("vipllava", "VipLLaVA", note="fixed token count"),
)

#: Names of the modules that hold vision towers, and of those between tower and decoder.
TOWERS = frozenset({"vision_tower", "vision_model", "vision_encoder", "visual"})
PROJECTORS = frozenset(
    {
        "aligner",
        "connector",
        "layerwise_projectors",
        "multi_modal_projector",
        "projector",
        "spatial_projectors",
        "vision_projection",
    }
)

#: Families by ``model_type``.
FAMILIES: Mapping[str, Family] = {row.model_type: row for row in _ROWS}

#: Architectures that are refused by name, and why.
REFUSED: Mapping[str, str] = {
    "mllama": "its image tokens are reached through cross-attention and are not in the sequence",
    "florence2": "it is an encoder-decoder: the image is read by the encoder, not by the decoder",
    "blip": "it is an encoder-decoder: the text reads the image through cross-attention",
    "git": "image tokens are prepended inside the model and have no place in the prompt",
    "kosmos-2": "image tokens are resampled to latents that are not patches of the image",
    "idefics": "its image tokens are reached through cross-attention and are not in the sequence",
    "kosmos-2.5": "image tokens are resampled to latents that are not patches of the image",
    "pp_formulanet": "it is an encoder-decoder: the image is reached through cross-attention",
    "t5gemma2": "it is an encoder-decoder",
    "pix2struct": "it is an encoder-decoder: the decoder reads the image through cross-attention",
    "vision-encoder-decoder": "it is an encoder-decoder: the image is read through cross-attention",
    "udop": "it is an encoder-decoder",
    "instructblip": "a Q-Former turns the image into query tokens without a place in the image",
    "instructblipvideo": "a Q-Former turns frames into query tokens without a place in the image",
    "blip-2": "a Q-Former turns the image into query tokens without a place in the image",
}


def find_family(config: Mapping[str, Any], where: str) -> Family:
    """Return the row of the family that a ``config.json`` belongs to.

    Raises
    ------
    UnsupportedModelError
        With the reason, and the list of the supported families.
    """
    model_type = str(config.get("model_type", ""))
    family = FAMILIES.get(model_type)
    if family is not None:
        return family
    known = ", ".join(sorted(FAMILIES))
    if model_type in REFUSED:
        reason = f"cannot be read: {REFUSED[model_type]}"
    elif not model_type:
        reason = "is of no known kind: its config.json names no model_type"
    elif "vision_config" not in config:
        reason = "has no vision tower, so it has no image tokens to look at"
    else:
        reason = "has not been verified, and a wrong guess of where its image tokens lie would "
        reason += "give plausible, false entropies"
    raise UnsupportedModelError(
        f"{where}: model family {model_type!r} {reason}",
        f"Supported families: {known}.",
    )
