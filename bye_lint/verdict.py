"""The verdict: from what was counted to pass, fail or inconclusive."""

from __future__ import annotations

from dataclasses import dataclass

from bye_lint.policy import GatePolicy, parse_limit
from bye_lint.records import Counts, Gate, VerdictName


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check, the reasons for it, and the gate as it was applied."""

    name: VerdictName
    reasons: tuple[str, ...]
    gate: Gate


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def judge_structure(counts: Counts, policy: GatePolicy, errors: int) -> Verdict:
    """Judge a check of the structural rules alone: any error fails, no records say nothing."""
    gate = _gate(counts, policy)
    if counts.records == 0:
        return Verdict("inconclusive", ("no records were found",), gate)
    if errors:
        return Verdict("fail", (f"{_plural(errors, 'structural error')}",), gate)
    return Verdict("pass", (f"no structural error in {_plural(counts.records, 'record')}",), gate)


def judge(counts: Counts, policy: GatePolicy, errors: int, inconclusive: str) -> Verdict:
    """Judge a full check.

    Suspects over the gate fail whatever else is wrong. Next comes every reason to doubt the
    rest of the answer; then structural errors, since a record that could not be scored has
    not been cleared; only then is it a pass.

    Parameters
    ----------
    errors : int
        Structural findings of level error.
    inconclusive : str
        Why the detector has no answer, or an empty string.
    """
    gate = _gate(counts, policy)
    if counts.suspicious > gate.allowed:
        reason = (
            f"{_plural(counts.suspicious, 'suspicious sample')} of {counts.scored} scored, "
            f"{gate.allowed} allowed"
        )
        return Verdict("fail", (reason,), gate)
    doubts = _doubts(counts, policy, inconclusive)
    if doubts:
        return Verdict("inconclusive", doubts, gate)
    if errors:
        reason = f"{_plural(errors, 'structural error')}: those records were not judged"
        return Verdict("fail", (reason,), gate)
    reason = (
        f"{_plural(counts.suspicious, 'suspicious sample')} among {counts.scored} scored, "
        f"{gate.allowed} allowed"
    )
    return Verdict("pass", (reason,), gate)


def _gate(counts: Counts, policy: GatePolicy) -> Gate:
    return Gate(
        max_suspicious=str(policy.max_suspicious),
        allowed=parse_limit(policy.max_suspicious, counts.scored),
        suspicious=counts.suspicious,
        on_inconclusive=policy.on_inconclusive,
        scope=policy.scope,
    )


def _doubts(counts: Counts, policy: GatePolicy, inconclusive: str) -> tuple[str, ...]:
    if counts.records == 0:
        return ("no records were found",)
    doubts = []
    usable = counts.records - counts.skipped
    if usable < policy.min_samples:
        doubts.append(
            f"{_plural(usable, 'usable record')}; the policy asks for at least "
            f"{policy.min_samples} (gate.min_samples)"
        )
    elif counts.scored == 0 and not inconclusive:
        doubts.append("nothing was scored")
    if counts.skipped > parse_limit(policy.max_skipped, counts.records):
        doubts.append(
            f"{counts.skipped} of {_plural(counts.records, 'record')} skipped, more than "
            f"{policy.max_skipped} (gate.max_skipped)"
        )
    if inconclusive:
        doubts.append(inconclusive)
    return tuple(doubts)
