"""Which record of a result is meant: by its id, or by its place as reports print it."""

from __future__ import annotations

import math
import re
from pathlib import Path

from bye_lint.errors import UsageError
from bye_lint.escape import visible
from bye_lint.records import Finding, Skipped, place_of
from bye_lint.request import shown
from bye_lint.results import ScanResult, ScoredSample
from bye_lint.vcs import repository_root


def find_sample(result: ScanResult, name: str) -> ScoredSample | None:
    """Return the record of an id or of a place, ``path:line``; of several, the most suspicious."""
    found = [s for s in result.samples if s.sample_id == name]
    found = found or [s for s in result.samples if name in places(s)]
    return max(found, key=lambda s: (s.suspicious, s.score or -math.inf), default=None)


def require_sample(result: ScanResult, name: str) -> ScoredSample:
    """Return the record that :func:`find_sample` finds.

    Raises
    ------
    UsageError
        If the result has none; the message suggests ids that look alike.
    """
    found = find_sample(result, name)
    if found is not None:
        return found
    remarked = [row.sample_id for row in _remarks(result) if row.sample_id]
    ids = dict.fromkeys([*(s.sample_id for s in result.samples), *remarked])
    alike = [other for other in ids if name and name in other and name != other][:3]
    suspects = [s.sample_id for s in result.samples if s.suspicious][:3]
    names = ", ".join(visible(other, 60) for other in alike or suspects)
    remedy = f"{'Did you mean' if alike else 'Suspects are'}: {names}" if names else ""
    if result.structural_only:
        remedy = remedy or "A check of the structure alone knows the records with findings."
    raise UsageError(f"no record with the id or place {visible(name, 80)!r} was scored", remedy)


def remarks(result: ScanResult, name: str) -> tuple[Finding | Skipped, ...]:
    """Return what is said of a record that was not scored, by its id or its place."""
    rows = _remarks(result)
    found = [row for row in rows if row.sample_id == name]
    return tuple(found or [row for row in rows if name in places(row)])


def as_reported(result: ScanResult, name: str) -> str:
    """Return a record's name; a place that is given from the working directory as reports do."""

    def known(name: str) -> bool:
        return find_sample(result, name) is not None or bool(remarks(result, name))

    place = re.fullmatch(r"(.+?)((?::\d+){1,2})", name)
    if place is None or known(name):
        return name
    here = Path.cwd()
    reported = shown(here / place[1], (repository_root(here) or here).resolve()) + place[2]
    return reported if known(reported) else name


def _remarks(result: ScanResult) -> list[Finding | Skipped]:
    """Return the findings, and what was skipped without one."""
    rows: dict[tuple[str, str, int, int], Finding | Skipped] = {}
    both: list[Finding | Skipped] = [*result.findings, *result.skipped]
    for row in both:
        rows.setdefault((row.rule, *place_of(row)), row)
    return list(rows.values())


def places(row: ScoredSample | Finding | Skipped) -> tuple[str, str]:
    """Return a record's place as reports print it."""
    return f"{row.path}:{row.line}", f"{row.path}:{row.line}:{row.column}"
