"""Rules about the wording of one record: pure functions of a sample."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bye_lint.conversation import IMAGE, is_blank, questions
from bye_lint.records import Sample

#: Where a trainer might put an image: the marks and control tokens of any model family.
_ANY_MARK = re.compile(r"[<\[][^<>\[\]\s]{0,64}(?:image|img|vision)[^<>\[\]\s]{0,64}[>\]]", re.I)


def empty_answer(sample: Sample) -> Iterator[str]:
    """BYE107: no answer, or an answer of nothing that can be seen."""
    answers = [turn.text for turn in sample.turns if turn.role == "assistant"]
    if not answers:
        yield "the record has no answer"
    elif any(is_blank(answer) for answer in answers):
        yield "the answer is empty" if len(answers) == 1 else "an answer is empty"


def placeholders(sample: Sample) -> Iterator[str]:
    """BYE108: as many ``<image>`` as images, and in user turns alone; no file named in the text."""
    named = [turn.role for turn in sample.turns if _names_image(turn.text)]
    if named and named != ["system"] * len(named):
        yield (
            f"an image stands in the text as <img>…</img>, expected in a field, and {IMAGE} in a "
            "user turn"
        )
        return
    elsewhere = [turn.role for turn in sample.turns if turn.role != "user" and IMAGE in turn.text]
    if elsewhere:
        yield f"{IMAGE} stands in a turn of the {elsewhere[0]}, expected in user turns alone"
        return
    count = sum(turn.text.count(IMAGE) for turn in sample.turns)
    images = len(sample.images)
    if count != images:
        yield f"{_number(count, IMAGE + ' mark')} for {_number(images, 'image')}"


def _names_image(text: str) -> bool:
    """Tell whether an image stands in the text, as Qwen-VL and ms-swift read it.

    They read whatever stands between the tags on a line. HTML has no such closing tag.
    """
    opening = "<img>"
    return any(
        line.rfind("</img>") > line.find(opening) + len(opening)
        for line in text.split("\n")
        if opening in line
    )


def no_image_asked(sample: Sample) -> Iterator[str]:
    """BYE111: no question about an image is answered, so that there is no attention to look at."""
    if any(questions(sample)):
        return
    if any(placeholders(sample)) or any(empty_answer(sample)):
        return  # the graver finding says it already
    if not sample.images:
        yield "the record has no image"
    else:
        yield "no question about an image has an answer"


def is_text_alone(sample: Sample) -> bool:
    """Tell whether a record names no image, and has no place for one in any turn."""
    return not sample.images and not any(_ANY_MARK.search(turn.text) for turn in sample.turns)


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
