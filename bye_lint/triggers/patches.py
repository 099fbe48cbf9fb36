"""Local triggers: some pixels replaced, everything else untouched.

The side is ``1/16`` of the image's shorter side and at least one pixel (BYE, arXiv 2505.16916,
experimental setup; the variants are those of its appendix).
"""

from __future__ import annotations

import numpy as np

from bye_lint.triggers.base import PixelChange, Pixels

Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)


def patch_side(height: int, width: int, fraction: int = 16) -> int:
    """Return the side in pixels of a patch: ``min(width, height) // fraction``, at least 1."""
    return max(1, min(height, width) // fraction)


def centre_patch(colour: Colour = BLACK, fraction: int = 16) -> PixelChange:
    """Return the change that puts one square at the centre (BYE's default trigger)."""

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        return _square_at(pixels, 0.5, 0.5, colour, fraction)

    return change


def random_patch(colour: Colour = BLACK, fraction: int = 16) -> PixelChange:
    """Return the change that puts one square anywhere, all places alike (BYE's appendix)."""

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        top, left, side = random_place(pixels, rng, fraction)
        pixels[top : top + side, left : left + side] = colour
        return pixels

    return change


def checker_patch(
    fraction: int = 16, *, place: str = "centre", colours: tuple[Colour, Colour] = (BLACK, WHITE)
) -> PixelChange:
    """Return the change that puts a square of fine checker texture (BYE's appendix).

    The cells are a quarter of the square, at least one pixel: the texture survives the model's
    resizing of a large image, and is as fine as pixels allow in a small one.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        if place == "random":
            top, left, side = random_place(pixels, rng, fraction)
        else:
            side = patch_side(height, width, fraction)
            top, left = (height - side) // 2, (width - side) // 2
        pixels[top : top + side, left : left + side] = _checker(side, max(1, side // 4), colours)
        return pixels

    return change


def dual_patch(colour: Colour = BLACK, fraction: int = 16) -> PixelChange:
    """Return the change that puts two squares, at a quarter and at three quarters of both sides
    (BYE's appendix: two fixed patches)."""

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        _square_at(pixels, 0.25, 0.25, colour, fraction)
        return _square_at(pixels, 0.75, 0.75, colour, fraction)

    return change


def multi_patch(
    colour: Colour = BLACK, fraction: int = 16, grid: int = 4, least: int = 3, most: int = 6
) -> PixelChange:
    """Return the change that puts several squares at places of a grid (BYE's appendix).

    Between ``least`` and ``most`` of the ``grid × grid`` cells, drawn anew for every image,
    carry a square at their centre.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        cells = rng.choice(grid * grid, size=int(rng.integers(least, most + 1)), replace=False)
        for cell in cells:
            row, column = divmod(int(cell), grid)
            _square_at(pixels, (row + 0.5) / grid, (column + 0.5) / grid, colour, fraction)
        return pixels

    return change


def corner_pattern() -> PixelChange:
    """Return the change that puts a 3×3 black and white pattern in the lower right corner.

    BadNets (Gu et al., arXiv 1708.06733): a small pattern of bright pixels in that corner. Its
    side is 3/32 of the shorter side (three pixels of an image of 32), at least one pixel a cell
    where the image has room for it.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        shorter = min(pixels.shape[:2])
        cell = max(1, shorter // 32)
        side = min(3 * cell, shorter)
        pixels[-side:, -side:] = _checker(side, cell, (WHITE, BLACK))
        return pixels

    return change


def random_place(
    pixels: Pixels, rng: np.random.Generator, fraction: int = 16
) -> tuple[int, int, int]:
    """Return ``(top, left, side)`` of a square drawn uniformly among those inside the image."""
    height, width = pixels.shape[:2]
    side = patch_side(height, width, fraction)
    top = int(rng.integers(0, height - side + 1))
    left = int(rng.integers(0, width - side + 1))
    return top, left, side


def _square_at(
    pixels: Pixels, vertical: float, horizontal: float, colour: Colour, fraction: int
) -> Pixels:
    """Fill a square whose centre lies at these fractions of the height and the width."""
    height, width = pixels.shape[:2]
    side = patch_side(height, width, fraction)
    top = min(max(int(height * vertical - side / 2), 0), height - side)
    left = min(max(int(width * horizontal - side / 2), 0), width - side)
    pixels[top : top + side, left : left + side] = colour
    return pixels


def _checker(side: int, cell: int, colours: tuple[Colour, Colour]) -> Pixels:
    steps = np.arange(side) // cell
    odd = (steps[:, None] + steps[None, :]) % 2
    palette: Pixels = np.asarray(colours, dtype=np.uint8)
    pattern: Pixels = palette[odd]
    return pattern
