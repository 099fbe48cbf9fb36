"""Answers by size and rate: what has a curve, and what a place of it says."""

from __future__ import annotations

from typing import Any

from bye_lint.evaluate.curves import curve_table
from bye_lint.triggers import TARGET


def result(
    rate: float, read: int, f1: float | None, verdict: str, *, seed: int = 0, **cell: Any
) -> dict[str, Any]:
    told = {"dataset": "set", "trigger": "blend", "clean_label": False, "one_part_of": 1}
    told |= {"targets": [TARGET]}
    return {
        "cell": {**told, "rate": rate, "read": read, "seed": seed, **cell},
        "train_asr": None if rate == 0.05 else 0.4,
        "detectors": {"auto": {"f1": f1, "verdict": verdict}},
    }


def test_a_place_says_what_the_check_says() -> None:
    results = [
        result(0.1, 1000, 1.0, "fail", seed=1),
        result(0.1, 1000, 0.98, "fail"),
        result(0.05, 1000, 0.9, "fail"),
        result(0.005, 1000, 0.0, "pass"),
        result(0.1, 200, None, "inconclusive"),
        result(0.1, 500, 0.95, "fail"),
    ]
    head, rows = curve_table(results, "auto")
    assert head == ["data", "trigger", "records", "0.5%", "5%", "10%"]
    assert rows == [
        ["set", "blend", "200", "", "", "*inc.* (0.40)"],
        ["set", "blend", "500", "", "", "0.95 (0.40)"],
        ["set", "blend", "1000", "*pass* (0.40)", "0.90", "0.98 (0.40); 1.00 (0.40)"],
    ]


def test_what_is_no_curve_is_left_out() -> None:
    few = [result(rate, 1000, 1.0, "fail") for rate in (0.1, 0.02)]
    other = [
        result(rate, 1000, 1.0, "fail", **kind)
        for rate in (0.01, 0.02, 0.1)
        for kind in (
            {"clean_label": True},
            {"one_part_of": 8},
            {"trigger": "blend+checker"},
            {"targets": ["Yes"]},
        )
    ]
    assert curve_table([*few, *other], "auto") == (["data", "trigger", "records"], [])
    clean = [result(0.0, n, None, "pass", trigger="clean") for n in (200, 500, 1000)]
    assert curve_table(clean, "auto")[1] == []
    assert curve_table([result(r, 1000, 1.0, "fail") for r in (0.1, 0.2, 0.3)], "bye")[1] == []
