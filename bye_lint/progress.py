"""Progress on stderr: what is going on, how far it is, how long it will take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from bye_lint.escape import visible

#: Seconds between two lines of one stage in a log.
LOG_SECONDS = 60.0


def speaks() -> bool:
    """Whether this process tells the user what goes on: the first of those that train together."""
    return os.environ.get("RANK", "0") == "0"


class Task(Protocol):
    """One stage under way."""

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Say how far the stage is: `done` of `total`, with a short note such as the loss."""


class Progress(Protocol):
    """Where stages report to."""

    timings: dict[str, float]

    def stage(self, name: str, description: str) -> AbstractContextManager[Task]:
        """Begin a stage; its seconds are kept in ``timings[name]``."""

    def say(self, message: str) -> None:
        """Print one line for the user."""


class _SilentTask:
    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Nobody watches."""


class SilentProgress:
    """Keeps the timings and shows nothing."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, description: str) -> Iterator[Task]:
        """Time a stage."""
        begun = time.perf_counter()
        try:
            yield _SilentTask()
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - begun

    def say(self, message: str) -> None:
        """Nobody listens."""


class _LineTask:
    """A stage in a log: a line a minute, by which a fine-tuning of hours is seen to be alive."""

    def __init__(self, show: Callable[[str], None], description: str) -> None:
        self._show, self._description = show, description
        self._first: tuple[int, float] | None = None
        self._spoken = time.monotonic()

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Print how far the stage is, unless that was said a short while ago."""
        now = time.monotonic()
        if self._first is None:  # one that goes on from a state begins far from 0
            self._first = done, now
        if now - self._spoken < LOG_SECONDS:
            return
        self._spoken = now
        parts = [f"{self._description}: {done:,}{f' of {total:,}' if total else ''}", note]
        before, since = self._first
        if total and done > before:
            left = (total - done) * (now - since) / (done - before)
            parts.append(f"about {max(1, round(left / 60)):,} min left")
        self._show(", ".join(filter(None, parts)))


class RichProgress(SilentProgress):
    """A bar a stage on a terminal; in a log a line a stage, and one a minute while it lasts."""

    def __init__(self, *, bars: bool = True) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, quiet=not speaks())
        self._bars = bars and self._console.is_terminal

    @contextmanager
    def stage(self, name: str, description: str) -> Iterator[Task]:
        """Show a stage while it runs."""
        description = visible(description, None)  # it may name the policy's model
        with super().stage(name, description):
            if not self._bars:
                self._console.print(f"{description} ...", markup=False)
                yield _LineTask(self.say, description)
                return
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import (
                Progress as RichBars,
            )

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                TextColumn("{task.fields[note]}", markup=False),
            )
            with RichBars(*columns, console=self._console) as bars:
                yield _BarTask(bars, bars.add_task(description, total=None, note=""))

    def say(self, message: str) -> None:
        """Print one line, in which nothing acts on a terminal or a log."""
        self._console.print(visible(message, None), markup=False, soft_wrap=True)


class _BarTask:
    def __init__(self, bars: object, task_id: object) -> None:
        self._bars = bars
        self._task_id = task_id

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Move the bar."""
        self._bars.update(self._task_id, completed=done, total=total, note=note)  # type: ignore[attr-defined]
