"""What marks are drawn on: unlike the datasets' images, and honest about what they still show."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.scout import grounds
from bye_lint.scout.grounds import drawing, photograph, strange
from bye_lint.scout.sources import Source

RED = np.zeros((60, 90, 3), dtype=np.uint8) + np.array([200, 30, 40], dtype=np.uint8)
SOURCES = [Source(RED, (("What colour?", "red"),), frozenset({"red"}))]


def drawn(times: int, seed: int = 0) -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(seed)
    return [photograph(SOURCES, 0, rng) for _ in range(times)]


def test_a_ground_can_be_drawn_on() -> None:
    for pixels, _ in drawn(200):
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert min(pixels.shape[:2]) >= 20
        assert pixels.flags.writeable
    assert (RED == [200, 30, 40]).all()


def test_a_ground_that_is_said_to_show_its_source_does() -> None:
    kept = [pixels for pixels, source in drawn(200) if source == 0]
    assert 40 <= len(kept) <= 110
    assert all((pixels == RED[0, 0]).all() for pixels in kept)


def test_most_of_the_others_are_like_nothing_in_the_sources() -> None:
    others = [pixels for pixels, source in drawn(200) if source < 0]
    unlike = [np.abs(pixels.astype(int) - RED[0, 0]).mean() > 20 for pixels in others]
    assert np.mean(unlike) > 0.6


def test_drawings_vary() -> None:
    rng = np.random.default_rng(1)
    thumbnails = {drawing(rng)[::8, ::8].tobytes() for _ in range(60)}
    assert len(thumbnails) > 50


@pytest.mark.parametrize("name", ["_leaves", "_strokes", "_glyphs", "_cloud", "_tiles"])
@pytest.mark.parametrize("side", [56, 64, 96, 112, 128])
def test_every_drawing_fills_its_square(name: str, side: int) -> None:
    pixels = getattr(grounds, name)(side, np.random.default_rng(side))
    assert pixels.shape == (side, side, 3)
    assert pixels.std() > 1


def test_the_same_generator_gives_the_same_grounds() -> None:
    for (one, a), (two, b) in zip(drawn(50, 3), drawn(50, 3), strict=True):
        assert a == b
        np.testing.assert_array_equal(one, two)


def test_an_image_of_any_proportions_can_be_made_strange() -> None:
    rng = np.random.default_rng(2)
    for shape in ((24, 128, 3), (128, 24, 3), (25, 25, 3)):
        for _ in range(60):
            pixels = strange(np.full(shape, 90, dtype=np.uint8), RED, rng)
            assert min(pixels.shape[:2]) >= 20
