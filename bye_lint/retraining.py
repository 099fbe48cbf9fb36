"""What ``verify`` trains and asks: the two sets, the held-out records and the base model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bye_lint.codes import MISSING_IMAGE
from bye_lint.comparison import Verified
from bye_lint.datasets import read_datasets
from bye_lint.errors import DatasetError, UsageError
from bye_lint.escape import visible
from bye_lint.policy import DatasetPolicy, Policy
from bye_lint.probes import Probe, known_probe, reconstructed_probe
from bye_lint.progress import Progress
from bye_lint.readings import Readings
from bye_lint.records import Checked, Sample, Skipped
from bye_lint.request import Request
from bye_lint.results import ScanResult
from bye_lint.rules import check_samples
from bye_lint.rules.images import check_image
from bye_lint.shelf import Shelf
from bye_lint.store import cache_folder
from bye_lint.triggers import get_trigger
from bye_lint.verify import base_model, verify

if TYPE_CHECKING:
    from bye_lint.evaluate.pipeline import Pipeline

Read = Callable[[Sequence[Path], DatasetPolicy], Iterable[Sample | Skipped]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is compared with the data of a result, and how.

    Attributes
    ----------
    cleaned : Path
        The cleaned set.
    model : str or None
        Base model; by default the policy's.
    probe : Probe or None
        What is put into records to set the backdoor off.
    test : Path or None
        Clean records that neither model learns.
    probes : int
        Records that the trigger is put into, at most.
    epochs : float or None
        Length of training; by default the policy's.
    """

    cleaned: Path
    model: str | None = None
    probe: Probe | None = None
    test: Path | None = None
    probes: int = 200
    epochs: float | None = None


def require_data(*paths: Path | None) -> None:
    """Refuse data that are named and not there.

    Raises
    ------
    UsageError
    """
    for path in paths:
        if path is not None and not path.exists():
            raise UsageError(f"{path}: no such file or folder", "Check the spelling of the path.")


def probe_for(result: ScanResult, trigger: str | None) -> Probe | None:
    """Return what sets the backdoor off: the trigger that is known, or the one reconstructed.

    Raises
    ------
    UsageError
        If there is no trigger of that name.
    """
    if trigger is not None:
        return known_probe(get_trigger(trigger))
    return reconstructed_probe(result)


def run_trial(
    result: ScanResult, request: Request, trial: Trial, *, progress: Progress
) -> Verified:
    """Read both sets, fine-tune the base model on each, and attack both models.

    Parameters
    ----------
    request : Request
        Of the data that the result is of.

    Raises
    ------
    ByeLintError
        If data cannot be used, or are not those of the result, or there is no base model.
    """
    policy = request.policy
    if trial.epochs is not None:
        policy = replace(policy, fine_tune=replace(policy.fine_tune, epochs=trial.epochs))
    read = partial(
        read_datasets, base=policy.base, display_root=request.root, shelf=Shelf(cache_folder())
    )
    before, after = (
        usable(check_samples(read(places, policy.dataset), policy.dataset))
        for places in (request.paths, [trial.cleaned])
    )
    test = () if trial.test is None else held_out(trial.test, policy.dataset, read, progress)
    turns = policy.dataset.turns
    sizes = (len(Readings.of(before, turns)), len(Readings.of(after, turns)))
    base, pipeline = prepare(policy, trial.model, sizes)
    return verify(
        result,
        before,
        after,
        pipeline,
        base=base,
        probe=trial.probe,
        test=test,
        max_probes=trial.probes,
        turns=turns,
        seed=policy.seed,
        progress=progress,
    )


def prepare(policy: Policy, named: str | None, sizes: tuple[int, int]) -> tuple[str, Pipeline]:
    """Return the base model's name, and what trains and questions it.

    ``sizes`` are the questions before and after: both models are trained for as many steps, lest
    the second one seems worse for having had less training.
    """
    from bye_lint import learning, scoring

    model, root = base_model(policy, named)
    scoring.require_extra()
    from bye_lint.models.pipeline import ModelPipeline

    base = learning.resolve(model, root)
    settings = learning.settings(base, policy)
    before, after = sizes
    settings = replace(
        settings,
        epochs=settings.epochs * max(1.0, before / max(after, 1)),
        max_steps=settings.n_steps(before),
    )
    return base.name, ModelPipeline(base, settings, cache_folder(), device=model.device)


def held_out(path: Path, dataset: DatasetPolicy, read: Read, progress: Progress) -> list[Sample]:
    """Return held-out records, with the images of their own folder if any is there.

    The policy's image root is the training set's: what is called the same there is another picture.
    """
    own = replace(dataset, image_root=None)
    items = list(read([path], own))
    if dataset.image_root is not None:
        images = (image for item in items if isinstance(item, Sample) for image in item.images)
        if any(check_image(i, own.max_pixels, decode=False).rule != MISSING_IMAGE for i in images):
            used = "from its own folder, not from dataset.image_root"
        else:
            items = list(read([path], dataset))
            root = visible(dataset.image_root, 120)
            used = f"from dataset.image_root ({root}), since none is in its own folder"
        progress.say(f"images of {path}: {used}")
    return usable(check_samples(items, own))


def usable(checked: Iterable[Checked]) -> list[Sample]:
    """Return the records that can be trained on.

    Raises
    ------
    DatasetError
        If there is none though there are records; the first finding says why.
    """
    read = list(checked)
    found = [item.sample for item in read if item.usable and item.sample is not None]
    wrong = next((finding for item in read for finding in item.findings), None)
    if not found and wrong is not None:
        raise DatasetError(
            f"{visible(wrong.path)}:{wrong.line}: {visible(wrong.message, 300)}; "
            f"none of {len(read)} records can be used",
            "Name data with their images: bye-lint clean copies them unless told --images none.",
        )
    return found
