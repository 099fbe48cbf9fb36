"""Images and attention maps made here, with a trigger whose place is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from bye_lint.evidence.reconstruct import Exhibit
from bye_lint.exhibits import Box

SIDE = 48
GRID = 9


@dataclass(frozen=True)
class Planted:
    suspects: list[Exhibit]
    rest: list[Exhibit]
    boxes: list[Box]


def photograph(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Smooth blobs with grain, coloured: nothing that two of them have in common."""
    coarse = ndimage.gaussian_filter(rng.normal(size=(side, side, 3)), (side / 10, side / 10, 0))
    fine = ndimage.gaussian_filter(rng.normal(size=(side, side, 3)), (0.7, 0.7, 0))
    image = 0.5 + 0.22 * coarse / coarse.std() + 0.06 * fine / fine.std()
    return np.clip(image, 0.02, 0.98)


def attention(rng: np.random.Generator, box: Box | None) -> np.ndarray:
    """Return an excess map: a few weak peaks anywhere, and a strong one on the box."""
    heat = rng.random((GRID, GRID)) ** 8
    if box is not None:
        row = int((box.top + box.height / 2) * GRID)
        column = int((box.left + box.width / 2) * GRID)
        heat[min(row, GRID - 1), min(column, GRID - 1)] = 3.0
    return heat


@pytest.fixture(scope="session")
def plant() -> Callable[..., Planted]:
    def make(
        patch: np.ndarray | None = None,
        *,
        moving: bool = False,
        overlay: np.ndarray | None = None,
        n_suspects: int = 16,
        strangers: int = 0,
        n_rest: int = 24,
        maps: bool = True,
        seed: int = 0,
    ) -> Planted:
        rng = np.random.default_rng(seed)
        suspects, boxes = [], []
        for i in range(n_suspects):
            image, box = photograph(rng), None
            if patch is not None and i >= strangers:
                size = len(patch)
                middle = (SIDE - size) // 2
                y, x = rng.integers(0, SIDE - size + 1, 2) if moving else (middle, middle)
                image[y : y + size, x : x + size] = patch
                box = Box(x / SIDE, y / SIDE, size / SIDE, size / SIDE)
                boxes.append(box)
            if overlay is not None:
                image = np.clip(image + overlay, 0, 1)
            heat = attention(rng, box) if maps else None
            suspects.append(Exhibit(image, (SIDE, SIDE), heat))
        rest = [
            Exhibit(photograph(rng), (SIDE, SIDE), attention(rng, None) if maps else None)
            for _ in range(n_rest)
        ]
        return Planted(suspects, rest, boxes)

    return make


def iou(a: Box, b: Box) -> float:
    wide = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    high = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    both = max(0.0, wide) * max(0.0, high)
    return both / (a.width * a.height + b.width * b.height - both)


@pytest.fixture(scope="session")
def overlap() -> Callable[[Box, Box], float]:
    return iou
