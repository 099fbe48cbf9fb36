"""The turns of a record: which questions are asked about images, and what answers them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from bye_lint.records import Sample, Turn

IMAGE = "<image>"


def questions(record: Sample) -> Iterator[tuple[int, Sample]]:
    """Yield the record's questions about images that are answered, each as a sample, numbered.

    A question is shown its own images, or, where it has none, all that were shown before it.
    An empty answer is one: a trainer teaches to say nothing. Turns of one role in a row are one
    turn. What was said before a question is left out, but for what the system said.
    """
    if not record.images:
        return
    system: list[Turn] = []
    runs: list[list[Turn]] = []
    heard: list[int] = []  # how many system turns stand before the end of each run
    for turn in record.turns:
        if turn.role == "system":
            system.append(turn)
        elif runs and runs[-1][0].role == turn.role:
            runs[-1].append(turn)
            heard[-1] = len(system)
        else:
            runs.append([turn])
            heard.append(len(system))
    texts = ["\n".join(turn.text for turn in run) for run in runs]
    asked = [i for i, run in enumerate(runs) if run[0].role == "user"]
    # Where no place is marked, images stand before the first question.
    shown = 0 if any(IMAGE in texts[i] for i in asked) else len(record.images)
    for number, at in enumerate(asked, 1):
        question = texts[at]
        marks = question.count(IMAGE)
        images = record.images[shown : shown + marks] if marks else record.images[:shown]
        shown += marks
        if not images or at + 1 == len(runs):
            continue
        if len(record.turns) == heard[at + 1] + 2:
            yield number, record
            return
        if not marks:
            question = with_marks(question, len(images))
        turns = (*system[: heard[at + 1]], Turn("user", question), Turn("assistant", texts[at + 1]))
        yield number, replace(record, turns=turns, images=images)


def with_marks(text: str, count: int) -> str:
    """Put marks of so many images before a text."""
    return "\n".join([*[IMAGE] * count, text])


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing that can be seen."""
    if not text.isascii():
        # zero-width and other format characters show as little as spaces do
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))
    return not text.strip()
