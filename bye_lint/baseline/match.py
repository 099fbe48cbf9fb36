"""What a baseline means for findings.

An entry matches by rule and content, never by place, so that other records may come and go
around it, and covers as many exact copies as it counts. What has expired or matches nothing is
reported, so that a baseline cannot rot in silence.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from bye_lint.baseline.file import Baseline, Entry
from bye_lint.codes import (
    CAMPAIGN,
    POLICY_WEAKENED,
    RULES,
    SUPPRESSION_EXPIRED,
    SUSPICIOUS,
    UNREADABLE_BY_MODEL,
)
from bye_lint.errors import BaselineError
from bye_lint.escape import visible
from bye_lint.records import Finding
from bye_lint.results import ScanResult

#: Rules about the judge itself; accepting one of their findings would defeat them.
NEVER_ACCEPTED = (POLICY_WEAKENED, SUPPRESSION_EXPIRED)

#: What the detector says, and what else is known once a model has read the records.
_DETECTED = (SUSPICIOUS, CAMPAIGN)


@dataclass(frozen=True, slots=True)
class Audited:
    """An entry and its state.

    That is ``active``, ``expired``, ``unused``, ``partly used`` or ``not judged``.
    """

    entry: Entry
    state: str
    matched: int


def answered_rules(*, scored: bool, sure: bool) -> frozenset[str]:
    """Return the rules that a check of all data has an answer of, so that no finding says none.

    Parameters
    ----------
    scored : bool
        A model looked at the records.
    sure : bool
        The detector is not inconclusive.
    """
    silent: set[str] = set() if scored and sure else set(_DETECTED)
    return frozenset(RULES) - silent - (set() if scored else {UNREADABLE_BY_MODEL})


def judged_rules(result: ScanResult) -> frozenset[str]:
    """Return the :func:`answered_rules` of a check of all data, by its result."""
    detection = result.detection
    if result.structural_only or detection is None:
        return answered_rules(scored=False, sure=False)
    # suspects make a check fail, also one whose detector is undecided of the others
    sure = not detection.inconclusive and result.verdict != "inconclusive"
    return answered_rules(scored=True, sure=sure)


def apply_baseline(
    findings: Sequence[Finding],
    baseline: Baseline,
    today: date,
    *,
    judged: Collection[str] | None = None,
    covered: Mapping[tuple[str, str], int] | None = None,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Mark the findings that the baseline accepts, and report entries that no longer serve.

    Parameters
    ----------
    today : date
        Entries hold up to and including the day they expire.
    judged : collection of str, optional
        Rules that ran on *all* data; only their entries can be called unused. All rules by
        default; a check of changed records alone passes an empty one.
    covered : mapping of (str, str) to int, optional
        By rule and fingerprint: copies that nobody looked at, so that no finding tells of them.
        An entry covers them first: else one more copy would take the place of an old one.

    Returns
    -------
    findings : tuple of Finding
        In the same order; accepted ones have ``suppressed`` set to the reason, and
        ``suppressed_by`` and ``suppressed_until`` in their properties.
    problems : tuple of Finding
        A BYE302 at the entry's line for each that has expired or matches less than it covers.
    """
    open_entries: defaultdict[tuple[str, str], deque[_Open]] = defaultdict(deque)
    for entry in baseline.entries:
        if today <= entry.expires and entry.rule not in NEVER_ACCEPTED:
            open_entries[entry.key].append(_Open(entry, entry.count))
    for key, copies in (covered or {}).items():
        if key in open_entries:
            _take(open_entries[key], copies)
    marked = list(findings)
    # old copies of what has changed are notes, and keep what they were given
    for i in sorted(range(len(marked)), key=lambda i: marked[i].level != "note"):
        waiting = open_entries.get((marked[i].rule, marked[i].fingerprint))
        if waiting:
            marked[i] = _accepted(marked[i], waiting[0].entry)
            _take(waiting, 1)
    problems = [
        _complaint(item, baseline.source)
        for item in audit_baseline(baseline, findings, today, judged=judged)
        if item.state not in ("active", "not judged")
    ]
    return tuple(marked), tuple(problems)


