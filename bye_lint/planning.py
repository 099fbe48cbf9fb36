"""What a check would cost, told before the work: records, cache, tokens, minutes, memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bye_lint import learning, models
from bye_lint.escape import visible
from bye_lint.models import cost
from bye_lint.models.devices import devices, throughput
from bye_lint.models.memory import weight_bytes
from bye_lint.packages import installed
from bye_lint.policy import Policy
from bye_lint.records import Sample

Tuning = Literal["none", "cached", "needed"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a check will do, and about what it takes.

    Attributes
    ----------
    records, questions, canaries : int
        Records that are scored, the questions that are read of them, and copies that are planted
        beside these.
    model, family, device, dtype : str
    tuning : str
        ``none``: the model was given as fine-tuned; ``cached``: it learned the same before.
    steps : int
        Steps of the fine-tuning at most; it ends early once the canaries are learned.
    cached : int
        Rows (questions and canaries) that the cache holds already.
    tokens : int
        Tokens of all questions and canaries, prompt and image, once.
    exact : bool
        Every image has the same, known number of tokens; otherwise ``tokens`` is a rough guess.
    seconds : float or None
        ``None`` where this machine could not be measured, as without torch.
    memory : int
        Bytes at the peak.
    free : int
        Bytes that the device has free; 0 where it cannot be told.
    """

    records: int
    questions: int
    canaries: int
    model: str
    family: str
    device: str
    dtype: str
    tuning: Tuning
    steps: int
    cached: int
    tokens: int
    exact: bool
    seconds: float | None
    memory: int
    free: int = 0

    @property
    def rows(self) -> int:
        """Questions and canaries that are read."""
        return self.questions + self.canaries

    @property
    def done(self) -> bool:
        """Whether the cache holds everything already."""
        return self.tuning != "needed" and self.cached == self.rows


def make_plan(
    samples: Sequence[Sample],
    n_canaries: int,
    policy: Policy,
    model: models.ResolvedModel,
    *,
    records: int,
    device: str,
    dtype: str,
    tuning: Tuning,
    cached: Sequence[bool] = (),
) -> Plan:
    """Estimate what a check takes.

    Operations are counted from the model's shape (6 a parameter and token for training, 2 for
    reading) and divided by the speed of a matrix product on this machine, measured in a fraction
    of a second, times the share of it that such work reaches.

    Parameters
    ----------
    samples : sequence of Sample
        What is read of the records, then the canaries.
    n_canaries : int
        How many of them are canaries.
    model : ResolvedModel
        The model that is trained, or the one that is read where it need not be.
    records : int
        How many records the samples are of.
    cached : sequence of bool
        Which of the samples the cache holds; empty where it holds none.

    Raises
    ------
    ModelError
        If a weight file is damaged.
    """
    shape = cost.model_shape(model)
    lengths = [
        len(sample.images) * shape.image_tokens
        + cost.prompt_tokens(f"{sample.system} {sample.prompt}")
        + cost.TEMPLATE_TOKENS
        for sample in samples
    ]
    left = len(samples) - sum(cached)
    mean = sum(lengths) / max(1, len(samples))
    settings = learning.settings(model, policy)
    steps = settings.n_steps(len(samples)) if tuning == "needed" else 0
    images = sum(len(sample.images) for sample in samples)
    share = left / max(1, len(samples))
    memory = cost.reading_memory(model, dtype, policy.model.batch_tokens) if left else 0
    seconds: float | None = 0.0
    if left or steps:
        seconds = cost.START_SECONDS + left * cost.RECORD_SECONDS
        seconds = _add(
            seconds,
            cost.reading_operations(shape, records=left, images=round(images * share), length=mean),
            throughput(device, dtype),
            cost.READING_EFFICIENCY,
        )
    if steps:
        precision = "bfloat16" if settings.bfloat16 else "float32"
        answers = sum(cost.prompt_tokens(sample.answer) + 1 for sample in samples)
        length = mean + answers / len(samples)
        size = 4.0 if device == "cpu" else 2.0
        frozen = weight_bytes(model, size, model.quantization) / max(1, shape.whole)
        needed = cost.training_memory(
            shape, settings, images=images, length=length, frozen_bytes=frozen
        )
        memory = max(memory, needed)
        seconds = _add(
            None if seconds is None else seconds + len(samples) * cost.RECORD_SECONDS,
            cost.training_operations(
                shape, settings, steps=steps, records=len(samples), images=images, length=length
            ),
            throughput(device, precision),
            cost.TRAINING_EFFICIENCY[precision],
        )
    if device == "cpu" and (left or steps):
        memory += round(len(samples) * cost.RECORD_BYTES)
    place = "cpu" if device == "cpu" else f"{device}:0" if device == "cuda" else device
    return Plan(
        records=records,
        questions=len(samples) - n_canaries,
        canaries=n_canaries,
        model=model.name,
        family=model.family,
        device=device,
        dtype=dtype,
        tuning=tuning,
        steps=steps,
        cached=sum(cached),
        tokens=sum(lengths),
        exact=shape.fixed,
        seconds=seconds,
        memory=memory,
        free=next((d.free for d in devices() if d.name == place), 0) if left or steps else 0,
    )


