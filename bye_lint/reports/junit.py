"""JUnit XML, which Jenkins and most other servers show as tests.

The first test is the gate: it alone says how the check ended. Findings are failed tests only
where the check did not pass, so that a server which counts failures agrees with the gate.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bye_lint.escape import MAX_MESSAGE, MAX_PATH, visible
from bye_lint.records import Finding, Skipped
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.reports.terminal import place
from bye_lint.results import ScanResult

MAX_TESTS = 5_000


def render(result: ScanResult, context: RenderContext) -> str:
    """Return one test for the gate, one for each finding, one for each skipped record."""
    suite = ET.Element("testsuite", name="bye-lint")
    _gate(suite, result)
    findings = view.active(result)
    for finding in findings[:MAX_TESTS]:
        _finding(suite, finding, failing=result.exit_code != 0)
    known = {(f.rule, f.path, f.line) for f in findings}
    skipped = [s for s in result.skipped if (s.rule, s.path, s.line) not in known]
    for record in skipped[:MAX_TESTS]:
        _skipped(suite, record)
    hidden = max(0, len(findings) - MAX_TESTS) + max(0, len(skipped) - MAX_TESTS)
    if hidden:
        text = f"{view.plural(hidden, 'test')} left out; the JSON report has them all."
        ET.SubElement(suite, "system-out").text = text
    suites = ET.Element("testsuites", {"name": "bye-lint", **_totals(suite)})
    suite.attrib.update(_totals(suite))
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _totals(suite: ET.Element) -> dict[str, str]:
    tests = suite.findall("testcase")
    counts = {"tests": len(tests)}
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counts[name] = sum(test.find(tag) is not None for test in tests)
    return {name: str(count) for name, count in counts.items()}


def _gate(suite: ET.Element, result: ScanResult) -> None:
    test = ET.SubElement(suite, "testcase", classname="bye-lint", name="gate")
    said = [*result.reasons, view.gate_sentence(result), view.exit_sentence(result)]
    text = "\n".join(visible(line, MAX_MESSAGE) for line in said)
    if result.verdict == "pass":
        ET.SubElement(test, "system-out").text = text
        return
    message = "; ".join(visible(reason, MAX_MESSAGE) for reason in result.reasons)
    if result.exit_code == 0:  # inconclusive, which the policy lets pass
        ET.SubElement(test, "skipped", message=message).text = text
        return
    tag = "failure" if result.verdict == "fail" else "error"
    ET.SubElement(test, tag, message=message, type=result.verdict).text = text


def _finding(suite: ET.Element, finding: Finding, *, failing: bool) -> None:
    test = _test(suite, finding)
    message = visible(finding.message, MAX_MESSAGE)
    answer = finding.properties.get("answer")
    lines = [f"{place(finding.path, finding.line)}: {message}"]
    if answer:
        lines.append(f"answer: {visible(answer)}")
    if failing and finding.level == "error":
        failure = ET.SubElement(test, "failure", message=message, type=visible(finding.rule))
        failure.text = "\n".join(lines)
    else:
        ET.SubElement(test, "system-out").text = "\n".join(lines)


def _skipped(suite: ET.Element, record: Skipped) -> None:
    message = f"not judged: {visible(record.message, MAX_MESSAGE)}"
    ET.SubElement(_test(suite, record), "skipped", message=message)


def _test(suite: ET.Element, item: Finding | Skipped) -> ET.Element:
    rule = view.rule_of(item.rule)
    where = place(item.path, item.line)
    return ET.SubElement(
        suite,
        "testcase",
        classname=visible(f"bye-lint.{rule.code}-{rule.name}"),
        name=f"{visible(item.sample_id)} ({where})" if item.sample_id else where,
        file=visible(item.path, MAX_PATH),
        line=str(max(1, item.line)),
    )


REPORT = Report("junit", "JUnit XML, for Jenkins and most other servers", render, ".xml")
