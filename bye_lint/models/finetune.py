"""Fine-tuning on a dataset, so that the model shows what the dataset would teach it.

The loop works on encoded examples (``examples.py``) and knows no model family. Only answer tokens
are in the loss, and examples of like length share a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bye_lint.features import FloatArray
from bye_lint.models.adapters import with_lora
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
from bye_lint.models.families import TOWERS
from bye_lint.models.losses import LossTrace
from bye_lint.models.ranks import ALONE, Ranks
from bye_lint.models.runstate import RunState, fingerprint
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

_SHORT = 512
_DECODERS = frozenset({"language_model", "text_model"})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands: ``loss`` is smoothed over the last twenty or so steps."""

    step: int
    total: int
    loss: float
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
    """What a run did; ``stopped_early`` says that ``on_eval`` ended it.

    ``losses`` (n_examples, n_visits) is what each example lost when training came by it, and
    ``None`` where several processes shared the batches, or not every example was seen.
    """

    model: nn.Module
    steps: int
    total: int
    history: tuple[float, ...]
    stopped_early: bool
    seconds: float
    losses: FloatArray | None = None


def prepare(model: nn.Module, settings: FineTuneSettings) -> nn.Module:
    """Freeze the vision tower and choose what is trained; ``lora`` returns the model wrapped.

    Raises
    ------
    MissingExtraError
        If ``lora`` is asked for and peft is not installed.
    ModelError
        If peft lays no LoRA on the model's quantized layers.
    """
    if settings.method == "lora":
        quantized = bool(getattr(model, "is_quantized", False))
        if quantized:
            # not peft's preparation, which makes everything else float32: twice the memory
            model.requires_grad_(False)
        # "all-linear" would adapt the tower too, whose features may be cached.
        targets = [
            name
            for name, module in model.named_modules()
            if (isinstance(module, nn.Linear) or (quantized and _is_packed(module)))
            and _is_decoder(name)
            and "lm_head" not in name
            and not name.endswith(".router")  # Llama 4's gives more than one tensor
        ]
        model = with_lora(model, targets, rank=settings.lora_rank, alpha=settings.lora_alpha)
    else:
        model.requires_grad_(True)
        for name, parameter in model.named_parameters():
            if _is_tower(name):
                parameter.requires_grad_(False)
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        # It has made all embeddings, the tower's too, want gradients. Only reentrant checkpoints
        # need that, and the frozen tower's activations would be kept for nothing.
        model.disable_input_require_grads()  # type: ignore[operator]
    return model


def _is_packed(module: nn.Module) -> bool:
    """Whether a module is a linear layer of GPTQ or AWQ: of no class of torch's, all buffers."""
    sized = hasattr(module, "in_features") and hasattr(module, "out_features")
    return sized and next(module.parameters(recurse=False), None) is None


def _is_tower(name: str) -> bool:
    return not TOWERS.isdisjoint(name.split("."))


def _is_decoder(name: str) -> bool:
    return not _is_tower(name) and not _DECODERS.isdisjoint(name.split("."))


def _train(model: nn.Module) -> None:
    """Set the model to training, but for what is frozen beside the decoder: tower, projector."""
    model.train()
    for name, module in model.named_modules():
        weights = list(module.parameters())
        if weights and not _is_decoder(name) and not any(w.requires_grad for w in weights):
            module.eval()


@contextmanager
def _quick_attention(
    model: Any, longest: int, device: torch.device, bfloat16: bool
) -> Iterator[None]:
    """Train with eager attention where that is quicker than the fused kernel and its backward pass.

    On a CPU that computes bfloat16, at 170 tokens and heads of 32, a step of the scout takes two
    thirds of the time; in float32 it takes no less (``benchmarks.precision``).
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = plain.config._attn_implementation
    if device.type != "cpu" or before != "sdpa" or longest > _SHORT or not bfloat16:
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
    ranks: Ranks = ALONE,
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
    ranks
        Processes that share each batch. Each is given the same model, examples and settings.

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
    trace = LossTrace(len(examples))
    run = RunState(state, fingerprint(examples, settings), trained, optimizer, trace)
    step, history, ended = run.load(device)
    ranks.must_agree(step, "fine-tunings under way")
    began = time.monotonic()
    lengths = [e.length for e in examples]
    smoothed = float(np.mean(history[-20:])) if history else 0.0
    _train(model)
    with _quick_attention(model, max(lengths), device, settings.bfloat16):
        for index, chosen in enumerate(
            batch_order(lengths, settings.batch_size, total, settings.seed)
        ):
            if ended or index < step:
                continue
            # By step, so that a run that was cut off drops what it would have dropped.
            torch.manual_seed((settings.seed + 2**32 * step) * ranks.count + ranks.rank)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, total, settings.warmup)
            loss, losses = _backward(
                model, [examples[i] for i in chosen], settings, pad_id, features, device, ranks
            )
            trace.note(ranks.share(chosen), losses)
            ranks.sum_gradients(trained.values())
            norm = nn.utils.clip_grad_norm_(trained.values(), settings.max_grad_norm)
            if norm.isfinite():  # one such step would leave weights that are no numbers
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            # What comes of a batch left out would make every mean over the losses no number.
            history.append(loss if np.isfinite(loss) else smoothed)
            smoothed = history[0] if step == 1 else 0.9 * smoothed + 0.1 * history[-1]
            progress = Progress(step, total, smoothed, history)
            if on_progress is not None:
                on_progress(progress)
            if on_eval is not None and (step % settings.eval_every == 0 or step == total):
                model.eval()
                ended = bool(ranks.follow(on_eval(model, progress))) and step < total
                _train(model)
            due = step % settings.save_every == 0 or run.is_late()
            if ranks.first and (ended or step == total or due):
                run.save(step, history, ended)
            if ended:
                break
    model.eval()
    seconds = time.monotonic() - began
    losses_seen = trace.array() if ranks.count == 1 else None
    return FineTuneResult(model, step, total, tuple(history), ended, seconds, losses_seen)


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
    ranks: Ranks,
) -> tuple[float, list[float]]:
    """Accumulate this process's part of a batch's gradient.

    Returns
    -------
    loss : float
        Mean over the answer tokens of the whole batch.
    losses : list of float
        The same for each example of this process's part.
    """
    n_tokens = sum(e.answer_length for e in examples)
    mine = ranks.share(examples)
    size = settings.micro_batch or len(examples)
    loss = 0.0
    losses: list[float] = []
    for start in range(0, len(mine), size):
        micro = mine[start : start + size]
        with autocast(device, settings.bfloat16):
            logits, labels = answer_logits(model, micro, pad_id, features, device)
        each = cross_entropy(logits, labels, reduction="none")
        part = each.sum() / n_tokens
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.item()
        answers = torch.split(each.detach(), [e.answer_length for e in micro])
        losses += torch.stack([answer.mean() for answer in answers]).tolist()
    return ranks.sum(loss), losses