def _add(
    seconds: float | None, operations: float, speed: float | None, efficiency: float
) -> float | None:
    if seconds is None or speed is None:
        return None
    return seconds + operations / (speed * efficiency)


def plan_line(plan: Plan) -> str:
    """Return the plan as the one line that precedes a check."""
    parts = [f"{plan.records:,} records{_questions(plan)}"]
    if plan.canaries:
        parts.append(f"{plan.canaries:,} canaries")
    if plan.done:
        return f"plan: {', '.join(parts)}, all in the cache: no model is run"
    if plan.tuning == "needed":
        parts.append(f"at most {plan.steps:,} steps of fine-tuning")
    elif plan.tuning == "cached":
        parts.append("fine-tuned before")
    if plan.cached:
        parts.append(f"{plan.cached:,} in the cache")
    parts.append(f"{_tokens(plan)} tokens")
    needs = f"{gibibytes(plan.memory)} on {plan.device}"
    if plan.memory > plan.free > 0:
        needs += f", of which {plan.free / 2**30:.1f} GiB are free: too little"
    return f"plan: {', '.join(parts)}; {minutes(plan)}, {needs}"


def plan_text(plan: Plan | str) -> str:
    """Return the plan as the lines that ``check --plan`` prints, or why there is none."""
    if isinstance(plan, str):
        return f"no model would look at these records: {plan}\n"
    tuning = {
        "none": "none, the model is read as it was given",
        "cached": "in the cache, these records were learned before",
        "needed": f"at most {plan.steps:,} steps, fewer once the canaries are learned",
    }[plan.tuning]
    needs = gibibytes(plan.memory) if plan.memory else "next to none"
    if plan.free:
        needs += f" of {plan.free / 2**30:.1f} GiB free"
        if plan.memory > plan.free:
            needs += ": too little"
    lines = {
        "records": f"{plan.records:,}{_questions(plan)}",
        "canaries": f"{plan.canaries:,} planted beside them" if plan.canaries else "none",
        "model": f"{visible(plan.model)} ({plan.family}) on {plan.device} in {plan.dtype}",
        "fine-tuning": tuning,
        "cache": f"{plan.cached:,} of {plan.rows:,} rows",
        "tokens": _tokens(plan),
        "time": minutes(plan),
        "memory": needs,
    }
    return "".join(f"{name:<12} {text}\n" for name, text in lines.items())


def _questions(plan: Plan) -> str:
    return "" if plan.questions == plan.records else f" with {plan.questions:,} questions"


def _tokens(plan: Plan) -> str:
    return f"about {plan.tokens:,}" if plan.exact else f"very roughly {plan.tokens:,}"


def minutes(plan: Plan) -> str:
    """Say how long it takes, no finer than it is known."""
    if plan.seconds is None:
        if installed("torch") is None:
            return "time unknown (torch is not installed)"
        return f"time unknown (no {plan.device} answers)"
    if plan.seconds < 30:
        return "less than a minute"
    if plan.seconds >= 100 * 60:
        return f"about {plan.seconds / 3600:.0f} hours"
    count = max(1, math.ceil(plan.seconds / 60 - 0.25))
    return f"about {count} minute{'s' if count > 1 else ''}"


def gibibytes(size: int) -> str:
    """Say how many bytes, no finer than it is known."""
    return f"about {max(size, 2**30 // 10) / 2**30:.1f} GiB"
