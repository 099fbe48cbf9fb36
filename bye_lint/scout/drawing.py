"""Draw marks and overlays on images, the way an attacker draws a trigger.

Everything is drawn at the image's own resolution and resized afterwards, because that is the
order in which a poisoned file reaches a model: a patch of 1/16 of a 64-pixel image is four sharp
pixels that the resize then blurs. All functions take and return ``uint8`` arrays of shape
``(height, width, 3)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates, zoom

Pixels = NDArray[np.uint8]

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "black": (6, 6, 6),
    "white": (249, 249, 249),
    "grey": (128, 128, 128),
    "red": (220, 25, 30),
    "green": (25, 160, 50),
    "blue": (30, 60, 215),
    "yellow": (245, 225, 35),
    "orange": (250, 135, 15),
    "cyan": (30, 210, 225),
    "magenta": (220, 40, 200),
}
SHAPES: Final = ("square", "disc", "triangle", "plus", "cross", "ring", "checker", "stripes")
OVERLAYS: Final = ("none", "noise", "photo", "waves", "warp", "dct", "checks")

MIN_SHAPED_SIDE: Final = 6
MIN_CONTRAST: Final = 45.0


@dataclass(frozen=True)
class Mark:
    """One mark on an image: names, and the box in pixels of the image it was drawn on."""

    shape: str
    colour: str
    left: int
    top: int
    side: int


@lru_cache(maxsize=2048)
def stencil(shape: str, side: int) -> NDArray[np.bool_]:
    """Return the pixels, shape ``(side, side)``, that ``shape`` paints in its colour."""
    centre = (side - 1) / 2
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    dx, dy = np.abs(x - centre), np.abs(y - centre)
    radius = np.hypot(dx, dy)
    arm = max(side / 6, 0.75)
    if shape == "square":
        return np.ones((side, side), dtype=bool)
    if shape == "disc":
        return np.asarray(radius <= side / 2)
    if shape == "triangle":
        return np.asarray(dx <= (y + 1) / 2)
    if shape == "plus":
        return np.asarray(np.minimum(dx, dy) <= arm)
    if shape == "cross":
        return np.asarray(np.abs(dx - dy) <= arm * 1.2)
    if shape == "ring":
        return np.asarray((radius <= side / 2) & (radius >= side / 2 - max(side / 6, 1.2)))
    cell = max(side // 4, 1)
    if shape == "checker":
        return np.asarray((x // cell + y // cell) % 2 == 1)
    if shape == "stripes":
        return np.asarray((y // cell) % 2 == 0)
    raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")


def draw_mark(pixels: Pixels, mark: Mark, rgb: tuple[int, int, int]) -> None:
    """Paint a mark in place; checkers and stripes fill their gaps with a contrast."""
    window = pixels[mark.top : mark.top + mark.side, mark.left : mark.left + mark.side]
    painted = stencil(mark.shape, mark.side)
    if mark.shape in ("checker", "stripes"):
        window[...] = _gap(rgb)
    window[painted] = rgb


def _gap(rgb: tuple[int, int, int]) -> int:
    """Return a level such that no two colours make one pattern: black's gaps alone are white."""
    level = sum(rgb) / 3
    if level < 115:
        return 255
    return 128 if level > 230 else 0


def contrast(pixels: Pixels, mark: Mark, rgb: tuple[int, int, int]) -> float:
    """Return the mean absolute difference between a mark's colour and the ground under its box."""
    window = pixels[mark.top : mark.top + mark.side, mark.left : mark.left + mark.side]
    return float(np.abs(window.astype(np.int16) - np.asarray(rgb, dtype=np.int16)).mean())


