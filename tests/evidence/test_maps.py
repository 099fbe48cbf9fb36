"""Attention maps: excess over the background, peaks, overlap with a box, their text form."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bye_lint.evidence.maps import Background, coverage, normalised, peaks
from bye_lint.exhibits import Box
from bye_lint.heat import decode_map, encode_map, overlay_png

GRID = (5, 5)


def flat(**hot: float) -> np.ndarray:
    a = np.full((2, 25), 0.02)
    for token, value in hot.items():
        a[:, int(token[1:])] = value
    return a


def test_a_place_that_all_look_at_does_not_stand_out():
    sink = flat(t3=0.5)
    maps = {str(i): (sink, GRID) for i in range(10)}
    background = Background.of(maps, list(maps))
    assert background.excess(sink, GRID, [0, 1]).max() == pytest.approx(0.0, abs=1e-6)


def test_what_one_looks_at_alone_stands_out():
    maps = {str(i): (flat(t3=0.5), GRID) for i in range(10)}
    background = Background.of(maps, list(maps))
    excess = background.excess(flat(t3=0.5, t12=0.4), GRID, [])
    assert peaks(excess, 1) == [(2, 2)]
    assert excess.min() == 0
    assert coverage(Box(0.42, 0.42, 0.1, 0.1), excess) == pytest.approx(1.0)


def test_a_grid_without_background_is_held_against_a_uniform_one():
    background = Background.of({}, [])
    assert peaks(background.excess(flat(t7=0.3), GRID, []), 1) == [(1, 2)]


@pytest.mark.parametrize(("count", "known"), [(7, False), (8, True)])
def test_a_few_maps_are_no_background(count: int, known: bool):
    sink = flat(t3=0.5)
    maps = {str(i): (sink, GRID) for i in range(count)}
    excess = Background.of(maps, list(maps)).excess(sink, GRID, [])
    assert bool(excess.max() < 1e-6) is known


def test_coverage_of_an_indifferent_map_is_the_tokens_share():
    rng = np.random.default_rng(0)
    box = Box(0.4, 0.4, 0.2, 0.2)
    values = [coverage(box, rng.random(GRID)) for _ in range(2000)]
    assert np.mean(values) == pytest.approx(1 / 25, abs=0.01)


def test_coverage_minds_the_part_of_the_image_that_the_grid_covers():
    heat = np.zeros(GRID)
    heat[0, 0] = 1
    view = Box(0.25, 0.0, 0.5, 1.0)
    assert coverage(Box(0.25, 0.0, 0.1, 0.2), heat, view=view) == pytest.approx(1.0)
    assert coverage(Box(0.0, 0.0, 0.1, 0.2), heat, view=view) == 0.0


def test_normalised_layers_sum_to_one_even_where_nothing_is_seen():
    a = np.array([[1.0, 3.0], [0.0, 0.0], [np.nan, 1.0]])
    assert normalised(a).sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_map_survives_its_text_form():
    values = np.linspace(0, 2, 12).reshape(3, 4)
    back = decode_map(encode_map(values), (3, 4))
    assert back is not None
    assert np.abs(back / 255 * 2 - values).max() < 2 / 255


@pytest.mark.parametrize("text", ["", "%%%", "AAAA", "é"])
def test_text_that_is_no_map_is_none(text):
    assert decode_map(text, (3, 4)) is None


def test_all_zero_and_not_finite_maps_are_cold():
    assert decode_map(encode_map(np.zeros((2, 2))), (2, 2)).max() == 0
    assert decode_map(encode_map(np.array([[np.nan, np.inf]])), (1, 2)).max() == 0


def test_the_overlay_is_transparent_where_cold_and_opaque_where_hot():
    image = Image.open(io.BytesIO(overlay_png(np.array([[0, 255]], dtype=np.uint8))))
    assert image.size == (2, 1)
    assert image.getpixel((0, 0))[3] == 0
    assert image.getpixel((1, 0))[3] > 200
