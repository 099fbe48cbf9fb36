"""Triggers that change the whole image a little: blend, waves, warp, frequencies."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.triggers.base import PixelChange, Pixels

FloatArray = npt.NDArray[np.float64]

#: Pixels that are changed at once.
_STRIP = 1 << 16


def blend(ratio: float = 0.2, seed: int = 20171215) -> PixelChange:
    """Return the change that blends in a fixed random pattern.

    Blended injection (Chen et al., arXiv 1712.05526, section 5): ``(1 - α) x + α κ`` with one
    pattern κ for all images and α = 0.2. The pattern is 32×32 uniform colours, interpolated to
    the image's size so that it survives the model's own resizing.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        pattern = blend_pattern(pixels.shape[0], pixels.shape[1], seed)
        return _in_strips(pixels, lambda rows: (1 - ratio) * pixels[rows] + ratio * pattern[rows])

    return change


def blend_pattern(height: int, width: int, seed: int) -> Pixels:
    """Return the pattern κ of a seed at a size: ``(height, width, 3)``, 0 to 255."""
    colours = np.random.default_rng(seed).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    resized = Image.fromarray(colours).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def waves(
    amplitude: float = 20.0, frequency: float = 6.0, *, vertical: bool = False
) -> PixelChange:
    """Return the change that adds a sinusoid along the width (or, if ``vertical``, the height).

    SIG (Barni et al., arXiv 1902.11237, section 4.1): ``v(i, j) = Δ sin(2π j f / m)`` with m the
    number of columns, Δ = 20 grey levels and f = 6 periods, added to every channel.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        columns = pixels.shape[0 if vertical else 1]
        wave = amplitude * np.sin(2 * np.pi * np.arange(1, columns + 1) * frequency / columns)
        if vertical:
            return _in_strips(pixels, lambda rows: pixels[rows] + wave[rows, None, None])
        return _in_strips(pixels, lambda rows: pixels[rows] + wave[None, :, None])

    return change


def warp(strength: float = 0.5, points: int = 4, seed: int = 20210210) -> PixelChange:
    """Return the change that bends the image by a small, smooth, fixed field.

    WaNet (Nguyen and Tran, arXiv 2102.10369, section 3.2): see :func:`warping_field`. The image
    is sampled backwards through the field with bilinear interpolation.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        field = warping_field(height, width, strength, points, seed)
        rows = np.clip(np.arange(height)[:, None] + field[..., 0], 0, height - 1)
        columns = np.clip(np.arange(width)[None, :] + field[..., 1], 0, width - 1)
        return _to_uint8(_bilinear(pixels.astype(np.float64), rows, columns))

    return change


@lru_cache(maxsize=1)  # 16 bytes a pixel
def warping_field(
    height: int, width: int, strength: float = 0.5, points: int = 4, seed: int = 20210210
) -> FloatArray:
    """Return WaNet's field M: ``(height, width, 2)`` offsets in pixels, rows before columns.

    Uniform offsets in [-1, 1] at ``points × points`` control points are divided by their mean
    absolute value, multiplied by the strength s and interpolated bicubically (WaNet, Eq. 2 to
    4, k = 4 and s = 0.5). The paper's strength is for images of 32 pixels; here it grows with
    the side, so that the same bend is seen whatever the model resizes the image to.
    """
    control = np.random.default_rng(seed).uniform(-1, 1, size=(points, points, 2))
    control *= strength / np.abs(control).mean()
    fields = [
        np.asarray(
            Image.fromarray(control[..., axis].astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            ),
            dtype=np.float64,
        )
        * (side / 32)
        for axis, side in enumerate((height, width))
    ]
    return np.stack(fields, axis=-1)


def frequencies(magnitude: float = 30.0, block: int = 32) -> PixelChange:
    """Return the change that raises two DCT coefficients of the chroma channels.

    FTrojan (Wang et al., arXiv 2111.10991, section 3): RGB to YUV, blocks of 32×32, the
    coefficients of a middle band (15, 15) and a high band (31, 31) of U and V raised by 30, and
    back. The DCT is orthonormal and everything up to the rounding is linear, so that the
    pixels' change is the same for every image; an edge that fills no block is left as it is,
    and an image smaller than a block is one block of its shorter side.
    """

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        size = min(block, height, width)
        wave = magnitude * sum(
            np.outer(basis, basis)
            for basis in (_dct_basis(size, max(size // 2 - 1, 0)), _dct_basis(size, size - 1))
        )
        rows, columns = height // size, width // size
        chroma = np.zeros((height, width))
        chroma[: rows * size, : columns * size] = np.tile(wave, (rows, columns))
        # ITU-R BT.601, the same change in both chroma channels.
        to_rgb = np.array([1.402, -0.344136 - 0.714136, 1.772])
        return _to_uint8(pixels + chroma[..., None] * to_rgb)

    return change


def _dct_basis(size: int, index: int) -> FloatArray:
    """Return one row of the orthonormal DCT-II matrix."""
    scale = np.sqrt((1 if index == 0 else 2) / size)
    angles = np.pi * (2 * np.arange(size) + 1) * index / (2 * size)
    return np.asarray(scale * np.cos(angles))


def _bilinear(pixels: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom = np.minimum(top + 1, pixels.shape[0] - 1)
    right = np.minimum(left + 1, pixels.shape[1] - 1)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    upper = pixels[top, left] * (1 - across) + pixels[top, right] * across
    lower = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down)


def _in_strips(pixels: Pixels, change: Callable[[slice], FloatArray]) -> Pixels:
    """Return an image changed some rows at a time: floating point takes eight times its bytes."""
    height, width = pixels.shape[:2]
    some = max(1, _STRIP // max(1, width))
    done = np.empty_like(pixels)
    for start in range(0, height, some):
        rows = slice(start, start + some)
        done[rows] = _to_uint8(change(rows))
    return done


def _to_uint8(values: FloatArray) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
