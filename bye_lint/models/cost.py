"""What it costs to train and to read a model: floating-point operations, seconds, bytes.

Told from the configuration and the headers of the weight files; nothing is loaded, and nothing
here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bye_lint.models.families import TOWERS
from bye_lint.models.hub import weight_files
from bye_lint.models.memory import estimate_memory, number, parameters, section
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.schedule import FineTuneSettings

_TABLES = frozenset({"embed_tokens", "lm_head", "wte"})

#: Image tokens where the configuration does not tell: the count of LLaVA 1.5.
USUAL_IMAGE_TOKENS = 576
#: Tokens of a chat template around a short question.
TEMPLATE_TOKENS = 12
#: Tokens a word of English takes, its space and punctuation included.
TOKENS_PER_WORD = 1.4

#: Shares of a large matrix product's speed, measured with the scout: on two cores of an AMD EPYC
#: with EuroSAT (200 steps of batch 16 in bfloat16 took 100 s, 2,200 records read in float32 30 s),
#: in float32 by ``benchmarks.precision`` on a core of a Cascade Lake Xeon.
TRAINING_EFFICIENCY = {"bfloat16": 0.16, "float32": 0.4}
READING_EFFICIENCY = 0.6
#: Seconds to decode, resize and tokenize a record, and to begin (imports, loading), on the same.
RECORD_SECONDS = 0.004
START_SECONDS = 6.0

#: What a processor's memory holds of a record at the peak of a check, in bytes, its share of the
#: evidence and of what the allocator keeps included. Of the scout's runs in docs/data it is 0.3 to
#: 0.6 MiB, and 1.3 of screenshots with long answers.
RECORD_BYTES = 0.55 * 2**20

#: What Python and torch take before any model, in bytes.
_RUNTIME = 400 * 2**20


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a model that its cost follows from.

    Attributes
    ----------
    decoder, tower, tables : int
        Parameters of the decoder and projector, of the vision tower, and of embeddings and head.
    layers, width, inner : int
        Of the decoder; ``inner`` is the width inside its MLP.
    image_tokens : int
        Tokens of one image, of one tile where images are tiled.
    fixed : bool
        Every image has so many; otherwise it is a guess, or a lower bound.
    tower_tokens : int
        Tokens that the vision tower computes for one image.
    """

    decoder: int
    tower: int
    tables: int
    layers: int
    width: int
    inner: int
    image_tokens: int
    fixed: bool
    tower_tokens: int

    @property
    def whole(self) -> int:
        """All parameters."""
        return self.decoder + self.tower + self.tables

    def forward(self, tokens: float, length: float) -> float:
        """Floating-point operations of the decoder: 2 a parameter and token, and attention.

        Parameters
        ----------
        tokens : float
            Tokens in all.
        length : float
            Tokens of one record, which a token attends to.
        """
        return tokens * (2.0 * self.decoder + 4.0 * length * self.width * self.layers)

    def look(self, images: int) -> float:
        """Floating-point operations of the vision tower on so many images."""
        return 2.0 * self.tower * self.tower_tokens * images


def model_shape(resolved: ResolvedModel) -> Shape:
    """Read a model's shape from its configuration and weight headers.

    Raises
    ------
    ModelError
        If a weight file is damaged.
    """
    config = json.loads((resolved.path / "config.json").read_text(encoding="utf-8"))
    counts = {"decoder": 0, "tower": 0, "tables": 0}
    for file in weight_files(resolved.path):
        for name, count in parameters(file).items():
            parts = set(name.split("."))
            kind = "tower" if parts & TOWERS else "tables" if parts & _TABLES else "decoder"
            counts[kind] += count
    text = section(config, "text_config") or config
    width = number(text, "hidden_size", 4096)
    tokens, fixed, tower_tokens = _image_tokens(config)
    return Shape(
        **counts,
        layers=number(text, "num_hidden_layers", 32),
        width=width,
        inner=number(text, "intermediate_size", 4 * width),
        image_tokens=tokens,
        fixed=fixed,
        tower_tokens=tower_tokens,
    )


