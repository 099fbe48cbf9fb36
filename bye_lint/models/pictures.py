"""What an image looks like at a glance, as a few numbers: for comparing records, not for seeing.

Detectors ask whether images that look alike are read alike. A small mark hardly moves these
numbers; what moves them is what the picture is of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.features import PICTURE_STATISTICS

CELLS = 8
_SIDE = 32
WIDTH = 3 * CELLS * CELLS + PICTURE_STATISTICS


def describe(images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
    """Return the mean description of a record's images, ``(WIDTH,)``, each number in [0, 1].

    Parameters
    ----------
    images : sequence of PIL.Image.Image
        In RGB, at least one.
    """
    seen = [_describe(image) for image in images]
    return np.asarray(np.mean(seen, axis=0), dtype=np.float32)


def _describe(image: Image.Image) -> npt.NDArray[np.float64]:
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small, dtype=np.float64) / 255
    step = _SIDE // CELLS
    cells = pixels.reshape(CELLS, step, CELLS, step, 3).mean(axis=(1, 3))
    across = np.abs(np.diff(pixels, axis=1)).mean()
    down = np.abs(np.diff(pixels, axis=0)).mean()
    contrast = pixels.std(axis=(0, 1)).mean()
    return np.concatenate([cells.ravel(), [across, down, contrast, pixels.mean()]])
