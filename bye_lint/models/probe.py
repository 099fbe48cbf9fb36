"""The probe: attention of the last prompt position, read beside the model's own fast kernel.

Registered with transformers' attention interface. The model's output comes from SDPA as usual;
beside it one query row per record is multiplied with the keys and reduced at once to what the
detectors need. Nothing of size T×T is ever made for it.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bye_lint.errors import UnsupportedModelError

#: Name of the probe in transformers' attention interface.
IMPLEMENTATION = "bye_lint"

#: As in the released code of BYE: −Σ p log(p + 1e-8).
EPSILON = 1e-8

_SOFTCAP_CHUNK = 256


@dataclass
class Layout:
    """Where things lie in a batch of rows.

    A row is a sequence of K tokens: a prefix that its records share (none where ``prefix`` is 0),
    then a slot for each record's own end. A row with one record and no prefix is a plain
    sequence.

    Attributes
    ----------
    last : (rows, slots) integer tensor
        Position of the last prompt token of each record.
    component : (rows, K, 3) float tensor
        One-hot: system, vision, user text; all zero for padding.
    visible : (rows, slots, K) bool tensor
        Keys that each record's last position sees under causal attention.
    prefix : int
        Padded length of the shared prefix.
    suffix_mask : (rows, 1, K - prefix, K) bool tensor or None
        What the tokens of the slots see, where there is a prefix.
    """

    last: Tensor
    component: Tensor
    visible: Tensor
    prefix: int = 0
    suffix_mask: Tensor | None = None

    def pick(self, states: Tensor, dim: int) -> Tensor:
        """Take the last prompt positions out of dimension ``dim`` of ``states``."""
        shape = [1] * states.dim()
        shape[0], shape[dim] = self.last.shape
        size = list(states.shape)
        size[0], size[dim] = self.last.shape
        if states.shape[0] != self.last.shape[0]:
            states = states.expand(self.last.shape[0], *states.shape[1:])
        return states.gather(dim, self.last.view(shape).expand(size))

    def pick_rotary(self, states: Tensor) -> Tensor:
        """Take the last prompt positions out of cosines or sines: (…, rows or 1, K, width)."""
        if states.dim() == 3:
            return self.pick(states, 1)
        return torch.stack([self.pick_rotary(part) for part in states])


@dataclass
class Readings:
    """What one decoder layer showed, on the device; rows × slots come first."""

    entropy: Tensor
    head_entropy: Tensor
    head_mass: Tensor
    attention: Tensor | None


class ProbeDone(Exception):  # noqa: N818
    """Raised inside the last layer when everything that was asked for has been read."""


@dataclass
class Probe:
    """Collects the readings of one forward pass.

    Attributes
    ----------
    maps : bool
        Keep the head-averaged attention over the image tokens.
    stage : str
        ``layer``: run the layer and read beside it; ``keys``: keep keys and values and stop;
        ``query``: answer the queries given from the keys and values kept.
    stop : bool
        Stop after the last reading, where the last hidden state is not wanted.
    """

    maps: bool = False
    stop: bool = False
    stage: str = "layer"
    layout: Layout | None = None
    readings: dict[int, Readings] = field(default_factory=dict)
    kept: tuple[Tensor, Tensor, Tensor | None] | None = None

    @contextmanager
    def reading(self, layout: Layout) -> Iterator[None]:
        """Read the forward passes inside the block."""
        self.layout, self.readings, self.stage, self.kept = layout, {}, "layer", None
        _ACTIVE.layout = layout
        try:
            yield
        except BaseException:
            self.readings = {}  # what an interrupted pass has read lies on the device
            raise
        finally:
            self.layout, self.stage, self.kept = None, "layer", None
            _ACTIVE.layout = None


class _Active(threading.local):
    layout: Layout | None = None


_ACTIVE = _Active()
_PROBES: weakref.WeakKeyDictionary[nn.Module, tuple[Probe, int]] = weakref.WeakKeyDictionary()


def attach(probe: Probe, modules: dict[int, nn.Module]) -> None:
    """Let ``probe`` read these attention modules, by decoder layer."""
    for layer, module in modules.items():
        _PROBES[module] = (probe, layer)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How scores are made of queries and keys."""

    scale: float
    softcap: float | None = None


