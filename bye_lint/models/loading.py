"""Load a resolved model: where, in which numbers, quantized or not, with its adapter."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from bye_lint.errors import ByeLintError, MissingExtraError, ModelError, one_line
from bye_lint.models.adapters import with_adapter
from bye_lint.models.devices import is_here, settle
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.memory import TOO_LARGE, check_memory, out_of_memory
from bye_lint.models.processors import load_processor
from bye_lint.models.quantized import UNQUANTIZED
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.weights import read_weights

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load_model(
    resolved: ResolvedModel,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str | None = None,
) -> LoadedModel:
    """Load a model and its processor for extraction.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    dtype : str
        ``auto``, ``float32``, ``bfloat16`` or ``float16``; what ``auto`` means, here and there,
        :func:`~bye_lint.models.devices.settle` says.
    quantization : str or None
        ``none``, ``8bit`` or ``4bit``; by default what the policy says.

    Raises
    ------
    ModelError
        If the device is not there, its memory is too small, or a file cannot be read.
    """
    device, dtype = settle(device, dtype)
    place, number = _device(device), _dtype(dtype)
    if quantization is None or resolved.stored_quantized:
        quantization = resolved.quantization
    check_memory(resolved, place, number, quantization)
    options: dict[str, Any] = {
        "dtype": number,
        "use_safetensors": True,
        "trust_remote_code": resolved.allow_remote_code,
        "local_files_only": True,
    }
    if quantization in ("8bit", "4bit") and find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            f"quantization {quantization} needs bitsandbytes",
            "Run: pip install 'bye-lint[quantization]'",
        )
    if quantization != "none" and not resolved.stored_quantized:
        options["quantization_config"] = _quantization(quantization, number)
    if quantization != "none" or place.type == "cuda":
        options["device_map"] = {"": place}  # read to where it belongs, not by way of the host
    try:
        processor = load_processor(resolved)
        model = read_weights(resolved, options)
        if resolved.stored_quantized and quantization in ("8bit", "4bit"):
            _cast(model, number)
        if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
            raise ModelError(
                f"{resolved.name}: its processor reads no images ({type(processor).__name__})",
                "Save the processor beside the model: processor.save_pretrained(folder).",
            )
        if resolved.adapter is not None:
            model = with_adapter(model, resolved.adapter, merge=quantization == "none")
        if "device_map" not in options:
            model = model.to(place)
    except ByeLintError:
        raise
    except Exception as error:  # a folder may hold anything, and what reads it raises anything
        if out_of_memory(error):
            raise ModelError(
                f"{resolved.name}: the model does not fit into the memory of {place}", TOO_LARGE
            ) from error
        remedy = "Save model and processor again with save_pretrained() of a recent transformers."
        if "torchvision" in str(error).lower() and find_spec("torchvision") is None:
            remedy = "Its processor needs torchvision for images. Run: pip install torchvision"
        elif resolved.stored_quantized:
            remedy = f"Name the model as it was before, if {quantization} cannot run on {place}."
        elif quantization != "none":
            remedy = f"Set model.quantization: none, if {quantization} cannot run on {place}."
        raise ModelError(
            f"{resolved.name}: the model cannot be loaded: {one_line(error)}", remedy
        ) from error
    return LoadedModel(model.eval().requires_grad_(False), processor, resolved)


def _cast(model: torch.nn.Module, number: torch.dtype) -> None:
    """Bring what is not quantized into one format: transformers leaves it as it lies on disk."""
    for weight in model.parameters():
        packed = hasattr(weight, "quant_state")  # 4bit in a storage that looks like plain numbers
        if weight.dtype in _DTYPES.values() and not packed:
            weight.data = weight.data.to(number)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"no such device: {name}", "Use auto, cpu, cuda, cuda:N or mps."
        ) from error
    if not is_here(name):
        raise ModelError(
            f"device {name} is not there",
            "Use --device cpu, or one that `bye-lint doctor` lists.",
        )
    return device


def _dtype(name: str) -> torch.dtype:
    if name not in _DTYPES:
        raise ModelError(f"no such dtype: {name}", f"Use one of: auto, {', '.join(_DTYPES)}.")
    return _DTYPES[name]


def _quantization(name: str, dtype: torch.dtype) -> Any:
    configuration: Any = import_module("transformers").BitsAndBytesConfig
    kept = [rf"(?:.*\.)?{name}" for name in sorted(UNQUANTIZED)]
    if name == "8bit":
        return configuration(load_in_8bit=True, llm_int8_skip_modules=kept)
    if name == "4bit":
        return configuration(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=kept,
        )
    raise ModelError(f"no such quantization: {name}", "Use none, 8bit or 4bit.")
