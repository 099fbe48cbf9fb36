"""The command line: options become a policy, the policy a scan, the scan reports and an exit code.

Nothing heavier than click is imported before a command runs.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bye_lint import __version__, tables
from bye_lint.commands.baseline import baseline
from bye_lint.commands.doctor import doctor
from bye_lint.commands.evaluate import evaluate
from bye_lint.commands.options import (
    device_option,
    judge_options,
    output_options,
    plan_options,
    progress_option,
    structural_option,
)
from bye_lint.commands.remedy import clean, explain
from bye_lint.commands.shards import extract, judge, tune
from bye_lint.commands.verify import verify
from bye_lint.errors import EXIT_INTERRUPTED, ByeLintError
from bye_lint.escape import MAX_MESSAGE, visible, visible_lines

EXIT_ERROR = 2

#: What the machine refuses, which is no bug: a full disk, a folder that is not the user's.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bye-lint")
def cli() -> None:
    """Find backdoored samples in image+conversation fine-tuning data.

    Exit status: 0 pass, 1 fail, 2 usage, policy or internal error, 3 inconclusive, 130 interrupted.
    """


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@plan_options
@progress_option
@device_option
@judge_options
@output_options
@click.option("--show-files", is_flag=True, help="List the dataset files and stop.")
@click.option("--show-policy", is_flag=True, help="Print the effective policy and stop.")
@click.option(
    "--plan", "show_plan", is_flag=True, help="Print what the check would cost, and stop."
)
@structural_option
@click.option(
    "--hook",
    is_flag=True,
    help="PATHS are what a hook has at hand: those that hold no records are passed over.",
)
def check(
    paths: tuple[Path, ...],
    report_files: tuple[tuple[str, Path], ...],
    stdout_format: str,
    quiet: bool,
    verbose: bool,
    exit_zero: bool,
    no_progress: bool,
    show_files: bool,
    show_policy: bool,
    show_plan: bool,
    **overrides: Any,
) -> int:
    """Check datasets for backdoored samples.

    PATHS are dataset files or folders; without any, the paths of the policy are checked.

    Exit status: 0 pass, 1 fail, 2 error, 3 inconclusive (0 where the policy says
    gate.on_inconclusive: pass).

    \b
    Examples:
      bye-lint check data/
      bye-lint check data/ --changed-since main --report html=report.html
    """
    from bye_lint import output, scan
    from bye_lint.progress import RichProgress, SilentProgress
    from bye_lint.request import (
        Overrides,
        dataset_paths,
        effective_policy,
        passed_over,
        plan_request,
    )

    request = plan_request(paths, Overrides(**overrides, policy_alone=show_policy))
    if show_policy:
        click.echo(visible_lines(effective_policy(request)), nl=False)
        return 0
    if not request.paths:  # of a hook: else there is something to check
        click.echo("nothing to check: none of the files holds records", err=True)
        return 0
    if show_files:
        passed: list[Path] = []
        for path in dataset_paths(request, on_passed_over=passed.append):
            click.echo(visible(path, None))
        if passed and not quiet:
            click.echo(passed_over(passed, request.root, most=len(passed)), err=True)
        return 0
    progress = SilentProgress() if quiet else RichProgress(bars=not no_progress)
    if show_plan:
        from bye_lint.planning import plan_text

        click.echo(plan_text(scan.plan(request, progress=progress)), nl=False)
        return 0
    outputs = output.targets(request, report_files)
    result = scan.scan(request, progress=progress)
    said, status = output.finish(
        result, outputs, stdout_format, quiet=quiet, verbose=verbose, exit_zero=exit_zero
    )
    click.echo(said, nl=False)
    return status


@cli.command(short_help="Render a saved RESULT again, in any format.")
@click.argument("result", type=click.Path(path_type=Path))
@output_options
def report(
    result: Path,
    report_files: tuple[tuple[str, Path], ...],
    stdout_format: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Render a saved JSON RESULT again, in any format, without a second scan.

    Exit status: 0 rendered, whatever the verdict; 2 error.
    """
    from bye_lint import output
    from bye_lint.reports import load_result

    loaded = load_result(result)
    output.write_reports(loaded, output.checked_targets(report_files, spare=result))
    click.echo(output.render_stdout(loaded, stdout_format, quiet=quiet, verbose=verbose), nl=False)
    return 0