def jitter_colour(colour: str, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return the colour's RGB, varied a little; black and white are pure half of the time."""
    base = np.asarray(COLOURS[colour])
    if colour in ("black", "white") and rng.random() < 0.5:
        base = np.where(base < 128, 0, 255)
        return int(base[0]), int(base[1]), int(base[2])
    red, green, blue = np.clip(base + rng.integers(-12, 13, size=3), 0, 255)
    return int(red), int(green), int(blue)


def place_mark(
    pixels: Pixels,
    rng: np.random.Generator,
    *,
    share: float,
    shape: str,
    colour: str,
    others: tuple[Mark, ...] = (),
) -> Mark | None:
    """Draw a mark of side ``share`` of the shorter side at a random, visible, free place.

    Returns
    -------
    Mark or None
        None, with nothing drawn, where no try found a place with contrast, clear of ``others``.
    """
    height, width = pixels.shape[:2]
    side = max(round(share * min(height, width)), 2)
    if shape != "square":
        side = max(side, MIN_SHAPED_SIDE)
    if side > min(height, width):
        return None
    rgb = jitter_colour(colour, rng)
    for _ in range(8):
        left = int(rng.integers(0, width - side + 1))
        top = int(rng.integers(0, height - side + 1))
        mark = Mark(shape, colour, left, top, side)
        free = all(
            abs(left + side / 2 - o.left - o.side / 2) > (side + o.side) / 2 + 2
            or abs(top + side / 2 - o.top - o.side / 2) > (side + o.side) / 2 + 2
            for o in others
        )
        if free and contrast(pixels, mark, rgb) >= MIN_CONTRAST:
            draw_mark(pixels, mark, rgb)
            return mark
    return None


def plain_ground(rng: np.random.Generator, size: int) -> Pixels:
    """Return a plain, shaded or faintly grained ground of shape ``(size, size, 3)``."""
    first, second = rng.integers(0, 256, size=(2, 3))
    if rng.random() < 0.3:
        first = np.full(3, rng.choice([0, 128, 255]))
    if rng.random() < 0.6:
        second = first
    ramp = (
        np.linspace(0, 1, size)[:, None, None]
        if rng.random() < 0.5
        else np.linspace(0, 1, size)[None, :, None]
    )
    ground = first * (1 - ramp) + second * ramp + np.zeros((size, size, 3))
    if rng.random() < 0.5:
        ground = ground + rng.normal(0, rng.uniform(1, 14), size=ground.shape)
    return to_pixels(ground)


def to_pixels(values: NDArray[np.float64]) -> Pixels:
    """Clip to 0..255 and round down."""
    pixels: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return pixels


def _blend(pixels: Pixels, other: Pixels, alpha: float) -> Pixels:
    return to_pixels(pixels * (1 - alpha) + other * alpha)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize bicubically, as the scout's image processor does."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def overlay_noise(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Blend with an image of random noise, fine or coarse."""
    height, width = pixels.shape[:2]
    cells = int(rng.choice([16, 32, 64]))
    noise = rng.integers(0, 256, size=(cells, cells, 3), dtype=np.uint8)
    return _blend(pixels, resize(noise, width, height), 0.12 + 0.2 * strength)


def overlay_photo(pixels: Pixels, photo: Pixels, strength: float) -> Pixels:
    """Blend with another picture."""
    height, width = pixels.shape[:2]
    return _blend(pixels, resize(photo, width, height), 0.15 + 0.2 * strength)


def overlay_waves(pixels: Pixels, angle: float, cycles: float, strength: float) -> Pixels:
    """Add sinusoidal waves over the whole image (SIG is ``angle=0``)."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    phase = 2 * np.pi * cycles * (np.cos(angle) * x / width + np.sin(angle) * y / height)
    return to_pixels(pixels + ((12 + 24 * strength) * np.sin(phase))[..., None])


def overlay_warp(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Displace pixels along a smooth random field (as WaNet does)."""
    height, width = pixels.shape[:2]
    cells = 4
    field = rng.uniform(-1, 1, size=(2, cells, cells))
    smooth = [
        zoom(f, (height / cells, width / cells), order=3, grid_mode=True, mode="nearest")
        for f in field
    ]
    reach = (0.025 + 0.04 * strength) * max(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    at = np.stack([y + reach * smooth[0], x + reach * smooth[1]])
    warped = [map_coordinates(pixels[..., c], at, order=1, mode="nearest") for c in range(3)]
    return np.stack(warped, axis=-1).astype(np.uint8)


def overlay_dct(pixels: Pixels, frequency: tuple[int, int], strength: float) -> Pixels:
    """Add one DCT basis pattern of 16-pixel blocks (as FTrojan does)."""
    height, width = pixels.shape[:2]
    block = 16
    y, x = np.mgrid[0:height, 0:width] % block
    u, v = frequency
    basis = np.cos(np.pi * (y + 0.5) * u / block) * np.cos(np.pi * (x + 0.5) * v / block)
    return to_pixels(pixels + ((14 + 24 * strength) * basis)[..., None])


def overlay_checks(pixels: Pixels, cell: int, strength: float) -> Pixels:
    """Add a fine checkerboard over the whole image."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width] // cell
    sign = ((x + y) % 2) * 2.0 - 1
    return to_pixels(pixels + ((8 + 16 * strength) * sign)[..., None])


def draw_overlay(
    pixels: Pixels, kind: str, rng: np.random.Generator, *, photo: Pixels | None = None
) -> Pixels:
    """Lay an overlay with random parameters over the image; kind ``photo`` needs the photo."""
    strength = float(rng.random())
    if kind == "none":
        return pixels
    if kind == "noise":
        return overlay_noise(pixels, rng, strength)
    if kind == "photo" and photo is not None:
        return overlay_photo(pixels, photo, strength)
    if kind == "waves":
        return overlay_waves(
            pixels, float(rng.uniform(0, np.pi)), float(rng.uniform(3, 14)), strength
        )
    if kind == "warp":
        return overlay_warp(pixels, rng, strength)
    if kind == "dct":
        low, high = rng.integers(4, 9, size=2)
        return overlay_dct(pixels, (int(low), int(high)), strength)
    if kind == "checks":
        return overlay_checks(pixels, int(rng.integers(2, 5)), strength)
    raise ValueError(
        f"cannot draw overlay {kind!r}; known: {', '.join(OVERLAYS)} ('photo' needs a photo)"
    )
