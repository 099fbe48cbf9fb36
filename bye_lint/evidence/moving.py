"""A patch that stands anywhere: found where attention peaks, aligned by its own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from bye_lint.evidence.fixed import PatchFit, halfway
from bye_lint.evidence.maps import peaks
from bye_lint.evidence.template import FLOOR, Template, spots
from bye_lint.exhibits import Box

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_PEAKS = 3
_SEED_IMAGES = 6
_SEARCH_SUSPECTS = 24
_SEARCH_REST = 40
_ROUNDS = 4


@dataclass(frozen=True)
class Looked:
    """An image with the places that the model looked at.

    Attributes
    ----------
    canvas : (height, width, 3) array in [0, 1]
    excess : (rows, columns) array
    view : Box
        Part of the image that the grid covers.
    """

    canvas: FloatArray
    excess: FloatArray
    view: Box

    def areas(self, side: tuple[int, int], count: int = _PEAKS) -> tuple[FloatArray, IntArray]:
        """Return where a patch of ``side`` may lie that touches one of the hottest tokens.

        Returns
        -------
        areas : (count, height, width, 3) array
        origins : (count, 2) array
            Top row and left column of each area.
        """
        tall, wide = self.canvas.shape[:2]
        rows, columns = self.excess.shape
        cell = np.array([tall * self.view.height / rows, wide * self.view.width / columns])
        start = np.array([tall * self.view.top, wide * self.view.left])
        size = np.minimum(np.ceil(cell).astype(int) + 2 * (np.array(side) - 1), (tall, wide))
        origins = []
        for place in peaks(self.excess, count):
            corner = start + cell * (np.array(place) + 0.5) - size / 2
            origins.append(np.clip(np.rint(corner), 0, np.array([tall, wide]) - size))
        at = np.array(origins, dtype=np.intp)
        cut = [self.canvas[y : y + size[0], x : x + size[1]] for y, x in at]
        return np.stack(cut), at

    def reduced(self, factor: int) -> Looked:
        """Return the same with the canvas averaged over ``factor`` × ``factor`` pixels."""
        if factor == 1:
            return self
        tall, wide = (n // factor for n in self.canvas.shape[:2])
        blocks = self.canvas[: tall * factor, : wide * factor]
        small = blocks.reshape(tall, factor, wide, factor, 3).mean(axis=(1, 3))
        return replace(self, canvas=small)


def moving_patch(suspects: Sequence[Looked], rest: Sequence[Looked]) -> PatchFit | None:
    """Find one small picture that most suspects hold near a peak of attention and the rest doesn't.

    Two halves of the suspects are searched by themselves; each half's template is put to the
    other half. The better one is then fitted to all.

    Returns
    -------
    PatchFit or None
        ``None`` where neither half has a picture in common.
    """
    matched = np.zeros(len(suspects), dtype=np.bool_)
    best: tuple[float, Template] | None = None
    alike = []
    for fold in (0, 1):
        here = [s for i, s in enumerate(suspects) if i % 2 != fold]
        there = np.array([i for i in range(len(suspects)) if i % 2 == fold], dtype=np.intp)
        template = _search(here, rest)
        if template is None:
            continue
        others = _match(template, rest)[0]
        threshold = halfway(_match(template, here)[0], others)
        matched[there] = _match(template, [suspects[i] for i in there])[0] > threshold
        alike.append(others > threshold)
        share = float(matched[there].mean())
        if best is None or share > best[0]:
            best = (share, template)
    if best is None or not best[0]:
        return None
    template, places = _refine(best[1], suspects, rest, rounds=2)
    return PatchFit(template, places, matched, float(matched.mean()), np.mean(alike, axis=0))


def _match(template: Template, images: Sequence[Looked]) -> tuple[FloatArray, IntArray]:
    """Return each image's best score over its areas, and its place (top, left)."""
    side = template.side
    scores = np.empty(len(images))
    places = np.zeros((len(images), 2), dtype=np.intp)
    for i, image in enumerate(images):
        areas, origins = image.areas(side)
        if areas.shape[1] < side[0] or areas.shape[2] < side[1]:
            scores[i] = -np.inf
            continue
        windows = sliding_window_view(areas, side, axis=(1, 2))  # (k, y, x, 3, h, w)
        found = template.score(np.moveaxis(windows, 3, -1))
        k, y, x = np.unravel_index(int(np.argmax(found)), found.shape)
        scores[i] = found[k, y, x]
        places[i] = origins[k] + (y, x)
    return scores, places


def _cut(image: Looked, place: IntArray, side: tuple[int, int]) -> FloatArray:
    """Cut out of an image whose border is repeated outwards."""
    y = np.clip(np.arange(place[0], place[0] + side[0]), 0, image.canvas.shape[0] - 1)
    x = np.clip(np.arange(place[1], place[1] + side[1]), 0, image.canvas.shape[1] - 1)
    return np.asarray(image.canvas[np.ix_(y, x)])


