"""Markdown, GitHub, GitLab and JUnit: what each platform is told, within what it takes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bye_lint.records import Finding
from bye_lint.reports import RenderContext, render, view
from bye_lint.results import ScanResult

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "fedcba9876543210fedcba9876543210fedcba98"
ENVIRON = {
    "GITHUB_REPOSITORY": "octo/data",
    "GITHUB_SHA": SHA,
    "GITHUB_SERVER_URL": "https://github.example",
}


def many(result: ScanResult, count: int, **changes: Any) -> ScanResult:
    base = result.findings[0]
    findings = tuple(
        replace(base, line=i + 1, fingerprint=str(i), score=float(i), **changes)
        for i in range(count)
    )
    return replace(result, findings=findings)


def test_markdown_of_a_failed_check(failed: ScanResult) -> None:
    text = render(failed, "markdown")
    assert text.startswith("## bye-lint: ❌ fail\n\n- 10 suspicious samples of 130 scored")
    assert "| 133 | 130 | 3 | 10 | 3 |" in text
    assert "### Suspicious samples (10)" in text
    worst = max(failed.samples, key=lambda s: s.score or 0)
    row = f"| `{worst.path}:{worst.line}` | `{worst.sample_id}` | {worst.score:.2f} | 0.999 |"
    assert row in text
    assert "| `answer` | `Backdoor Attack!` | 10 suspects (100 %) and 0 % of the rest |" in text
    assert "3 records skipped, so not judged." in text
    assert "bye-lint check --seed 0 -- data/eurosat data/extra.jsonl\n" in text
    assert failed.reproducibility.model_digest in text


@pytest.mark.parametrize("form", ["markdown", "terminal", "html"])
def test_records_without_an_image_are_counted(form: str, results: dict[str, ScanResult]) -> None:
    assert "without an image" not in render(results["pass"], form)
    mixed = replace(results["pass"], counts=replace(results["pass"].counts, without_image=77))
    text = render(mixed, form)
    said = {"markdown": "| 77 |", "terminal": "77 without an image", "html": "<b>77</b>"}
    assert said[form] in text
    assert "without an image" in text
    assert "Every record was read and looked at" not in text


def test_markdown_counts_what_the_gate_counts(failed: ScanResult) -> None:
    first, second, *rest = failed.findings
    aside = (replace(first, suppressed="known"), replace(second, level="note"))
    gate = replace(failed.gate, suspicious=8)
    text = render(replace(failed, findings=(*aside, *rest), gate=gate), "markdown")
    assert "| suspicious | structural findings | suspicious, unchanged | suppressed |" in text
    assert "| 133 | 130 | 3 | 8 | 3 | 1 | 1 |" in text
    assert "### Suspicious samples (8)" in text


def test_markdown_of_the_other_ends(results: dict[str, ScanResult]) -> None:
    assert render(results["pass"], "markdown").startswith("## bye-lint: ✅ pass")
    unsure = render(results["inconclusive"], "markdown")
    assert unsure.startswith("## bye-lint: ⚠️ inconclusive\n\n- the canaries were not found")
    assert "✅" not in unsure
    structural = render(results["structural"], "markdown")
    assert "no model looked at the images" in structural
    assert "--structural" in structural


def test_markdown_links_to_the_line_at_the_head(failed: ScanResult) -> None:
    def first_link(**extra: str) -> str:
        text = render(failed, "markdown", RenderContext(environ=ENVIRON | extra))
        found = re.search(r"\| \[`[^`]+`\]\((\S+)\)", text)
        return found[1] if found else ""

    worst = max(failed.samples, key=lambda s: s.score or 0)
    end = f"data/eurosat/train.json#L{worst.line}"
    assert first_link() == f"https://github.example/octo/data/blob/{SHA}/{end}"
    assert first_link(GITHUB_HEAD_SHA=HEAD).endswith(f"/blob/{HEAD}/{end}")
    for broken in (
        {"GITHUB_SHA": "main"},
        {"GITHUB_REPOSITORY": "octo/data)[x](http://evil.example"},
        {"GITHUB_SERVER_URL": "javascript:alert(1)"},
        {"GITHUB_SHA": ""},
    ):
        assert first_link(**broken) == ""


@pytest.mark.parametrize("path", ["/mnt/x.json", "../x.json"])
def test_a_file_elsewhere_has_no_line_at_the_head(failed: ScanResult, path: str) -> None:
    findings = (replace(failed.findings[0], path=path),)
    result = replace(failed, findings=findings, skipped=())
    assert "/blob/" not in render(result, "markdown", RenderContext(environ=ENVIRON))


def test_an_address_in_a_reason_is_no_link(failed: ScanResult) -> None:
    said = "no model at Www.evil.example, it said"
    assert f"- `{said}`" in render(replace(failed, reasons=(said,)), "markdown")


def test_a_step_summary_stays_under_a_mebibyte(failed: ScanResult) -> None:
    text = render(many(failed, 60_000), "markdown")
    assert text.count("\n| `") < 120
    assert "and 59,950 more suspects" in text
    odd = many(failed, 60, path="\u202e" * 1_000_000, sample_id="\u202e" * 300)
    paths = tuple("p/" * 400_000 for _ in range(20))
    text = render(replace(odd, paths=paths, reasons=("\x1b" * 10**6,) * 20), "markdown")
    assert len(text.encode()) <= 1 << 20


def test_the_summary_is_cut_at_a_line(failed: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bye_lint.reports.markdown.MAX_BYTES", 900)
    text = render(failed, "markdown")
    assert len(text.encode()) <= 900
    kept, _, end = text.partition("\n\n…cut here")
    assert end
    assert all(line.endswith("|") for line in kept.split("\n") if line.startswith("|"))


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert match
        pairs = dict(pair.split("=", 1) for pair in match[2].split(","))
        found.append((match[1], pairs, match[3]))
    return found


def test_github_annotations(failed: ScanResult) -> None:
    verdict, *rest = commands(render(failed, "github"))
    assert verdict[0] == "error"
    assert verdict[1] == {"title": "bye-lint%3A fail"}
    assert verdict[2].startswith(failed.reasons[0])
    assert "3 records skipped" in verdict[2]
    assert "5 findings not shown here" in verdict[2]
    assert len(rest) == 9
    worst = max(failed.samples, key=lambda s: s.score or 0)
    command, where, message = rest[1]
    assert command == "error"
    assert where["file"] == worst.path
    assert where["line"] == where["endLine"] == str(worst.line)
    assert where["title"] == f"BYE001 suspicious-sample ({worst.sample_id})"
    assert message.endswith("%0Aanswer: Backdoor Attack!")


def test_github_takes_ten_of_each_level(failed: ScanResult) -> None:
    levels = ("error", "warning", "note")
    findings = tuple(
        replace(failed.findings[0], level=level, line=i) for level in levels for i in range(30)
    )
    rows = commands(render(replace(failed, findings=findings), "github"))
    counts = {name: sum(r[0] == name for r in rows) for name in ("error", "warning", "notice")}
    assert counts == {"error": 10, "warning": 10, "notice": 10}
    assert "61 findings not shown here" in rows[0][2]


def test_github_annotates_every_end(results: dict[str, ScanResult]) -> None:
    kinds = {name: commands(render(r, "github"))[0][0] for name, r in results.items()}
    assert kinds["pass"] == "notice"
    assert kinds["inconclusive"] == kinds["empty"] == "warning"
    assert kinds["structural"] == "error"


def test_github_encodes_what_separates(failed: ScanResult) -> None:
    finding = replace(
        failed.findings[0], path="a,b:c%.json", message="50 % of\nit", properties={}, sample_id="x"
    )
    text = render(replace(failed, findings=(finding,)), "github").splitlines()[1]
    assert "file=a%2Cb%3Ac%25.json," in text
    assert text.endswith("::50 %25 of%0Ait")


def test_gitlab(failed: ScanResult) -> None:
    entries = json.loads(render(failed, "gitlab"))
    assert len(entries) == len(failed.findings)
    assert len({e["fingerprint"] for e in entries}) == len(entries)
    for entry in entries:
        assert {"description", "check_name", "fingerprint", "severity", "location"} <= set(entry)
        assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
    assert {e["location"]["lines"]["begin"] for e in entries} == {f.line for f in failed.findings}
    assert {e["location"]["path"] for e in entries} == {f.path for f in failed.findings}


def test_gitlab_blocks_for_a_suspect_and_says_first_that_there_is_no_answer(
    failed: ScanResult,
) -> None:
    unsure = replace(many(failed, 2), verdict="inconclusive")
    entries = json.loads(render(unsure, "gitlab"))
    names = [entry["check_name"].partition(" ")[0] for entry in entries]
    assert names == ["bye-lint", "BYE001", "BYE001"]
    assert {entry["severity"] for entry in entries} == {"blocker"}


def test_gitlab_fingerprints_do_not_move(failed: ScanResult) -> None:
    def prints(result: ScanResult) -> set[str]:
        return {e["fingerprint"] for e in json.loads(render(result, "gitlab"))}

    moved = replace(failed, findings=tuple(replace(f, line=f.line + 7) for f in failed.findings))
    assert prints(moved) == prints(failed)
    twice = replace(failed, findings=failed.findings + moved.findings)
    assert len(prints(twice)) == 2 * len(failed.findings)


def test_gitlab_is_empty_only_where_it_is_clean(results: dict[str, ScanResult]) -> None:
    assert json.loads(render(results["pass"], "gitlab")) == []
    [entry] = json.loads(render(results["inconclusive"], "gitlab"))
    assert entry["severity"] == "blocker"
    assert "the canaries were not found" in entry["description"]


def test_gitlab_says_what_it_left_out(failed: ScanResult) -> None:
    entries = json.loads(render(many(failed, 5_002), "gitlab"))
    assert len(entries) == 5_001
    assert entries[0]["description"] == "2 findings left out, the least suspicious"


def suite_of(result: ScanResult) -> ET.Element:
    root = ET.fromstring(render(result, "junit"))
    assert root.tag == "testsuites"
    [suite] = root
    assert root.attrib == suite.attrib
    return suite


def test_junit_of_a_failed_check(failed: ScanResult) -> None:
    suite = suite_of(failed)
    tests = suite.findall("testcase")
    assert suite.get("tests") == str(len(tests)) == str(1 + len(failed.findings))
    assert suite.get("failures") == str(len(tests))
    gate = tests[0].find("failure")
    assert tests[0].get("name") == "gate"
    assert gate is not None
    assert gate.get("message") == failed.reasons[0]
    lines = {(t.get("file"), t.get("line")) for t in tests[1:]}
    assert lines == {(f.path, str(f.line)) for f in failed.findings}


def test_junit_agrees_with_the_gate(results: dict[str, ScanResult], failed: ScanResult) -> None:
    allowed = replace(failed, verdict="pass", gate=replace(failed.gate, allowed=20))
    suite = suite_of(allowed)
    assert suite.get("failures") == suite.get("errors") == "0"
    assert suite.get("tests") == str(1 + len(failed.findings))
    unsure = suite_of(results["inconclusive"])
    assert (unsure.get("errors"), unsure.get("failures"), unsure.get("skipped")) == ("1", "0", "3")


def test_junit_agrees_with_a_policy_that_lets_an_inconclusive_check_pass(
    results: dict[str, ScanResult], failed: ScanResult
) -> None:
    unsure = results["inconclusive"]
    gate = replace(unsure.gate, on_inconclusive="pass")
    let_pass = replace(unsure, gate=gate, findings=failed.findings)
    suite = suite_of(let_pass)
    assert (suite.get("errors"), suite.get("failures")) == ("0", "0")
    told = suite.find("testcase/skipped")
    assert told is not None
    assert told.get("message") == "; ".join(let_pass.reasons)
    assert "lets an inconclusive check pass" in (told.text or "")


def test_junit_warnings_do_not_fail(failed: ScanResult) -> None:
    warning = Finding("BYE107", "warning", "no answer", "a.json", 3)
    suite = suite_of(replace(failed, findings=(warning,), skipped=()))
    assert suite.get("failures") == "1"
    assert suite.get("tests") == "2"


def test_junit_says_what_it_left_out(failed: ScanResult) -> None:
    suite = suite_of(many(failed, 5_010))
    assert suite.get("tests") == "5004"
    assert suite.findtext("system-out") == "10 tests left out; the JSON report has them all."


def test_junit_counts_the_skipped_records_that_it_left_out(
    failed: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bye_lint.reports.junit.MAX_TESTS", 2)
    suite = suite_of(many(failed, 3))
    assert suite.get("tests") == "5"
    assert suite.findtext("system-out") == "2 tests left out; the JSON report has them all."


def test_junit_fails_errors_of_a_check_without_an_answer(
    results: dict[str, ScanResult], failed: ScanResult
) -> None:
    unsure = replace(results["inconclusive"], findings=failed.findings)
    assert suite_of(unsure).get("failures") == str(len(failed.findings))


@pytest.mark.parametrize("form", ["markdown", "github", "gitlab", "junit"])
def test_suppressed_findings_are_left_out(form: str, failed: ScanResult) -> None:
    first, *rest = failed.findings
    text = render(replace(failed, findings=(replace(first, suppressed="known"), *rest)), form)
    assert first.sample_id is not None
    assert first.sample_id in render(replace(failed, findings=(first,)), form)
    assert first.sample_id not in text


def test_copies_of_a_finding_have_fingerprints_of_their_own(failed: ScanResult) -> None:
    finding = failed.findings[0]
    one, other = view.fingerprints([finding, finding])  # the very same record twice
    assert {one, other} == {f"{finding.fingerprint}:1", f"{finding.fingerprint}:2"}
    later = replace(finding, line=finding.line + 1)
    assert view.fingerprints([later, finding]) == (other, one)
