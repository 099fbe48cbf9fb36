"""SARIF 2.1.0, within what GitHub code scanning takes: https://docs.github.com/code-security.

A result that is not a full, conclusive check carries a category of its own
(``automationDetails.id``), so that uploading it cannot mark older alerts as fixed.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bye_lint.escape import MAX_MESSAGE, MAX_TEXT, json_text, uri_path, visible
from bye_lint.records import Finding, Skipped
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.reports.sarif_tool import NOTIFICATIONS, driver, rule_table
from bye_lint.results import ScanResult, significant, to_json

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

#: GitHub shows this many results of an upload; more are dropped without a word.
MAX_RESULTS = 5_000
#: Skipped records that are named one by one.
MAX_NOTIFICATIONS = 500
#: GitHub takes 10 MB, compressed; a tenth is left for differences between compressors.
MAX_GZIPPED = 9_000_000


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the result as a SARIF log; the worst findings first, those beyond the caps counted."""
    findings = view.active(result)
    limit = MAX_RESULTS
    text = _dumps(_log(result, findings, limit, context))
    while limit and len(gzip.compress(text.encode(), mtime=0)) > MAX_GZIPPED:
        limit //= 2
        text = _dumps(_log(result, findings, limit, context))
    return text


def _dumps(log: Mapping[str, Any]) -> str:
    return json_text(json.dumps(log, indent=1, ensure_ascii=True, allow_nan=False)) + "\n"


def _log(
    result: ScanResult, findings: Sequence[Finding], limit: int, context: RenderContext
) -> dict[str, Any]:
    rules = rule_table(findings)
    index = {rule.code: i for i, rule in enumerate(rules)}
    prints = view.fingerprints(findings)
    shown, left_out = findings[:limit], max(0, len(findings) - limit)
    run = {
        "tool": {"driver": driver(rules, visible(result.reproducibility.tool_version))},
        "automationDetails": {"id": category(result)},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "Root of the repository."}}},
        "invocations": [_invocation(result, left_out)],
        "results": [
            _result(f, index[f.rule], fingerprint)
            for f, fingerprint in zip(shown, prints, strict=False)
        ],
        "properties": _properties(result, left_out),
    }
    commit = view.head_commit(context.environ)
    if commit is not None:
        provenance = {"repositoryUri": commit.repository, "revisionId": commit.sha}
        run["versionControlProvenance"] = [{**provenance, "mappedTo": {"uriBaseId": "SRCROOT"}}]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def category(result: ScanResult) -> str:
    """Return the ``automationDetails.id``: what lies before its last slash is GitHub's category.

    Uploading a category marks its alerts that are missing as fixed, so only a full and
    conclusive check may bear the name that alerts live under.
    """
    if result.verdict == "inconclusive":
        return "bye-lint-inconclusive/"
    return "bye-lint-structure/" if result.structural_only else "bye-lint/"


def _result(finding: Finding, rule_index: int, fingerprint: str) -> dict[str, Any]:
    record = {
        "ruleId": visible(finding.rule, 100),
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": finding.level,
        "message": {"text": _message(finding)},
        "locations": [_location(finding)],
        "partialFingerprints": {"primaryLocationLineHash": visible(fingerprint)},
        "properties": _finding_properties(finding),
    }
    if finding.posterior is not None:
        record["rank"] = round(100 * min(max(significant(finding.posterior), 0.0), 1.0), 2)
    images = view.image_paths(finding)
    if images:
        record["relatedLocations"] = [
            {
                "id": i,
                "message": {"text": "The image of the record."},
                "physicalLocation": {"artifactLocation": _artifact(path)},
            }
            for i, path in enumerate(images, start=1)
        ]
    return record


def _message(finding: Finding) -> str:
    text = visible(finding.message, MAX_MESSAGE)
    if finding.sample_id:
        text = f"Record {visible(finding.sample_id)}: {text}"
    return _plain(text)


