"""A model in memory, with the probe in place of its decoder's attention function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bye_lint.errors import UnsupportedModelError
from bye_lint.models import probe as probing
from bye_lint.models.families import Family, find_family
from bye_lint.models.prompts import Encoder
from bye_lint.models.resolve import ResolvedModel
from bye_lint.models.trimming import last_layer_trimmed, passed_by


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
        if self.family.whole_tower:
            return []
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
