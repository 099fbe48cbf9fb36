"""What is, and above all what is not, a pass."""

from __future__ import annotations

import dataclasses

import pytest

from bye_lint.policy import GatePolicy
from bye_lint.results import Counts, Gate, Reproducibility, ScanResult
from bye_lint.verdict import judge, judge_structure

GATE = GatePolicy()
WHOLE = Counts(records=800, scored=800, skipped=0, suspicious=0)


def changed(**values: int) -> Counts:
    return dataclasses.replace(WHOLE, **values)


@pytest.mark.parametrize(
    ("counts", "gate"),
    [
        pytest.param(WHOLE, GATE, id="nothing suspicious"),
        pytest.param(changed(suspicious=2), GatePolicy(max_suspicious=2), id="at the gate"),
        pytest.param(changed(suspicious=8), GatePolicy(max_suspicious="1%"), id="at the share"),
        pytest.param(changed(scored=760, skipped=40), GATE, id="skips within the allowance"),
        pytest.param(changed(scored=100, records=100), GATE, id="just enough samples"),
        pytest.param(changed(scored=0, changed=0), GATE, id="no record changed"),
        pytest.param(
            changed(records=99, scored=0, changed=0), GATE, id="no record changed of a few"
        ),
        pytest.param(changed(changed=10), GATE, id="just enough changed records"),
        pytest.param(
            changed(scored=600, skipped=200, changed=10, changed_skipped=0),
            GATE,
            id="what was skipped before is not the change's",
        ),
        pytest.param(
            changed(changed=20, changed_skipped=1), GATE, id="changed, skips within the allowance"
        ),
        pytest.param(changed(scored=500, without_image=300), GATE, id="text is nothing unread"),
        pytest.param(
            changed(changed=20, changed_without_image=10), GATE, id="changed, text among it"
        ),
    ],
)
def test_passes(counts: Counts, gate: GatePolicy) -> None:
    assert judge(counts, gate, suspicious=counts.suspicious, errors=0).name == "pass"


@pytest.mark.parametrize(
    ("counts", "gate", "errors", "doubt", "expected", "words"),
    [
        pytest.param(changed(suspicious=1), GATE, 0, "", "fail", "1 suspicious", id="over"),
        pytest.param(
            changed(suspicious=9), GatePolicy(max_suspicious="1%"), 0, "", "fail", "8 allowed",
            id="over the share",
        ),
        pytest.param(
            changed(suspicious=3, scored=20, records=20), GATE, 0, "", "fail", "3 suspicious",
            id="suspects outweigh doubts",
        ),
        pytest.param(
            changed(records=0, scored=0), GATE, 0, "", "inconclusive", "no records", id="empty"
        ),
        pytest.param(
            changed(scored=99, records=99), GATE, 0, "", "inconclusive", "at least 100", id="few"
        ),
        pytest.param(
            changed(scored=99, records=104, skipped=5), GATE, 0, "", "inconclusive",
            "99 usable records", id="few that can be read",
        ),
        pytest.param(
            changed(changed=9), GATE, 0, "", "inconclusive", "9 changed records", id="few changed"
        ),
        pytest.param(
            changed(changed=60, changed_skipped=55), GATE, 0, "", "inconclusive",
            "60 changed records, 55 of them skipped: too few", id="few changed that can be read",
        ),
        pytest.param(
            changed(skipped=4, changed=60, changed_skipped=4), GATE, 0, "", "inconclusive",
            "4 of 60 changed records skipped", id="skips hide in no repository",
        ),
        pytest.param(
            changed(scored=600, skipped=200, changed=60, changed_skipped=0),
            GatePolicy(scope="all"), 0, "", "inconclusive", "200 of 800 records skipped",
            id="all skips count where all is judged",
        ),
        pytest.param(
            changed(changed=20, suspicious=3), GatePolicy(max_suspicious="10%"), 0, "", "fail",
            "2 allowed", id="share of the changed",
        ),
        pytest.param(changed(scored=0), GATE, 0, "", "inconclusive", "nothing", id="unscored"),
        pytest.param(
            changed(scored=0, without_image=800), GATE, 0, "", "inconclusive",
            "0 usable records (800 without an image)", id="text alone",
        ),
        pytest.param(
            changed(scored=0, without_image=800), GatePolicy(min_samples=0), 0, "", "inconclusive",
            "nothing was scored", id="text alone, whatever is asked",
        ),
        pytest.param(
            changed(scored=100, without_image=694, skipped=6), GATE, 0, "", "inconclusive",
            "6 of 106 records skipped", id="skips hide in no text",
        ),
        pytest.param(
            changed(changed=60, changed_without_image=60), GATE, 0, "", "inconclusive",
            "60 changed records, 60 of them without an image: too few", id="changed, text alone",
        ),
        pytest.param(
            changed(changed=60, changed_without_image=40, changed_skipped=2), GATE, 0, "",
            "inconclusive", "2 of 20 changed records skipped", id="changed, skips hide in no text",
        ),
        pytest.param(
            changed(changed=60, changed_without_image=40, suspicious=3),
            GatePolicy(max_suspicious="10%"), 0, "", "fail", "2 allowed",
            id="share of the changed that have an image",
        ),
        pytest.param(
            changed(changed=20, suspicious=9), GatePolicy(max_suspicious="1%", scope="all"), 0,
            "", "fail", "8 allowed", id="share of all where all is judged",
        ),
        pytest.param(
            changed(scored=750, skipped=50), GATE, 50, "", "inconclusive", "skipped",
            id="too many skipped",
        ),
        pytest.param(WHOLE, GATE, 0, "not learned", "inconclusive", "learned", id="blind"),
        pytest.param(
            changed(scored=799, skipped=1), GATE, 1, "", "fail", "level error",
            id="an unscored record is not cleared",
        ),
    ],
)  # fmt: skip
def test_does_not_pass(
    counts: Counts, gate: GatePolicy, errors: int, doubt: str, expected: str, words: str
) -> None:
    verdict = judge(counts, gate, suspicious=counts.suspicious, errors=errors, inconclusive=doubt)
    assert verdict.name == expected
    assert words in " ".join(verdict.reasons)


