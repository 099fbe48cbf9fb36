"""The JSON report: schema, determinism, numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from bye_lint.reports import render, result_schema
from bye_lint.results import ScanResult, from_json


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = result_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_every_result_is_valid(each: ScanResult, validator: Draft202012Validator) -> None:
    data = json.loads(render(replace(each, samples=each.samples[:20]), "json"))
    validator.validate(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [("verdict", "maybe"), ("findings", {}), ("counts", {}), ("version", 2), ("other", 1)],
)
def test_the_schema_refuses(
    key: str, value: object, failed: ScanResult, validator: Draft202012Validator
) -> None:
    data = json.loads(render(replace(failed, samples=failed.samples[:2]), "json"))
    assert validator.is_valid(data)
    assert not validator.is_valid(data | {key: value})


def test_what_readers_rely_on(failed: ScanResult) -> None:
    data = json.loads(render(failed, "json"))
    assert data["verdict"] == "fail"
    for finding in data["findings"]:
        assert {"rule", "sample_id", "path", "line", "score", "message"} <= set(finding)
    assert {f["sample_id"] for f in data["findings"] if f["rule"] == "BYE001"} == {
        s.sample_id for s in failed.samples if s.suspicious
    }


def test_only_the_timings_differ_between_two_runs(failed: ScanResult) -> None:
    again = replace(failed, timings={"read": 3.0, "extract": 0.5})
    one, two = render(failed, "json"), render(again, "json")
    assert one != two
    cut = '\n  "timings": '
    assert one.partition(cut)[0] == two.partition(cut)[0]
    assert list(json.loads(one))[-1] == "timings"


def test_rounding_hides_the_last_bits(failed: ScanResult) -> None:
    sample = failed.samples[0]
    assert sample.score is not None
    nearly = replace(sample, score=sample.score * (1 + 1e-9))
    again = replace(failed, samples=(nearly, *failed.samples[1:]))
    assert render(again, "json") == render(failed, "json")


def test_numbers_that_json_lacks(failed: ScanResult) -> None:
    odd = replace(failed.samples[0], score=float("nan"), posterior=float("inf"))
    text = render(replace(failed, samples=(odd,)), "json")
    again = from_json(json.loads(text)).samples[0]
    assert again.score is None
    assert again.posterior is not None
    assert again.posterior > 1e300


def test_one_record_a_line(failed: ScanResult) -> None:
    lines = render(failed, "json").splitlines()
    assert sum(line.lstrip().startswith('{"sample_id": "eurosat-') for line in lines) == 130
