"""What a check would find here: packages, devices, cache, policy, model, and what it would cost."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bye_lint import __version__, learning, models, scan, scoring, tables
from bye_lint.errors import ByeLintError, CacheError
from bye_lint.escape import visible
from bye_lint.models import cost
from bye_lint.models.devices import Device, devices, is_here, throughput
from bye_lint.models.memory import TOO_LARGE
from bye_lint.packages import installed
from bye_lint.planning import Plan, plan_text
from bye_lint.policy import POLICY_NAMES, Policy, default_policy, find_policy, load_policy
from bye_lint.progress import Progress
from bye_lint.request import Overrides, Request, plan_request
from bye_lint.store import cache_folder, require_writable

#: Packages that a full check uses, and those that it uses where they are asked for.
NEEDED = ("torch", "transformers", "peft", "accelerate", "safetensors", "scikit-learn", "scipy")
OPTIONAL: Mapping[str, str] = {
    "bitsandbytes": "model.quantization",
    "pyarrow": "Parquet",
    "torchvision": "the images of some families",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What would stop a check here, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Looked:
    """The model that a check would use, as :func:`bye_lint.learning.resolve` found it.

    Attributes
    ----------
    parameters : int
    image_tokens : int
        Tokens of one image, or of one tile.
    fixed : bool
        Every image has so many.
    training : str
        How it would be fine-tuned; empty where it is read as it is.
    """

    name: str
    family: str
    title: str
    path: str
    digest: str
    revision: str | None
    adapter: str | None
    quantization: str
    device: str
    dtype: str
    parameters: int
    image_tokens: int
    fixed: bool
    training: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that ``bye-lint doctor`` tells.

    Attributes
    ----------
    packages : mapping of str to str or None
        Version of each package; ``None`` where it is not installed.
    speed : float or None
        Floating-point operations a second of a matrix product on the model's device.
    cache : tuple of str, int, int
        Folder, files, bytes.
    plan : Plan or None
        What a check of the data would take; ``None`` without data, or without a model to look.
    problems : tuple of Problem
        Empty where a full check can run.
    """

    packages: Mapping[str, str | None]
    devices: Sequence[Device]
    speed: float | None
    cache: tuple[str, int, int]
    policy: str
    model: Looked | None
    plan: Plan | None
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    python: str = field(default_factory=platform.python_version)
    platform: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")


def examine(paths: Sequence[Path], overrides: Overrides, *, progress: Progress) -> Diagnosis:
    """Look at everything that a check needs; nothing is fetched, loaded or trained.

    Parameters
    ----------
    paths : sequence of Path
        Data whose check is estimated; by default those of the policy, if it names any.

    Raises
    ------
    PolicyError, UsageError
        If the policy or a path is wrong; what else is wrong is in the diagnosis.
    """
    found = overrides.policy_path or find_policy(paths[0] if paths else Path.cwd())
    policy = load_policy(found, choices=tables.choices()) if found else default_policy(Path.cwd())
    data = [path for path in paths if path.name not in POLICY_NAMES or not path.exists()]
    request = plan_request(paths, overrides) if data or policy.dataset.paths else None
    policy = request.policy if request else _on(policy, overrides.device)
    problems: list[Problem] = []
    warnings: tuple[str, ...] = ()
    model = plan = None
    try:
        scoring.require_extra()
    except ByeLintError as error:
        problems.append(Problem(error.message, error.remedy))
    try:
        resolved = learning.resolve(policy.model, policy.base, fetch=False)
        warnings = resolved.warnings
        model = _look(resolved, policy)
        if request is not None:
            plan = _planned(request, problems, progress)
    except ByeLintError as error:
        problems.append(Problem(error.message, error.remedy))
    if model is not None and installed("torch") and not is_here(model.device):
        problems.append(
            Problem(f"device {model.device} is not there", "Use one of the devices above.")
        )
    wanted = policy.model.quantization if model is None else model.quantization
    if wanted in ("8bit", "4bit") and not installed("bitsandbytes"):
        problems.append(
            Problem(
                f"quantization {wanted} needs bitsandbytes",
                "Run: pip install 'bye-lint[quantization]'",
            )
        )
    if plan is not None and plan.free and plan.memory > plan.free:
        problems.append(
            Problem(
                f"the check needs about {plan.memory / 2**30:.1f} GiB, and {plan.device} has "
                f"{plan.free / 2**30:.1f} GiB free",
                TOO_LARGE,
            )
        )
    folder = cache_folder()
    if plan is None or not plan.done:
        try:
            require_writable(next(p for p in (folder, *folder.parents) if p.exists()))
        except CacheError as error:
            problems.append(Problem(error.message, error.remedy))
    return Diagnosis(
        packages={name: installed(name) for name in (*NEEDED, *OPTIONAL)},
        devices=devices(),
        speed=throughput(model.device, model.dtype) if model else None,
        cache=(str(folder), *cost.cache_size(folder)),
        policy=str(found) if found else "",
        model=model,
        plan=plan,
        warnings=warnings,
        problems=tuple(problems),
    )


