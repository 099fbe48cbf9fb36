"""The verdict: from what was counted to pass, fail or inconclusive."""

from __future__ import annotations

from dataclasses import dataclass

from bye_lint.policy import GatePolicy, parse_limit
from bye_lint.results import Counts, Gate, VerdictName


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check, the reasons for it, and the gate as it was applied."""

    name: VerdictName
    reasons: tuple[str, ...]
    gate: Gate


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def judge_structure(counts: Counts, policy: GatePolicy, errors: int) -> Verdict:
    """Judge a check of the structural rules alone: any error fails, no records say nothing.

    Of a change, the errors are those of the records that it brings, if the gate is about them.
    """
    gate = _gate(counts, policy, 0)
    if errors:
        return Verdict("fail", (f"{_plural(errors, 'structural error')}",), gate)
    if counts.records == 0:
        return Verdict("inconclusive", ("no records were found",), gate)
    among, textual = _plural(counts.records, "record"), counts.without_image
    if counts.changed is not None and policy.scope == "changed":
        if counts.changed == 0:
            return Verdict("pass", ("no record changed",), gate)
        among = _plural(counts.changed, "changed record")
        textual = counts.changed_without_image or 0
    among += f", {textual} of them without an image" if textual else ""
    return Verdict("pass", (f"no structural error in {among}",), gate)


def judge(
    counts: Counts,
    policy: GatePolicy,
    *,
    suspicious: int,
    errors: int,
    inconclusive: str = "",
    weakened: int = 0,
) -> Verdict:
    """Judge a full check.

    Suspects over the gate fail whatever else is wrong, and so does a change that loosens the gate.
    Next comes every reason to doubt the rest of the answer; then structural errors, since a record
    that could not be scored has not been cleared; only then is it a pass.

    Parameters
    ----------
    suspicious : int
        Suspects that the gate counts: in its scope, and not accepted by the baseline.
    errors : int
        Other findings of level error that are not accepted.
    inconclusive : str
        Why the detector has no answer, or an empty string.
    weakened : int
        Findings among the errors that the change loosens its own judge.
    """
    gate = _gate(counts, policy, suspicious)
    among = f"{counts.scored} scored"
    if counts.changed is not None and policy.scope == "changed":
        among = f"{_plural(counts.changed, 'changed record')}"
    if suspicious > gate.allowed:
        reason = f"{_plural(suspicious, 'suspicious sample')} of {among}, {gate.allowed} allowed"
        return Verdict("fail", (reason,), gate)
    if weakened:
        # Before any doubt: a policy may let doubts pass, and this is about the policy.
        return Verdict("fail", (f"{_plural(weakened, 'change')} loosens the policy",), gate)
    doubts = _doubts(counts, policy, inconclusive)
    if doubts:
        return Verdict("inconclusive", doubts, gate)
    if errors:
        reason = f"{_plural(errors, 'finding')} of level error besides suspicious samples"
        return Verdict("fail", (reason,), gate)
    if counts.changed == 0:
        return Verdict("pass", ("no record changed",), gate)
    reason = f"{_plural(suspicious, 'suspicious sample')} among {among}, {gate.allowed} allowed"
    return Verdict("pass", (reason,), gate)


def too_few(
    policy: GatePolicy,
    usable: int,
    *,
    without_image: int = 0,
    changed: int | None = None,
    unread: int = 0,
    textual: int = 0,
) -> tuple[str, ...]:
    """Say what there is too little of to judge: changed records that can be read, or all records.

    ``unread`` and ``textual`` of the changed are skipped and without an image, ``without_image`` of
    all records are beside the usable ones. Where nothing changed, nothing is lacking.
    """
    lacking = []
    if changed and changed - unread - textual < policy.min_changed:
        but = f", {unread} of them skipped" if unread else ""
        but += f", {textual} of them without an image" if textual else ""
        lacking.append(
            f"{_plural(changed, 'changed record')}{but}: too few to judge; the policy asks "
            f"for at least {policy.min_changed} (gate.min_changed)"
        )
    if usable < policy.min_samples and changed != 0:
        but = f" ({without_image} without an image)" if without_image else ""
        lacking.append(
            f"{_plural(usable, 'usable record')}{but}; the policy asks for at least "
            f"{policy.min_samples} (gate.min_samples)"
        )
    return tuple(lacking)


def _gate(counts: Counts, policy: GatePolicy, suspicious: int) -> Gate:
    judged = counts.scored
    if counts.changed is not None and policy.scope == "changed":
        judged = counts.changed - (counts.changed_without_image or 0)
    return Gate(
        max_suspicious=str(policy.max_suspicious),
        allowed=parse_limit(policy.max_suspicious, judged),
        suspicious=suspicious,
        on_inconclusive=policy.on_inconclusive,
        scope="all" if counts.changed is None else policy.scope,
    )


def _doubts(counts: Counts, policy: GatePolicy, inconclusive: str) -> tuple[str, ...]:
    if counts.records == 0:
        return ("no records were found",)
    pictured = counts.records - counts.without_image
    unread, textual = counts.changed_skipped or 0, counts.changed_without_image or 0
    lacking = too_few(
        policy,
        pictured - counts.skipped,
        without_image=counts.without_image,
        changed=counts.changed,
        unread=unread,
        textual=textual,
    )
    doubts = list(lacking)
    if not doubts and counts.scored == 0 and not inconclusive and counts.changed != 0:
        doubts.append("nothing was scored")
    parts = [(counts.skipped, pictured, "record")]
    if counts.changed is not None:
        parts.insert(0, (unread, counts.changed - textual, "changed record"))
    for skipped, records, noun in parts[:1] if policy.scope == "changed" else parts:
        if skipped > parse_limit(policy.max_skipped, records):
            doubts.append(
                f"{skipped} of {_plural(records, noun)} skipped, more than "
                f"{policy.max_skipped} (gate.max_skipped)"
            )
    if inconclusive:
        doubts.append(inconclusive)
    return tuple(doubts)
