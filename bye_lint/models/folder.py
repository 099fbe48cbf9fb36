"""Whether a folder holds a whole model: what save_pretrained() writes, and nothing that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bye_lint.errors import ModelError
from bye_lint.models.hub import INDEX, WEIGHTS, missing_parts, stray_part

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Return a model's ``config.json``; ``name`` is what errors call the model.

    Raises
    ------
    ModelError
        If it is not there, cannot be read, or takes the weights from a file of another name.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"{name}: not a model, config.json is missing",
            "Name the folder that save_pretrained() wrote.",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}/config.json: cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{name}/config.json: expected an object, got {type(config).__name__}")
    if config.get("transformers_weights") is not None:  # the digest would not be of these
        raise ModelError(
            f"{name}/config.json: takes the weights from another file (transformers_weights)",
            f"Take that key out, and name the weights {WEIGHTS}.",
        )
    return config


def require_parts(folder: Path, name: str) -> None:
    """Hold a folder to what a model needs: safetensors, all of them, tokenizer and processor.

    Raises
    ------
    ModelError
        Saying what is missing.
    """
    index = folder / INDEX
    if index.is_file():
        try:
            stray, (missing, parts) = stray_part(folder), missing_parts(folder)
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{name}/{INDEX}: cannot be read: {error}") from error
        if stray:
            raise ModelError(
                f"{name}/{INDEX}: names {stray[:80]!r}, which is no weight file of this folder",
                "Save the model with save_pretrained(), which lays its weights beside config.json.",
            )
        if missing:
            raise ModelError(
                f"{name}: {len(missing)} of {parts} weight files are missing ({missing[0]})",
                "Download the model again.",
            )
    elif not (folder / WEIGHTS).is_file():
        if any(file for pattern in _PICKLES for file in folder.glob(pattern)):
            raise ModelError(
                f"{name}: the weights are pickles, which can run code when they are loaded",
                "Save the model with save_pretrained(), which writes safetensors.",
            )
        raise ModelError(
            f"{name}: not a model, model.safetensors is missing",
            "Name the folder that save_pretrained() wrote.",
        )
    has_tokenizer = any(
        (folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")
    )
    if not has_tokenizer:
        raise ModelError(
            f"{name}: the tokenizer is missing (tokenizer.json)",
            "Save the processor beside the model: processor.save_pretrained(folder).",
        )
    has_processor = any(
        (folder / file).is_file() for file in ("processor_config.json", "preprocessor_config.json")
    )
    if not has_processor:
        raise ModelError(
            f"{name}: the image processor is missing (processor_config.json)",
            "Save the processor beside the model: processor.save_pretrained(folder).",
        )
