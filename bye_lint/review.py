"""A person's word on each suspect: a file to fill in, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import yaml

from bye_lint.baseline import Baseline, Entry
from bye_lint.codes import SUSPICIOUS
from bye_lint.errors import UsageError
from bye_lint.escape import visible
from bye_lint.records import place_of
from bye_lint.results import ScanResult

_HEADER = """\
# Suspects of bye-lint. Give each a decision, and each that you reject a reason:
#   accept: poisoned, take the record out
#   reject: a false alarm, keep the record; the reason goes into the baseline as a suppression
"""
_DECISIONS = ("accept", "reject")


@dataclass(frozen=True)
class Review:
    """The decisions, by content digest."""

    accepted: frozenset[str] = frozenset()
    rejected: Mapping[str, str] = field(default_factory=dict)


def write_review(result: ScanResult) -> str:
    """Return a review file for the suspects of a result, all undecided, as YAML."""
    rows = [
        {
            "digest": s.digest,
            "id": visible(s.sample_id),
            "where": visible(f"{s.path}:{s.line}"),
            "score": s.score,
            "answer": visible(s.answer),
            "decision": "",
            "reason": "",
        }
        for s in sorted(result.samples, key=lambda s: (-(s.score or 0.0), s.path, s.line))
        if s.suspicious
    ]
    body: str = yaml.safe_dump({"suspects": rows}, sort_keys=False, allow_unicode=True, width=100)
    return _HEADER + body


def read_review(text: str, result: ScanResult, *, source: str = "review") -> Review:
    """Read a filled-in review file.

    Raises
    ------
    UsageError
        If it is no review, names a record that is no suspect, or leaves one undecided or a
        rejection without a reason; the message lists the first of each.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        at = f":{where.line + 1}:{where.column + 1}" if where is not None else ""
        raise UsageError(f"{source}{at}: not valid YAML", _remedy()) from error
    rows = data.get("suspects") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{source}: expected a list under the key suspects", _remedy())
    suspects = {s.digest for s in result.samples if s.suspicious}
    accepted: set[str] = set()
    rejected: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        digest, decision, reason = (_text(row.get(k)) for k in ("digest", "decision", "reason"))
        at = f"{source}: suspect {number} ({visible(_text(row.get('id')), 60)})"
        if digest not in suspects:
            raise UsageError(f"{at}: not a suspect of this result", _remedy())
        if decision not in _DECISIONS:
            raise UsageError(f"{at}: undecided, expected accept or reject", "Decide on each.")
        if decision == "accept":
            accepted.add(digest)
        elif not reason:
            raise UsageError(f"{at}: rejected without a reason", "Say why the record is fine.")
        else:
            rejected[digest] = reason
    undecided = suspects - accepted - set(rejected)
    if undecided:
        raise UsageError(
            f"{source}: {len(undecided)} of {len(suspects)} suspects are not in the file",
            "Decide on each.",
        )
    if both := accepted & set(rejected):
        raise UsageError(f"{source}: {len(both)} suspects are accepted and rejected", _remedy())
    return Review(frozenset(accepted), rejected)


def suppressions(
    result: ScanResult, review: Review, known: Baseline, *, author: str, expires: date, today: date
) -> Baseline:
    """Return a baseline that also accepts the findings of the rejected suspects.

    What the baseline has stays; a rejection that it covers already adds nothing.

    Parameters
    ----------
    known : Baseline
        What was accepted before.
    author : str
        Who rejected the suspects.
    expires, today : date
        Last day of what is new.
    """
    covered: Counter[tuple[str, str]] = Counter()
    for entry in known.entries:
        covered[entry.key] += entry.count if today <= entry.expires else 0
    digests = {place_of(s): s.digest for s in result.samples}
    new: dict[tuple[str, str], Entry] = {}
    for finding in result.findings:
        reason = review.rejected.get(digests.get(place_of(finding), ""))
        key = (finding.rule, finding.fingerprint)
        if finding.rule != SUSPICIOUS or reason is None or not finding.fingerprint:
            continue
        if covered[key]:
            covered[key] -= 1
            continue
        where = visible(f"{finding.path}:{finding.line}")
        before = new.get(key) or Entry(*key, reason, author, expires, 0, where)
        new[key] = replace(before, count=before.count + 1)
    return replace(known, entries=(*known.entries, *new.values()))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)


def _remedy() -> str:
    return "`bye-lint clean RESULT.json --write-review FILE` writes one to fill in."