def _refine(
    template: Template, suspects: Sequence[Looked], rest: Sequence[Looked], *, rounds: int
) -> tuple[Template, IntArray]:
    """Match, look at what the matches have in common around them, match again."""
    places = _match(template, suspects)[1]
    for _ in range(rounds):
        height, width = template.side
        margin = max(2, min(height, width) // 2)
        wide = (height + 2 * margin, width + 2 * margin)
        aligned = np.stack(
            [_cut(s, p - margin, wide) for s, p in zip(suspects, places, strict=True)]
        )
        around = Template.fit(aligned, _population(rest, wide))
        found = spots(around.gain())
        if not found:
            break
        spot = found[0]
        template = around.crop(spot.top, spot.left, spot.height, spot.width)
        moved = _match(template, suspects)[1]
        if np.array_equal(moved, places) and (spot.top, spot.left) == (margin, margin):
            break
        places = moved
    return template, places


def _population(rest: Sequence[Looked], side: tuple[int, int]) -> FloatArray:
    """Cut crops around the peaks of the rest."""
    crops = []
    for image in rest:
        tall, wide = image.canvas.shape[:2]
        rows, columns = image.excess.shape
        for row, column in peaks(image.excess, _PEAKS):
            y = tall * (image.view.top + image.view.height * (row + 0.5) / rows) - side[0] / 2
            x = wide * (image.view.left + image.view.width * (column + 0.5) / columns) - side[1] / 2
            crops.append(_cut(image, np.array([round(y), round(x)], dtype=np.intp), side))
    return np.stack(crops)


def _search(suspects: Sequence[Looked], rest: Sequence[Looked]) -> Template | None:
    """Try small windows of some suspects as the patch, at every size; return the best, refined."""
    shortest = min(min(s.canvas.shape[:2]) for s in suspects)
    best: tuple[float, Template, int] | None = None
    for factor, side in _ladder(shortest):
        a = [s.reduced(factor) for s in suspects[:_SEARCH_SUSPECTS]]
        b = [s.reduced(factor) for s in rest[:_SEARCH_REST]]
        found = _best_seed(a, b, side)
        if found is None:
            continue
        worth = found[0] * factor**2
        if best is None or worth > best[0]:
            best = (worth, found[1], factor)
    if best is None:
        return None
    _, template, factor = best
    if factor > 1:
        template = _enlarge(template, factor, suspects, rest)
    return _refine(template, suspects, rest, rounds=_ROUNDS)[0]


def _ladder(shortest: int) -> list[tuple[int, int]]:
    """Return (reduction, side) pairs that cover patches up to a sixth of the shorter side."""
    steps = [(1, side) for side in (2, 3, 4, 5, 6, 7, 8)]
    steps += [(factor, side) for factor in (2, 4) for side in (5, 6, 7, 8)]
    return [(f, side) for f, side in steps if f * side <= max(4, shortest / 6)]


def _flat_windows(image: Looked, side: int) -> npt.NDArray[np.float32] | None:
    areas, _ = image.areas((side, side), 2)
    if min(areas.shape[1:3]) < side:
        return None
    windows = sliding_window_view(areas, (side, side), axis=(1, 2))
    return np.ascontiguousarray(windows, dtype=np.float32).reshape(-1, 3 * side * side)


def _best_seed(
    suspects: Sequence[Looked], rest: Sequence[Looked], side: int
) -> tuple[float, Template] | None:
    """Return the window that recurs most in the suspects and least in the rest.

    Its worth is the number of its pixels times the log ratio of two mean squared differences:
    the one that a tenth of the rest goes below, and the one that two fifths of the suspects do.
    A window that reaches beyond the patch differs more, one that lies within it has fewer
    pixels; both are worth less.
    """
    of_suspects = [w for s in suspects if (w := _flat_windows(s, side)) is not None]
    of_rest = [w for s in rest if (w := _flat_windows(s, side)) is not None]
    if len(of_suspects) < 3 or len(of_rest) < 3:
        return None
    seeds = np.concatenate([w[: len(w) // 2] for w in of_suspects[:_SEED_IMAGES]])
    stride = max(1, len(seeds) // 300)
    seeds = seeds[::stride]
    near = np.quantile(_nearest(seeds, of_suspects), 0.4, axis=0)
    far = np.quantile(_nearest(seeds, of_rest), 0.1, axis=0)
    worth = side**2 * np.log((far + FLOOR**2) / (near + FLOOR**2))
    i = int(np.argmax(worth))
    if worth[i] <= 0:
        return None
    # (3, side, side) is how sliding_window_view lays a window out
    mean = seeds[i].astype(np.float64).reshape(3, side, side).transpose(1, 2, 0)
    flat = np.full_like(mean, np.sqrt(max(float(near[i]), FLOOR**2)))
    middle = np.concatenate(of_rest).astype(np.float64)
    return float(worth[i]), Template(
        mean, flat, np.full_like(mean, middle.mean()), np.full_like(mean, middle.std() + FLOOR)
    )


def _nearest(
    seeds: npt.NDArray[np.float32], images: Sequence[npt.NDArray[np.float32]]
) -> FloatArray:
    """Return the mean squared difference of each seed to its nearest window of each image.

    Returns
    -------
    (n_images, n_seeds) array
    """
    own = (seeds**2).sum(axis=1)
    rows = []
    for windows in images:
        cross = windows @ seeds.T
        gap = (windows**2).sum(axis=1)[:, None] - 2 * cross
        rows.append(np.maximum(gap.min(axis=0) + own, 0.0) / seeds.shape[1])
    return np.asarray(rows, dtype=np.float64)


def _enlarge(
    template: Template, factor: int, suspects: Sequence[Looked], rest: Sequence[Looked]
) -> Template:
    """Fit the template again at full size, at the places found in the reduced canvases."""
    small = [s.reduced(factor) for s in suspects]
    places = _match(template, small)[1] * factor
    side = (template.side[0] * factor, template.side[1] * factor)
    aligned = np.stack([_cut(s, p, side) for s, p in zip(suspects, places, strict=True)])
    return Template.fit(aligned, _population(rest, side))
