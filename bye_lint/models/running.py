"""One batch on the device: launched without waiting, its reduced rows fetched when they are due.

While the host turns one batch's numbers into rows and prepares more, the device is at work on the
next.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bye_lint.models.batching import Batch, Padding, Unit, collate
from bye_lint.models.grids import image_grid, rope_index
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.probe import ProbeDone
from bye_lint.models.prompts import VISION
from bye_lint.models.rows import FeatureRow

Rows = list[tuple[int, FeatureRow]]


@torch.inference_mode()
def launch(
    loaded: LoadedModel,
    units: list[Unit],
    *,
    maps: bool = False,
    hidden: bool = True,
    padding: Padding = "right",
) -> Launched:
    """Start one batch: through the base model (no logits), reduced, on its way to the host.

    Raises
    ------
    torch.OutOfMemoryError
        If it does not fit.
    """
    family = loaded.family
    rope = rope_index(loaded.base) if family.positions == "rope_index" else None
    batch = collate(units, family, pad_id=loaded.pad_id, padding=padding, rope_index=rope)
    device = loaded.device
    inputs: dict[str, Any] = {name: _move(t, loaded) for name, t in batch.inputs.items()}
    if "logits_to_keep" in signature(loaded.base.forward).parameters:
        inputs["logits_to_keep"] = 1  # a family whose decoder comes with its head
    layout = batch.layout
    last = layout.last.numpy()
    for name in ("last", "component", "visible", "suffix_mask"):
        tensor = getattr(layout, name)
        setattr(layout, name, None if tensor is None else tensor.to(device, non_blocking=True))
    probe = loaded.probe
    probe.maps, probe.stop = maps, not hidden
    states: list[torch.Tensor] = []
    hook = loaded.decoder.register_forward_hook(lambda _m, _a, output: states.append(output[0]))
    with loaded.probed(), probe.reading(layout):
        try:
            loaded.base(**inputs, use_cache=False, return_dict=True)
        except ProbeDone:
            pass
        finally:
            hook.remove()
    readings = [probe.readings[layer] for layer in loaded.layers]
    probe.readings = {}
    parts: dict[str, torch.Tensor] = {
        "entropy": torch.stack([r.entropy for r in readings], dim=2),
        "head_entropy": torch.stack([r.head_entropy for r in readings], dim=2),
        "head_mass": torch.stack([r.head_mass for r in readings], dim=2),
    }
    if maps:
        kept = [r.attention for r in readings if r.attention is not None]
        parts["attention"] = torch.stack(kept, dim=2)
    if states:
        parts["hidden"] = states[0] if loaded.trims_last else layout.pick(states[0], 1)
    host = {name: _to_host(tensor.float()) for name, tensor in parts.items()}
    event = None
    if device.type == "cuda":
        event = torch.cuda.current_stream(device).record_event()
    return Launched(loaded, batch, last, host, event)


def _move(tensor: torch.Tensor, loaded: LoadedModel) -> torch.Tensor:
    dtype = loaded.dtype if tensor.is_floating_point() else tensor.dtype
    if loaded.device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device=loaded.device, dtype=dtype, non_blocking=True)


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Begin to copy to the host; from a GPU it is not there before the batch's event."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


@dataclass
class Launched:
    """A batch that the device may still be at work on."""

    loaded: LoadedModel
    batch: Batch
    last: npt.NDArray[np.int64]
    host: dict[str, torch.Tensor]
    event: torch.cuda.Event | None

    def rows(self) -> Rows:
        """Wait for the batch, and split it into one row a record."""
        if self.event is not None:
            self.event.synchronize()
        arrays = {name: tensor.numpy() for name, tensor in self.host.items()}
        family, config = self.loaded.family, self.loaded.whole_config
        done = []
        for r, unit in enumerate(self.batch.units):
            for s, (i, record) in enumerate(zip(unit.index, unit.records, strict=True)):
                image = np.flatnonzero(record.component == VISION)
                if not self.batch.layout.prefix:
                    image += int(self.last[r, s]) + 1 - len(record)
                mine = {name: array[r, s] for name, array in arrays.items()}
                row = FeatureRow(
                    entropy=mine["entropy"].copy(),
                    head_entropy=mine["head_entropy"].copy(),
                    head_mass=mine["head_mass"].copy(),
                    image_tokens=len(image),
                    grid=image_grid(family, config, record),
                    hidden=mine["hidden"].copy() if "hidden" in mine else None,
                    attention=(
                        mine["attention"][:, image].astype(np.float16)
                        if "attention" in mine
                        else None
                    ),
                    picture=record.picture,
                )
                done.append((i, row))
        return done
