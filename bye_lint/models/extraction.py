"""Extraction: records in, attention of the first decoding token out (BYE, stage 1).

Prefill only, in batches by length within a budget of tokens; records about one image compute
its part of the sequence once. What was read before comes from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from bye_lint.errors import ModelError
from bye_lint.models.batching import Batch, Padding, Unit, by_length, collate, share
from bye_lint.models.blocks import image_blocks
from bye_lint.models.grids import image_grid, rope_index
from bye_lint.models.loading import LoadedModel
from bye_lint.models.probe import ProbeDone
from bye_lint.models.prompts import VISION, Encoded, EncodeError
from bye_lint.models.rows import FeatureRow, RowStore, cached_rows, failed_row
from bye_lint.records import Sample

Progress = Callable[[int], None]


def extract(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    *,
    batch_tokens: int | None = None,
    maps: bool = False,
    hidden: bool = True,
    store: RowStore | None = None,
    keys: Sequence[str] = (),
    progress: Progress | None = None,
    padding: Padding = "right",
    sharing: bool = True,
    max_pixels: int = 50_000_000,
) -> list[FeatureRow]:
    """Read the attention of every sample's first decoding token.

    Parameters
    ----------
    batch_tokens : int or None
        Padded tokens of a batch; halved, and the batch run again, where memory does not suffice.
    maps : bool
        Keep the head-averaged attention over the image tokens, layer by layer.
    hidden : bool
        Keep the last hidden state of the first decoding token.
    store, keys
        Rows by key (:func:`bye_lint.models.feature_keys`) that need not be read again; new ones
        are added batch by batch. Records with one key are read once, so that each has the row
        that the store would give back.
    progress : callable or None
        Called with the number of samples that were just finished.
    padding : str
        Side that batches are padded on; the rows do not depend on it.
    sharing : bool
        Compute what records about one image have in common once.

    Returns
    -------
    list of FeatureRow
        In the order of ``samples``. A record that could not be read is a row of NaN with
        the reason; it is never filled in.
    """
    keys = keys or [""] * len(samples)
    rows = cached_rows(store, keys, attention=maps, hidden=hidden)
    lacking = [i for i, row in enumerate(rows) if row is None]
    if progress is not None and len(lacking) < len(samples):
        progress(len(samples) - len(lacking))
    alike: dict[str, list[int]] = {}
    for i in lacking:
        alike.setdefault(keys[i] or f"none {i}", []).append(i)
    copies = {places[0]: places for places in alike.values()}
    for done in _extract_missing(
        loaded,
        [(i, samples[i]) for i in copies],
        budget=batch_tokens or default_budget(loaded),
        maps=maps,
        hidden=hidden,
        padding=padding,
        sharing=sharing,
        max_pixels=max_pixels,
    ):
        for i, row in done:
            for place in copies[i]:
                rows[place] = row
        if store is not None:
            store.put({keys[i]: row.to_arrays() for i, row in done if keys[i]})
        if progress is not None:
            progress(sum(len(copies[i]) for i, _ in done))
    return [row for row in rows if row is not None]


def default_budget(loaded: LoadedModel) -> int:
    """Tokens of a batch: enough to keep the device busy, few enough for its memory."""
    if loaded.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(loaded.device)
        width = int(loaded.config.hidden_size)
        inner = int(getattr(loaded.config, "intermediate_size", 4 * width) or 4 * width)
        per_token = (8 * width + 3 * inner) * loaded.dtype.itemsize
        return int(min(32768, max(2048, 0.5 * free / per_token)))
    return 4096


def _extract_missing(
    loaded: LoadedModel,
    items: list[tuple[int, Sample]],
    *,
    budget: int,
    maps: bool,
    hidden: bool,
    padding: Padding,
    sharing: bool,
    max_pixels: int,
) -> Iterator[list[tuple[int, FeatureRow]]]:
    shared = sharing and padding == "right" and loaded.shares
    for block in image_blocks(items):
        failed: list[tuple[int, FeatureRow]] = []
        units: list[Unit] = []
        for group in block:
            encoded: list[tuple[int, Encoded]] = []
            outcomes = loaded.encoder.encode_shared([s for _, s in group], max_pixels=max_pixels)
            for (i, _), outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, EncodeError):
                    failed.append((i, failed_row(str(outcome), len(loaded.layers), loaded.n_heads)))
                else:
                    encoded.append((i, outcome))
            if shared:
                units += share(encoded, loaded.window)
            else:
                units += [Unit((i,), (record,)) for i, record in encoded]
        if failed:
            yield failed
        pending = by_length(units, budget)[::-1]
        while pending:
            batch = pending.pop()
            try:
                yield run_batch(loaded, batch, maps=maps, hidden=hidden, padding=padding)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise ModelError(
                        f"a record of {batch[0].tokens} tokens does not fit into memory",
                        "Use a larger device, or quantization.",
                    ) from error
                budget = max(1, sum(unit.tokens for unit in batch) // 2)
                torch.cuda.empty_cache()
                left = [unit for part in [*pending[::-1], batch] for unit in part]
                pending = by_length(left, budget)[::-1]


@torch.inference_mode()
def run_batch(
    loaded: LoadedModel,
    units: list[Unit],
    *,
    maps: bool = False,
    hidden: bool = True,
    padding: Padding = "right",
) -> list[tuple[int, FeatureRow]]:
    """Run one batch through the base model (no logits) and reduce what the probe read."""
    family = loaded.family
    rope = rope_index(loaded.base) if family.positions == "rope_index" else None
    batch = collate(units, family, pad_id=loaded.pad_id, padding=padding, rope_index=rope)
    device = loaded.device
    inputs = {name: _move(tensor, loaded) for name, tensor in batch.inputs.items()}
    layout = batch.layout
    for name in ("last", "component", "visible", "suffix_mask"):
        tensor = getattr(layout, name)
        setattr(layout, name, None if tensor is None else tensor.to(device))
    probe = loaded.probe
    probe.maps, probe.stop = maps, not hidden
    states = None
    with loaded.probed(), probe.reading(layout):
        try:
            output = loaded.base(**inputs, use_cache=False, return_dict=True)
            states = output.last_hidden_state
        except ProbeDone:
            pass
    if states is not None:
        if not loaded.trims_last:
            states = layout.pick(states, 1)
        states = states.float()
    return _rows(loaded, batch, states)


def _move(tensor: torch.Tensor, loaded: LoadedModel) -> torch.Tensor:
    dtype = loaded.dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(device=loaded.device, dtype=dtype, non_blocking=True)


def _rows(
    loaded: LoadedModel, batch: Batch, states: torch.Tensor | None
) -> list[tuple[int, FeatureRow]]:
    """Split what the probe read into one row a record, on the host."""
    readings = [loaded.probe.readings[layer] for layer in loaded.layers]
    loaded.probe.readings = {}
    entropy = _host([r.entropy for r in readings])
    head_entropy = _host([r.head_entropy for r in readings])
    head_mass = _host([r.head_mass for r in readings])
    maps = [r.attention for r in readings if r.attention is not None]
    attention = _host(maps) if maps else None
    hidden = None if states is None else states.cpu().numpy()
    last = batch.layout.last.cpu().numpy()
    config = loaded.whole_config
    done = []
    for r, unit in enumerate(batch.units):
        for s, (i, record) in enumerate(zip(unit.index, unit.records, strict=True)):
            image = np.flatnonzero(record.component == VISION)
            if not batch.layout.prefix:
                image += int(last[r, s]) + 1 - len(record)
            row = FeatureRow(
                entropy=entropy[r, s].copy(),
                head_entropy=head_entropy[r, s].copy(),
                head_mass=head_mass[r, s].copy(),
                image_tokens=len(image),
                grid=image_grid(loaded.family, config, record),
                hidden=None if hidden is None else hidden[r, s].copy(),
                attention=None
                if attention is None
                else attention[r, s][:, image].astype(np.float16),
                picture=record.picture,
            )
            done.append((i, row))
    return done


def _host(parts: list[torch.Tensor]) -> npt.NDArray[np.float32]:
    """Stack the layers' readings, (rows, slots, layers, …), and bring them over at once."""
    array: npt.NDArray[np.float32] = torch.stack(parts, dim=2).float().cpu().numpy()
    return array
