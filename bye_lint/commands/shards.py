"""``bye-lint extract`` and ``bye-lint judge``: one check, its work split over several machines."""

from __future__ import annotations

from pathlib import Path

import click

from bye_lint.commands.options import (
    Shard,
    device_option,
    judge_options,
    output_options,
    plan_options,
)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--shard", type=Shard(), required=True, help="Which of how many parts to read.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the shard; a second run goes on where the first one stopped.",
)
@plan_options
@device_option
def extract(
    paths: tuple[Path, ...],
    shard: tuple[int, int],
    out: Path,
    policy_path: Path | None,
    changed_since: str | None,
    policy_from_ref: bool,
    no_progress: bool,
    device: str | None,
) -> int:
    """Read the attention of one part of the records, for bye-lint judge.

    PATHS are dataset files or folders; without any, the paths of the policy are read. The model
    must have been fine-tuned on the data.
    """
    from bye_lint.progress import RichProgress
    from bye_lint.request import Overrides, plan_request
    from bye_lint.shards import extract_shard

    overrides = Overrides(
        policy_path=policy_path,
        device=device,
        changed_since=changed_since,
        policy_from_ref=policy_from_ref,
    )
    request = plan_request(paths, overrides)
    progress = RichProgress(bars=not no_progress)
    note, folder = extract_shard(request, shard, out, progress=progress)
    click.echo(f"shard {note.shard} of {note.of}, {note.records} records: {folder}")
    return 0


@click.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Dataset file or folder, as it was given to extract; by default those of the policy.",
)
@plan_options
@judge_options
@output_options
def judge(
    shards: tuple[Path, ...],
    paths: tuple[Path, ...],
    policy_path: Path | None,
    changed_since: str | None,
    policy_from_ref: bool,
    no_progress: bool,
    seed: int | None,
    no_baseline: bool,
    exit_zero: bool,
    report_files: tuple[tuple[str, Path], ...],
    stdout_format: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Judge what bye-lint extract read: the check of everything, as on one machine.

    SHARDS are the folders that it wrote, or a folder that holds them. The data are read again,
    the model is not.
    """
    from bye_lint import output, scan
    from bye_lint.progress import RichProgress, SilentProgress
    from bye_lint.request import Overrides, plan_request
    from bye_lint.shards import open_shards, require_tuned

    overrides = Overrides(
        policy_path=policy_path,
        seed=seed,
        changed_since=changed_since,
        policy_from_ref=policy_from_ref,
        baseline=not no_baseline,
    )
    request = plan_request(paths, overrides)
    require_tuned(request.policy)
    source = open_shards(shards)
    outputs = output.targets(request, report_files)
    progress = SilentProgress() if quiet else RichProgress(bars=not no_progress)
    result = scan.scan(request, progress=progress, source=source)
    output.write_reports(result, outputs)
    click.echo(output.render_stdout(result, stdout_format, quiet=quiet, verbose=verbose), nl=False)
    return 0 if exit_zero else result.exit_code
