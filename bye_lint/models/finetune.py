"""Fine-tuning on a dataset, so that the model shows what the dataset would teach it.

The loop works on encoded examples and knows no model family. Only answer tokens are in the loss,
and logits are computed for them alone: batches are padded on the left, so that answers end
together. Examples of like length share a batch. Where the vision tower is frozen its features are
computed once per image (``tower_features``) and the loop trains what follows them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

IGNORED = -100
_POOL_BATCHES = 32
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How a model is fine-tuned.

    Attributes
    ----------
    epochs, batch_size, learning_rate
        Length and step size; the rate warms up over ``warmup`` of the steps and falls linearly to
        0.
    max_steps : int or None
        Cuts the schedule short, whatever ``epochs`` says.
    method : str
        ``full`` trains everything behind the vision tower; ``lora`` trains adapters (peft).
    micro_batch : int or None
        Examples per forward pass where a whole batch does not fit into memory.
    gradient_checkpointing : bool
        Recompute activations in the backward pass: slower, far less memory.
    bfloat16 : bool
        Compute in bfloat16 under autocast; the weights being trained stay in their own type.
    eval_every : int
        Steps between two calls of ``on_eval``.
    """

    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 1e-3
    max_steps: int | None = None
    method: Literal["full", "lora"] = "full"
    micro_batch: int | None = None
    gradient_checkpointing: bool = False
    bfloat16: bool = True
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora_rank: int = 16
    lora_alpha: int = 32
    eval_every: int = 40
    save_every: int = 100
    seed: int = 0

    def n_steps(self, n_examples: int) -> int:
        """Return the number of optimizer steps for so many examples."""
        steps = max(round(self.epochs * n_examples / self.batch_size), 1)
        return steps if self.max_steps is None else min(steps, self.max_steps)


@dataclass(frozen=True, slots=True)
class Example:
    """One record, encoded: prompt and answer, ending in the end-of-turn token.

    Attributes
    ----------
    input_ids : (length,) int64 tensor
    answer_length : int
        So many tokens at the end are the answer's, the end-of-turn token included.
    image : str
        Key of the image in ``features``; empty where there is none or ``inputs`` carries pixels.
    inputs : mapping
        What else the model's forward takes (``pixel_values`` …), joined along the first axis.
    """

    input_ids: Tensor
    answer_length: int
    image: str = ""
    inputs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return int(self.input_ids.shape[0])


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
    return any(part in {"vision_tower", "vision_model", "visual"} for part in name.split("."))


def _is_decoder(name: str) -> bool:
    return not _is_tower(name) and "projector" not in name


@torch.no_grad()
def tower_features(
    model: Any, images: Mapping[str, Tensor], *, batch_size: int = 64, bfloat16: bool = True
) -> dict[str, Tensor]:
    """Run the frozen vision tower of a LLaVA model once over every image.

    Parameters
    ----------
    images
        Key to pixel values ``(3, side, side)`` as the processor returns them.

    Returns
    -------
    dict
        Key to the tower's output before the projector, ``(image_tokens, width)``, in bfloat16 where
        that is what the run computes in.
    """
    base, config = model.model, model.config
    device = next(base.vision_tower.parameters()).device
    features: dict[str, Tensor] = {}
    keys = list(images)
    for start in range(0, len(keys), batch_size):
        chunk = keys[start : start + batch_size]
        pixels = torch.stack([images[key] for key in chunk]).to(device)
        with _autocast(device, bfloat16):
            states = base.vision_tower(pixel_values=pixels, output_hidden_states=True).hidden_states
        tokens = states[config.vision_feature_layer]
        if config.vision_feature_select_strategy == "default":
            tokens = tokens[:, 1:]
        tokens = tokens.to(torch.bfloat16) if bfloat16 else tokens
        features.update(zip(chunk, tokens.cpu().clone(), strict=True))
    return features


def _autocast(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()


def batch_order(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int
) -> Iterator[list[int]]:
    """Yield ``steps`` batches of indices: shuffled every epoch, like lengths together.

    Examples are drawn into pools of some batches, sorted by length inside a pool, and the pool's
    batches are shuffled, so that a batch wastes little on padding and lengths still come mixed.
    """
    rng = np.random.default_rng(seed)
    n, given = len(lengths), 0
    while given < steps:
        order = rng.permutation(n)
        for start in range(0, n, batch_size * _POOL_BATCHES):
            pool = order[start : start + batch_size * _POOL_BATCHES]
            pool = pool[np.argsort([lengths[i] for i in pool], kind="stable")]
            batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
            for chosen in rng.permutation(len(batches)):
                if given == steps:
                    return
                given += 1
                yield [int(i) for i in batches[chosen]]


def collate(examples: Sequence[Example], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Pad on the left; ``labels`` has only the answers' tokens."""
    length = max(e.length for e in examples)
    ids = torch.full((len(examples), length), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        ids[row, -example.length :] = example.input_ids
        mask[row, -example.length :] = 1
        labels[row, -example.answer_length :] = example.input_ids[-example.answer_length :]
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    for name in examples[0].inputs:
        batch[name] = torch.cat([e.inputs[name] for e in examples])
    return {name: tensor.to(device) for name, tensor in batch.items()}


def answer_logits(
    model: Any,
    examples: Sequence[Example],
    pad_id: int,
    features: Mapping[str, Tensor] | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return logits and labels of the answers' tokens alone, ``(k, vocab)`` and ``(k,)``."""
    batch = collate(examples, pad_id, device)
    labels = batch.pop("labels")
    kept = max(e.answer_length for e in examples) + 1
    # Rotary positions are relative, but a row's first token should still stand at 0.
    batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    if features is not None:
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        ids = batch.pop("input_ids")
        embeds = plain.get_input_embeddings()(ids)
        seen = torch.stack([features[e.image] for e in examples]).to(device)
        projector = plain.model.multi_modal_projector
        if not torch.is_autocast_enabled(device.type):
            seen = seen.to(projector.linear_1.weight.dtype)
        seen = projector(seen).to(embeds.dtype)
        at_image = (ids == plain.config.image_token_id)[..., None]
        batch["inputs_embeds"] = embeds.masked_scatter(at_image, seen)
    logits = model(**batch, logits_to_keep=kept, use_cache=False).logits[:, :-1]
    labels = labels[:, 1 - kept :]
    answered = labels != IGNORED
    return logits[answered].float(), labels[answered]


@torch.no_grad()
def answers_right(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    pad_id: int,
    features: Mapping[str, Tensor] | None = None,
    batch_size: int = 32,
    bfloat16: bool = True,
) -> NDArray[np.bool_]:
    """Tell for each example whether greedy decoding gives its answer exactly.

    Computed in one forward pass: every token of the answer is the likeliest after those before it.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = np.zeros(len(examples), dtype=bool)
    order = sorted(range(len(examples)), key=lambda i: examples[i].length)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        part = [examples[i] for i in chosen]
        with _autocast(device, bfloat16):
            logits, labels = answer_logits(model, part, pad_id, features, device)
        hits = torch.split(logits.argmax(-1) == labels, [e.answer_length for e in part])
        right[chosen] = [bool(h.all()) for h in hits]
    model.train(training)
    return right


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
    for index, chosen in enumerate(batch_order(lengths, settings.batch_size, total, settings.seed)):
        if ended or index < step:
            continue
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, total, settings.warmup)
        loss = _backward(model, [examples[i] for i in chosen], settings, pad_id, features, device)
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
        with _autocast(device, settings.bfloat16):
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