def audit_baseline(
    baseline: Baseline,
    findings: Iterable[Finding],
    today: date,
    *,
    judged: Collection[str] | None = None,
) -> tuple[Audited, ...]:
    """Say of each entry whether it still serves, given the findings of a check of all data.

    Parameters
    ----------
    judged : collection of str, optional
        As in :func:`apply_baseline`.
    """
    left = Counter((f.rule, f.fingerprint) for f in findings)
    audited = []
    for entry in baseline.entries:
        if today > entry.expires:
            audited.append(Audited(entry, "expired", 0))
            continue
        matched = min(entry.count, left[entry.key])
        left[entry.key] -= matched
        state = "active" if matched == entry.count else "partly used" if matched else "unused"
        if state != "active" and judged is not None and entry.rule not in judged:
            state = "not judged"
        audited.append(Audited(entry, state, matched))
    return tuple(audited)


def create_baseline(
    findings: Iterable[Finding], *, reason: str, author: str, expires: date, today: date
) -> Baseline:
    """Accept every finding that can be told by its content, copies counted.

    Raises
    ------
    BaselineError
        If the reason or the author is empty, or the entries would expire at once.
    """
    return update_baseline(
        Baseline(), findings, reason=reason, author=author, expires=expires, today=today
    )


def update_baseline(
    baseline: Baseline,
    findings: Iterable[Finding],
    *,
    reason: str,
    author: str,
    expires: date,
    today: date,
    judged: Collection[str] | None = None,
) -> Baseline:
    """Bring a baseline in line with the findings of a check of all data.

    Entries that still match keep their words and dates, with as many copies as were found;
    those that match nothing are dropped. What is new gets the words and date given, and so
    does what an expired entry covered: accepting it again is a new decision.

    Parameters
    ----------
    findings : iterable of Finding
        All of them, accepted ones included.
    judged : collection of str, optional
        As in :func:`apply_baseline`: entries of the other rules are kept as they are.

    Raises
    ------
    BaselineError
        If the reason or the author is empty, or the entries would expire at once.
    """
    require_decision(reason=reason, author=author, expires=expires, today=today)
    places: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in findings:
        if finding.fingerprint and finding.rule not in NEVER_ACCEPTED:
            where = visible(f"{finding.path}:{finding.line}")
            places[finding.rule, finding.fingerprint].append(where)
    entries = []
    for entry in baseline.entries:
        covered = places.get(entry.key, [])[: entry.count]
        unknown = judged is not None and entry.rule not in judged
        if covered and today <= entry.expires:
            del places[entry.key][: entry.count]
            entries.append(entry if unknown else replace(entry, count=len(covered)))
        elif unknown and not covered:
            entries.append(entry)
    entries += [
        Entry(rule, fingerprint, reason.strip(), author.strip(), expires, len(where), where[0])
        for (rule, fingerprint), where in places.items()
        if where
    ]
    return replace(baseline, entries=tuple(entries))


def require_decision(*, reason: str, author: str, expires: date, today: date) -> None:
    """Refuse an acceptance without words, or one that would expire at once.

    Raises
    ------
    BaselineError
    """
    for name, value in (("reason", reason), ("author", author)):
        if not value.strip():
            raise BaselineError(f"the {name} is empty", f"Say it with --{name}.")
    if expires < today:
        raise BaselineError(f"{expires} has passed already", "Give a later day with --expires.")


@dataclass(slots=True)
class _Open:
    """An entry, and how many copies it can cover yet."""

    entry: Entry
    left: int


def _take(waiting: deque[_Open], copies: int) -> None:
    """Let the first entries cover so many copies, as far as they go."""
    while waiting and copies:
        taken = min(copies, waiting[0].left)
        waiting[0].left -= taken
        copies -= taken
        if not waiting[0].left:
            waiting.popleft()


def _accepted(finding: Finding, entry: Entry) -> Finding:
    words = {"suppressed_by": entry.author, "suppressed_until": entry.expires.isoformat()}
    return replace(finding, suppressed=entry.reason, properties={**finding.properties, **words})


def _complaint(item: Audited, source: str) -> Finding:
    rule, entry = RULES[SUPPRESSION_EXPIRED], item.entry
    what = f"{entry.rule} of {entry.fingerprint[:12]}"
    if item.state == "expired":
        message = f"the entry for {what} expired on {entry.expires}"
    elif item.state == "unused":
        message = f"the entry for {what} matches nothing"
    else:
        message = f"the entry for {what} covers {entry.count} copies, {item.matched} were found"
    return Finding(
        rule=rule.code,
        level=rule.level,
        message=message,
        path=source,
        line=entry.line,
        column=entry.column,
        end_column=entry.column + 1,
        properties={"reason": entry.reason, "author": entry.author},
    )
