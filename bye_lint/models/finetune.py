"""Fine-tuning on a dataset, so that the model shows what the dataset would teach it.

The loop works on encoded examples (``examples.py``) and knows no model family. Only answer tokens
are in the loss, and examples of like length share a batch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bye_lint.models.examples import (
    IGNORED,
    Example,
    answer_logits,
    answers_right,
    autocast,
    batch_order,
    collate,
    tower_features,
)
from bye_lint.models.schedule import FineTuneSettings

__all__ = [
    "IGNORED",
    "Example",
    "FineTuneResult",
    "FineTuneSettings",
    "Progress",
    "answer_logits",
    "answers_right",
    "batch_order",
    "collate",
    "fine_tune",
    "prepare",
    "tower_features",
]

_FORMAT = 1
_SHORT = 512
_TOWERS = frozenset({"vision_tower", "vision_model", "vision_encoder", "visual"})
_DECODERS = frozenset({"language_model", "text_model"})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands: ``loss`` is smoothed over the last twenty or so steps."""

    step: int
    total: int
    loss: float
    seconds_left: float
    history: Sequence[float]

    def flat(self, window: int = 40, gain: float = 0.03) -> bool:
        """Tell whether the mean loss of the last ``window`` steps fell by less than ``gain``."""
        if len(self.history) < 2 * window:
            return False
        before = float(np.mean(self.history[-2 * window : -window]))
        now = float(np.mean(self.history[-window:]))
        return now > before * (1 - gain)


@dataclass(frozen=True, slots=True)
class FineTuneResult:
    """What a run did; ``stopped_early`` says that ``on_eval`` ended it."""

    model: nn.Module
    steps: int
    total: int
    history: tuple[float, ...]
    stopped_early: bool
    seconds: float


def prepare(model: nn.Module, settings: FineTuneSettings) -> nn.Module:
    """Freeze the vision tower and choose what is trained; ``lora`` returns the model wrapped."""
    if settings.method == "lora":
        from peft import LoraConfig, get_peft_model

        # "all-linear" would adapt the tower too, whose features may be cached.
        targets = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and _is_decoder(name) and "lm_head" not in name
        ]
        config = LoraConfig(
            r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=targets
        )
        model = get_peft_model(model, config)
    else:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not _is_tower(name))
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        model.enable_input_require_grads()  # type: ignore[operator]
    return model


def _is_tower(name: str) -> bool:
    return not _TOWERS.isdisjoint(name.split("."))


def _is_decoder(name: str) -> bool:
    return not _is_tower(name) and not _DECODERS.isdisjoint(name.split("."))


