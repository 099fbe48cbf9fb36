"""Load a resolved model, with the probe in place of its decoder's attention function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bye_lint.errors import MissingExtraError, ModelError, UnsupportedModelError
from bye_lint.models import probe as probing
from bye_lint.models.families import Family, find_family
from bye_lint.models.memory import check_memory
from bye_lint.models.processors import load_processor
from bye_lint.models.prompts import Encoder
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.trimming import last_layer_trimmed, passed_by
from bye_lint.models.weights import read_weights

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass
class LoadedModel:
    """A model in memory whose attention can be read.

    A model that was just fine-tuned is wrapped as it is: ``LoadedModel(model, processor)``.

    Attributes
    ----------
    model : nn.Module
        The model with its head, or a PEFT model around it.
    processor : processor of the model's family
    family : Family
    layers : tuple of int
        Decoder layers whose attention is read; those without self-attention are left out.
    """

    model: nn.Module
    processor: Any
    resolved: ResolvedModel | None = None
    family: Family = field(init=False)
    base: nn.Module = field(init=False)
    decoder: nn.Module = field(init=False)
    layers: tuple[int, ...] = field(init=False)
    probe: probing.Probe = field(init=False)

    def __post_init__(self) -> None:
        whole: Any = self.model
        if hasattr(whole, "get_base_model"):
            whole = whole.get_base_model()
        where = self.resolved.name if self.resolved else "the model"
        self.family = find_family(whole.config.to_dict(), where)
        self.base = whole.model if hasattr(whole, "model") else whole.base_model
        try:
            self.decoder = self.base.get_submodule(self.family.decoder)
            blocks: Any = self.decoder.get_submodule("layers")
        except AttributeError as error:
            raise UnsupportedModelError(
                f"{where}: its decoder is not where it should be"
            ) from error
        self.probe = probing.Probe()
        attention: dict[int, Any] = {
            i: block.self_attn for i, block in enumerate(blocks) if hasattr(block, "self_attn")
        }
        if not attention:
            raise UnsupportedModelError(f"{where}: its decoder has no self-attention to read")
        self.layers = tuple(attention)
        self._blocks = blocks
        self._attention = attention
        probing.register()

    @property
    def device(self) -> torch.device:
        """Where the decoder's weights lie."""
        return next(self.decoder.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number format that the image goes in with."""
        weights = (p.dtype for p in self.base.parameters() if p.is_floating_point())
        return next(weights, torch.float32)

    @property
    def dtype_name(self) -> str:
        """Number format, as cache keys spell it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def config(self) -> Any:
        """Configuration of the decoder."""
        config: Any = self.decoder.config
        return config

    @property
    def whole_config(self) -> Any:
        """Configuration of the whole model."""
        config: Any = self.base.config
        return config

    @property
    def encoder(self) -> Encoder:
        """Turns records into this model's input."""
        config = self.whole_config
        token = getattr(config, "image_token_id", None)
        token = token if token is not None else getattr(config, "image_token_index", None)
        if token is None:
            raise UnsupportedModelError("the model's configuration names no image token")
        return Encoder(self.processor, self.family, int(token), self.positions)

    @property
    def positions(self) -> int | None:
        """Positions that the decoder was made for, scaling included, where it says so."""
        stated = getattr(self.config, "max_position_embeddings", None)
        if stated is None:
            return None
        rope = getattr(self.config, "rope_parameters", None) or {}
        unscaled = rope.get("original_max_position_embeddings") or stated
        return int(max(stated, unscaled * float(rope.get("factor") or 1.0)))

    @property
    def n_heads(self) -> int:
        """Attention heads of a layer."""
        return int(self.config.num_attention_heads)

    @property
    def window(self) -> int | None:
        """Sliding window of the decoder's attention, the smallest if there are several."""
        sizes = [
            getattr(self.config, name, None) for name in ("sliding_window", "attention_chunk_size")
        ]
        return min((int(size) for size in sizes if size), default=None)

    @property
    def pad_id(self) -> int:
        """Token id that fills up a batch; it is never attended to."""
        for source in (self.processor.tokenizer, self.config):
            if getattr(source, "pad_token_id", None) is not None:
                return int(source.pad_token_id)
        return 0

    @property
    def shares(self) -> bool:
        """Whether records about one image may share their prefix.

        Not where tokens see what comes behind them, and not where a layer carries a state from
        token to token (linear attention, convolutions), which would run on from record to record.
        """
        return self.family.causal and len(self.layers) == len(self._blocks)

    @property
    def trims_last(self) -> bool:
        """Whether the last layer may be run for the last position alone."""
        return self.family.trim_last and self.layers[-1] == len(self._blocks) - 1

    def _idle_layers(self) -> list[nn.Module]:
        """Layers of the vision tower behind the one whose output the projector takes."""
        wanted = getattr(self.whole_config, "vision_feature_layer", None)
        if hasattr(self.whole_config, "spatial_vision_layer"):
            wanted = None  # Granite 4 Vision takes several layers, the last among them
        tower = getattr(self.base, "vision_tower", None)
        if not isinstance(wanted, int) or wanted > -2 or not isinstance(tower, nn.Module):
            return []
        found = [
            module
            for name, module in tower.named_modules()
            if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "layers"
        ]
        return list(found[0][wanted + 1 :]) if len(found) == 1 else []

    @contextlib.contextmanager
    def probed(self) -> Iterator[None]:
        """Run the decoder's attention through the probe inside the block."""
        configs: dict[int, Any] = {
            id(c): c for c in (self.config, self._attention[self.layers[0]].config)
        }
        before = {key: config._attn_implementation for key, config in configs.items()}
        training = self.model.training
        probing.attach(self.probe, self._attention)
        for config in configs.values():
            config._attn_implementation = probing.IMPLEMENTATION
        self.model.eval()
        try:
            with contextlib.ExitStack() as stack:
                for layer in self._idle_layers():
                    stack.enter_context(passed_by(layer))
                if self.trims_last:
                    last = self.layers[-1]
                    block, attention = self._blocks[last], self._attention[last]
                    stack.enter_context(last_layer_trimmed(self.probe, block, attention))
                yield
        finally:
            for key, config in configs.items():
                config._attn_implementation = before[key]
            self.model.train(training)


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
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    dtype : str
        ``auto`` (bfloat16 on a GPU, float32 on a CPU), ``float32``, ``bfloat16`` or ``float16``.
    quantization : str or None
        ``none``, ``8bit`` or ``4bit``; by default what the policy says.

    Raises
    ------
    ModelError
        If the device is not there, its memory is too small, or a file cannot be read.
    """
    place = _device(device)
    number = _dtype(dtype, place)
    quantization = quantization or resolved.quantization
    check_memory(resolved, place, number, quantization)
    options: dict[str, Any] = {
        "dtype": number,
        "use_safetensors": True,
        "trust_remote_code": resolved.allow_remote_code,
        "local_files_only": True,
    }
    if quantization != "none":
        options["quantization_config"] = _quantization(quantization, number)
        options["device_map"] = {"": place}
    try:
        processor = load_processor(resolved)
        model = read_weights(resolved, options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        remedy = "Save model and processor again with save_pretrained() of a recent transformers."
        if "torchvision" in str(error).lower() and find_spec("torchvision") is None:
            remedy = "Its processor needs torchvision for images. Run: pip install torchvision"
        raise ModelError(
            f"{resolved.name}: the model cannot be loaded: {_first_line(error)}", remedy
        ) from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise ModelError(
            f"{resolved.name}: its processor reads no images ({type(processor).__name__})",
            "Save the processor beside the model: processor.save_pretrained(folder).",
        )
    if resolved.adapter is not None:
        model = _with_adapter(model, resolved.adapter, merge=quantization == "none")
    if quantization == "none":
        model = model.to(place)
    return LoadedModel(model.eval().requires_grad_(False), processor, resolved)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"no such device: {name}", "Use auto, cpu, cuda, cuda:N or mps."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device {name} is not there", "Use --device cpu, or another GPU.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device mps is not there", "Use --device cpu.")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise ModelError(f"no such dtype: {name}", f"Use one of: auto, {', '.join(_DTYPES)}.")
    return _DTYPES[name]


def _quantization(name: str, dtype: torch.dtype) -> Any:
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            f"quantization {name} needs bitsandbytes", "Run: pip install 'bye-lint[quantization]'"
        )
    configuration: Any = import_module("transformers").BitsAndBytesConfig
    if name == "8bit":
        return configuration(load_in_8bit=True)
    if name == "4bit":
        return configuration(load_in_4bit=True, bnb_4bit_compute_dtype=dtype)
    raise ModelError(f"no such quantization: {name}", "Use none, 8bit or 4bit.")


def _with_adapter(model: Any, folder: Path, *, merge: bool) -> Any:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtraError(
            "the model's adapter needs peft", "Run: pip install 'bye-lint[model]'"
        ) from error
    try:
        adapted = PeftModel.from_pretrained(model, folder)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"{folder.name}: the adapter does not fit the model: {_first_line(error)}",
            "Give the base model that the adapter was trained on.",
        ) from error
    return adapted.merge_and_unload() if merge else adapted
