"""``bye-lint verify``: is the backdoor gone from a model that learns the cleaned set?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bye_lint.commands.options import seed_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bye_lint.evaluate.pipeline import Pipeline
    from bye_lint.policy import DatasetPolicy, Policy
    from bye_lint.records import Checked, Sample, Skipped

#: Those of ``bye_lint.triggers``, which is too heavy for a help text.
TRIGGER_NAMES = (
    "patch-centre, patch-random, checker, dual, multi, badnets, blend, sig, wanet, ftrojan, "
    "text-prefix, text-word, text-sentence, patch-text"
)


@click.command(short_help="Train on both sets and attack both models: is the backdoor gone?")
@click.argument("result", type=click.Path(path_type=Path))
@click.argument("cleaned", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Also write it as JSON.")
@click.option(
    "--model", help="Base model to fine-tune: scout, a folder or a hub id; by default the policy's."
)
@click.option("--trigger", help=f"True trigger, where it is known: {TRIGGER_NAMES}.")
@click.option(
    "--test",
    "test_file",
    type=click.Path(path_type=Path),
    help="Clean held-out records to probe and to measure accuracy on, with their images.",
)
@click.option(
    "--probes",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Records that the trigger is put into.",
)
@click.option("--epochs", type=click.FloatRange(min=0, min_open=True), help="Length of training.")
@click.option("--device", help="Device to train on: auto, cpu, cuda, cuda:1 ...")
@seed_option
@click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path), help="Policy of the check."
)
@click.option("--no-progress", is_flag=True, help="Show no progress bars.")
def verify(
    result: Path,
    cleaned: Path,
    output: Path | None,
    model: str | None,
    trigger: str | None,
    test_file: Path | None,
    probes: int,
    epochs: float | None,
    device: str | None,
    seed: int | None,
    policy_path: Path | None,
    no_progress: bool,
) -> int:
    """Fine-tune on the original and the CLEANED set of a saved RESULT, and attack both models.

    Exit status: 0 the backdoor is gone, 1 it is not, 2 error, 3 it did not show before cleaning
    either.
    """
    import json
    from dataclasses import replace

    from bye_lint import comparison
    from bye_lint import probes as probing
    from bye_lint import verify as verifying
    from bye_lint.datasets import read_datasets
    from bye_lint.errors import UsageError
    from bye_lint.output import spare_sources
    from bye_lint.progress import RichProgress
    from bye_lint.readings import Readings
    from bye_lint.reports import check_writable, load_result, write_report
    from bye_lint.request import Overrides, plan_request, result_paths
    from bye_lint.rules import check_samples
    from bye_lint.shelf import Shelf
    from bye_lint.store import cache_folder
    from bye_lint.triggers import get_trigger

    loaded = load_result(result)
    if output is not None:
        check_writable(output, spare=result)
    for path in (cleaned, *([test_file] if test_file is not None else [])):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder", "Check the spelling of the path.")
    probe = (
        probing.known_probe(get_trigger(trigger))
        if trigger is not None
        else probing.reconstructed_probe(loaded)
    )
    paths = result_paths(loaded)
    request = plan_request(paths, Overrides(policy_path=policy_path, device=device, seed=seed))
    if output is not None:
        spare_sources([("json", output)], request)
    policy = request.policy
    if epochs is not None:
        policy = replace(policy, fine_tune=replace(policy.fine_tune, epochs=epochs))

    shelf = Shelf(cache_folder())

    def read(places: Sequence[Path], dataset: DatasetPolicy) -> Iterable[Sample | Skipped]:
        return read_datasets(places, dataset, policy.base, display_root=request.root, shelf=shelf)

    before, after = (
        _usable(check_samples(read(places, policy.dataset), policy.dataset))
        for places in (request.paths, [cleaned])
    )
    test = _held_out(test_file, policy.dataset, read) if test_file is not None else ()
    turns = policy.dataset.turns
    sizes = tuple(len(Readings.of(records, turns)) for records in (before, after))
    base, pipeline = _pipeline(policy, model, sizes)
    verified = verifying.verify(
        loaded,
        before,
        after,
        pipeline,
        base=base,
        probe=probe,
        test=test,
        max_probes=probes,
        turns=turns,
        seed=policy.seed,
        progress=RichProgress(bars=not no_progress),
    )
    click.echo(comparison.render(verified), nl=False)
    if output is not None:
        text = json.dumps(comparison.to_data(verified), indent=1, ensure_ascii=False)
        write_report(text + "\n", output)
        click.echo(f"wrote {output}", err=True)
    return verified.exit_code


def _pipeline(policy: Policy, named: str | None, sizes: tuple[int, ...]) -> tuple[str, Pipeline]:
    """Return the base model's name, and what trains and questions it.

    ``sizes`` are the questions before and after: both models are trained for as many steps, lest
    the second one seems worse for having had less training.
    """
    from dataclasses import replace

    from bye_lint import learning, models, scoring
    from bye_lint.store import cache_folder
    from bye_lint.verify import base_model

    model, root = base_model(policy, named)
    scoring.require_extra()
    from bye_lint.models.pipeline import ModelPipeline

    base = learning.resolve(model, root)
    settings = models.schedule(
        policy.fine_tune, base, small=models.is_small(base), seed=policy.seed
    )
    before, after = sizes
    settings = replace(
        settings,
        epochs=settings.epochs * max(1.0, before / max(after, 1)),
        max_steps=settings.n_steps(before),
    )
    return base.name, ModelPipeline(base, settings, cache_folder(), device=model.device)


def _held_out(
    path: Path,
    dataset: DatasetPolicy,
    read: Callable[[Sequence[Path], DatasetPolicy], Iterable[Sample | Skipped]],
) -> list[Sample]:
    """Return the records of ``--test``, with the images of their own folder if any is there.

    The policy's image root is the training set's: what is called the same there is another picture.
    """
    from dataclasses import replace

    from bye_lint.escape import visible
    from bye_lint.records import Sample
    from bye_lint.rules import check_samples
    from bye_lint.rules.images import check_image

    own = replace(dataset, image_root=None)
    items = list(read([path], own))
    if dataset.image_root is not None:
        images = (image for item in items if isinstance(item, Sample) for image in item.images)
        if any(check_image(i, own.max_pixels, decode=False).rule != "BYE103" for i in images):
            used = "from its own folder, not from dataset.image_root"
        else:
            items = list(read([path], dataset))
            root = visible(dataset.image_root, 120)
            used = f"from dataset.image_root ({root}), since none is in its own folder"
        click.echo(f"images of {path}: {used}", err=True)
    return _usable(check_samples(items, own))


def _usable(checked: Iterable[Checked]) -> list[Sample]:
    """Return the records that can be trained on; where there is none, say what is wrong."""
    from bye_lint.errors import DatasetError
    from bye_lint.escape import visible

    read = list(checked)
    usable = [item.sample for item in read if item.usable and item.sample is not None]
    wrong = next((finding for item in read for finding in item.findings), None)
    if not usable and wrong is not None:
        raise DatasetError(
            f"{visible(wrong.path)}:{wrong.line}: {visible(wrong.message, 300)}; "
            f"none of {len(read)} records can be used",
            "Name data with their images: bye-lint clean copies them unless told --images none.",
        )
    return usable
