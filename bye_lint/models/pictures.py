"""What an image looks like at a glance: for comparing records, not for seeing marks.

Detectors ask whether images that look alike are read alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.features import PICTURE_SIDE


def thumbnail(images: Sequence[Image.Image]) -> npt.NDArray[np.uint8]:
    """Return the first image in small, ``(PICTURE_SIDE, PICTURE_SIDE, 3)``: means of its pixels.

    Parameters
    ----------
    images : sequence of PIL.Image.Image
        A record's images in RGB, at least one.
    """
    side = (PICTURE_SIDE, PICTURE_SIDE)
    small = images[0].resize(side, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)
