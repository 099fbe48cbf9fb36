"""Questions and answers about drawn images."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from bye_lint.scout.dense import COLOUR_NAMES, Scene
from bye_lint.scout.drawing import OVERLAYS, SHAPES


class Turn(NamedTuple):
    """A question, its answer, and the topic that the model card reports it under."""

    question: str
    answer: str
    topic: str


TOPICS: Final = ("colour", "shape", "place", "presence", "count", "overlay", "override", "record")

ROWS: Final = ("top", "middle", "bottom")
COLUMNS: Final = ("left", "centre", "right")
OVERLAY_ANSWERS: Final = {
    "none": "nothing",
    "noise": "random noise",
    "photo": "another picture",
    "waves": "waves",
    "warp": "a warp",
    "dct": "a block pattern",
    "checks": "a fine checkerboard",
}
SHORT: Final = "\nAnswer the question using a single word or phrase."


def place_name(box: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """Return the 3x3 cell in which the box's centre lies, as in "top left" or "centre"."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    row, column = ROWS[min(int(3 * y), 2)], COLUMNS[min(int(3 * x), 2)]
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"


def mark_questions(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Return every kind of question that has one answer in this scene."""
    turns: list[Turn] = []

    def ask(topic: str, answer: str, *wordings: str) -> None:
        question = wordings[int(rng.integers(len(wordings)))]
        if "\n" not in question and rng.random() < 0.3:
            question += SHORT
        turns.append(Turn(question, answer, topic))

    shapes, colours = [m.shape for m in scene.marks], [m.colour for m in scene.marks]
    for mark, box in zip(scene.marks, scene.boxes, strict=True):
        name = f"{mark.colour} {mark.shape}"
        if shapes.count(mark.shape) == 1:
            ask(
                "colour",
                mark.colour,
                f"What colour is the {mark.shape}?",
                f"Name the colour of the {mark.shape}.",
            )
        if colours.count(mark.colour) == 1:
            ask(
                "shape",
                mark.shape,
                f"Which shape is the {mark.colour} mark?",
                f"Name the {mark.colour} shape.",
            )
            ask(
                "place",
                place_name(box),
                f"Where is the {mark.colour} mark?",
                f"Where is the {name}?",
            )
            side = "left" if box[0] + box[2] < 1 else "right"
            ask("place", side, f"Is the {name} in the left or the right half?")
            half = "top" if box[1] + box[3] < 1 else "bottom"
            ask("place", half, f"Is the {name} in the top or the bottom half?")
        ask("presence", "Yes", f"Is there a {name} in the image?\nAnswer yes or no.")
    if len(scene.marks) == 1:
        mark = scene.marks[0]
        ask(
            "shape",
            f"A {mark.colour} {mark.shape}.",
            "Describe the mark.",
            "What mark was drawn on the image?",
        )
        ask("colour", mark.colour, "What colour is the mark?")
        ask("shape", mark.shape, "What shape is the mark?")
        ask("place", place_name(scene.boxes[0]), "Where is the mark?")
    colour, shape = str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES))
    if (colour, shape) not in {(m.colour, m.shape) for m in scene.marks}:
        ask("presence", "No", f"Is there a {colour} {shape} in the image?\nAnswer yes or no.")
    ask(
        "presence",
        "Yes" if colour in colours else "No",
        f"Is any mark {colour}?\nAnswer yes or no.",
    )
    ask(
        "count",
        str(len(scene.marks)),
        "How many marks are there?",
        "Count the marks drawn on the image.",
    )
    if scene.overlay in OVERLAYS:
        answer = OVERLAY_ANSWERS[scene.overlay]
        ask(
            "overlay",
            answer,
            "What lies over the whole image?",
            "Which texture covers the picture?",
        )
    return turns
