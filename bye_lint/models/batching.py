"""From encoded records to padded batches on the device, sharing what records have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bye_lint.models.families import Family
from bye_lint.models.probe import Layout
from bye_lint.models.prompts import Encoded

Padding = Literal["right", "left"]

#: Records that share one row, if it is worth it: more than that only make the slots' mask larger.
SLOTS = (1, 2, 4, 8, 16)
#: A pair of tokens in masked attention takes so much longer than its operations in a matrix
#: product would.
_MASKED = 3.0


@dataclass(frozen=True)
class Unit:
    """Records that fill one row of a batch: one alone, or several behind a shared prefix.

    Attributes
    ----------
    index : tuple of int
        Places of the records in what was asked for.
    prefix : int
        Tokens that all of them begin with; 0 for a record alone.
    """

    index: tuple[int, ...]
    records: tuple[Encoded, ...]
    prefix: int = 0

    @property
    def ends(self) -> int:
        """Tokens behind the prefix, of all records together."""
        return sum(len(record) - self.prefix for record in self.records)

    @property
    def tokens(self) -> int:
        """Length of the row."""
        return self.prefix + self.ends

    def halves(self) -> list[Unit]:
        """Return two units with half of the records each; none where there is one record."""
        middle = (len(self.records) + 1) // 2
        parts = [slice(0, middle), slice(middle, None)] if middle < len(self.records) else []
        return [self._part(part) for part in parts]

    def _part(self, part: slice) -> Unit:
        records = self.records[part]
        return Unit(self.index[part], records, self.prefix if len(records) > 1 else 0)


@dataclass
class Batch:
    """What one forward pass gets."""

    units: list[Unit]
    inputs: dict[str, Any]
    layout: Layout
    valid: int


def share(records: Sequence[tuple[int, Encoded]], window: int | None, width: int) -> list[Unit]:
    """Arrange records that show the same images into units.

    Parameters
    ----------
    width : int
        Width of the decoder: what a token costs outside of attention.
    window : int or None
        Sliding window of the decoder, if it has one: longer records stay alone, because what
        their slots see would depend on it.
    """
    alone = [Unit((i,), (record,)) for i, record in records]
    if len(records) < 2:
        return alone
    prefix = _common_prefix([record for _, record in records])
    longest = max(len(record) for _, record in records)
    if prefix <= max(record.last_image_token for _, record in records):
        return alone
    if window is not None and longest >= window:
        return alone
    ordered = sorted(records, key=lambda item: (len(item[1]), item[0]))
    ends = sum(len(record) - prefix for _, record in records) / len(records)
    slots = min(SLOTS, key=lambda n: _work(min(n, len(records)), prefix, ends, width))
    units = []
    for start in range(0, len(ordered), slots):
        part = ordered[start : start + slots]
        if len(part) == 1:
            units.append(Unit((part[0][0],), (part[0][1],)))
        else:
            units.append(Unit(tuple(i for i, _ in part), tuple(r for _, r in part), prefix))
    return units


def _work(slots: int, prefix: int, ends: float, width: int) -> float:
    """Return what a record costs in a row of ``slots``, in pairs of tokens in a matrix product.

    A decoder layer has some 12 width² weights and 4 width operations a pair of tokens, so a token
    costs as much as 6 width pairs. Every slot's queries are multiplied with all of the row's keys
    and masked, so a row of long ends costs more than its records one by one.
    """
    row = prefix + slots * ends
    pairs = prefix**2 + slots * ends * row if slots > 1 else row**2
    return (6 * width * row + _MASKED * pairs) / slots


def _common_prefix(records: Sequence[Encoded]) -> int:
    """Length of what all begin with, leaving at least one token to each.

    Who wrote a token counts, too: what the template says in one record a user may say in another.
    """
    length = min(map(len, records)) - 1
    first = records[0]
    for record in records[1:]:
        differs = np.flatnonzero(
            (first.ids[:length] != record.ids[:length])
            | (first.component[:length] != record.component[:length])
        )
        length = int(differs[0]) if differs.size else length
    return length


def by_length(units: Sequence[Unit], budget: int) -> list[list[Unit]]:
    """Sort units into batches of like shape, each within ``budget`` padded tokens if it can be."""
    ordered = sorted(units, key=lambda u: (len(u.records), u.tokens, u.prefix, u.index))
    batches: list[list[Unit]] = []
    for unit in ordered:
        current = batches[-1] if batches else []
        if current and len(current[0].records) == len(unit.records):
            prefix = max(unit.prefix, *(u.prefix for u in current))
            ends = max(unit.ends, *(u.ends for u in current))
            if (len(current) + 1) * (prefix + ends) <= budget:
                current.append(unit)
                continue
        batches.append([unit])
    return batches


def collate(
    units: list[Unit],
    family: Family,
    *,
    pad_id: int,
    padding: Padding = "right",
    rope_index: Any = None,
) -> Batch:
    """Pad units of one shape into the inputs of the base model and their layout.

    Parameters
    ----------
    rope_index : callable or None
        The model's own multimodal positions, for families that have them.
    """
    slots, prefix = len(units[0].records), max(unit.prefix for unit in units)
    size = prefix + max(unit.ends for unit in units)
    rows = len(units)
    ids = np.full((rows, size), pad_id, dtype=np.int64)
    types = np.zeros((rows, size), dtype=np.int64)
    filled = np.zeros((rows, size), dtype=bool)
    component = np.zeros((rows, size, 3), dtype=np.float32)
    last = np.zeros((rows, slots), dtype=np.int64)
    owner = np.full((rows, size), -1, dtype=np.int64)
    places: list[tuple[int, Encoded, list[tuple[slice, slice]]]] = []
    for r, unit in enumerate(units):
        at = size - unit.ends if padding == "left" else prefix
        for s, record in enumerate(unit.records):
            end = len(record) - unit.prefix
            pieces = [(slice(at, at + end), slice(unit.prefix, len(record)))]
            if s == 0 and unit.prefix:
                pieces.append((slice(0, unit.prefix), slice(0, unit.prefix)))
            for there, here in pieces:
                ids[r, there] = record.ids[here]
                filled[r, there] = True
                component[r, there] = np.eye(3, dtype=np.float32)[record.component[here]]
                if record.type_ids is not None:
                    types[r, there] = record.type_ids[here]
            owner[r, at : at + end] = s
            last[r, s] = at + end - 1
            places.append((r, record, pieces))
            at += end
    layout = _layout(last, component, filled, owner, prefix)
    inputs: dict[str, Any] = {"input_ids": torch.from_numpy(ids)}
    if family.type_ids:
        inputs[family.type_ids] = torch.from_numpy(types)
    if padding == "left" or not family.causal:
        inputs["attention_mask"] = torch.from_numpy(filled.astype(np.int64))
    inputs.update(_images(units))
    if rope_index is not None:
        inputs["position_ids"] = _rope_positions(places, (rows, size), rope_index)
    elif prefix or padding == "left":
        inputs["position_ids"] = _sequence_positions(places, (rows, size))
    return Batch(units, inputs, layout, int(filled.sum()))


def _layout(
    last: np.ndarray[Any, Any],
    component: np.ndarray[Any, Any],
    filled: np.ndarray[Any, Any],
    owner: np.ndarray[Any, Any],
    prefix: int,
) -> Layout:
    size = filled.shape[1]
    at = np.arange(size)
    common = filled & (at < prefix)
    own = owner[:, None] == np.arange(last.shape[1])[None, :, None]
    visible = common[:, None] | (own & (at[None, None] <= last[:, :, None]))
    suffix_mask = None
    if prefix:
        ends = owner[:, prefix:]
        seen = (ends[:, :, None] == owner[:, None]) & (at[None, None] <= at[prefix:, None])
        suffix_mask = torch.from_numpy((common[:, None] | seen)[:, None])
    return Layout(
        last=torch.from_numpy(last),
        component=torch.from_numpy(component),
        visible=torch.from_numpy(visible),
        prefix=prefix,
        suffix_mask=suffix_mask,
    )


def _sequence_positions(
    places: list[tuple[int, Encoded, list[tuple[slice, slice]]]], shape: tuple[int, int]
) -> Tensor:
    positions = np.zeros(shape, dtype=np.int64)
    for row, record, pieces in places:
        own = np.arange(len(record))
        for there, here in pieces:
            positions[row, there] = own[here]
    return torch.from_numpy(positions)


def _rope_positions(
    places: list[tuple[int, Encoded, list[tuple[slice, slice]]]],
    shape: tuple[int, int],
    rope_index: Any,
) -> Tensor:
    positions: Tensor | None = None
    for row, record, pieces in places:
        own = rope_index(record)
        if positions is None:
            positions = own.new_zeros((own.shape[0], *shape))
        for there, here in pieces:
            positions[:, row, there] = own[:, here]
    if positions is None:
        raise ValueError("an empty batch has no positions")
    return positions


def _images(units: list[Unit]) -> dict[str, Tensor]:
    """Join what the processor made of the images, padding ragged dimensions with zeros."""
    joined: dict[str, Tensor] = {}
    for name in units[0].records[0].images:
        arrays = [np.asarray(unit.records[0].images[name]) for unit in units]
        inner = np.max([array.shape[1:] for array in arrays], axis=0) if arrays[0].ndim > 1 else ()
        size = (sum(len(array) for array in arrays), *(int(n) for n in inner))
        if all(array.shape[1:] == size[1:] for array in arrays):
            whole = np.concatenate(arrays)
        else:
            whole = np.zeros(size, dtype=arrays[0].dtype)
            start = 0
            for array in arrays:
                box = (slice(start, start + len(array)), *(slice(0, n) for n in array.shape[1:]))
                whole[box] = array
                start += len(array)
        joined[name] = torch.from_numpy(whole)
    return joined
