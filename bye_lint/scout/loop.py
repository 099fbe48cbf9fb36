"""The training loop that both pre-training stages share: scheduled, logged, resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bye_lint.atomic import in_one_move
from bye_lint.errors import ModelError

Batch = dict[str, torch.Tensor]
WARM_STEPS: Final = 10
WEIGHT_DECAY: Final = 0.05
#: So many steps in a row whose gradient is no number end a run; fewer are left out.
LOST_STEPS: Final = 20


@dataclass
class Stage:
    """What one stage trains and how.

    Attributes
    ----------
    name
        Also the checkpoint's file name.
    modules
        Everything whose weights the checkpoint keeps; those that require gradients are trained.
    batches
        Maps a step number to a batch; the same number always gives the same batch.
    losses
        Maps a batch on the device to named losses, which are summed.
    """

    name: str
    modules: nn.ModuleDict
    batches: Dataset[Batch]
    losses: Callable[[Batch], dict[str, torch.Tensor]]
    learning_rate: float
    device: torch.device
    history: list[float] = field(default_factory=list)


def learning_rate_at(step: int, total: int, peak: float) -> float:
    """Linear warm-up over at most 200 steps, then a cosine down to a fiftieth of the peak."""
    warm = min(200, max(total // 10, 1))
    if step < warm:
        return peak * (step + 1) / warm
    done = min((step - warm) / max(total - warm, 1), 1.0)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def _batches(dataset: Dataset[Batch], start: int, workers: int) -> Iterator[Batch]:
    steps = iter(range(start, 1 << 31))
    yield from DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )


class _Run:
    """The optimizer and the position of one stage, and their checkpoint."""

    def __init__(self, stage: Stage, path: Path, steps: int | None) -> None:
        self.stage, self.path = stage, path
        self.step, self.total = 0, steps
        self.lost = 0
        self.trained = [p for p in stage.modules.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in self.trained if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in self.trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.98))

    @property
    def finished(self) -> bool:
        return self.total is not None and self.step >= self.total

    def load(self) -> None:
        state = torch.load(self.path, map_location=self.stage.device, weights_only=True)
        self.stage.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.total = state["step"], state["total"]
        self.stage.history = state["history"]

    def save(self) -> None:
        state = {
            "modules": self.stage.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "total": self.total,
            "history": self.stage.history,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with in_one_move(self.path) as partial:
            torch.save(state, partial)

    def advance(self, drawn: Batch) -> tuple[dict[str, float], float]:
        """Take one step; return the named losses and the learning rate.

        Raises
        ------
        ModelError
            If the gradient of the last ``LOST_STEPS`` was no number.
        """
        rate = learning_rate_at(self.step, self.total or 1 << 20, self.stage.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = {name: tensor.to(self.stage.device) for name, tensor in drawn.items()}
        losses = self.stage.losses(batch)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.trained, 1.0)
        # One such step would leave weights that are no numbers, and every later one be in vain.
        self.lost = 0 if torch.isfinite(norm) else self.lost + 1
        if self.lost == LOST_STEPS:
            raise ModelError(
                f"{self.stage.name}: the gradient is no number at step {self.step} and the "
                f"{LOST_STEPS - 1} before it",
                "Go on from the last checkpoint with --resume, or begin anew at a lower rate.",
            )
        if not self.lost:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.stage.history.append(round(loss.item(), 4))
        return {name: value.item() for name, value in losses.items()}, rate


def run_stage(
    stage: Stage,
    out: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    workers: int = 1,
    save_every: int = 500,
    log: Callable[[str], None] = print,
    on_save: Callable[[int], None] = lambda _: None,
) -> int:
    """Train for ``steps``, or as many as fit into ``minutes``; return the last step's number.

    The length of a run given in minutes is fixed after the first few steps and kept in the
    checkpoint, so that the schedule is one of steps and a resumed run follows it.
    """
    run = _Run(stage, out / f"{stage.name}.pt", steps)
    resumed = resume and run.path.exists()
    if resumed:
        run.load()
        log(f"{stage.name}: resumed at step {run.step} of {run.total}")
    if resumed or run.finished:
        on_save(run.step)  # the run may have been cut off between saving and this
    if run.finished:
        return run.step
    began = warm = time.monotonic()
    first, smooth = run.step, dict[str, float]()
    for drawn in _batches(stage.batches, run.step, workers):
        losses, rate = run.advance(drawn)
        for name, value in losses.items():
            if math.isfinite(value):
                smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
        done, seconds = run.step - first, time.monotonic() - began
        if done == WARM_STEPS:
            warm = time.monotonic()  # compiling and first touches are behind
        if run.total is None and minutes is not None and done == 3 * WARM_STEPS:
            pace = (time.monotonic() - warm) / (2 * WARM_STEPS)
            run.total = run.step + max(int((minutes * 60 - seconds) / pace), 0)
            log(f"{stage.name}: {pace:.3f} s a step, {run.total} steps")
        if run.step % 50 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in smooth.items())
            log(f"{stage.name} {run.step}/{run.total} {seconds:.0f} s lr {rate:.1e}: {shown}")
        if run.finished:
            break
        if run.step % save_every == 0:
            run.save()
            on_save(run.step)
    run.save()
    on_save(run.step)
    return run.step
