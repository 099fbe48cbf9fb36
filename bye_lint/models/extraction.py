"""Extraction: records in, attention of the first decoding token out (BYE, stage 1).

Prefill only, in batches by length within a budget of tokens; records about one image compute
its part of the sequence once. What was read before comes from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import torch

from bye_lint.errors import ModelError
from bye_lint.models.batching import Padding, Unit, by_length, share
from bye_lint.models.blocks import Item, image_blocks, image_groups
from bye_lint.models.chat import EncodeError
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.memory import out_of_memory
from bye_lint.models.prompts import Encoded
from bye_lint.models.rows import FeatureRow, RowStore, cached_rows, failed_row
from bye_lint.models.running import Launched, Rows, launch
from bye_lint.models.workers import Outcomes, Preparer, default_workers
from bye_lint.records import Sample

__all__ = ["default_budget", "extract", "read_batches"]

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
    known: Sequence[FeatureRow | None] | None = None,
    leave: bool = False,
    progress: Progress | None = None,
    padding: Padding = "right",
    sharing: bool = True,
    max_pixels: int = 50_000_000,
    workers: int | None = None,
) -> list[FeatureRow]:
    """Read the attention of every sample's first decoding token.

    Parameters
    ----------
    batch_tokens : int or None
        Padded tokens of a batch; halved, and the batch run again, where memory does not suffice.
        A row of records that share an image is cut in two then.
    maps : bool
        Keep the head-averaged attention over the image tokens, layer by layer.
    hidden : bool
        Keep the last hidden state of the first decoding token.
    store, keys
        Rows by key (:func:`bye_lint.models.feature_keys`) that need not be read again; new ones
        are added batch by batch. Records with one key are read once, so that each has the row
        that the store would give back.
    known : sequence of FeatureRow or None, optional
        What the store holds (:func:`bye_lint.models.cached_rows`), where that was looked up before.
    leave : bool
        Return no attention that is in the store: it is as large as everything else together many
        times over, and few ask for it (:func:`bye_lint.models.stored_attention`).
    progress : callable or None
        Called with the number of samples that were just finished.
    padding : str
        Side that batches are padded on; the rows do not depend on it.
    sharing : bool
        Compute what records about one image have in common once.
    workers : int or None
        Processes that decode and tokenize ahead; by default some where the model is on a GPU.

    Returns
    -------
    list of FeatureRow
        In the order of ``samples``. A record that could not be read is a row of NaN with
        the reason; it is never filled in.
    """
    keys = keys or [""] * len(samples)
    if known is None:
        known = cached_rows(store, keys, attention=maps, hidden=hidden, leave=leave)
    rows = list(known)
    lacking = {i for i, row in enumerate(rows) if row is None}
    if progress is not None and len(lacking) < len(samples):
        progress(len(samples) - len(lacking))
    batches = read_batches(
        loaded,
        samples,
        lacking,
        batch_tokens=batch_tokens,
        maps=maps,
        hidden=hidden,
        keys=keys,
        padding=padding,
        sharing=sharing,
        max_pixels=max_pixels,
        workers=workers,
    )
    for batch in batches:
        kept = {
            keys[places[0]]: row for places, row in batch if keys[places[0]] and not row.passing
        }
        if store is not None:
            store.put({key: row.to_arrays() for key, row in kept.items()})
        for places, row in batch:
            stored = leave and store is not None and keys[places[0]] in kept
            for place in places:
                rows[place] = replace(row, attention=None) if stored else row
        if progress is not None:
            progress(sum(len(places) for places, _ in batch))
    return [row for row in rows if row is not None]


def read_batches(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    lacking: Set[int] | None = None,
    *,
    batch_tokens: int | None = None,
    maps: bool = False,
    hidden: bool = True,
    keys: Sequence[str] = (),
    padding: Padding = "right",
    sharing: bool = True,
    max_pixels: int = 50_000_000,
    workers: int | None = None,
    division: Sequence[Sequence[int]] | None = None,
) -> Iterator[list[tuple[list[int], FeatureRow]]]:
    """Yield the rows of each batch as they come, each with the places of the samples it is for.

    Nothing is kept, so that memory does not grow with the number of records; for the parameters,
    see :func:`extract`.

    Parameters
    ----------
    lacking : set of int or None
        Places of the samples that are read; by default all of them.
    division : sequence of sequences of int or None
        Places of the samples of each block, as :func:`bye_lint.models.blocks` returned them for
        more samples than these; divided anew by default.
    """
    lacking = set(range(len(samples))) if lacking is None else lacking
    keys = keys or [""] * len(samples)
    alike: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        alike.setdefault(key or f"none {i}", []).append(i)
    copies = {places[0]: places for places in alike.values()}
    todo = {i for i in copies if i in lacking}
    if workers is None:
        workers = default_workers(loaded, len(todo))
    reading = _Reading(
        loaded, batch_tokens or default_budget(loaded), maps, hidden, padding, sharing
    )
    blocks = _unread(_divided(loaded, samples, copies, division), todo) if todo else []
    groups = ([[sample for _, sample in group] for group in block] for block in blocks)
    prepared = Preparer(loaded, max_pixels, workers).encode(groups)
    for batch in reading.read(zip(blocks, prepared, strict=True), todo):
        yield [(copies[i], row) for i, row in batch if i in todo]


def default_budget(loaded: LoadedModel) -> int:
    """Tokens of a batch: enough to keep the device busy, few enough for its memory."""
    if loaded.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(loaded.device)
        width = int(loaded.config.hidden_size)
        inner = int(getattr(loaded.config, "intermediate_size", 4 * width) or 4 * width)
        per_token = (8 * width + 3 * inner) * loaded.dtype.itemsize
        return int(min(32768, max(2048, 0.5 * free / per_token)))
    return 4096


def _divided(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    places: Collection[int],
    division: Sequence[Sequence[int]] | None,
) -> list[list[list[Item]]]:
    """Return the blocks that samples are in; of copies only those at ``places``."""
    if division is None:
        return image_blocks([(i, samples[i]) for i in places], loaded.family)
    parts = ([(i, samples[i]) for i in part if i in places] for part in division)
    return [image_groups(part) for part in parts]


def _unread(blocks: list[list[list[Item]]], todo: set[int]) -> list[list[list[Item]]]:
    """Return the blocks to read, so that a run that was cut off goes on in the same batches.

    The first block that lacks rows is the one that it was cut off in: it is batched whole, and the
    batches that are there are left out. Later ones lack all their rows, or those that are new.
    """
    found: list[list[list[Item]]] = []
    for block in blocks:
        lacking = [[item for item in group if item[0] in todo] for group in block]
        lacking = [group for group in lacking if group]
        if lacking:
            found.append(lacking if found else block)
    return found


@dataclass
class _Reading:
    """How blocks of records are read; ``budget`` shrinks where memory does not suffice."""

    loaded: LoadedModel
    budget: int
    maps: bool
    hidden: bool
    padding: Padding
    sharing: bool

    def read(
        self, blocks: Iterator[tuple[list[list[Item]], list[Outcomes]]], todo: set[int]
    ) -> Iterator[Rows]:
        """Yield the rows of each batch; while they are kept, the device reads the next."""
        launched: Launched | None = None
        for block, outcomes in blocks:
            failed, units = self._units(block, outcomes)
            failed = [(i, row) for i, row in failed if i in todo]
            if failed:
                yield failed
            wanted = [
                [unit for unit in batch if not todo.isdisjoint(unit.index)]
                for batch in by_length(units, self.budget)
            ]
            pending = [batch for batch in wanted if batch][::-1]
            while pending:
                batch = pending.pop()
                following = self._launch(batch)
                if following is None:
                    pending = self._smaller(batch, pending)
                    continue
                if launched is not None:
                    yield launched.rows()
                launched = following
        if launched is not None:
            yield launched.rows()

    def _units(self, block: list[list[Item]], outcomes: list[Outcomes]) -> tuple[Rows, list[Unit]]:
        """Return the rows of records that cannot be encoded, and the others as units."""
        shared = self.sharing and self.padding == "right" and self.loaded.shares
        shape = len(self.loaded.layers), self.loaded.n_heads
        failed: Rows = []
        units: list[Unit] = []
        for group, found in zip(block, outcomes, strict=True):
            encoded: list[tuple[int, Encoded]] = []
            for (i, _), outcome in zip(group, found, strict=True):
                if isinstance(outcome, EncodeError):
                    failed.append((i, failed_row(str(outcome), *shape, passing=outcome.passing)))
                else:
                    encoded.append((i, outcome))
            if shared:
                units += share(encoded, self.loaded.window, int(self.loaded.config.hidden_size))
            else:
                units += [Unit((i,), (record,)) for i, record in encoded]
        return failed, units

    def _launch(self, batch: list[Unit]) -> Launched | None:
        """Start a batch, or return ``None`` where memory does not suffice.

        What the try had allocated hangs on its error, and is free once this has returned.
        """
        try:
            return launch(
                self.loaded, batch, maps=self.maps, hidden=self.hidden, padding=self.padding
            )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        return None

    def _smaller(self, batch: list[Unit], pending: list[list[Unit]]) -> list[list[Unit]]:
        """Halve the budget, and return what is left in batches that keep to it."""
        torch.cuda.empty_cache()
        self.budget = max(1, sum(unit.tokens for unit in batch) // 2)
        if len(batch) == 1:
            (unit,) = batch
            batch = unit.halves()
            if not batch:
                raise ModelError(
                    f"a record of {unit.tokens} tokens does not fit into memory",
                    "Use a larger device, or quantization.",
                )
        left = [unit for part in [*pending[::-1], batch] for unit in part]
        return by_length(left, self.budget)[::-1]
