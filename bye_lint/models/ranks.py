"""Processes that fine-tune together, one a GPU, as ``accelerate launch`` starts them.

Every process holds the whole model and takes its share of each batch; gradients are summed, so
that all of them take the step that one process would take, up to the order of a sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from bye_lint.errors import ModelError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

#: How long processes wait for the first one while it does what it does alone: asks the canaries
#: between two steps, writes the model. NCCL gives a step ten minutes, which may be too few.
LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes
    ----------
    rank, count : int
        The ``rank``-th of ``count``, counted from 0.
    device : torch.device or None
        Where this process computes.
    waiting : process group or None
        In which processes wait for the first one, however long it takes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None
    waiting: Any = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's part of a batch."""
        return list(items[self.rank :: self.count])

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over all processes, in place; a missing one counts as zero."""
        if self.count == 1:
            return
        import torch
        from torch import distributed

        trained = list(parameters)
        parts = [torch.zeros_like(p).ravel() if p.grad is None else p.grad.ravel() for p in trained]
        whole = torch.cat([part.float() for part in parts])
        distributed.all_reduce(whole)
        for parameter, part in zip(
            trained, torch.split(whole, [p.numel() for p in trained]), strict=True
        ):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def sum(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.count == 1:
            return value
        import torch
        from torch import distributed

        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total)

    def follow(self, value: int) -> int:
        """Return the first process's number, so that all of them go on alike."""
        if self.count == 1:
            return value
        import torch
        from torch import distributed

        told = torch.tensor(value, dtype=torch.int64)
        distributed.broadcast(told, 0, group=self.waiting)
        return int(told)

    def must_agree(self, value: int, what: str) -> None:
        """See that all processes found the same on disk.

        Raises
        ------
        ModelError
            If one of them found something else; every process raises it.
        """
        if self.count > 1 and self.sum(abs(value - self.follow(value))):
            raise ModelError(
                f"the processes see different {what} in the cache",
                "Put BYE_LINT_CACHE, or the folder of -o, on a disk that all of them share.",
            )


ALONE = Ranks()


def launched() -> int:
    """Return how many processes were started together; 1 for an ordinary run."""
    try:
        return max(1, int(os.environ.get("WORLD_SIZE", "1")))
    except ValueError:
        return 1


@contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that were started together, if any, for the time of the block."""
    if launched() == 1:
        yield ALONE
        return
    import torch
    from torch import distributed

    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        waiting = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), device, waiting)
    finally:
        distributed.destroy_process_group()
