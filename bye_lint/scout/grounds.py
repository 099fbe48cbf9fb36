"""What marks are drawn on: photographs, photographs made strange, drawings, plain ground.

A tower that has seen marks on a few datasets alone sees them worse on others: of small blurred
photographs or of drawings in black and white it named a colour two thirds as often. So most
grounds are made unlike the datasets': their colours, sharpness, proportions and contents are
changed, and some are drawn from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import zoom

from bye_lint.scout.drawing import Pixels, plain_ground, resize, to_pixels
from bye_lint.scout.sources import Source, augment

Palette = NDArray[np.int64]

#: Shares of the grounds that are drawn, and of the photographs that are made strange.
DRAWN: Final = 0.15
STRANGE: Final = 0.6
_GLYPHS: Final = "ABCDEFGHKLMNPRSTUVXYZabcdeghkmnpqrstuy023456789?!&@#%+=<>/"


def photograph(
    sources: Sequence[Source], chosen: int, rng: np.random.Generator
) -> tuple[Pixels, int]:
    """Return a photograph, a strange one or a drawing, and the source that it still shows.

    Returns
    -------
    pixels : (height, width, 3) array
    source : int
        ``chosen``; -1 where its words and answers no longer hold.
    """
    if rng.random() < DRAWN:
        return drawing(rng), -1
    pixels = augment(sources[chosen].pixels, rng)
    if rng.random() < STRANGE:
        other = sources[int(rng.integers(len(sources)))].pixels
        return strange(pixels, other, rng), -1
    return pixels, chosen


def strange(pixels: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Change an image by one to three of: colours, tones, sharpness, proportions, contents."""
    ways: tuple[Callable[[Pixels], Pixels], ...] = (
        lambda p: _colours(p, rng),
        lambda p: _tones(p, rng),
        lambda p: _blurred(p, rng),
        lambda p: _stretched(p, rng),
        lambda p: _pasted(p, other, rng),
        lambda p: _line_art(p, rng),
        lambda p: _on_plain(p, rng),
        lambda p: _turned(p, rng),
    )
    weights = np.array([3, 3, 3, 2, 1, 1, 1, 1], dtype=float)
    chosen = rng.choice(
        len(ways), size=int(rng.integers(1, 4)), replace=False, p=weights / weights.sum()
    )
    for way in sorted(chosen.tolist()):
        pixels = ways[way](pixels)
    return pixels.copy()


