"""Lay a PEFT adapter over its model: all of it, or an error."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bye_lint.errors import MissingExtraError, ModelError, one_line
from bye_lint.models.memory import out_of_memory, parameters

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"

#: Kinds that are loaded from their own folder alone, as PEFT names them. X-LoRA and shadow models
#: load what their configuration names, from the hub if need be; newer ones nobody has looked at.
_OF_ONE_FOLDER = frozenset({
    "ADALORA", "ADAMSS", "ADAPTION_PROMPT", "BEFT", "BOFT", "BONE", "C3A", "DEFT", "DELORA",
    "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA", "HRA", "IA3", "LILY", "LN_TUNING", "LOHA",
    "LOKR", "LORA", "MISS", "OFT", "OSF", "PEANUT", "POLY", "PSOFT", "PVERA", "RANDLORA",
    "ROAD", "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA",
    "WAVEFT",
})  # fmt: skip
#: Kinds that change the prompt; with_adapter refuses them, and so does transformers.
_PROMPTS = frozenset({
    "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING",
})  # fmt: skip

_OTHER_BASE = "Give the base model that the adapter was trained on."


def peft_for(what: str) -> Any:
    """Return the module ``peft``; ``what`` needs it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs peft", "Run: pip install 'bye-lint[model]'"
        ) from error
    return peft


def trained_on(folder: Path) -> str | None:
    """Return the model that a folder's adapter says it was trained on, where there is one.

    Raises
    ------
    ModelError
        If its configuration is damaged, or of a kind that may load weights from elsewhere.
    """
    if not os.path.lexists(folder / CONFIG):
        return None
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder.name}/{CONFIG}: cannot be read: {error}") from error
    if not isinstance(config, dict):
        found = type(config).__name__
        raise ModelError(f"{folder.name}/{CONFIG}: expected an object, got {found}")
    kind = config.get("peft_type")
    if kind is not None and str(kind) not in _OF_ONE_FOLDER | _PROMPTS:
        raise ModelError(
            f"{folder.name}: an adapter of the kind {str(kind)[:40]!r} may load weights from "
            "elsewhere",
            "Give an adapter that is whole in its folder, such as LoRA, or the base model alone.",
        )
    base = config.get("base_model_name_or_path")
    return base if isinstance(base, str) and base else None


def with_lora(model: Any, targets: Sequence[str], *, rank: int, alpha: int) -> Any:
    """Return the model with LoRA that has yet to be trained on the modules of these names.

    Raises
    ------
    MissingExtraError
        If peft is not installed.
    ModelError
        If peft does not know the model's quantized layers.
    """
    peft = peft_for("fine-tuning through LoRA")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))
    try:
        with warnings.catch_warnings():  # peft asks transformers under a name of before
            warnings.simplefilter("ignore", FutureWarning)
            return peft.get_peft_model(model, config)
    except (ImportError, ValueError) as error:  # a layer of no known kind, or a library too old
        if not getattr(model, "is_quantized", False):
            raise
        raise ModelError(
            f"LoRA cannot be laid on the model's quantized layers: {one_line(error)}",
            "Name the model as it was before it was quantized.",
        ) from error


def with_adapter(model: Any, folder: Path, *, merge: bool) -> Any:
    """Return the model with an adapter.

    Parameters
    ----------
    merge : bool
        Add the adapter to the weights, which quantized ones do not allow.

    Raises
    ------
    ModelError
        If its file is damaged, if it is of a kind that changes the prompt, or if one of its weights
        has no place in the model or the model lacks one: peft lays on what fits, and the model
        would look at the data half taught or as if it had never seen them.
    """
    peft = peft_for("the model's adapter")
    parameters(folder / WEIGHTS)
    try:
        with warnings.catch_warnings():  # what they say is an error here, or of no use to anybody
            warnings.simplefilter("ignore")
            kind: Any = peft.PeftConfig.from_pretrained(str(folder))
            if kind.is_prompt_learning:
                raise ModelError(
                    f"{folder.name}: an adapter of the kind {kind.peft_type.value} changes the "
                    "prompt, and what its tokens are cannot be told",
                    "Give an adapter of weights, such as LoRA, or the base model alone.",
                )
            # peft would read it on the first GPU, whichever the model is on
            adapted: Any = peft.PeftModel.from_pretrained(model, folder, torch_device="cpu")
            # once more, to be told what fitted
            loaded = adapted.load_adapter(folder, "default", torch_device="cpu")
            astray = [*loaded.missing_keys, *loaded.unexpected_keys]
            if astray:
                raise ModelError(
                    f"{folder.name}: the adapter does not fit the model: {len(astray)} weights "
                    f"of one are not in the other ({astray[0]})",
                    _OTHER_BASE,
                )
            return adapted.merge_and_unload() if merge else adapted
    except ModelError:
        raise
    except Exception as error:  # its configuration is anybody's, and peft raises anything
        if out_of_memory(error):
            raise
        raise ModelError(
            f"{folder.name}: the adapter does not fit the model: {one_line(error)}", _OTHER_BASE
        ) from error
