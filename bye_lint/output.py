"""From a result to standard output and files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bye_lint.errors import ReportError, UsageError
from bye_lint.escape import visible
from bye_lint.reports import RenderContext, check_writable, render, write_report
from bye_lint.request import Request, sources
from bye_lint.results import ScanResult

Target = tuple[str, Path]


def targets(request: Request, extra: Iterable[Target]) -> tuple[Target, ...]:
    """Reports of the policy and of the command line, each checked to be writable *before* the work.

    Raises
    ------
    ReportError
        If one of them could not be written, or would take the place of what is checked.
    """
    wanted = [(report.format, Path(report.path)) for report in request.policy.reports]
    for _, path in wanted:
        _keep_inside(path)
    chosen = checked_targets([*wanted, *extra])
    spare_sources(chosen, request)
    return chosen


def _keep_inside(path: Path) -> None:
    """Refuse a report of the policy that a link leads out of the working directory.

    Whoever wrote the policy may be a stranger, whose links lie beside it.
    """
    here = os.path.realpath(os.curdir)
    real = os.path.realpath(path)
    if not real.startswith(here.rstrip(os.sep) + os.sep):
        raise ReportError(
            f"{visible(str(path))}: a report of the policy leaves the working directory",
            "Name it on the command line: --report FORMAT=PATH may go anywhere.",
        )


def keep_outside(path: Path, request: Request) -> None:
    """Refuse a folder or a file that the next check would look at beside the data.

    Raises
    ------
    UsageError
    """
    real = path.resolve()
    for data in request.paths:
        if real.is_relative_to(data.resolve()):
            raise UsageError(
                f"{path}: in {data}, which is checked: both would be read as one set",
                "Choose a place outside of it, or give the data a folder of their own.",
            )


def spare_sources(wanted: Iterable[Target], request: Request) -> None:
    """Refuse reports that would overwrite the dataset, the policy or the baseline.

    Raises
    ------
    ReportError
    """
    there = {os.path.realpath(path): path for _, path in wanted if path.is_file()}
    if not there:
        return
    for source in sources(request):
        path = there.get(os.path.realpath(source))
        if path is not None:
            raise ReportError(
                f"{visible(str(path))}: the report would overwrite what is checked",
                "Choose another path.",
            )


def checked_targets(wanted: Iterable[Target], *, spare: Path | None = None) -> tuple[Target, ...]:
    """Return the targets after checking that each can be written, and has a path of its own.

    ``spare`` is a file that none of them may take the place of.
    """
    chosen = tuple(wanted)
    taken: dict[str, str] = {}
    for form, path in chosen:
        check_writable(path, spare=spare)
        first = taken.setdefault(os.path.realpath(path), form)
        if first != form:
            raise ReportError(
                f"{visible(str(path))}: two reports go to this path, {first} and {form}",
                "Give each a path of its own.",
            )
    return chosen


def write_reports(result: ScanResult, wanted: Sequence[Target]) -> None:
    """Write each report whole or not at all."""
    for form, path in wanted:
        write_report(render(result, form, file_context()), path)


def file_context() -> RenderContext:
    """Context of a report that goes to a file: no colour, the runner's variables for links."""
    return RenderContext(environ=_runner())


def render_stdout(result: ScanResult, form: str, *, quiet: bool, verbose: bool) -> str:
    """Render for standard output: colour only on a terminal, and never with NO_COLOR."""
    tty = sys.stdout.isatty()
    color = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    context = RenderContext(
        color=color,
        width=shutil.get_terminal_size((100, 24)).columns if tty else 100,
        verbosity=-1 if quiet else int(verbose),
        environ=_runner(),
        ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
    )
    return render(result, form, context)


def finish(
    result: ScanResult,
    wanted: Sequence[Target],
    form: str,
    *,
    quiet: bool,
    verbose: bool,
    exit_zero: bool,
) -> tuple[str, int]:
    """Write the reports of a check; return what standard output gets, and the exit status."""
    write_reports(result, wanted)
    said = render_stdout(result, form, quiet=quiet, verbose=verbose)
    return said, 0 if exit_zero else result.exit_code


def _runner() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith("GITHUB_")}
