"""SARIF: valid by the schema and to an independent reader, stable, within the platform's caps."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sarif import loader

from bye_lint.codes import RULES
from bye_lint.records import Finding, Skipped
from bye_lint.reports import RenderContext, render
from bye_lint.results import ScanResult

SCHEMA = Path(__file__).parents[1] / "data" / "sarif-2.1.0.schema.json"
GITHUB = RenderContext(
    environ={
        "GITHUB_REPOSITORY": "octo/data",
        "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
        "GITHUB_SERVER_URL": "https://github.example",
    }
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def run_of(result: ScanResult, context: RenderContext | None = None) -> dict[str, Any]:
    log = json.loads(render(result, "sarif", context))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    return run  # type: ignore[no-any-return]


def hashes(run: dict[str, Any]) -> dict[str, str]:
    return {
        r["properties"]["sample_id"]: r["partialFingerprints"]["primaryLocationLineHash"]
        for r in run["results"]
        if "sample_id" in r["properties"]
    }


@pytest.mark.parametrize("context", [RenderContext(), GITHUB], ids=["local", "github"])
def test_valid_by_the_schema(
    each: ScanResult, context: RenderContext, validator: Draft202012Validator
) -> None:
    validator.validate(json.loads(render(each, "sarif", context)))


def test_an_independent_reader_agrees(failed: ScanResult, tmp_path: Path) -> None:
    path = tmp_path / "bye-lint.sarif"
    path.write_text(render(failed, "sarif"), encoding="utf-8")
    read = loader.load_sarif_file(str(path))
    assert read.get_distinct_tool_names() == ["bye-lint"]
    assert read.get_result_count() == len(failed.findings)
    assert read.get_result_count() == read.get_report().get_issue_count_for_severity("error")
    places = {(row["Location"], int(row["Line"])) for row in read.get_records()}
    assert places == {(f.path, f.line) for f in failed.findings}


def test_a_result_stands_on_one_line_with_its_rule(failed: ScanResult) -> None:
    run = run_of(failed)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    for record in run["results"]:
        assert rules[record["ruleIndex"]]["id"] == record["ruleId"]
        [location] = record["locations"]
        region = location["physicalLocation"]["region"]
        assert region["startLine"] == region["endLine"] >= 1
        assert region["endColumn"] > region["startColumn"] >= 1
    for rule in rules:
        assert 0 < float(rule["properties"]["security-severity"]) <= 10
        assert isinstance(rule["properties"]["security-severity"], str)
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        assert len(rule["fullDescription"]["text"]) <= 1024


def test_the_worst_comes_first(failed: ScanResult) -> None:
    scores = [r["properties"].get("score") for r in run_of(failed)["results"]]
    suspects = [score for score in scores if score is not None]
    assert len(suspects) == 10
    assert suspects == sorted(suspects, reverse=True)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("data/train.json", "data/train.json"),
        ("data/my set/späße#1?.json", "data/my%20set/sp%C3%A4%C3%9Fe%231%3F.json"),
        ("data/a:b%20.json", "data/a%3Ab%2520.json"),
        ("data/\udcff.json", "data/%FF.json"),
    ],
)
def test_paths_are_encoded(failed: ScanResult, path: str, uri: str) -> None:
    finding = replace(failed.findings[0], path=path)
    run = run_of(replace(failed, findings=(finding,)))
    artifact = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": uri, "uriBaseId": "SRCROOT"}


def test_a_file_elsewhere_is_no_file_of_the_repository(failed: ScanResult) -> None:
    finding = replace(failed.findings[0], path="/mnt/my set.json", column=5, end_column=2)
    [location] = run_of(replace(failed, findings=(finding,)))["results"][0]["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "file:///mnt/my%20set.json"}
    region = physical["region"]
    assert (region["startColumn"], region["endColumn"]) == (5, 6), "a region is never empty"


@pytest.mark.parametrize(
    ("properties", "uri"),
    [
        ({"image": "1.jpg", "image_path": "pictures/1.jpg"}, "pictures/1.jpg"),
        ({"image_path": "./images/1.jpg"}, "images/1.jpg"),
        ({"image": "images/1.jpg"}, None),
        ({"image_path": "../secret.jpg"}, None),
        ({"image_path": "/etc/passwd"}, None),
        ({"image_path": "https://evil.example/1.jpg"}, None),
        ({"image_path": "file:///etc/passwd"}, None),
        ({"image_path": ""}, None),
        ({}, None),
    ],
)
def test_the_image_is_a_related_location(
    failed: ScanResult, properties: dict[str, str], uri: str | None
) -> None:
    finding = replace(failed.findings[0], properties=properties)
    [record] = run_of(replace(failed, findings=(finding,)))["results"]
    related = record.get("relatedLocations", [])
    uris = [r["physicalLocation"]["artifactLocation"]["uri"] for r in related]
    assert uris == ([] if uri is None else [uri])


def test_inserting_records_moves_no_fingerprint(failed: ScanResult) -> None:
    moved = tuple(replace(f, line=f.line + 1400) for f in failed.findings)
    new = tuple(
        replace(failed.findings[0], line=14 * i, fingerprint=f"new {i}", sample_id=f"new-{i}")
        for i in range(1, 101)
    )
    before, after = hashes(run_of(failed)), hashes(run_of(replace(failed, findings=new + moved)))
    assert len(after) == len(before) + 100
    assert before.items() <= after.items()


def test_exact_duplicates_are_counted(failed: ScanResult) -> None:
    one = failed.findings[0]
    copies = tuple(replace(one, line=line, sample_id=f"copy-{line}") for line in (30, 10, 20))
    found = hashes(run_of(replace(failed, findings=copies)))
    assert found == {
        "copy-10": f"{one.fingerprint}:1",
        "copy-20": f"{one.fingerprint}:2",
        "copy-30": f"{one.fingerprint}:3",
    }


def test_without_a_fingerprint_the_line_does_not_enter(failed: ScanResult) -> None:
    bare = replace(failed.findings[0], fingerprint="")
    one = hashes(run_of(replace(failed, findings=(bare,))))
    two = hashes(run_of(replace(failed, findings=(replace(bare, line=999),))))
    assert one == two
    assert all(len(value) > 10 for value in one.values())


def test_suppressed_findings_are_left_out(failed: ScanResult) -> None:
    first, *rest = failed.findings
    run = run_of(replace(failed, findings=(replace(first, suppressed="a known test"), *rest)))
    assert len(run["results"]) == len(rest)
    assert first.sample_id not in hashes(run)
    assert run["properties"]["findingsSuppressed"] == 1


def test_only_a_full_and_conclusive_check_has_the_category_of_alerts(
    results: dict[str, ScanResult],
) -> None:
    ids = {name: run_of(r)["automationDetails"]["id"] for name, r in results.items()}
    assert ids["fail"] == ids["pass"] == "bye-lint/"
    assert ids["inconclusive"] == ids["empty"] == "bye-lint-inconclusive/"
    assert ids["structural"] == "bye-lint-structure/"


def test_an_inconclusive_check_does_not_look_clean(results: dict[str, ScanResult]) -> None:
    [unsure] = run_of(results["inconclusive"])["invocations"]
    assert unsure["executionSuccessful"] is False
    assert unsure["exitCode"] == 3
    note = unsure["toolExecutionNotifications"][0]
    assert note["level"] == "error"
    assert "the canaries were not found" in note["message"]["text"]
    [sure] = run_of(results["pass"])["invocations"]
    assert sure["executionSuccessful"] is True
    assert sure["toolExecutionNotifications"] == []


def test_skipped_records_are_notifications(failed: ScanResult) -> None:
    notes = run_of(failed)["invocations"][0]["toolExecutionNotifications"]
    lines = [n["locations"][0]["physicalLocation"]["region"]["startLine"] for n in notes]
    assert lines == [s.line for s in failed.skipped]
    many = tuple(Skipped("BYE103", "missing", "a.json", line) for line in range(1, 2001))
    notes = run_of(replace(failed, skipped=many))["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == 501
    assert "1,500 more records" in notes[-1]["message"]["text"]


def test_sixty_thousand_findings_stay_under_the_caps(failed: ScanResult) -> None:
    base = failed.findings[0]
    findings = tuple(
        Finding(
            "BYE001", "error", "m" * 300, base.path, i + 1, sample_id=f"s{i}",
            score=float(i % 977), posterior=0.9, fingerprint=f"{i:064x}",
            properties={"answer": f"a{i}" * 40},
        )
        for i in range(60_000)
    )  # fmt: skip
    text = render(replace(failed, findings=findings), "sarif")
    assert len(gzip.compress(text.encode())) < 10_000_000
    run = json.loads(text)["runs"][0]
    assert len(run["results"]) == 5_000
    assert min(r["properties"]["score"] for r in run["results"]) >= 895
    assert run["properties"]["findingsLeftOut"] == 55_000
    [note] = [
        n for n in run["invocations"][0]["toolExecutionNotifications"] if "left out" in str(n)
    ]
    assert "55,000 findings left out" in note["message"]["text"]


def test_text_that_does_not_compress_is_cut_further(
    failed: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bye_lint.reports.sarif.MAX_GZIPPED", 6_000)
    text = render(failed, "sarif")
    assert len(gzip.compress(text.encode())) <= 6_000
    run = json.loads(text)["runs"][0]
    assert 0 < len(run["results"]) + run["properties"]["findingsLeftOut"] == len(failed.findings)


def test_it_says_how_to_get_the_same_answer(failed: ScanResult) -> None:
    run = run_of(failed, GITHUB)
    made = run["properties"]["reproducibility"]
    assert made["seed"] == 0
    assert made["model_digest"] == failed.reproducibility.model_digest
    assert made["dataset_digest"] == failed.reproducibility.dataset_digest
    assert made["packages"]["torch"] == "2.13.0"
    assert "timings" not in run["properties"]
    [source] = run["versionControlProvenance"]
    assert source["repositoryUri"] == "https://github.example/octo/data"
    assert "versionControlProvenance" not in run_of(failed)


def test_two_runs_write_the_same_bytes(failed: ScanResult) -> None:
    again = replace(failed, timings={"read": 99.0})
    assert render(again, "sarif") == render(failed, "sarif")