@contextmanager
def _quick_attention(model: Any, longest: int, device: torch.device) -> Iterator[None]:
    """Train with eager attention where that is quicker than the fused kernel and its backward pass.

    On a CPU, at 170 tokens and heads of 32, a step of the scout takes two thirds of the time.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = plain.config._attn_implementation
    if device.type != "cpu" or before != "sdpa" or longest > _SHORT:
        yield
        return
    plain.set_attn_implementation("eager")
    try:
        yield
    finally:
        plain.set_attn_implementation(before)


def fine_tune(
    model: nn.Module,
    examples: Sequence[Example],
    settings: FineTuneSettings,
    *,
    pad_id: int,
    features: Mapping[str, Tensor] | None = None,
    state: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_eval: Callable[[nn.Module, Progress], bool] | None = None,
) -> FineTuneResult:
    """Fine-tune ``model`` in place on ``examples``.

    Parameters
    ----------
    model
        As ``prepare`` returned it.
    pad_id
        Token id that fills short rows.
    features
        Output of ``tower_features``; without it each example's ``inputs`` go through the whole
        model.
    state
        Folder in which the run is kept; a run that was cut off goes on from there, and a finished
        one is read back. A state of other settings or data is ignored.
    on_progress
        Called after every step.
    on_eval
        Called every ``eval_every`` steps with the model in evaluation mode; True ends the run.

    Returns
    -------
    FineTuneResult
        The model is in evaluation mode.

    Raises
    ------
    ValueError
        Without examples.
    """
    if not examples:
        raise ValueError("nothing to fine-tune on: expected at least one example")
    device = next(model.parameters()).device
    total = settings.n_steps(len(examples))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        trained.values(),
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
    )
    run = _RunState(state, _fingerprint(examples, settings), trained, optimizer)
    step, history, ended = run.load(device)
    began, first = time.monotonic(), step
    lengths = [e.length for e in examples]
    smoothed = float(np.mean(history[-20:])) if history else 0.0
    model.train()
    with _quick_attention(model, max(lengths), device):
        for index, chosen in enumerate(
            batch_order(lengths, settings.batch_size, total, settings.seed)
        ):
            if ended or index < step:
                continue
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, total, settings.warmup)
            loss = _backward(
                model, [examples[i] for i in chosen], settings, pad_id, features, device
            )
            nn.utils.clip_grad_norm_(trained.values(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            history.append(loss)
            smoothed = loss if step == 1 else 0.9 * smoothed + 0.1 * loss
            pace = (time.monotonic() - began) / (step - first)
            progress = Progress(step, total, smoothed, pace * (total - step), history)
            if on_progress is not None:
                on_progress(progress)
            if on_eval is not None and (step % settings.eval_every == 0 or step == total):
                model.eval()
                ended = on_eval(model, progress) and step < total
                model.train()
            if ended or step == total or step % settings.save_every == 0:
                run.save(step, history, ended)
            if ended:
                break
    model.eval()
    seconds = time.monotonic() - began
    return FineTuneResult(model, step, total, tuple(history), ended, seconds)


def _schedule(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak learning rate: up over the warm-up, then linearly to 0."""
    warm = max(int(warmup * total), 1)
    if step < warm:
        return (step + 1) / warm
    return max((total - step) / max(total - warm, 1), 0.0)


def _backward(
    model: nn.Module,
    examples: Sequence[Example],
    settings: FineTuneSettings,
    pad_id: int,
    features: Mapping[str, Tensor] | None,
    device: torch.device,
) -> float:
    """Accumulate the gradient of one batch; return its mean loss over answer tokens."""
    n_tokens = sum(e.answer_length for e in examples)
    size = settings.micro_batch or len(examples)
    loss = 0.0
    for start in range(0, len(examples), size):
        with autocast(device, settings.bfloat16):
            logits, labels = answer_logits(
                model, examples[start : start + size], pad_id, features, device
            )
        part = cross_entropy(logits, labels, reduction="sum") / n_tokens
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.item()
    return loss


def _fingerprint(examples: Sequence[Example], settings: FineTuneSettings) -> str:
    digest = hashlib.sha256(repr(sorted(asdict(settings).items())).encode())
    for example in examples:
        digest.update(example.input_ids.numpy().tobytes())
        digest.update(f"|{example.answer_length}|{example.image}|".encode())
    return digest.hexdigest()


@dataclass
class _RunState:
    """The trained weights and the optimizer, on disk as one file that is replaced atomically."""

    folder: Path | None
    fingerprint: str
    trained: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer

    def load(self, device: torch.device) -> tuple[int, list[float], bool]:
        """Return step, loss history and whether the run had ended early."""
        if self.folder is None or not (path := self.folder / "fine-tune.pt").exists():
            return 0, [], False
        kept = torch.load(path, map_location=device, weights_only=True)
        if (kept.get("format"), kept.get("fingerprint")) != (_FORMAT, self.fingerprint):
            return 0, [], False
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(kept["weights"][name])
        self.optimizer.load_state_dict(kept["optimizer"])
        return kept["step"], kept["history"], kept["ended"]

    def save(self, step: int, history: list[float], ended: bool) -> None:
        """Write the run's state; a reader never sees half of it."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "fine-tune.pt.partial"
        torch.save(
            {
                "format": _FORMAT,
                "fingerprint": self.fingerprint,
                "weights": {name: p.detach() for name, p in self.trained.items()},
                "optimizer": self.optimizer.state_dict(),
                "step": step,
                "history": history,
                "ended": ended,
            },
            partial,
        )
        partial.replace(self.folder / "fine-tune.pt")
