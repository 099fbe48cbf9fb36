"""The wiring of one check: read, judge the structure, score, weigh, record. It knows no format,
no model, no detector and no report by name.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from bye_lint import __version__
from bye_lint.datasets import read_datasets
from bye_lint.findings import Weighed, weigh
from bye_lint.policy import show_policy
from bye_lint.progress import Progress
from bye_lint.records import Checked, Counts, Finding, Reproducibility, ScanResult
from bye_lint.request import Request, shown
from bye_lint.rules import check_samples
from bye_lint.verdict import Verdict, judge, judge_structure

if TYPE_CHECKING:
    from bye_lint.scoring import Scores

#: Packages whose version can change a score.
_PACKAGES = ("numpy", "pillow", "scikit-learn", "torch", "transformers")


def scan(request: Request, *, progress: Progress) -> ScanResult:
    """Run one check.

    Parameters
    ----------
    request : Request
    progress : Progress
        Told what is going on; its timings end in the result.

    Raises
    ------
    ByeLintError
        For what ends a run. A record that can't be used does not: it is in the result.
    """
    policy = request.policy
    checked: list[Checked] = []
    with progress.stage("read", "Reading records") as task:
        items = read_datasets(request.paths, policy.dataset, policy.base, display_root=request.root)
        for item in check_samples(items, policy.dataset):
            checked.append(item)
            task.update(len(checked))
    usable = [item for item in checked if item.usable and item.sample is not None]
    if request.structural or len(usable) < max(1, policy.gate.min_samples):
        return _result(request, checked, None, progress)
    from bye_lint.scoring import score

    samples = [item.sample for item in usable if item.sample is not None]
    return _result(request, checked, score(samples, policy, progress=progress), progress)


def _result(
    request: Request, checked: Sequence[Checked], scores: Scores | None, progress: Progress
) -> ScanResult:
    usable = [item for item in checked if item.usable]
    structural = tuple(finding for item in checked for finding in item.findings)
    skipped = tuple(item.skipped for item in checked if item.skipped is not None)
    seen = weigh(usable, scores) if scores is not None else Weighed()
    skipped += seen.unscored
    counts = Counts(
        records=len(checked),
        scored=sum(row.score is not None for row in seen.samples),
        skipped=len(skipped),
        suspicious=sum(row.suspicious for row in seen.samples),
        structural=len(structural),
    )
    verdict = _judge(request, counts, structural, scores)
    return ScanResult(
        verdict=verdict.name,
        reasons=verdict.reasons,
        paths=tuple(shown(path, request.root) for path in request.paths),
        counts=counts,
        gate=verdict.gate,
        findings=seen.findings + structural,
        skipped=skipped,
        detection=scores.detection.summary if scores is not None else None,
        samples=seen.samples,
        campaigns=seen.campaigns,
        reproducibility=_reproducibility(request, checked, scores),
        structural_only=request.structural,
        timings={name: round(seconds, 3) for name, seconds in progress.timings.items()},
    )


def _judge(
    request: Request, counts: Counts, structural: Sequence[Finding], scores: Scores | None
) -> Verdict:
    errors = sum(finding.level == "error" for finding in structural)
    if request.structural:
        return judge_structure(counts, request.policy.gate, errors)
    doubt = scores.detection.inconclusive if scores is not None else ""
    return judge(counts, request.policy.gate, errors, doubt)


def _reproducibility(
    request: Request, checked: Sequence[Checked], scores: Scores | None
) -> Reproducibility:
    policy = request.policy
    content = hashlib.sha256("\n".join(sorted(item.digest for item in checked)).encode())
    rules = hashlib.sha256(show_policy(policy).encode())
    model = scores.model if scores is not None else None
    return Reproducibility(
        tool_version=__version__,
        seed=policy.seed,
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES if _version(name)},
        device=scores.device if scores is not None else "",
        dtype=scores.dtype if scores is not None else "",
        model=model.name if model is not None else "",
        model_digest=model.whole_digest if model is not None else "",
        family=model.family if model is not None else "",
        dataset_digest=content.hexdigest(),
        policy_digest=rules.hexdigest(),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
