"""What a log shows of a stage that lasts: a line a minute, and none of one that is short."""

from __future__ import annotations

import pytest

from bye_lint import progress
from bye_lint.progress import LOG_SECONDS, RichProgress


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_short_stage_is_one_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with RichProgress(bars=False).stage("fine-tune", "Fine-tuning scout") as task:
        for step in range(1, 100):
            clock.now += 0.9 * LOG_SECONDS / 100
            task.update(step, 360, "loss 0.500")
    assert capsys.readouterr().err == "Fine-tuning scout ...\n"


def test_a_long_stage_says_how_far_it_is(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """One that goes on at step 1,000 of 2,000 and takes 6 seconds a step."""
    with RichProgress(bars=False).stage("fine-tune", "Fine-tuning \x1b[2Jmodel") as task:
        for step in range(1000, 1021):
            task.update(step, 2000, f"loss {step / 1000:.3f}")
            clock.now += 6
    lines = capsys.readouterr().err.splitlines()
    assert not any("\x1b" in line for line in lines)
    assert [line.split("model: ")[-1] for line in lines[1:]] == [
        "1,010 of 2,000, loss 1.010, about 99 min left",
        "1,020 of 2,000, loss 1.020, about 98 min left",
    ]


def test_a_stage_of_unknown_length_counts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with RichProgress(bars=False).stage("read", "Reading records") as task:
        clock.now += LOG_SECONDS
        task.update(5000)
    assert capsys.readouterr().err.splitlines()[1:] == ["Reading records: 5,000"]