def probed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention function in the form of transformers' attention interface.

    Parameters
    ----------
    query : (rows, heads, length, width) tensor
    key, value : (rows, key-value heads, K, width) tensors

    Raises
    ------
    UnsupportedModelError
        If the model adds something to its scores that the probe does not know.
    """
    for name in ("position_bias", "s_aux"):
        if kwargs.get(name) is not None:
            raise UnsupportedModelError(f"attention with {name!r} cannot be read")
    scoring = Scoring(
        query.shape[-1] ** -0.5 if scaling is None else scaling, kwargs.get("softcap")
    )
    probe, layer = _PROBES.get(module, (None, -1))
    layout = None if probe is None else probe.layout
    if probe is not None and layout is not None:
        if probe.stage == "keys":
            probe.kept = (key, value, attention_mask)
            raise ProbeDone
        rows = query
        if probe.stage == "query" and probe.kept is not None:
            key, value, attention_mask = probe.kept
        else:
            rows = layout.pick(query, 2)
        visible = _visible(layout, attention_mask, key.shape[2])
        probe.readings[layer] = _read(rows, key, visible, layout, scoring, maps=probe.maps)
        if probe.stage == "query":
            if probe.stop:
                raise ProbeDone
            return _attend(query, key, value, visible[:, None], scoring), None
        if layout.prefix:
            return _attend_shared(layout, query, key, value, scoring), None
    if scoring.softcap is not None:
        return _softcapped(query, key, value, attention_mask, scoring), None
    output, _ = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout, scaling, **kwargs
    )
    return output, None


def _visible(layout: Layout, attention_mask: Tensor | None, keys: int) -> Tensor:
    """Return (rows, slots, K) bool: what the last positions see, by the model's own mask if any."""
    if attention_mask is None or layout.prefix:
        return layout.visible
    mask = attention_mask[:, 0, :, :keys]
    if mask.dtype != torch.bool:
        mask = mask > torch.finfo(mask.dtype).min / 2
    return layout.pick(mask.expand(layout.last.shape[0], -1, -1), 1)


def _read(
    rows: Tensor, key: Tensor, visible: Tensor, layout: Layout, scoring: Scoring, *, maps: bool
) -> Readings:
    """Attention of the queries ``rows`` (rows, heads, slots, width), reduced per head."""
    batch, heads, slots, width = rows.shape
    grouped = rows.float().reshape(batch, key.shape[1], -1, width) * scoring.scale
    scores = torch.matmul(grouped, key.float().transpose(2, 3)).view(batch, heads, slots, -1)
    if scoring.softcap is not None:
        scores = scoring.softcap * torch.tanh(scores / scoring.softcap)
    weights = torch.softmax(scores.masked_fill(~visible[:, None], -math.inf), dim=-1)
    mass = torch.matmul(weights, layout.component[:, None])
    image = weights * layout.component[:, None, None, :, 1]
    mean = image.mean(dim=1)
    mean = mean / mean.sum(dim=-1, keepdim=True)
    return Readings(
        entropy=_entropy(mean),
        head_entropy=_entropy(image / mass[..., 1:2]).transpose(1, 2),
        head_mass=mass.transpose(1, 2),
        attention=mean if maps else None,
    )


def _entropy(p: Tensor) -> Tensor:
    """−Σ p log(p + 1e-8) over the last dimension, in nats (BYE, Eq. 5)."""
    return -(p * torch.log(p + EPSILON)).sum(dim=-1)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scoring: Scoring
) -> Tensor:
    """Attention with grouped heads, causal without a mask; returns (rows, length, heads, width)."""
    if scoring.softcap is not None:
        return _softcapped(query, key, value, mask, scoring)
    key, value = _repeat(query, key, value)
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=scoring.scale, is_causal=mask is None
    )
    return output.transpose(1, 2).contiguous()


def _attend_shared(
    layout: Layout, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring
) -> Tensor:
    """Attention of rows whose records share a prefix: causal there, then by the slots' mask."""
    at = layout.prefix
    head = _attend(query[:, :, :at], key[:, :, :at], value[:, :, :at], None, scoring)
    tail = _attend(query[:, :, at:], key, value, layout.suffix_mask, scoring)
    return torch.cat([head, tail], dim=1)


def _repeat(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat keys and values for the heads that share them."""
    repeat = query.shape[1] // key.shape[1]
    if repeat == 1:
        return key, value
    return key.repeat_interleave(repeat, dim=1), value.repeat_interleave(repeat, dim=1)


def _softcapped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scoring: Scoring
) -> Tensor:
    """Attention with capped scores, which SDPA lacks, some queries at a time."""
    key, value = _repeat(query, key, value)
    cap = scoring.softcap or math.inf
    position = torch.arange(key.shape[2], device=key.device)
    outputs = []
    for start in range(0, query.shape[2], _SOFTCAP_CHUNK):
        part = query[:, :, start : start + _SOFTCAP_CHUNK]
        scores = torch.matmul(part, key.transpose(2, 3)) * scoring.scale
        scores = cap * torch.tanh(scores / cap)
        if mask is None:
            seen = position[None] <= position[start : start + part.shape[2], None]
        else:
            seen = mask[:, :, start : start + part.shape[2]]
        if seen.dtype == torch.bool:
            scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        else:
            scores = scores + seen
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
        outputs.append(torch.matmul(weights, value))
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous()


def probed_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Mask function for the probe: SDPA's, or none where records share a prefix.

    Shared rows are attended in two parts with masks of their own, so the square mask that
    transformers would make for them is not needed.
    """
    if _ACTIVE.layout is not None and _ACTIVE.layout.prefix:
        return None
    mask: Tensor | None = sdpa_mask(*args, **kwargs)
    return mask


def register() -> None:
    """Make the probe known to transformers; calling it again changes nothing."""
    AttentionInterface.register(IMPLEMENTATION, probed_attention)
    AttentionMaskInterface.register(IMPLEMENTATION, probed_mask)
