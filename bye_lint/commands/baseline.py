"""``bye-lint baseline``: findings that a person has accepted, with a reason and a day."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bye_lint.commands.options import device_option, policy_option, several, structural_option
from bye_lint.decisions import DEFAULT_DAYS, DEFAULT_FILE, author_of, baseline_path, until
from bye_lint.errors import ResultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bye_lint.request import Request
    from bye_lint.results import ScanResult


@click.group(short_help="Accept known findings, each with a reason and a last day.")
def baseline() -> None:
    """Accept known findings by their content, each with a reason, an author and a last day."""


#: What a check that is run now is told, as ``bye-lint check`` is.
_check_options = several(policy_option, structural_option, device_option)

_paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_result = click.option(
    "--result",
    "saved",
    type=click.Path(path_type=Path),
    help="JSON result of a check of all data; without it, the check is run now.",
)
_file = click.option(
    "--output",
    "--file",
    "-o",
    "chosen",
    type=click.Path(path_type=Path),
    help=f"Baseline file; by default the policy's, or {DEFAULT_FILE}.",
)
_reason = click.option("--reason", required=True, help="Why these findings are accepted.")
_author = click.option("--author", help="Who accepts them; by default git's user.name.")
_expires = click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    help=f"Last day they are accepted; by default {DEFAULT_DAYS} days from today.",
)


@baseline.command()
@_paths
@_check_options
@_result
@_file
@_reason
@_author
@_expires
@click.option("--force", is_flag=True, help="Overwrite an existing baseline.")
def create(
    paths: tuple[Path, ...],
    saved: Path | None,
    chosen: Path | None,
    reason: str,
    author: str | None,
    expires: datetime | None,
    force: bool,
    **overrides: Any,
) -> int:
    """Accept every finding of a check of all data.

    Exit status: 0 written, 2 error.
    """
    from bye_lint.baseline import create_baseline, write_baseline

    request = _plan(paths, saved, overrides)
    path = baseline_path(request, chosen)
    if path.exists() and not force:
        raise UsageError(
            f"{path}: exists already", "Use `bye-lint baseline update`, or --force to overwrite."
        )
    today = date.today()
    name, last = _decision(request, reason, author, expires, today)
    made = create_baseline(
        _scan(request, saved).findings, reason=reason, author=name, expires=last, today=today
    )
    write_baseline(made, path)
    accepted = sum(entry.count for entry in made.entries)
    noun = "finding is" if accepted == 1 else "findings are"
    click.echo(f"wrote {path}: {accepted} {noun} accepted", err=True)
    if request.policy.baseline is None:
        click.echo(f"  add `baseline: {path.name}` to the policy, so that checks read it", err=True)
    return 0


@baseline.command()
@_paths
@_check_options
@_result
@_file
@_reason
@_author
@_expires
def update(
    paths: tuple[Path, ...],
    saved: Path | None,
    chosen: Path | None,
    reason: str,
    author: str | None,
    expires: datetime | None,
    **overrides: Any,
) -> int:
    """Drop what matches nothing any more; accept what is new.

    Entries that the check has no answer of are kept: those of suspects where no model looked at
    the records, or where it or its detector is undecided, also where suspects made it fail.

    Exit status: 0 written, 2 error.
    """
    from bye_lint.baseline import judged_rules, load_baseline, update_baseline, write_baseline

    request = _plan(paths, saved, overrides)
    path = baseline_path(request, chosen)
    before = load_baseline(path)
    today = date.today()
    name, last = _decision(request, reason, author, expires, today)
    result = _scan(request, saved)
    judged = judged_rules(result)
    after = update_baseline(
        before,
        result.findings,
        reason=reason,
        author=name,
        expires=last,
        today=today,
        judged=judged,
    )
    write_baseline(after, path)
    unjudged = sum(entry.rule not in judged for entry in after.entries)
    said = f", {unjudged} kept without a judgement" if unjudged else ""
    click.echo(
        f"wrote {path}: {len(before.entries)} entries before, {len(after.entries)} now{said}"
    )
    return 0


@baseline.command()
@_paths
@_check_options
@_result
@_file
def audit(
    paths: tuple[Path, ...], saved: Path | None, chosen: Path | None, **overrides: Any
) -> int:
    """List the entries and whether they still serve; exit with 1 if one does not."""
    from bye_lint.baseline import audit_baseline, judged_rules, load_baseline
    from bye_lint.escape import visible

    request = _plan(paths, saved, overrides)
    known = load_baseline(baseline_path(request, chosen))
    result = _scan(request, saved)
    audited = audit_baseline(known, result.findings, date.today(), judged=judged_rules(result))
    for item in audited:
        entry = item.entry
        click.echo(
            f"{visible(known.source)}:{entry.line}: {item.state:<11} {entry.rule} "
            f"{item.matched}/{entry.count} until {entry.expires}  {visible(entry.reason)}"
        )
    return 0 if all(item.state in ("active", "not judged") for item in audited) else 1


def _plan(paths: tuple[Path, ...], saved: Path | None, overrides: Mapping[str, Any]) -> Request:
    from bye_lint.request import Overrides, plan_request

    for option in ("structural", "device"):
        if saved is not None and overrides[option]:
            raise UsageError(
                f"--{option} is for a check that is run now, --result names one that was",
                "Leave one of them out.",
            )
    return plan_request(paths, Overrides(baseline=False, **overrides))


def _decision(
    request: Request, reason: str, author: str | None, expires: datetime | None, today: date
) -> tuple[str, date]:
    """Return who accepts and until when; refuse what would be refused after minutes of a check."""
    from bye_lint.baseline import require_decision

    last = until(expires.date() if expires is not None else None, today)
    name = author_of(request, author)
    require_decision(reason=reason, author=name, expires=last, today=today)
    return name, last


def _scan(request: Request, saved: Path | None) -> ScanResult:
    """Run the check, or read its result, and refuse one that is not of all the data."""
    from bye_lint.escape import visible
    from bye_lint.progress import RichProgress
    from bye_lint.reports import load_result
    from bye_lint.request import shown
    from bye_lint.scan import scan

    if saved is None:
        return scan(request, progress=RichProgress())
    result = load_result(saved)
    if result.counts.changed is not None:
        raise ResultError(
            f"{saved}: a check of what changed, and a baseline is of all data",
            "Check without --changed-since, and name that result.",
        )
    if set(result.paths) != {shown(path, request.root) for path in request.paths}:
        raise ResultError(
            f"{saved}: a check of other data: {', '.join(map(visible, result.paths))}",
            "Name the paths that were checked, from the folder where they were.",
        )
    return result