#: Families whose images are cut into tiles or keep their own size, so that counts vary.
_VARYING = ("next", "onevision", "qwen", "glm", "internvl", "idefics", "smolvlm", "mistral3",
            "aya", "cohere2", "ovis2", "lfm2", "lighton", "llama4", "granite4")  # fmt: skip


def _image_tokens(config: Mapping[str, Any]) -> tuple[int, bool, int]:
    """Return tokens of an image, whether that is certain, and the tokens that the tower sees."""
    vision = section(config, "vision_config")
    side, patch = number(vision, "image_size", 0), number(vision, "patch_size", 0)
    patches = (side // patch) ** 2 if side and patch else 0
    named = 0
    for holder, key in (
        (config, "image_seq_length"), (config, "mm_tokens_per_image"),
        (vision, "num_image_tokens"), (section(config, "text_config"), "num_image_tokens"),
    ):  # fmt: skip
        named = named or number(holder, key, 0)
    varies = any(part in str(config.get("model_type", "")) for part in _VARYING)
    ratio = config.get("downsample_ratio")
    if not named and patches:
        named = int(patches * float(ratio) ** 2) if isinstance(ratio, float) else patches
    tokens = named or USUAL_IMAGE_TOKENS
    return tokens, bool(named) and not varies, max(patches, tokens)


def prompt_tokens(text: str) -> int:
    """Estimate the tokens of a text from its words; no tokenizer is asked."""
    # a language that writes no spaces has about a token a character or two
    return round(max(TOKENS_PER_WORD * len(text.split()), len(text.encode()) / 6))


def training_operations(
    shape: Shape,
    settings: FineTuneSettings,
    *,
    steps: int,
    records: int,
    images: int,
    length: float,
) -> float:
    """Floating-point operations of a fine-tuning: 6 a parameter and token, where reading takes 2.

    LoRA spares the gradients of frozen weights and pays them for recomputed activations. What
    was learned is asked of every record once at the end.
    """
    trained = steps * settings.batch_size
    looks = images if settings.method == "full" else trained + records
    decoder = 3 * shape.forward(trained * length, length) + shape.forward(records * length, length)
    return decoder + shape.look(looks)


def reading_operations(shape: Shape, *, records: int, images: int, length: float) -> float:
    """Floating-point operations of a prefill over so many records."""
    return shape.forward(records * length, length) + shape.look(images)


def training_memory(
    shape: Shape,
    settings: FineTuneSettings,
    *,
    images: int,
    length: float,
    frozen_bytes: float = 4.0,
) -> int:
    """Bytes at the peak of a fine-tuning: weights, gradients, AdamW's moments, activations.

    Parameters
    ----------
    frozen_bytes : float
        Bytes of a weight that LoRA leaves as it is: 4 on a CPU, 2 on a GPU, fewer if quantized.
    """
    rows = min(settings.micro_batch or settings.batch_size, settings.batch_size) * length
    kept = 10 * shape.width + 3 * shape.inner
    size = 2 if settings.bfloat16 else 4
    if settings.method == "full":
        weights = 4.0 * shape.whole + 12 * (shape.decoder + shape.tables)
        live = rows * kept * shape.layers * size
    else:
        weights = frozen_bytes * shape.whole
        live = rows * (kept * 4 + shape.width * shape.layers * size)
    tower_width = (shape.tower / 12) ** 0.5 / 2
    features = images * shape.tower_tokens * tower_width * size if settings.method == "full" else 0
    return int(weights + live + features) + _RUNTIME


def reading_memory(resolved: ResolvedModel, dtype: str, batch_tokens: int | None) -> int:
    """Bytes at the peak of the reading."""
    estimate = estimate_memory(
        resolved,
        dtype=dtype,
        quantization=resolved.quantization,
        batch_tokens=batch_tokens or 8192,
    )
    return estimate.total + _RUNTIME


def cache_size(folder: Path) -> tuple[int, int]:
    """Return files and bytes of a folder; what cannot be read is left out."""
    files = size = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                files, size = files + 1, size + path.stat().st_size
        except OSError:
            continue
    return files, size
