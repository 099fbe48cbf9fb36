"""``bye-lint verify``: is the backdoor gone from a model that learns the cleaned set?"""

from __future__ import annotations

from pathlib import Path

import click

from bye_lint.commands.options import seed_option

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

    from bye_lint import comparison, retraining
    from bye_lint.output import spare_sources
    from bye_lint.progress import RichProgress
    from bye_lint.reports import check_writable, load_result, write_report
    from bye_lint.request import Overrides, plan_request, result_paths

    loaded = load_result(result)
    if output is not None:
        check_writable(output, spare=result)
    retraining.require_data(cleaned, test_file)
    probe = retraining.probe_for(loaded, trigger)
    trial = retraining.Trial(cleaned, model, probe, test_file, probes, epochs)
    overrides = Overrides(policy_path=policy_path, device=device, seed=seed)
    request = plan_request(result_paths(loaded), overrides)
    if output is not None:
        spare_sources([("json", output)], request)
    progress = RichProgress(bars=not no_progress)
    verified = retraining.run_trial(loaded, request, trial, progress=progress)
    click.echo(comparison.render(verified), nl=False)
    if output is not None:
        text = json.dumps(comparison.to_data(verified), indent=1, ensure_ascii=False)
        write_report(text + "\n", output)
        click.echo(f"wrote {output}", err=True)
    return verified.exit_code
