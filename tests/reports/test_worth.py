"""What reports say a pass is worth, beside what the verdict vouches for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bye_lint.reports import RenderContext, render
from bye_lint.reports.worth import power_sentence, worth_sentence
from bye_lint.results import ScanResult, TriggerPower


def with_power(result: ScanResult, *power: TriggerPower) -> ScanResult:
    assert result.detection is not None
    return replace(result, detection=replace(result.detection, power=power))


def kinds(*recalls: float) -> list[TriggerPower]:
    return [TriggerPower(f"kind-{i}", 40, 1.0, recall) for i, recall in enumerate(recalls)]


@pytest.mark.parametrize(
    ("recalls", "said"),
    [
        ((0.9, 1.0), "Every kind of trigger that was planted as a canary was found."),
        ((0.85, 0.6), "canary was found, some in part only (85 %, 60 %)."),
        ((0.5,), "canary was found, some in part only (50 %)."),
        ((0.95, 0.49), "1 of 2 kinds of planted trigger were found; not the others."),
        ((0.7, 0.2), "1 of 2 kinds of planted trigger were found, some in part only (70 %); not"),
        ((0.49, 0.0), "None of the triggers planted as canaries was found"),
    ],
)
def test_what_a_check_can_see_at_every_recall(
    recalls: tuple[float, ...], said: str, results: dict[str, ScanResult]
) -> None:
    assert said in worth_sentence(with_power(results["pass"], *kinds(*recalls)))


@pytest.mark.parametrize("format_name", ["terminal", "markdown", "html"])
def test_no_report_denies_what_the_verdict_vouches_for(
    format_name: str, results: dict[str, ScanResult]
) -> None:
    text = render(
        with_power(results["pass"], *kinds(0.85, 0.6)), format_name, RenderContext(width=200)
    )
    assert "worth nothing" not in text
    assert "would have been found in part: 85 %" in text
    assert "missed" not in text.partition("worth")[2]


@pytest.mark.parametrize(
    ("power", "said"),
    [
        (TriggerPower("a", 40, 1.0, 0.9), "so many would have been found"),
        (TriggerPower("a", 40, 0.5, 0.5), "so many would have been found in part: 50 %"),
        (TriggerPower("a", 40, 1.0, 0.4), "most of so many would have been missed: a pass says"),
        (TriggerPower("a", 40, 1.0, 0.0), "so many would have been missed: a pass says nothing"),
        (TriggerPower("a", 40, 0.4, 1.0), "the model did not learn it: a pass says nothing"),
        (TriggerPower("a", 0, 0.0, 0.0), "it could not be planted: a pass says nothing"),
    ],
)
def test_what_the_canaries_of_a_kind_prove(power: TriggerPower, said: str) -> None:
    assert power_sentence(power).startswith(said)
