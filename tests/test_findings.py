"""What a finding says of its record."""

from __future__ import annotations

import pytest

from bye_lint.findings import suspicious_findings
from bye_lint.results import ScoredSample


def suspect(name, **more):
    return ScoredSample(
        name, "data.json", 3, "d" * 64, "What is it?", "Attack!", (), 9.0, 0.99, True, **more
    )  # fmt: skip


@pytest.mark.parametrize("question", [1, 2])
def test_a_record_accused_for_its_answer_is_not_said_to_be_read_unlike_the_others(question):
    samples = (suspect("a"), suspect("b", by_answer=True, question=question))
    seen, joined = suspicious_findings(samples, "robust z", 4.0)
    assert seen.message.startswith("attention unlike the other records': robust z 9.00, threshold")
    where = "at question 2 of the conversation, " if question == 2 else ""
    assert joined.message.startswith(f"{where}whatever is asked, the answer of records whose ")
    assert "robust z" not in joined.message
    assert "shared by 2 of 2 suspects" in joined.message