@cli.command()
@click.argument("path", type=click.Path(path_type=Path), default="bye-lint.yaml")
@click.option("--force", is_flag=True, help="Overwrite an existing policy.")
def init(path: Path, force: bool) -> int:
    """Write a commented starter policy to PATH (bye-lint.yaml)."""
    from bye_lint.errors import UsageError
    from bye_lint.policy import POLICY_NAMES, starter_policy
    from bye_lint.reports import write_report

    if path.is_dir():
        path = path / "bye-lint.yaml"
    if path.exists() and not force:
        raise UsageError(f"{path}: exists already", "Give another path, or --force to overwrite.")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist", "Create the folder first.")
    write_report(starter_policy(), path)
    found = path.name in POLICY_NAMES and path.resolve().parent == Path.cwd()
    named = "" if found else f" --policy {shlex.quote(str(path))}"
    said = f"wrote {path}; now set dataset.paths in it and run: bye-lint check{named}"
    click.echo(said, err=True)
    return 0


@cli.command()
@click.argument("which", type=click.Choice(["policy", "result"]), default="policy")
def schema(which: str) -> int:
    """Print the JSON schema of the policy, or of the JSON result."""
    click.echo(json.dumps(tables.schema(which), indent=2))
    return 0


@cli.command()
@click.argument("code", required=False)
def rule(code: str | None) -> int:
    """Explain the rule CODE, or list all rules."""
    from bye_lint.codes import RULES, get_rule

    if code is None:
        for row in RULES.values():
            click.echo(f"{row.code}  {row.name:<22} {row.level:<8} {row.summary}")
        return 0
    row = get_rule(code)
    text = f"{row.summary}\n\n{row.help.replace('**', '')}"  # Markdown, for pages
    if sys.stdout.isatty():
        width = max(20, shutil.get_terminal_size((100, 24)).columns)
        text = click.wrap_text(text, width, preserve_paragraphs=True)
    click.echo(f"{row.code} {row.name} ({row.level})\n\n{text}")
    return 0


for _command in (baseline, explain, clean, doctor, evaluate, tune, extract, judge, verify):
    cli.add_command(_command)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every error becomes one message.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv`` by default.
    """
    try:
        status = cli.main(
            args=None if argv is None else list(argv), prog_name="bye-lint", standalone_mode=False
        )
        sys.stdout.flush()
    except click.exceptions.Abort:
        click.echo("interrupted: no report was written", err=True)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR
    except ByeLintError as error:
        click.echo(visible_lines(f"error: {error}"), err=True)
        return EXIT_ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REFUSED:
            where = f"{error.filename}: " if error.filename else "the output cannot be written: "
            said = f"error: {where}{(error.strerror or '').lower()}"
            click.echo(visible(said, MAX_MESSAGE), err=True)
            click.echo("  Free some space, or name folders that you may write to.", err=True)
        else:
            _report_bug(error)
        return EXIT_ERROR
    return int(status or 0)


def _report_bug(error: Exception) -> None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bye-lint-", suffix=".log", delete=False,
            encoding="utf-8", errors="backslashreplace",
        ) as log:  # fmt: skip
            log.write(f"bye-lint {__version__}, Python {sys.version}\n")
            log.writelines(traceback.format_exception(error))
        with_log = f" with {log.name}"
    except OSError as reason:
        with_log = f"; no log of it could be written: {reason.strerror or reason}"
    summary = str(error).splitlines()[0] if str(error) else ""
    said = f"internal error: {type(error).__name__}: {summary}"
    click.echo(visible(said, MAX_MESSAGE), err=True)
    click.echo(visible(f"  This is a bug in bye-lint. Please report it{with_log}", None), err=True)
