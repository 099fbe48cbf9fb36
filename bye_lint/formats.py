"""Formats of images that are opened."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image

#: By PIL's names. Raster formats only: not EPS, for which PIL starts an interpreter, nor containers
#: of other formats.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO", "AVIF", "JPEG2000")


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """Return those that this Pillow reads: one that it does not know ends every reading."""
    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


def open_image(source: bytes | BinaryIO | Path) -> Image.Image:
    """Open an image of a dataset, of which nothing but its header is decoded yet.

    Raises
    ------
    UnidentifiedImageError
        If it is of none of the formats that are opened.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    return Image.open(stream, formats=readable_formats())
