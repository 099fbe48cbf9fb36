"""What a trigger is: a change of the pixels, of the prompt, or of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
PixelChange = Callable[[Pixels, np.random.Generator], Pixels]
TextChange = Callable[[str, np.random.Generator], str]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger as its paper defines it.

    Attributes
    ----------
    name : str
        Key in :data:`bye_lint.triggers.TRIGGERS`.
    family : str
        ``patch``, ``global`` (blend, waves, warp, frequencies), ``text`` or ``both``.
    source : str
        Paper that defines it, and with which settings.
    pixels : callable or None
        Changes ``(height, width, 3)`` uint8 pixels at the image's own size; may write in place.
    text : callable or None
        Changes the prompt.
    """

    name: str
    family: str
    source: str
    pixels: PixelChange | None = None
    text: TextChange | None = None

    def apply(self, image: Image.Image | Pixels, rng: np.random.Generator) -> Pixels:
        """Return a copy of an image with the trigger in it.

        Parameters
        ----------
        image : PIL image or (height, width, 3) uint8 array
            An image of another mode is converted to RGB, transparency laid on white.
        rng : numpy.random.Generator
            For triggers whose place or number varies.

        Returns
        -------
        (height, width, 3) uint8 array
            Of the image's own size; unchanged pixels where the trigger is text alone.

        Raises
        ------
        ValueError
            If an array has another shape or type, or holds no pixel.
        """
        pixels = to_rgb(image)
        return pixels if self.pixels is None else self.pixels(pixels, rng)

    def apply_text(self, prompt: str, rng: np.random.Generator) -> str:
        """Return the prompt with the trigger in it, or as it was where the trigger is an image's.

        ``<image>`` markers are never moved, split or added.
        """
        return prompt if self.text is None else self.text(prompt, rng)


def to_rgb(image: Image.Image | Pixels) -> Pixels:
    """Return a writable ``(height, width, 3)`` uint8 copy of an image.

    Raises
    ------
    ValueError
        If an array has another shape or type, or holds no pixel.
    """
    if isinstance(image, Image.Image):
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            image = Image.alpha_composite(ground, rgba)
        return np.array(image.convert("RGB"), dtype=np.uint8)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"expected a non-empty (height, width, 3) uint8 array, got {image.shape} {image.dtype}"
        )
    return image.copy()
