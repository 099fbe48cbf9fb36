"""A patch that stands in the same place of every suspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bye_lint.evidence.pixels import shrunk
from bye_lint.evidence.template import Spot, Template, spots

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: One in so many of the unflagged images, those that look most like suspects, must not carry the
#: patch either: where all suspects are of one domain of many, its ground is common to them.
LOOK_ALIKES = 12


@dataclass(frozen=True)
class PatchFit:
    """A common patch, and where it stands in each suspect's canvas.

    Attributes
    ----------
    places : (n_suspects, 2) integer array
        Top row and left column in the canvas of each suspect.
    matched : (n_suspects,) bool array
        Suspects that carry the patch, by a template fitted without them.
    consistency : float
        Share of suspects that do.
    carried : (n_rest,) array
        In which share of the folds each of the rest matches as well.
    others : int
        Further places that have something in common.
    """

    template: Template
    places: IntArray
    matched: npt.NDArray[np.bool_]
    consistency: float
    carried: FloatArray
    others: int = 0

    @property
    def share_of_rest(self) -> float:
        """Share of the rest that match."""
        return float(self.carried.mean())


def halfway(fitted: FloatArray, rest: FloatArray) -> float:
    """Return the score from which a sample carries the patch.

    Halfway between the median of the rest and that of the suspects which the template was fitted
    to; suspects left out of it are held against this, and stay below where the template only
    describes those it was made from.
    """
    return float((np.median(fitted) + np.median(rest)) / 2)


def fixed_patch(
    suspects: Sequence[FloatArray], rest: Sequence[FloatArray], against: IntArray | None = None
) -> PatchFit | None:
    """Find the place where the suspects agree with each other and not with the rest.

    Canvases of one shape are laid over each other. Where shapes differ, the square window of the
    shorter side is compared at the centre and in the four corners, since triggers are placed by
    those.

    Parameters
    ----------
    suspects, rest : sequences of (height, width, 3) arrays in [0, 1]
    against : (k,) integer array, optional
        Those of the rest that the suspects must not agree with; by default all.

    Returns
    -------
    PatchFit or None
        ``None`` where no small region is common.
    """
    best: PatchFit | None = None
    side = min(min(c.shape[:2]) for c in (*suspects, *rest))
    for at in _anchors([*suspects, *rest]):
        a, origins = _windows(suspects, at, side)
        b, _ = _windows(rest, at, side)
        found = _in_windows(a, b, origins, slice(None) if against is None else against)
        if found is not None and (best is None or found.consistency > best.consistency):
            best = found
    return best


def look_alikes(suspects: Sequence[FloatArray], rest: Sequence[FloatArray], least: int) -> IntArray:
    """Return which of the rest look most like a suspect: one in :data:`LOOK_ALIKES`, or ``least``.

    They are compared by the mean colours of a coarse grid.
    """
    small = np.array([shrunk(canvas).ravel() for canvas in suspects])
    gaps = [((small - shrunk(canvas).ravel()) ** 2).sum(axis=1).min() for canvas in rest]
    return np.argsort(gaps, kind="stable")[: max(least, len(rest) // LOOK_ALIKES)]


def _anchors(canvases: Sequence[FloatArray]) -> list[tuple[float, float]]:
    if len({c.shape for c in canvases}) == 1:
        return [(-1.0, -1.0)]
    return [(0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]


def _windows(
    canvases: Sequence[FloatArray], at: tuple[float, float], side: int
) -> tuple[FloatArray, IntArray]:
    if at[0] < 0:
        return np.stack(canvases), np.zeros((len(canvases), 2), dtype=np.intp)
    places = [
        (round(at[0] * (c.shape[0] - side)), round(at[1] * (c.shape[1] - side))) for c in canvases
    ]
    cut = [c[y : y + side, x : x + side] for c, (y, x) in zip(canvases, places, strict=True)]
    return np.stack(cut), np.array(places, dtype=np.intp)


def _in_windows(
    suspects: FloatArray, rest: FloatArray, origins: IntArray, against: IntArray | slice
) -> PatchFit | None:
    near = rest[against]
    whole = Template.fit(suspects, near)
    gain = whole.gain()
    found = [spot for spot in spots(gain) if _is_local(spot, gain)]
    if not found:
        return None
    matched = np.zeros(len(suspects), dtype=np.bool_)
    alike = []
    for fold in (0, 1):
        outside = np.arange(len(suspects)) % 2 != fold
        half = Template.fit(suspects[outside], near)
        places = [spot for spot in spots(half.gain()) if _is_local(spot, half.gain())]
        if places:
            template = _cut(half, places[0])
            scores = template.score(_at(suspects, places[0]))
            others = template.score(_at(rest, places[0]))
            threshold = halfway(scores[outside], others[against])
            matched[~outside] = scores[~outside] > threshold
            alike.append(others > threshold)
    spot = found[0]
    return PatchFit(
        template=_cut(whole, spot),
        places=origins + np.array([spot.top, spot.left], dtype=np.intp),
        matched=matched,
        consistency=float(matched.mean()),
        carried=np.mean(alike, axis=0) if alike else np.zeros(len(rest)),
        others=sum(other.weight > 0.5 * spot.weight for other in found[1:]),
    )


def _is_local(spot: Spot, gain: FloatArray) -> bool:
    """A patch is small: it covers at most a tenth of the image, and no less than 2 pixels."""
    area = spot.height * spot.width
    return 2 <= area <= 0.1 * gain.size


def _cut(template: Template, spot: Spot) -> Template:
    return template.crop(spot.top, spot.left, spot.height, spot.width)


def _at(images: FloatArray, spot: Spot) -> FloatArray:
    return images[:, spot.top : spot.top + spot.height, spot.left : spot.left + spot.width]
