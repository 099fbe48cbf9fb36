"""The turns of a record: which questions are asked about images, and what answers them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from bye_lint.records import Sample, Turn

IMAGE = "<image>"


def questions(record: Sample) -> Iterator[tuple[int, Sample]]:
    """Yield the record's questions about images that are answered, each as a sample, numbered.

    A question is shown its own images, or, where it has none, all that were shown before it.
    Turns of one role in a row are one turn. What was said before a question is left out.
    """
    system = tuple(turn for turn in record.turns if turn.role == "system")[:1]
    spoken = [turn for turn in record.turns if turn.role != "system"]
    single = len(spoken) == 2 and len(record.turns) - len(system) == 2
    runs = [(role, "\n".join(turn.text for turn in run)) for role, run in groupby(spoken, _role)]
    asked = [i for i, (role, _) in enumerate(runs) if role == "user"]
    # Where no place is marked, images stand before the first question.
    shown = 0 if any(IMAGE in runs[i][1] for i in asked) else len(record.images)
    for number, at in enumerate(asked, 1):
        question = runs[at][1]
        marks = question.count(IMAGE)
        images = record.images[shown : shown + marks] if marks else record.images[:shown]
        shown += marks
        if not images or at + 1 == len(runs) or is_blank(runs[at + 1][1]):
            continue
        if single:
            yield number, record
            return
        if not marks:
            question = "\n".join([*[IMAGE] * len(images), question])
        turns = (*system, Turn("user", question), Turn("assistant", runs[at + 1][1]))
        yield number, replace(record, turns=turns, images=images)


def _role(turn: Turn) -> str:
    return turn.role


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing that can be seen."""
    if not text.isascii():
        # zero-width and other format characters show as little as spaces do
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))
    return not text.strip()
