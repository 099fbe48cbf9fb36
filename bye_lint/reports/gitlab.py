"""GitLab's Code Quality report: https://docs.gitlab.com/ci/testing/code_quality/."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bye_lint.escape import MAX_MESSAGE, MAX_PATH, json_text, visible
from bye_lint.records import Finding
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.results import ScanResult

MAX_FINDINGS = 5_000


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the findings as a JSON array, the worst first.

    An inconclusive result and findings beyond the cap have an entry of their own, since an
    array can't say otherwise that it is not the whole truth.
    """
    findings = view.active(result)
    prints = view.fingerprints(findings)
    shown = findings[:MAX_FINDINGS]
    entries = [_entry(f, fingerprint) for f, fingerprint in zip(shown, prints, strict=False)]
    if len(findings) > MAX_FINDINGS:
        hidden = view.plural(len(findings) - MAX_FINDINGS, "finding")
        entries.insert(0, _note(result, "left-out", f"{hidden} left out, the least suspicious"))
    if result.verdict == "inconclusive":
        reasons = "; ".join(visible(reason, MAX_MESSAGE) for reason in result.reasons)
        entries.insert(0, _note(result, "inconclusive", f"The check has no answer: {reasons}"))
    return json_text(json.dumps(entries, indent=1, ensure_ascii=True)) + "\n"


def _entry(finding: Finding, fingerprint: str) -> dict[str, Any]:
    rule = view.rule_of(finding.rule)
    sample = f"{visible(finding.sample_id)}: " if finding.sample_id else ""
    return {
        "type": "issue",
        "check_name": visible(f"{rule.code} {rule.name}"),
        "description": f"{sample}{visible(finding.message, MAX_MESSAGE)}",
        "severity": _severity(finding, float(rule.severity)),
        "categories": ["Security"],
        "fingerprint": _hash(finding.rule, fingerprint),
        "location": _place(finding.path, finding.line),
    }


def _severity(finding: Finding, severity: float) -> str:
    if finding.level == "note":
        return "info"
    if finding.level == "warning":
        return "minor"
    return "blocker" if severity > 9 else "critical" if severity >= 7 else "major"


def _note(result: ScanResult, kind: str, text: str) -> dict[str, Any]:
    path = result.paths[0] if result.paths else "bye-lint.yaml"
    return {
        "type": "issue",
        "check_name": f"bye-lint {kind}",
        "description": text,
        "severity": "blocker" if kind == "inconclusive" else "info",
        "categories": ["Security"],
        "fingerprint": _hash(kind, path),
        "location": _place(path, 1),
    }


def _place(path: str, line: int) -> dict[str, Any]:
    return {"path": visible(path, MAX_PATH), "lines": {"begin": max(1, line)}}


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


REPORT = Report("gitlab", "GitLab's Code Quality report", render, ".json")
