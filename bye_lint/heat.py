"""Attention maps as small text, and as something to look at.

A map travels inside a saved result as one unsigned byte a token, in base64: a 24 × 24 map takes
768 characters.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

#: From cool to hot: readable on photographs of any colour, and by readers who don't tell red
#: from green (lightness falls steadily).
_RAMP = np.array([(255, 240, 130), (255, 176, 32), (250, 84, 40), (236, 0, 100)], dtype=np.float64)


def encode_map(values: npt.NDArray[Any]) -> str:
    """Scale a map of non-negative values so that its largest is 255, and write it as base64.

    Parameters
    ----------
    values : (rows, columns) array
        Not finite or negative values count as 0.
    """
    clean = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0), 0.0, None)
    top = clean.max(initial=0.0)
    scaled = np.rint(clean * (255.0 / top)) if top > 0 else clean
    return base64.b64encode(scaled.astype(np.uint8).tobytes()).decode("ascii")


def decode_map(text: str, grid: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
    """Return the (rows, columns) map of its base64 form, or ``None`` if there is none.

    A result file is input like any other: text that is not a map of that grid is no map.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not data or len(data) != grid[0] * grid[1]:
        return None
    return np.frombuffer(data, dtype=np.uint8).reshape(grid)


def colours(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (..., 4) RGBA of a map: cold tokens are transparent, hot ones red and opaque."""
    x = values.astype(np.float64) / 255.0
    place = x * (len(_RAMP) - 1)
    low = np.minimum(place.astype(np.intp), len(_RAMP) - 2)
    part = (place - low)[..., None]
    rgb = _RAMP[low] * (1 - part) + _RAMP[low + 1] * part
    alpha = np.where(x < 0.04, 0.0, 40.0 + 175.0 * x)
    return np.concatenate([rgb, alpha[..., None]], axis=-1).astype(np.uint8)


def overlay_png(values: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of a map, one pixel a token, to be laid over the image it belongs to."""
    out = io.BytesIO()
    Image.fromarray(colours(values), "RGBA").save(out, "PNG", optimize=True)
    return out.getvalue()
