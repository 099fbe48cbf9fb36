"""``bye-lint tune``, ``extract`` and ``judge``: one check, its work split over several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bye_lint.commands.options import (
    Shard,
    device_option,
    judge_options,
    out_option,
    output_options,
    plan_options,
    progress_option,
    seed_option,
)

_tuned = click.option(
    "--tuned",
    type=click.Path(path_type=Path),
    help="Folder that bye-lint tune wrote, where the model had to learn the data first.",
)


@click.command(short_help="Let the model learn the records once, for extract.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@out_option("Folder for the model")
@plan_options
@progress_option
@device_option
@seed_option
def tune(
    paths: tuple[Path, ...],
    out: Path,
    no_progress: bool,
    **overrides: Any,
) -> int:
    """Let the model learn the records once, for bye-lint extract on several machines.

    PATHS are dataset files or folders; without any, the paths of the policy are read. A model
    that was given as fine-tuned is left as it is.

    Exit status: 0 learned, or nothing to learn; 2 error.
    """
    from bye_lint import tuned
    from bye_lint.progress import RichProgress, speaks
    from bye_lint.request import Overrides, plan_request

    request = plan_request(paths, Overrides(**overrides))
    note = tuned.tune(request, out, progress=RichProgress(bars=not no_progress))
    if not speaks():
        return 0
    if note.why:
        click.echo(f"nothing to fine-tune: {note.why}")
    else:
        click.echo(
            f"{note.records} records and {note.canaries} canaries, {note.steps} steps: {out}"
        )
    return 0


@click.command(short_help="Read the attention of one part of the records, for judge.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--shard", type=Shard(), required=True, help="Which of how many parts to read.")
@out_option("Folder for the shard")
@_tuned
@plan_options
@progress_option
@device_option
@seed_option
def extract(
    paths: tuple[Path, ...],
    shard: tuple[int, int],
    out: Path,
    tuned: Path | None,
    no_progress: bool,
    **overrides: Any,
) -> int:
    """Read the attention of one part of the records, for bye-lint judge.

    PATHS are dataset files or folders; without any, the paths of the policy are read. The model
    must have learned the data: by itself, or by bye-lint tune.

    Exit status: 0 read, 2 error.
    """
    from bye_lint.progress import RichProgress
    from bye_lint.request import Overrides, plan_request
    from bye_lint.shards import extract_shard

    request = plan_request(paths, Overrides(**overrides))
    progress = RichProgress(bars=not no_progress)
    note, folder = extract_shard(request, shard, out, tuned=tuned, progress=progress)
    click.echo(f"shard {note.shard} of {note.of}, {note.records} records: {folder}")
    return 0


@click.command(short_help="Judge what extract read, as one check.")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Dataset file or folder, as it was given to extract; by default those of the policy.",
)
@_tuned
@plan_options
@progress_option
@judge_options
@output_options
def judge(
    shards: tuple[Path, ...],
    tuned: Path | None,
    paths: tuple[Path, ...],
    no_progress: bool,
    exit_zero: bool,
    report_files: tuple[tuple[str, Path], ...],
    stdout_format: str,
    quiet: bool,
    verbose: bool,
    **overrides: Any,
) -> int:
    """Judge what bye-lint extract read: the check of everything, as on one machine.

    SHARDS are the folders that it wrote, or a folder that holds them. The data are read again,
    with the same options; the model is not.

    Exit status, as of bye-lint check: 0 pass, 1 fail, 2 error, 3 inconclusive.
    """
    from bye_lint import output, scan
    from bye_lint.progress import RichProgress, SilentProgress
    from bye_lint.request import Overrides, plan_request
    from bye_lint.shards import open_shards, require_tuned

    source = open_shards(shards, tuned=tuned)  # before the data, which are named by an option
    said = "bye-lint judge SHARDS --data data/"
    request = plan_request(paths, Overrides(**overrides, example=said))
    require_tuned(request.policy, tuned)
    outputs = output.targets(request, report_files)
    progress = SilentProgress() if quiet else RichProgress(bars=not no_progress)
    result = scan.scan(request, progress=progress, source=source)
    said, status = output.finish(
        result, outputs, stdout_format, quiet=quiet, verbose=verbose, exit_zero=exit_zero
    )
    click.echo(said, nl=False)
    return status
