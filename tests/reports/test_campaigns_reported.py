"""What suspects share is said in every report, however many suspects there are."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bye_lint.evidence.campaigns import campaign_findings
from bye_lint.exhibits import Campaign
from bye_lint.reports import REPORTS, RenderContext, render
from bye_lint.results import ScanResult

SHARED = {
    "answer": "the one answer",
    "patch": "side 1/16 of the shorter side",
    "phrase": "hello !",
    "file": "data/extra.jsonl",
    "author": "Mallory (mallory at example)",
    "commit": "bad1bad1bad1bad1",
}


@pytest.fixture(scope="module")
def shared(failed: ScanResult) -> ScanResult:
    suspects = tuple(s.sample_id for s in failed.samples if s.suspicious)
    campaigns = tuple(
        Campaign(kind, value, len(suspects), 1.0, 0.0, suspects) for kind, value in SHARED.items()
    )
    others = tuple(f for f in failed.findings if f.rule != "BYE002")
    found = campaign_findings(campaigns, failed.samples)
    assert len(found) == len(SHARED)
    return replace(failed, campaigns=campaigns, findings=(*others, *found))


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("form", REPORTS)
def test_every_report_names_every_campaign(shared: ScanResult, form: str, kind: str) -> None:
    def words(result: ScanResult) -> str:
        text = render(result, form, RenderContext(width=200))
        return re.sub(r"[\s\\|│]+", " ", text.replace("&#33;", "!"))

    value = SHARED[kind]
    without = replace(
        shared,
        campaigns=tuple(c for c in shared.campaigns if c.kind != kind),
        findings=tuple(f for f in shared.findings if f.properties.get("kind") != kind),
    )
    assert words(shared).count(value) > words(without).count(value)
