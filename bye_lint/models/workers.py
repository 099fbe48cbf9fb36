"""Records are decoded and tokenized in processes of their own, so that the device never waits."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch

from bye_lint.models.chat import EncodeError
from bye_lint.models.families import FAMILIES
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.processors import load_processor
from bye_lint.models.prompts import Encoded, Encoder
from bye_lint.models.resolve import ResolvedModel
from bye_lint.records import Sample

Outcomes = list["Encoded | EncodeError"]

#: Fewer records are prepared in this process: a worker takes seconds to start.
WORTH_A_WORKER = 256
#: More workers than this would prepare faster than any card reads.
MOST_WORKERS = 8

_log = logging.getLogger(__name__)


def default_workers(loaded: LoadedModel, n_records: int) -> int:
    """Processes that prepare records: none where the model itself runs on the processor."""
    if loaded.resolved is None or loaded.device.type == "cpu" or n_records < WORTH_A_WORKER:
        return 0
    return max(0, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))


@dataclass
class Preparer:
    """Encodes groups of records in order, ``workers`` of them ahead in other processes.

    Attributes
    ----------
    loaded : LoadedModel
        Workers load its processor anew, from the folder that it was resolved to.
    max_pixels : int
    workers : int
        0 encodes in this process. Where a worker dies, the rest is encoded in this process too.
    """

    loaded: LoadedModel
    max_pixels: int
    workers: int = 0

    def encode(self, blocks: Iterator[list[list[Sample]]]) -> Iterator[list[Outcomes]]:
        """Yield the outcomes of each block's groups; the next block is prepared meanwhile."""
        if self.workers == 0 or self.loaded.resolved is None:
            for block in blocks:
                yield [self._here(group) for group in block]
            return
        pool = self._pool(self.loaded.resolved)
        try:
            ahead: list[tuple[list[list[Sample]], list[Future[Outcomes]]]] = []
            for block in blocks:
                ahead.append((block, self._submit(pool, block)))
                if len(ahead) > 1:
                    yield self._gather(*ahead.pop(0))
            for begun in ahead:
                yield self._gather(*begun)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pool(self, resolved: ResolvedModel) -> Executor:
        encoder = self.loaded.encoder
        begin = partial(_begin, resolved, encoder.image_token_id, encoder.longest, self.max_pixels)
        return ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("spawn"),  # a forked process must not touch the device
            initializer=begin,
        )

    @staticmethod
    def _submit(pool: Executor, block: list[list[Sample]]) -> list[Future[Outcomes]]:
        try:
            return [pool.submit(_encode, group) for group in block]
        except BrokenProcessPool:
            return []

    def _gather(self, block: list[list[Sample]], begun: list[Future[Outcomes]]) -> list[Outcomes]:
        try:
            if len(begun) == len(block):
                return [future.result() for future in begun]
        except BrokenProcessPool:
            _log.warning("a worker died; records are prepared in this process from here on")
        return [self._here(group) for group in block]

    def _here(self, group: Sequence[Sample]) -> Outcomes:
        return self.loaded.encoder.encode_shared(group, max_pixels=self.max_pixels)


_encode_group: Callable[[Sequence[Sample]], Outcomes] | None = None


def _begin(
    resolved: ResolvedModel, image_token_id: int, longest: int | None, max_pixels: int
) -> None:
    """Make a process a worker: load the processor, keep to one thread."""
    global _encode_group  # noqa: PLW0603  (what a worker keeps between two groups)
    torch.set_num_threads(1)
    encoder = Encoder(load_processor(resolved), FAMILIES[resolved.family], image_token_id, longest)

    def encode(group: Sequence[Sample]) -> Outcomes:
        return encoder.encode_shared(group, max_pixels=max_pixels)

    _encode_group = encode


def _encode(group: Sequence[Sample]) -> Outcomes:
    if _encode_group is None:
        raise RuntimeError("the worker was not begun")
    return _encode_group(group)
