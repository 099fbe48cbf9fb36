"""Annotations of a GitHub workflow run: the worst findings, on the lines of their records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bye_lint.escape import MAX_MESSAGE, MAX_PATH, MAX_TEXT, workflow_message, workflow_property
from bye_lint.records import Finding, Level
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.results import ScanResult, VerdictName

Command = Literal["error", "warning", "notice"]

#: What GitHub shows of one step, for each level.
MAX_A_LEVEL = 10

_COMMANDS: dict[Level, Command] = {"error": "error", "warning": "warning", "note": "notice"}
_VERDICTS: dict[VerdictName, Command] = {
    "pass": "notice",
    "fail": "error",
    "inconclusive": "warning",
}


def render(result: ScanResult, context: RenderContext) -> str:
    """Return workflow commands: the verdict, then at most ten annotations of each level."""
    findings = view.active(result)
    summary = _VERDICTS[result.verdict]
    room = {"error": MAX_A_LEVEL, "warning": MAX_A_LEVEL, "notice": MAX_A_LEVEL}
    room[summary] -= 1
    lines = []
    for finding in findings:
        command = _COMMANDS[finding.level]
        if room[command] > 0:
            room[command] -= 1
            lines.append(_annotation(command, finding))
    hidden = len(findings) - len(lines)
    return "\n".join([_verdict(result, summary, hidden), *lines]) + "\n"


def _verdict(result: ScanResult, command: Command, hidden: int) -> str:
    sentences = list(result.reasons)
    if result.skipped:
        sentences.append(f"{view.plural(len(result.skipped), 'record')} skipped, so not judged")
    if hidden:
        sentences.append(f"{view.plural(hidden, 'finding')} not shown here")
    return _command(command, {"title": f"bye-lint: {result.verdict}"}, sentences)


def _annotation(command: Command, finding: Finding) -> str:
    rule = view.rule_of(finding.rule)
    title = f"{rule.code} {rule.name}" + (f" ({finding.sample_id})" if finding.sample_id else "")
    answer = finding.properties.get("answer")
    sentences = [finding.message, *([f"answer: {answer}"] if answer else [])]
    properties = {
        "file": finding.path,
        "line": str(max(1, finding.line)),
        "endLine": str(max(1, finding.line)),
        "col": str(max(1, finding.column)),
        "endColumn": str(max(finding.column + 1, finding.end_column)),
        "title": title,
    }
    return _command(command, properties, sentences)


def _command(command: Command, properties: dict[str, str], sentences: Iterable[str]) -> str:
    settings = ",".join(
        f"{name}={workflow_property(value, MAX_PATH if name == 'file' else MAX_TEXT)}"
        for name, value in properties.items()
    )
    message = "%0A".join(workflow_message(sentence, MAX_MESSAGE) for sentence in sentences)
    return f"::{command} {settings}::{message}"


REPORT = Report("github", "annotations of a GitHub Actions run", render, ".txt")
