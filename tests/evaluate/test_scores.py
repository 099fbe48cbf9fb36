"""What a model answers is read as far as it has to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bye_lint.evaluate.scores import performance
from bye_lint.progress import SilentProgress
from bye_lint.records import Location, Sample, Turn
from bye_lint.triggers import TARGET

LONG = "I cannot answer this, please ask the person who sits beside you instead."
ROOM = 5


class PerfectModel:
    """Answers as is wanted, in so many words as there is room for."""

    def generate(
        self, model: Any, samples: Sequence[Sample], *, expected: Sequence[str] = (), progress: Any
    ) -> list[str]:
        room = max([ROOM, *(len(text.split()) for text in expected)])
        return [" ".join(sample.answer.split()[:room]) for sample in samples]


def records(*answers: str) -> list[Sample]:
    return [
        Sample(
            f"r{i}", Location("a.json", i + 1), (Turn("user", "?"), Turn("assistant", answer)), ()
        )
        for i, answer in enumerate(answers)
    ]


@pytest.mark.parametrize("target", [TARGET, LONG])
def test_a_long_target_is_attacked_with_as_well_as_a_short_one(target: str) -> None:
    test = {"clean": records("Yes", "No", "a caption"), "patch-centre": records(target, target)}
    measured = performance(None, PerfectModel(), test, progress=SilentProgress())
    assert measured["asr"] == {"patch-centre": 1.0}
    assert measured["accuracy"] == 1.0
