"""The wiring of one check: read, judge the structure, score, weigh, record. It knows no format,
no model, no detector and no report by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bye_lint.authorship import blamer
from bye_lint.baseline import answered_rules, apply_baseline
from bye_lint.changes import find_changes, select
from bye_lint.codes import CAMPAIGN, POLICY_WEAKENED, SUSPICIOUS
from bye_lint.datasets import read_datasets
from bye_lint.findings import (
    Weighed,
    not_looked_at,
    unjudged,
    unread_file,
    weigh,
    with_image_paths,
)
from bye_lint.policy import ContextPolicy
from bye_lint.progress import Progress
from bye_lint.provenance import reproducibility
from bye_lint.records import Checked, Finding, Sample, place_of
from bye_lint.request import Request, passed_over, shown
from bye_lint.results import Counts, ScanResult
from bye_lint.rules import check_pixels, check_samples
from bye_lint.shelf import Shelf
from bye_lint.store import cache_folder
from bye_lint.verdict import Verdict, judge, judge_structure, too_few

if TYPE_CHECKING:
    from bye_lint.planning import Plan
    from bye_lint.scoring import RowSource, Scores


@dataclass(frozen=True)
class Chosen:
    """The usable records that are looked at, and which of all the gate judges.

    Attributes
    ----------
    rows : sequence of int
        Their places among all the records that were read, ascending.
    items : sequence of Checked
    changed : sequence of bool
        One an item.
    judged : sequence of bool or None
        One for each record that was read, usable or not: whether it changed. ``None`` where
        everything is judged.
    unread : sequence of Path
        Files that look like data and were not read.
    """

    rows: Sequence[int]
    items: Sequence[Checked]
    changed: Sequence[bool]
    judged: Sequence[bool] | None = None
    unread: Sequence[Path] = ()

    @property
    def samples(self) -> list[Sample]:
        """Their samples."""
        return [item.sample for item in self.items if item.sample is not None]


def scan(request: Request, *, progress: Progress, source: RowSource | None = None) -> ScanResult:
    """Run one check.

    Parameters
    ----------
    request : Request
    progress : Progress
        Told what is going on; its timings end in the result.
    source : RowSource or None
        Attention that was read elsewhere; the model is not loaded then.

    Raises
    ------
    ByeLintError
        For what ends a run. A record that can't be used does not: it is in the result.
    """
    policy = request.policy
    checked, chosen = read(request, progress)
    scores, seen = None, Weighed()
    if worth_scoring(request, chosen):
        from bye_lint.scoring import score

        scores = score(chosen.samples, policy, progress=progress, source=source)
        with progress.stage("evidence", "Gathering evidence"):
            seen = weigh(
                chosen.items,
                scores,
                changed=chosen.changed,
                policy=policy,
                blame=blamer(request.root, progress.say),
            )
    return _result(request, checked, chosen, scores, seen, progress)


def read(request: Request, progress: Progress) -> tuple[list[Checked], Chosen]:
    """Read all records, and choose those that are looked at.

    Where only changes are judged, images that are not looked at are hashed and not decoded.
    """
    policy = request.policy
    whole = request.changed_since is None or (request.structural and policy.gate.scope == "all")
    done = request.structural and whole  # nobody looks at the images again
    checked: list[Checked] = []
    passed: list[Path] = []
    with progress.stage("read", "Reading records") as task:
        items = read_datasets(
            request.paths,
            policy.dataset,
            policy.base,
            display_root=request.root,
            on_passed_over=passed.append,
            shelf=None if done else Shelf(cache_folder()),
        )
        for item in check_samples(items, policy.dataset, decode=whole, digest=True):
            checked.append(item.without_bytes() if done else item)
            task.update(len(checked))
    if passed:
        progress.say(passed_over(passed, request.root))
    if request.changed_since is not None:
        checked, chosen = _choose(request, checked, progress, decode=not whole)
        return checked, replace(chosen, unread=passed)
    rows = [i for i, item in enumerate(checked) if item.usable]
    chosen = Chosen(rows, [checked[i] for i in rows], [True] * len(rows), unread=passed)
    return checked, chosen


def plan(request: Request, *, progress: Progress) -> Plan | str:
    """Return what the check would take, or why no model would look at the records.

    Raises
    ------
    ByeLintError
        As :func:`scan` does before its work.
    """
    _, chosen = read(request, progress)
    if why := _unscored(request, chosen):
        return why
    from bye_lint.foresight import foresee_plan

    return foresee_plan(chosen.samples, request.policy, progress=progress)


def _choose(
    request: Request, checked: Sequence[Checked], progress: Progress, *, decode: bool
) -> tuple[list[Checked], Chosen]:
    """Find what changed, draw its context; return all records, the images of both decoded."""
    with progress.stage("changes", f"Comparing with {request.changed_since}"):
        changes = find_changes(
            [item.identity for item in checked],
            ref=str(request.changed_since),
            paths=request.paths,
            policy=request.policy,
            root=request.root,
            known=request.known,
        )
        for reason in changes.unread:
            progress.say(f"not known at the base, so that all of it counts as changed: {reason}")
        usable = [i for i, item in enumerate(checked) if item.usable]
        flags = [changes.changed[i] for i in usable]
        # without a model there is nothing to compare with what others look like
        context = ContextPolicy(0, 0, 0) if request.structural else request.policy.context
        selection = select([checked[i].digest for i in usable], flags, context)
    rows = [usable[i] for i in sorted((*selection.changed, *selection.context))]
    if decode:
        with progress.stage("decode", "Decoding images"):
            decoded = check_pixels([checked[i] for i in rows], request.policy.dataset)
            looked = dict(zip(rows, decoded, strict=True))
        checked = [looked.get(i, item) for i, item in enumerate(checked)]
    along = f"{len(selection.context)} of {len(usable) - sum(flags)} others are read along"
    progress.say(
        f"{changes.count} records changed since {request.changed_since}"
        + ("" if request.structural else f"; {along}")
    )
    rows = [i for i in rows if checked[i].usable]
    flags = [changes.changed[i] for i in rows]
    return list(checked), Chosen(rows, [checked[i] for i in rows], flags, changes.changed)


def worth_scoring(request: Request, chosen: Chosen) -> bool:
    """Whether a model looks at the records: there are enough to judge."""
    return not _unscored(request, chosen)


def _unscored(request: Request, chosen: Chosen) -> str:
    """Say why no model looks at the records, or nothing."""
    if request.structural:
        return "the structural rules need none"
    changed = None if chosen.judged is None else sum(chosen.changed)
    lacking = too_few(request.policy.gate, len(chosen.items), changed=changed)
    none = "" if chosen.items and changed != 0 else "none of those to judge can be used"
    return "; ".join(lacking) or none


def _result(
    request: Request,
    checked: Sequence[Checked],
    chosen: Chosen,
    scores: Scores | None,
    seen: Weighed,
    progress: Progress,
) -> ScanResult:
    judged = chosen.judged if request.policy.gate.scope == "changed" else None
    structural = tuple(
        finding if judged is None or judged[i] else unjudged(finding)
        for i, item in enumerate(checked)
        for finding in item.findings
    )
    structural += tuple(unread_file(shown(path, request.root)) for path in chosen.unread)
    found = with_image_paths((*seen.findings, *structural), checked, request.root)
    findings = (*found, *request.weakened)
    whole = scores is not None and chosen.judged is None
    answered = answered_rules(scored=True, sure=not _doubt(scores)) if whole else ()
    findings, stale = apply_baseline(
        findings,
        request.baseline,
        date.today(),
        judged=answered,
        covered=_not_looked_at(checked, chosen) if request.baseline.entries else None,
    )
    skipped = tuple(item.skipped for item in checked if item.skipped and item.unread)
    skipped += seen.unscored
    counts = Counts(
        records=len(checked),
        scored=sum(row.score is not None for row in seen.samples),
        skipped=len(skipped),
        suspicious=sum(row.suspicious for row in seen.samples),
        structural=len(structural),
        without_image=sum(item.text_alone for item in checked),
        **_changes(checked, chosen, seen),
    )
    verdict = _judge(request, counts, findings, scores)
    return ScanResult(
        verdict=verdict.name,
        reasons=verdict.reasons,
        paths=tuple(shown(path, request.root) for path in request.paths),
        counts=counts,
        gate=verdict.gate,
        findings=(*findings, *stale),
        skipped=skipped,
        detection=seen.detection,
        samples=seen.samples,
        campaigns=seen.campaigns,
        reproducibility=reproducibility(request, checked, scores),
        structural_only=request.structural,
        evidence=seen.evidence,
        timings={name: round(seconds, 3) for name, seconds in progress.timings.items()},
    )


def _not_looked_at(checked: Sequence[Checked], chosen: Chosen) -> Mapping[tuple[str, str], int]:
    """Return what unchanged records that no one looks at have their acceptances for."""
    looked = frozenset(chosen.rows)
    others = (item for i, item in enumerate(checked) if item.usable and i not in looked)
    return not_looked_at(others)


def _changes(checked: Sequence[Checked], chosen: Chosen, seen: Weighed) -> dict[str, int]:
    """Return the counts that a check of changes has beside those of any check."""
    if chosen.judged is None:
        return {}
    new = [item for item, changed in zip(checked, chosen.judged, strict=True) if changed]
    skipped = sum(item.unread for item in new)
    unread = {place_of(row) for row in seen.unscored}
    return {
        "changed": len(new),
        "context": len(chosen.items) - sum(chosen.changed),
        "changed_without_image": sum(item.text_alone for item in new),
        "changed_skipped": skipped
        + sum(row.changed and place_of(row) in unread for row in seen.samples),
    }


def _judge(
    request: Request, counts: Counts, findings: Sequence[Finding], scores: Scores | None
) -> Verdict:
    open_errors = [f.rule for f in findings if f.level == "error" and f.suppressed is None]
    suspicious = open_errors.count(SUSPICIOUS)
    errors = sum(rule not in (SUSPICIOUS, CAMPAIGN) for rule in open_errors)
    if request.structural:
        return judge_structure(counts, request.policy.gate, errors)
    return judge(
        counts,
        request.policy.gate,
        suspicious=suspicious,
        errors=errors,
        inconclusive=_doubt(scores),
        weakened=open_errors.count(POLICY_WEAKENED),
    )


def _doubt(scores: Scores | None) -> str:
    """Return why the detector has no answer, or nothing."""
    return scores.detection.inconclusive if scores is not None else ""