def test_the_reason_and_the_gate_say_among_what() -> None:
    whole = judge(WHOLE, GATE, suspicious=0, errors=0)
    assert whole.reasons == ("0 suspicious samples among 800 scored, 0 allowed",)
    assert whole.gate.scope == "all"
    part = judge(changed(changed=60), GATE, suspicious=1, errors=0)
    assert part.reasons == ("1 suspicious sample of 60 changed records, 0 allowed",)
    assert part.gate.scope == "changed"


def test_too_few_records_are_one_reason() -> None:
    verdict = judge(changed(scored=0, records=50), GATE, suspicious=0, errors=0)
    assert len(verdict.reasons) == 1


@pytest.mark.parametrize("doubt", ["", "not learned"])
def test_a_change_that_loosens_the_gate_fails_whatever_is_in_doubt(doubt: str) -> None:
    gate = GatePolicy(on_inconclusive="pass")
    few = changed(changed=1)
    verdict = judge(few, gate, suspicious=0, errors=1, inconclusive=doubt, weakened=1)
    assert verdict.name == "fail"
    assert "loosens the policy" in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("counts", "errors", "expected"),
    [
        (WHOLE, 0, "pass"),
        (changed(scored=0), 0, "pass"),
        (WHOLE, 1, "fail"),
        (changed(records=0, scored=0), 0, "inconclusive"),
    ],
)
def test_structure(counts: Counts, errors: int, expected: str) -> None:
    assert judge_structure(counts, GATE, errors).name == expected


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (changed(without_image=800), "800 records, 800 of them without an image"),
        (
            changed(without_image=9, changed=3, changed_without_image=2),
            "3 changed records, 2 of them without an image",
        ),
    ],
)
def test_structure_says_what_has_no_image(counts: Counts, words: str) -> None:
    assert judge_structure(counts, GATE, 0).reasons == (f"no structural error in {words}",)


@pytest.mark.parametrize(
    ("verdict", "on_inconclusive", "code"),
    [
        ("pass", "fail", 0),
        ("fail", "fail", 1),
        ("fail", "pass", 1),
        ("inconclusive", "fail", 3),
        ("inconclusive", "pass", 0),
    ],
)
def test_exit_codes(verdict: str, on_inconclusive: str, code: int) -> None:
    gate = Gate("0", 0, 0, on_inconclusive=on_inconclusive)
    result = ScanResult(
        verdict=verdict,  # type: ignore[arg-type]
        reasons=(), paths=(), counts=WHOLE, gate=gate, findings=(), skipped=(), detection=None,
        samples=(), campaigns=(), reproducibility=Reproducibility("0", 0),
    )  # fmt: skip
    assert result.exit_code == code
