"""Pictures are compared with one another once, and parts of them among themselves."""

from __future__ import annotations

import numpy as np
import pytest
from test_pictures import make_pictures

from bye_lint.detectors.pictures import Pictures, looks

PIXELS = make_pictures(300, np.arange(60))
PIXELS[5] = PIXELS[7]


@pytest.mark.parametrize("k", [3, 17, 40])
def test_the_nearest_few_are_those_of_the_whole_table_of_distances(k):
    pictures = Pictures(PIXELS)
    x = pictures._glance()
    length = (x**2).sum(axis=1)
    apart = length[:, None] + length[None, :] - 2 * x @ x.T
    apart[pictures.same[:, None] == pictures.same] = np.inf
    wanted = np.sort(np.argsort(apart, axis=1, kind="stable")[:, :k], axis=1)
    assert (np.sort(pictures.nearest(k), axis=1) == wanted).all()


def test_the_same_image_has_the_same_number():
    same = Pictures(PIXELS).same
    assert same[5] == same[7]
    assert len(np.unique(same)) == len(PIXELS) - 1


@pytest.mark.parametrize("size", [6, 12, 200])
def test_a_part_is_compared_as_if_there_were_nothing_else(size):
    rows = np.sort(np.random.default_rng(size).choice(300, size, replace=False))
    part, alone = Pictures(PIXELS).select(rows), Pictures(PIXELS[rows])
    inside = np.arange(size) % 3 > 0
    assert (part.nearest(5) == alone.nearest(5)).all()
    among = Pictures(PIXELS[rows][inside])
    assert (part.select(inside).nearest(5) == among.nearest(5)).all()


def test_whoever_asks_again_is_told_what_was_found(monkeypatch):
    pictures, asked = Pictures(PIXELS), []
    glance = Pictures._glance
    monkeypatch.setattr(Pictures, "_glance", lambda self: asked.append(len(self)) or glance(self))
    Z = np.random.default_rng(0).standard_normal((300, 4))
    for size in (20, 40, 120):
        looks(Z, np.arange(300) < size, pictures.select(np.arange(300)), seed=0)
    assert asked == [300]
