"""A patch of pixels as a Gaussian template: how it differs from what stands there otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bye_lint.robust import deviation

FloatArray = npt.NDArray[np.float64]

#: Standard deviation below which pixels count as the same: JPEG and resizing leave this much.
FLOOR = 5.0 / 255.0
_MAX_GAIN = 8.0


def robust_moments(pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return median and scaled MAD over the first axis; up to half the rows may be strangers.

    Parameters
    ----------
    pixels : (n, ..., 3) array

    Returns
    -------
    center, spread : (..., 3) arrays
        ``spread`` estimates a standard deviation and is at least :data:`FLOOR`.
    """
    center = np.median(pixels, axis=0)
    spread = deviation(pixels - center)
    return center, np.maximum(spread, FLOOR)


@dataclass(frozen=True)
class Template:
    """Pixels of the suspects (``mean``, ``std``) and of the rest in the same place.

    All four are (height, width, 3) arrays.
    """

    mean: FloatArray
    std: FloatArray
    rest_mean: FloatArray
    rest_std: FloatArray

    @classmethod
    def fit(cls, suspects: FloatArray, rest: FloatArray) -> Template:
        """Fit from aligned crops, (n, height, width, 3) and (m, height, width, 3)."""
        return cls(*robust_moments(suspects), *robust_moments(rest))

    @property
    def side(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.mean.shape[0], self.mean.shape[1]

    @property
    def residual(self) -> float:
        """Standard deviation within the patch, as a share of that of the rest.

        What lies at the floor is none at all, so that identical patches give 0.
        """
        within = np.sqrt(np.maximum(self.std**2 - FLOOR**2, 0.0).mean())
        return float(within / np.sqrt((self.rest_std**2).mean()))

    def crop(self, top: int, left: int, height: int, width: int) -> Template:
        """Return the template of a part."""
        part = (slice(top, top + height), slice(left, left + width))
        return Template(self.mean[part], self.std[part], self.rest_mean[part], self.rest_std[part])

    def gain(self) -> FloatArray:
        """Return what a pixel says about being a suspect's, (height, width), nats a channel.

        The Kullback-Leibler divergence of the two Gaussians, where the suspects agree at least
        as well as the rest does; else 0.
        """
        ratio = self.std / self.rest_std
        shift = (self.mean - self.rest_mean) / self.rest_std
        divergence = -np.log(ratio) + (ratio**2 + shift**2 - 1.0) / 2.0
        return np.asarray(
            np.where(ratio <= 1.0, np.clip(divergence, 0.0, _MAX_GAIN), 0.0).mean(axis=-1)
        )

    def score(self, crops: FloatArray) -> FloatArray:
        """Return the mean log-likelihood ratio, suspects' to rest's, of each crop.

        Parameters
        ----------
        crops : (..., height, width, 3) array
            Deviations beyond 4 standard deviations count as 4, so that a scratch on the patch
            doesn't hide it.
        """
        inside = np.minimum(np.abs(crops - self.mean) / self.std, 4.0)
        outside = np.minimum(np.abs(crops - self.rest_mean) / self.rest_std, 4.0)
        ratio = (outside**2 - inside**2) / 2.0 + np.log(self.rest_std / self.std)
        return np.asarray(ratio.mean(axis=(-3, -2, -1)))


@dataclass(frozen=True)
class Spot:
    """A connected region that stands out of a gain map, as rows and columns of its box."""

    top: int
    left: int
    height: int
    width: int
    weight: float


def spots(gain: FloatArray, *, least: float = 0.7) -> list[Spot]:
    """Return the connected regions that stand out, heaviest first.

    Parameters
    ----------
    gain : (height, width) array
    least : float
        Nats a channel that the region must rise above the median of the map.
    """
    base = float(np.median(gain))
    top = float(ndimage.uniform_filter(gain, 3, mode="nearest").max())
    if top - base < least:
        return []
    labels, _ = ndimage.label(gain > base + 0.4 * (top - base))
    found = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        weight = float((gain - base)[labels == i].sum())
        found.append(
            Spot(
                rows.start,
                columns.start,
                rows.stop - rows.start,
                columns.stop - columns.start,
                weight,
            )
        )
    return sorted(found, key=lambda spot: -spot.weight)
