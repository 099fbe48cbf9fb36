"""Marks and overlays: drawn where they are said to be, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.scout.drawing import (
    COLOURS,
    OVERLAYS,
    SHAPES,
    Mark,
    draw_mark,
    draw_overlay,
    jitter_colour,
    place_mark,
    stencil,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mark_changes_nothing_outside_its_box(shape: str) -> None:
    ground = np.full((40, 60, 3), 90, dtype=np.uint8)
    mark = place_mark(ground, np.random.default_rng(3), share=0.25, shape=shape, colour="red")
    assert mark is not None
    outside = np.ones((40, 60), dtype=bool)
    outside[mark.top : mark.top + mark.side, mark.left : mark.left + mark.side] = False
    assert (ground[outside] == 90).all()
    assert (ground[~outside] != 90).any()


def test_no_mark_is_drawn_where_it_could_not_be_seen() -> None:
    ground = np.zeros((32, 32, 3), dtype=np.uint8)
    drawn = place_mark(ground, np.random.default_rng(0), share=0.2, shape="square", colour="black")
    assert drawn is None
    assert not ground.any()


def test_the_papers_patch_is_a_sixteenth_of_the_shorter_side() -> None:
    ground = np.full((64, 128, 3), 200, dtype=np.uint8)
    mark = place_mark(
        ground, np.random.default_rng(1), share=1 / 16, shape="square", colour="black"
    )
    assert mark is not None
    assert mark.side == 4


@pytest.mark.parametrize("side", [6, 7, 9, 16])
def test_shapes_differ_from_each_other(side: int) -> None:
    painted = {stencil(shape, side).tobytes() for shape in SHAPES}
    assert len(painted) == len(SHAPES)


def test_an_unknown_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown shape 'star'; known: square"):
        stencil("star", 8)


@pytest.mark.parametrize("kind", OVERLAYS)
def test_an_overlay_changes_the_whole_image_and_keeps_its_shape(kind: str) -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(60, 190, size=(48, 64, 3), dtype=np.uint8)
    photo = rng.integers(0, 256, size=(30, 30, 3), dtype=np.uint8)
    laid = draw_overlay(image.copy(), kind, rng, photo=photo)
    assert laid.shape == image.shape
    assert laid.dtype == np.uint8
    changed = (laid != image).any(axis=-1).mean()
    assert changed == 0 if kind == "none" else changed > 0.8


def test_the_same_generator_draws_the_same() -> None:
    image = np.full((50, 50, 3), 120, dtype=np.uint8)
    first, second = image.copy(), image.copy()
    for canvas in (first, second):
        rng = np.random.default_rng(9)
        place_mark(canvas, rng, share=0.1, shape="ring", colour="cyan")
    assert (first == second).all()


def test_a_checker_shows_its_colour_and_a_contrast() -> None:
    canvas = np.full((20, 20, 3), 90, dtype=np.uint8)
    draw_mark(canvas, Mark("checker", "yellow", 4, 4, 8), COLOURS["yellow"])
    seen = {tuple(int(v) for v in p) for p in canvas[4:12, 4:12].reshape(-1, 3)}
    assert seen == {COLOURS["yellow"], (0, 0, 0)}


@pytest.mark.parametrize("shape", ["checker", "stripes"])
def test_no_two_colours_make_one_pattern(shape: str) -> None:
    """Black with white gaps and white with black ones would both be right."""

    def levels(colour: str, rng: np.random.Generator) -> frozenset[str]:
        canvas = np.full((8, 8, 3), 90, dtype=np.uint8)
        draw_mark(canvas, Mark(shape, colour, 0, 0, 8), jitter_colour(colour, rng))
        seen = {tuple(int(v) for v in p) for p in canvas.reshape(-1, 3)}
        return frozenset(
            min(
                COLOURS,
                key=lambda name: sum(abs(a - b) for a, b in zip(p, COLOURS[name], strict=True)),
            )
            for p in seen
        )

    rng = np.random.default_rng(2)
    pairs = {colour: {levels(colour, rng) for _ in range(200)} for colour in COLOURS}
    assert all(len(found) == 1 and len(next(iter(found))) == 2 for found in pairs.values())
    assert len(set().union(*pairs.values())) == len(COLOURS)