def _planned(request: Request, problems: list[Problem], progress: Progress) -> Plan | None:
    """Return the plan of a check; where it could only be inconclusive, add why to the problems."""
    found = scan.plan(request, progress=progress)
    if not isinstance(found, str):
        return found
    problems.append(Problem(found, "Name more data, or lower the gate's limit in the policy."))
    return None


def _on(policy: Policy, device: str | None) -> Policy:
    return replace(policy, model=replace(policy.model, device=device)) if device else policy


def _look(resolved: models.ResolvedModel, policy: Policy) -> Looked:
    shape = cost.model_shape(resolved)
    device, dtype = learning.place(policy.model)
    training = ""
    if learning.tunes(policy):
        chosen = learning.settings(resolved, policy)
        training = (
            f"{'LoRA' if chosen.method == 'lora' else 'full'}, {chosen.epochs:g} epochs, batch "
            f"{chosen.batch_size}, learning rate {chosen.learning_rate:g}"
        )
    return Looked(
        name=resolved.name,
        family=resolved.family,
        title=models.FAMILIES[resolved.family].title,
        path=str(resolved.path),
        digest=resolved.whole_digest,
        revision=resolved.revision,
        adapter=None if resolved.adapter is None else str(resolved.adapter),
        quantization=resolved.quantization,
        device=device,
        dtype=dtype,
        parameters=shape.whole,
        image_tokens=shape.image_tokens,
        fixed=shape.fixed,
        training=training,
    )


def to_json(found: Diagnosis) -> str:
    """Return the diagnosis as JSON; sizes are bytes, ``speed`` operations a second."""
    folder, files, size = found.cache
    document = {
        "bye_lint": __version__,
        **asdict(found),
        "cache": {"folder": folder, "files": files, "bytes": size},
        "ready": not found.problems,
    }
    return json.dumps(document, indent=2) + "\n"


def to_text(found: Diagnosis) -> str:
    """Return the diagnosis as lines for a terminal."""
    lines = [("bye-lint", f"{__version__}, Python {found.python} on {found.platform}")]
    present = [f"{name} {number}" for name, number in found.packages.items() if number]
    lines.append(("packages", ", ".join(present) or "none of the extra [model]"))
    absent = [name for name in NEEDED if not found.packages[name]]
    if absent:
        lines.append(("missing", f"{', '.join(absent)}: structural checks only"))
    unused = [f"{n} ({why})" for n, why in OPTIONAL.items() if not found.packages[n]]
    if unused:
        lines.append(("optional", f"not installed: {', '.join(unused)}"))
    for device in found.devices:
        lines.append(("device", _device_line(device)))
    folder, files, size = found.cache
    lines.append(("cache", f"{folder}: {files:,} files, {size / 2**30:.2f} GiB"))
    lines.append(("policy", visible(found.policy) or "none found, defaults"))
    if found.model is not None:
        lines += _model_lines(found.model, found.speed)
    for warning in found.warnings:
        lines.append(("warning", visible(warning)))
    text = "".join(f"{name:<12} {line}\n" for name, line in lines)
    if found.plan is not None:
        text += "\nA check of these data:\n" + plan_text(found.plan)
    for problem in found.problems:
        text += f"\nproblem: {visible(problem.what)}\n"
        text += f"  {visible(problem.remedy)}\n" if problem.remedy else ""
    ready = "A full check can run here." if not found.problems else "A full check can't run here."
    return f"{text}\n{ready}\n"


def _device_line(device: Device) -> str:
    memory = ""
    if device.total:
        memory = f", {device.free / 2**30:.1f} of {device.total / 2**30:.1f} GiB free"
    return f"{device.name}: {device.title}{memory}"


def _model_lines(model: Looked, speed: float | None) -> list[tuple[str, str]]:
    count = model.parameters
    size = f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"
    tokens = f"{model.image_tokens:,} tokens an image" if model.fixed else "tokens by image size"
    what = f"{model.title} ({model.family}), {size} parameters, {tokens}"
    where = f"{model.device} in {model.dtype}"
    if model.quantization != "none":
        where += f", {model.quantization} weights"
    if speed:
        where += f"; {speed / 1e9:,.0f} billion operations a second"
    lines = [("model", f"{visible(model.name)}: {what}"), ("runs on", where)]
    lines.append(("digest", model.digest))
    if model.revision:
        lines.append(("revision", model.revision))
    if model.adapter:
        lines.append(("adapter", visible(model.adapter)))
    lines.append(("fine-tuning", model.training or "none, the model is read as it was given"))
    return lines
