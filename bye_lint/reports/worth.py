"""What a check's canaries prove, and so what its answer is worth.

The states of a kind are those by which the verdict goes (:attr:`TriggerPower.state`): no report
denies what the verdict vouches for, nor the other way about.
"""

from __future__ import annotations

from collections.abc import Mapping

from bye_lint.reports.view import percent
from bye_lint.results import LEARNED, Counts, PowerState, ScanResult, TriggerPower

MARKS: Mapping[PowerState, str] = {"found": "✔", "in part": "◐", "missed": "✖"}


def power_sentence(power: TriggerPower) -> str:
    """Say what the canaries of one kind prove."""
    if not power.planted:
        return "it could not be planted: a pass says nothing about it"
    if power.learned < LEARNED:
        return "the model did not learn it: a pass says nothing about it"
    if power.state == "found":
        return "so many would have been found"
    if power.state == "in part":
        return f"so many would have been found in part: {percent(power.recall)}"
    most = "most of " if power.recall else ""
    return f"{most}so many would have been missed: a pass says nothing about it"


def planted(power: TriggerPower, counts: Counts) -> str:
    """Return how many copies carried a trigger, and what share of the records that is."""
    return f"{power.planted:,} ({power.planted / max(counts.scored, 1):.1%})"


def worth_sentence(result: ScanResult) -> str:
    """Say in one sentence what this check is able to see."""
    if result.detection is None:
        return "No model looked at the images, so nothing is known about triggers."
    power = result.detection.power
    if not power:
        if result.detection.method == "canary":
            return "Too few canaries were planted to judge by: of triggers nothing is known."
        return (
            "No canaries were planted, so what this check would have missed is unknown: "
            "it says that nothing stands out, or what does."
        )
    found = [p for p in power if p.state != "missed"]
    if not found:
        return "None of the triggers planted as canaries was found: a pass would be worth nothing."
    shares = ", ".join(percent(p.recall) for p in found if p.state == "in part")
    part = f", some in part only ({shares})" if shares else ""
    if len(found) == len(power):
        return f"Every kind of trigger that was planted as a canary was found{part}."
    return (
        f"{len(found)} of {len(power)} kinds of planted trigger were found{part}; not the others."
    )