def _plain(text: str) -> str:
    """Break what would be a link of somebody else's text: ``[text](target)`` (SARIF, 3.11.6)."""
    return re.sub(r"\](?=\s*\()", r"\\x5d", text)


def _location(item: Finding | Skipped) -> dict[str, Any]:
    start = max(1, item.column)
    region = {
        "startLine": max(1, item.line),
        "startColumn": start,
        "endLine": max(1, item.line),
        "endColumn": max(start + 1, item.end_column),
    }
    return {"physicalLocation": {"artifactLocation": _artifact(item.path), "region": region}}


def _artifact(path: str) -> dict[str, str]:
    if path.startswith("/"):
        return {"uri": f"file://{uri_path(path)}"}
    return {"uri": uri_path(path), "uriBaseId": "SRCROOT"}


def _finding_properties(finding: Finding) -> dict[str, Any]:
    known = {key: finding.properties.get(key) for key in ("prompt", "answer", "image")}
    texts = {"sample_id": finding.sample_id, **known}
    numbers = {"score": finding.score, "posterior": finding.posterior}
    return {
        **{key: visible(text) for key, text in texts.items() if text},
        **{key: significant(number) for key, number in numbers.items() if number is not None},
    }


def _invocation(result: ScanResult, left_out: int) -> dict[str, Any]:
    notes = [] if result.verdict != "inconclusive" else [_inconclusive(result)]
    if left_out:
        text = (
            f"{view.plural(left_out, 'finding')} left out, the least suspicious, to stay within "
            f"what code scanning shows. The JSON report has them all."
        )
        notes.append(_notification("left-out", "warning", text))
    notes += [_skip(skipped) for skipped in result.skipped[:MAX_NOTIFICATIONS]]
    if len(result.skipped) > MAX_NOTIFICATIONS:
        more = len(result.skipped) - MAX_NOTIFICATIONS
        text = f"{view.plural(more, 'more record')} not scored. The JSON report has them all."
        notes.append(_notification("skipped-record", "warning", text))
    return {
        "executionSuccessful": result.verdict != "inconclusive",
        "exitCode": result.exit_code,
        "exitCodeDescription": result.verdict,
        "toolExecutionNotifications": notes,
    }


def _inconclusive(result: ScanResult) -> dict[str, Any]:
    reasons = "; ".join(visible(reason, MAX_MESSAGE) for reason in result.reasons)
    text = (
        f"Inconclusive: {reasons}. The absence of findings does not mean that the data are clean."
    )
    return _notification("inconclusive", "error", _plain(text))


def _skip(skipped: Skipped) -> dict[str, Any]:
    text = f"Not scored: {visible(skipped.rule, 100)}: {visible(skipped.message)}"
    note = _notification("skipped-record", "warning", _plain(text))
    return {**note, "locations": [_location(skipped)]}


def _notification(kind: str, level: str, text: str) -> dict[str, Any]:
    descriptor = {"id": f"bye-lint/{kind}", "index": list(NOTIFICATIONS).index(kind)}
    return {"descriptor": descriptor, "level": level, "message": {"text": text}}


def _properties(result: ScanResult, left_out: int) -> dict[str, Any]:
    data = to_json(result)
    return {
        "verdict": result.verdict,
        "reasons": [visible(reason, MAX_MESSAGE) for reason in result.reasons],
        "counts": data["counts"],
        "gate": _shown(data["gate"]),
        "findingsLeftOut": left_out,
        "findingsSuppressed": view.suppressed(result),
        "method": visible(result.detection.method) if result.detection else None,
        "reproducibility": _shown(data["reproducibility"]),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {visible(str(key)): _shown(item) for key, item in value.items()}
    return visible(value, MAX_TEXT) if isinstance(value, str) else value


REPORT = Report("sarif", "SARIF 2.1.0, for GitHub code scanning and editors", render, ".sarif")
