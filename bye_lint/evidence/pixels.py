"""Pixels of untrusted images: decoded within limits, made small, encoded anew."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.formats import open_image

FloatArray = npt.NDArray[np.float64]

#: A canvas is at most so many times as long as its shorter side may be.
LONGEST = 4


def decode(data: bytes, *, max_pixels: int = 50_000_000, at_least: int = 0) -> Image.Image | None:
    """Return the image as RGB, or ``None`` where it can't be decoded within the limits.

    The pixels are those that the model is given: neither turned as EXIF has it, nor laid on a
    ground where they are transparent. Maps would lie beside what they show, and a trigger that
    transparency hides from viewers would be hidden from the reviewer.

    Parameters
    ----------
    at_least : int
        A JPEG may be decoded at a fraction of its size as long as both sides stay this long;
        0 decodes it whole.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = open_image(data)
            if opened.width * opened.height > max_pixels:
                return None
            if at_least:
                opened.draft("RGB", (at_least, at_least))
            return opened.convert("RGB")
    except Exception:  # a decoder may raise anything on a hostile file
        return None


def canvas(image: Image.Image, short_side: int) -> FloatArray:
    """Return the image in [0, 1] with its shorter side scaled down to ``short_side`` pixels.

    Smaller images keep their size: made-up pixels are no evidence. One that is longer than
    :data:`LONGEST` times that is scaled down to this length.

    Returns
    -------
    (height, width, 3) array
    """
    ratio = min(short_side / min(image.size), LONGEST * short_side / max(image.size))
    if ratio < 1:
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float64) / 255.0


def thumbnail(image: Image.Image, side: int = 176) -> str:
    """Return a JPEG in base64 whose longer side is at most ``side`` pixels.

    The file holds nothing but pixels: no metadata, profile or comment of the original.
    """
    small = Image.new("RGB", image.size)
    small.paste(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=88, subsampling=0, optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def png(values: npt.NDArray[Any]) -> str:
    """Return a PNG in base64 of a (height, width, 3) array in [0, 1]."""
    pixels = np.rint(np.clip(np.asarray(values, dtype=np.float64), 0, 1) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def shrunk(image: FloatArray, side: int = 8) -> FloatArray:
    """Return the mean colours of a coarse grid laid over an image.

    Parameters
    ----------
    image : (height, width, 3) array

    Returns
    -------
    (side, side, 3) array
        An image of fewer pixels leaves the last rows and columns at 0.
    """
    rows = np.array_split(np.arange(image.shape[0]), min(side, image.shape[0]))
    columns = np.array_split(np.arange(image.shape[1]), min(side, image.shape[1]))
    out = np.zeros((side, side, 3))
    for y, r in enumerate(rows):
        for x, c in enumerate(columns):
            out[y, x] = image[r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean(axis=(0, 1))
    return out