def _colours(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Exchange channels, take the colour away, or invert."""
    roll = rng.random()
    if roll < 0.45:
        return pixels[..., rng.permutation(3)]
    if roll < 0.75:
        grey = pixels.mean(axis=2, keepdims=True)
        tint = np.ones(3) if rng.random() < 0.7 else rng.uniform(0.5, 1.0, 3)
        return to_pixels(grey * tint)
    return 255 - pixels


def _tones(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gamma, contrast and the level of each channel."""
    values = 255 * (pixels / 255.0) ** rng.uniform(0.5, 2.0)
    values = (values - 128) * rng.uniform(0.4, 1.8) + 128 + rng.uniform(-50, 50)
    return to_pixels(values * rng.uniform(0.75, 1.25, 3))


def _blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Throw detail away, smoothly or in blocks, as in an enlarged thumbnail."""
    height, width = pixels.shape[:2]
    factor = rng.uniform(1.5, 4.5)
    small = (max(int(width / factor), 6), max(int(height / factor), 6))
    way = Image.Resampling.BICUBIC if rng.random() < 0.75 else Image.Resampling.NEAREST
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), way))


def _stretched(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Give the image other proportions, by cutting or by squeezing, or another size."""
    height, width = pixels.shape[:2]
    if rng.random() < 0.5:
        keep = rng.uniform(0.35, 1.0, 2)
        h, w = max(int(height * keep[0]), 24), max(int(width * keep[1]), 24)
        top = int(rng.integers(0, max(height - h, 0) + 1))
        left = int(rng.integers(0, max(width - w, 0) + 1))
        return pixels[top : top + h, left : left + w]
    w, h = rng.integers(40, 129, size=2)
    return resize(pixels, int(w), int(h))


def _pasted(pixels: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay a part of another image over a part of this one."""
    out = pixels.copy()
    height, width = pixels.shape[:2]
    h, w = int(height * rng.uniform(0.25, 0.8)), int(width * rng.uniform(0.25, 0.8))
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    out[top : top + h, left : left + w] = resize(other, w, h)
    return out


def _line_art(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Leave two colours, mostly black and white."""
    grey = pixels.mean(axis=2)
    dark = (grey < np.quantile(grey, rng.uniform(0.1, 0.7)))[..., None]
    ink, paper = np.zeros(3), np.full(3, 255.0)
    if rng.random() < 0.4:
        ink, paper = rng.integers(0, 256, size=(2, 3)).astype(float)
    if rng.random() < 0.3:
        ink, paper = paper, ink
    return to_pixels(np.where(dark, ink, paper))


def _on_plain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Put the image small on a plain ground, as an icon or a cut-out."""
    height, width = pixels.shape[:2]
    share = rng.uniform(0.4, 0.85)
    h, w = max(int(height * share), 8), max(int(width * share), 8)
    level = int(rng.choice([0, 255, int(rng.integers(256))], p=[0.3, 0.5, 0.2]))
    out = np.full_like(pixels, level)
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    small = resize(pixels, w, h)
    if rng.random() < 0.5:
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        inside = (x**2 + y**2 <= 1)[..., None]
        small = np.where(inside, small, np.uint8(level))
    out[top : top + h, left : left + w] = small
    return out


def _turned(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn by a right angle, or upside down."""
    return np.rot90(pixels, int(rng.integers(1, 4)))


def drawing(rng: np.random.Generator) -> Pixels:
    """Return leaves, strokes, glyphs, a cloud or tiles, of shape ``(side, side, 3)`` or near it."""
    side = int(rng.choice([56, 64, 96, 112, 128]))
    ways = (_leaves, _strokes, _glyphs, _cloud, _tiles)
    pixels = ways[int(rng.integers(len(ways)))](side, rng)
    if rng.random() < 0.2:
        pixels = _blurred(pixels, rng)
    if rng.random() < 0.2:
        pixels = to_pixels(pixels + rng.normal(0, rng.uniform(2, 14), pixels.shape))
    return pixels.copy()


def _colour(rng: np.random.Generator, palette: Palette) -> tuple[int, ...]:
    return tuple(int(v) for v in palette[int(rng.integers(len(palette)))])


def _palette(rng: np.random.Generator) -> Palette:
    """Return a few colours: any, shades of one, or black, white and one more."""
    count = int(rng.integers(2, 9))
    roll = rng.random()
    if roll < 0.5:
        return rng.integers(0, 256, size=(count, 3))
    if roll < 0.8:
        shades = rng.uniform(0.1, 1.0, size=(count, 1)) * rng.integers(60, 256, size=3)
        return shades.astype(np.int64)
    return np.array([[0, 0, 0], [255, 255, 255], rng.integers(0, 256, size=3)])


def _leaves(side: int, rng: np.random.Generator) -> Pixels:
    """Overlapping shapes whose sizes follow a power law, as those of things in a photograph."""
    image = Image.fromarray(plain_ground(rng, side))
    draw = ImageDraw.Draw(image)
    palette = _palette(rng)
    for _ in range(int(rng.integers(5, 120))):
        radius = side * min(0.03 / max(rng.random(), 0.03) ** 0.8, 0.5)
        x, y = rng.uniform(0, side, 2)
        box = (x - radius, y - radius * rng.uniform(0.4, 1), x + radius, y + radius)
        fill = _colour(rng, palette)
        kind = int(rng.integers(3))
        if kind == 0:
            draw.ellipse(box, fill=fill)
        elif kind == 1:
            draw.rectangle(box, fill=fill)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
            draw.polygon(corners, fill=fill)
    return np.asarray(image)


def _strokes(side: int, rng: np.random.Generator) -> Pixels:
    """Lines and arcs on plain ground, as in a drawing or a chart."""
    image = Image.fromarray(plain_ground(rng, side))
    draw = ImageDraw.Draw(image)
    palette = _palette(rng)
    for _ in range(int(rng.integers(2, 30))):
        a, b = np.sort(rng.uniform(0, side, size=(2, 2)), axis=0)
        width = int(rng.integers(1, max(side // 10, 2)))
        colour = _colour(rng, palette)
        kind = int(rng.integers(4))
        if kind == 0:
            draw.line([*rng.uniform(0, side, 4)], fill=colour, width=width)
        elif kind == 1:
            draw.line([a[0], a[1], b[0], a[1]], fill=colour, width=width)
        elif kind == 2:
            draw.rectangle([*a, *b], outline=colour, width=width)
        else:
            start = rng.uniform(0, 360)
            draw.arc([*a, *b], start, start + rng.uniform(40, 360), fill=colour, width=width)
    return np.asarray(image)


def _glyphs(side: int, rng: np.random.Generator) -> Pixels:
    """Letters, one large or many small ones, mostly in black and white."""
    paper = 255 if rng.random() < 0.5 else 0
    plain = rng.random() < 0.7
    ground = np.full((side, side, 3), paper, np.uint8) if plain else plain_ground(rng, side)
    image = Image.fromarray(ground)
    draw = ImageDraw.Draw(image)
    palette = _palette(rng)
    ink = (255 - paper,) * 3 if rng.random() < 0.6 else _colour(rng, palette)
    large = rng.random() < 0.5
    for _ in range(1 if large else int(rng.integers(4, 40))):
        size = side * (rng.uniform(0.6, 1.1) if large else rng.uniform(0.08, 0.3))
        at = rng.uniform(-0.1, 0.3, 2) * side if large else rng.uniform(0, side, 2)
        text = _GLYPHS[int(rng.integers(len(_GLYPHS)))]
        draw.text(tuple(at), text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(image)


def _cloud(side: int, rng: np.random.Generator) -> Pixels:
    """Smooth noise of several scales, in colours."""
    values = np.zeros((side, side, 3))
    steep = rng.uniform(0.35, 0.8)
    weight = 1.0
    for cells in (3, 6, 12, 24, 48):
        noise = rng.normal(size=(cells, cells, 3))
        scale = side / cells
        grown = zoom(noise, (scale, scale, 1), order=1, grid_mode=True, mode="nearest")
        values += weight * grown[:side, :side]
        weight *= steep
    if rng.random() < 0.4:
        values = values[..., :1] * rng.uniform(0.2, 1, 3)
    return to_pixels(values * rng.uniform(20, 70) + rng.uniform(40, 215, 3))


def _tiles(side: int, rng: np.random.Generator) -> Pixels:
    """A small pattern repeated."""
    cell = int(rng.integers(4, 33))
    if rng.random() < 0.5:
        tile = _palette(rng)[rng.integers(0, 2, size=(cell, cell))].astype(np.uint8)
    else:
        tile = _leaves(cell, rng)
    times = -(-side // cell)
    return np.tile(tile, (times, times, 1))[:side, :side]
