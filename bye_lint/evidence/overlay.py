"""A pattern all over the image: nothing local, yet the same in every suspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

FloatArray = npt.NDArray[np.float64]

_SIDE = 64


@dataclass(frozen=True)
class Overlay:
    """The average difference of suspects from the rest.

    Attributes
    ----------
    pattern : (side, side, 3) array
        Around 0, in units of the full range of a pixel.
    correlation : float
        Between the patterns that two halves of suspects and rest give.
    """

    pattern: FloatArray
    correlation: float


def common_overlay(suspects: Sequence[FloatArray], rest: Sequence[FloatArray]) -> Overlay:
    """Average the suspects' images and take away the average of the rest.

    Slow changes of brightness are taken out first: a set of forests differs from a set of
    lakes in colour, which is no pattern.

    Parameters
    ----------
    suspects, rest : sequences of (height, width, 3) arrays in [0, 1]
    """
    a = np.stack([_square(image) for image in suspects])
    b = np.stack([_square(image) for image in rest])
    halves = [_detail(a[i::2].mean(axis=0) - b[i::2].mean(axis=0)) for i in (0, 1)]
    flat = [half.ravel() - half.mean() for half in halves]
    scale = np.sqrt((flat[0] @ flat[0]) * (flat[1] @ flat[1]))
    correlation = float(flat[0] @ flat[1] / scale) if scale > 0 else 0.0
    return Overlay(np.asarray(halves[0] + halves[1]) / 2, correlation)


def _detail(pattern: FloatArray) -> FloatArray:
    slow = ndimage.gaussian_filter(pattern, (_SIDE / 10, _SIDE / 10, 0), mode="nearest")
    return np.asarray(pattern - slow)


def _square(image: FloatArray) -> FloatArray:
    pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8), "RGB")
    small = pixels.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255.0
