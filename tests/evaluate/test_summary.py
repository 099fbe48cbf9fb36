"""The short tables of a grid: medians, who is ahead, and whether probabilities hold."""

from __future__ import annotations

from typing import Any

from bye_lint.evaluate.summary import calibration_rows, median_rows, not_ahead


def result(name: str, trigger: str, rate: float, **f1: float) -> dict[str, Any]:
    """Return a result with the F1 of some detectors; an F1 of 0 is a pass."""
    return {
        "name": name,
        "cell": {"trigger": trigger, "rate": rate},
        "detectors": {
            detector: {
                "f1": value,
                "verdict": "fail" if value else "pass",
                "brier": 0.5 * (1 - value),
                "reliability": [
                    {"said": 0.05, "seen": 0.0, "count": 30},
                    {"said": 1.0, "seen": value, "count": 10},
                ],
            }
            for detector, value in f1.items()
        },
    }


RESULTS = [
    result("a", "patch-centre", 0.1, auto=1.0, bye=0.2),
    result("b", "checker", 0.1, auto=0.9, bye=0.4),
    result("c", "patch-random", 0.1, auto=0.0, bye=0.5),
    result("d", "patch-random", 0.01, auto=0.8, bye=0.8),
    result("e", "blend", 0.1, auto=1.0, bye=0.0),
    result("f", "patch-centre+text-prefix", 0.1, auto=1.0, bye=0.0),
]


def test_medians_are_by_kind_and_rate() -> None:
    assert median_rows(RESULTS, ["auto", "bye"]) == [
        ["global", "10%", "1", "1 fail", "1.00", "0.00"],
        ["patch", "10%", "3", "2 fail, 1 pass", "0.90", "0.40"],
        ["patch", "1%", "1", "1 fail", "0.80", "0.80"],
        ["several", "10%", "1", "1 fail", "1.00", "0.00"],
    ]


def test_a_detector_that_was_not_run_has_no_median() -> None:
    (row,) = median_rows(RESULTS[:1], ["auto", "tcap"])
    assert row[-1] == ""


def test_a_cell_without_the_first_detector_says_nothing_of_it() -> None:
    results = [RESULTS[0], result("h", "checker", 0.1, bye=0.6)]
    assert median_rows(results, ["auto", "bye"]) == [
        ["patch", "10%", "2", "1 fail", "1.00", "0.40"]
    ]
    assert median_rows(results[1:], ["auto", "bye"])[0][3:] == ["", "", "0.60"]
    assert not_ahead(results, "auto", ["bye"]) == []


def test_cells_that_are_lost_are_named_and_ties_are_not() -> None:
    assert not_ahead(RESULTS, "auto", ["bye"]) == ["c"]


def test_what_a_cell_has_no_figure_for_breaks_no_table() -> None:
    cell = result("g", "dual", 0.001, auto=0.0, bye=0.5)
    for report in cell["detectors"].values():
        report |= {"f1": None, "brier": None}
    assert median_rows([cell], ["auto", "bye"])[0][-2:] == ["0.00", "0.00"]
    assert not_ahead([cell], "auto", ["bye"]) == []
    assert calibration_rows([cell], ["auto"])[0][1] == "–"
    assert calibration_rows([cell, RESULTS[0]], ["bye"])[0][1] == "0.4000"


def test_probabilities_are_pooled_over_cells() -> None:
    ((name, brier, low, *middle, high),) = calibration_rows(RESULTS[:2], ["auto"])
    assert (name, brier) == ("auto", "0.0250")
    assert low == "0.0% of 60"
    assert middle == ["–", "–"]
    assert high == "95.0% of 20"
