"""Model families as rows of data. A family is supported when its row stands here and
``tests/models`` has held its probe against eager attention; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bye_lint.errors import UnsupportedModelError

Positions = Literal["sequence", "rope_index"]
Grid = Literal["none", "square", "patches", "grid_thw"]


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
        see each other both ways.
    trim_last : bool
        The last decoder layer may be run for the last prompt position alone.
    type_ids : str
        Name of the token-type input that the model needs beside the token ids, if any.
    image_inputs : tuple of str
        What the processor returns for images; joined along the first axis in a batch.
    grid : str
        How image tokens are laid out: a known grid of ``patches`` or ``grid_thw``, a ``square``
        where the count is one, or ``none``.
    plain_prompt : str
        Prompt for families whose processor has no chat template, with ``{images}`` and ``{text}``.
    note : str
        What is special, for the documentation.
    """

    model_type: str
    title: str
    decoder: str = "language_model"
    positions: Positions = "sequence"
    causal: bool = True
    trim_last: bool = True
    type_ids: str = ""
    image_inputs: tuple[str, ...] = ("pixel_values",)
    grid: Grid = "square"
    plain_prompt: str = ""
    note: str = ""


_ROWS = (
    Family(
        "llava",
        "LLaVA 1.5 and relatives (Pixtral as llava)",
        image_inputs=("pixel_values", "image_sizes"),
        grid="patches",
    ),
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
    "pix2struct": "it is an encoder-decoder: the decoder reads the image through cross-attention",
    "vision-encoder-decoder": "it is an encoder-decoder: the image is read through cross-attention",
    "udop": "it is an encoder-decoder",
    "instructblip": "a Q-Former turns the image into query tokens without a place in the image",
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
