"""Who accepts findings, until when, and in which baseline."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bye_lint.errors import UsageError

if TYPE_CHECKING:  # help texts name the defaults, and wait for nothing
    from bye_lint.request import Request
    from bye_lint.results import ScanResult
    from bye_lint.review import Review

DEFAULT_FILE = "bye-lint-baseline.yaml"
DEFAULT_DAYS = 180


def baseline_path(request: Request, chosen: Path | None = None) -> Path:
    """Return the baseline's file: the one named, the policy's, or the usual one."""
    if chosen is not None:
        return chosen
    return request.policy.base / (request.policy.baseline or DEFAULT_FILE)


def author_of(request: Request, author: str | None) -> str:
    """Return who accepts findings: the one named, or git's user.

    Raises
    ------
    UsageError
        If nobody is named and git knows nobody.
    """
    from bye_lint.authorship import committer
    from bye_lint.vcs import repository_root

    if author:
        return author
    repository = repository_root(request.root)
    name = committer(repository) if repository is not None else ""
    if not name:
        raise UsageError("nobody accepts these findings", "Say who does: --author NAME.")
    return name


def until(expires: date | None, today: date) -> date:
    """Return the last day of what is accepted today."""
    return today + timedelta(days=DEFAULT_DAYS) if expires is None else expires


def suppress_rejected(
    request: Request, result: ScanResult, review: Review, author: str, today: date
) -> tuple[Path, int]:
    """Write the rejected suspects into the baseline; return its file, and how many are new.

    Raises
    ------
    BaselineError
        If the baseline cannot be read or written.
    """
    from bye_lint.baseline import Baseline, load_baseline, write_baseline
    from bye_lint.review import suppressions

    path = baseline_path(request)
    known = load_baseline(path) if path.exists() else Baseline()
    made = suppressions(
        result, review, known, author=author, expires=until(None, today), today=today
    )
    write_baseline(made, path)
    return path, len(made.entries) - len(known.entries)
