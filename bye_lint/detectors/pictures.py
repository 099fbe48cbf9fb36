"""What is usual for a picture: a kind of image is a population of its own, and no poison.

The lakes of a satellite set are read unlike its cities, and where one question is asked of all they
share an answer too: to attention and answers they look like a backdoor. Two things tell a kind of
picture from a trigger. Its images look alike, where a trigger is put into images of every kind; and
images that look like them are read like them, too.

A trigger that lies over the whole image makes images look alike. It is the same pattern at the same
place in all of them; where a kind of picture shares that much, neither answer is safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.metrics import roc_auc_score

from bye_lint.detectors.discriminant import set_apart
from bye_lint.detectors.neighbours import NEIGHBOURS, largest
from bye_lint.detectors.population import separation
from bye_lint.features import BoolArray, FloatArray, IntArray, PixelArray

#: A group that pictures tell no better than this is no kind of picture.
MOST_TOLD = 0.8
#: One that they tell must stand this far apart once its pictures' neighbours are taken into
#: account: the published threshold of the separation index.
LEAST_SEPARATION = 2.0
#: Fine detail that a group shares at the same place: agreement of its halves, and strength beside
#: the detail of one image. Blending at 0.2 gives 0.98 and 0.8, fields and lakes 0.7 and 0.04.
LEAST_AGREEMENT = 0.9
LEAST_STRENGTH = 0.25

_CHUNK = 512
_FEWEST = 5
_CELLS = 8
_SMOOTH = 3

Kind = Literal["none", "picture", "pattern"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Thumbnails of some samples, compared with one another once however often that is asked.

    Attributes
    ----------
    pixels : (n_samples, side, side, 3) uint8 array
    part_of : (Pictures, rows) or None
        Those that these were taken from, and which.
    """

    pixels: PixelArray
    part_of: tuple[Pictures, IntArray | BoolArray] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, rows: IntArray | BoolArray) -> Pictures:
        """Return the pictures of some samples, to be compared among themselves."""
        if np.array_equal(np.arange(len(self))[rows], np.arange(len(self))):
            return self
        return Pictures(self.pixels[rows], (self, rows))

    @cached_property
    def same(self) -> IntArray:
        """(n_samples,) numbers, equal where images are."""
        if self.part_of is not None:
            whole, rows = self.part_of
            return whole.same[rows]
        number: dict[bytes, int] = {}
        images = [number.setdefault(image.tobytes(), len(number)) for image in self.pixels]
        return np.array(images, dtype=np.intp)

    def nearest(self, k: int = NEIGHBOURS) -> IntArray:
        """Return the samples whose images look most like each sample's.

        They are compared by the mean colours of a coarse grid, and by detail across and down,
        contrast and brightness, which count as much as all of the grid.

        Parameters
        ----------
        k : int
            At most :data:`.neighbours.NEIGHBOURS`.

        Returns
        -------
        (n_samples, min(k, n_samples - 1)) integer array
            The same image is not one's neighbour: a poisoned picture that occurs
            many times would explain itself.
        """
        columns, likeness = self._nearest
        k = min(k, columns.shape[1])
        if k == columns.shape[1]:
            return columns
        # Of the nearest forty the nearest ten are the nearest ten of all, equals too.
        return np.take_along_axis(columns, largest(likeness, k), axis=1)

    @cached_property
    def _nearest(self) -> tuple[IntArray, FloatArray]:
        """Return the nearest samples, in their own order, and how near they are."""
        n = len(self)
        x = self._glance()
        same = self.same
        length = (x**2).sum(axis=1)
        k = min(NEIGHBOURS, n - 1)
        nearest = np.empty((n, k), dtype=np.intp)
        likeness = np.empty((n, k))
        for start in range(0, n, _CHUNK):
            part = slice(start, start + _CHUNK)
            apart = length[part, None] + length[None, :] - 2 * x[part] @ x.T
            apart[same[part, None] == same[None, :]] = np.inf
            nearest[part] = largest(-apart, k)
            likeness[part] = -np.take_along_axis(apart, nearest[part], axis=1)
        return nearest, likeness

    def _glance(self) -> FloatArray:
        """Return (n_samples, width) numbers whose Euclidean distance says how alike images look."""
        # Scaled by what is usual among these, so that a part is not compared as the whole is.
        scaled = [
            (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-6) / np.sqrt(part.shape[1])
            for part in self._seen
        ]
        return np.concatenate(scaled, axis=1)

    @cached_property
    def _seen(self) -> tuple[FloatArray, FloatArray]:
        """(n_samples, cells) colours, and (n_samples, 4) numbers of each image as a whole."""
        if self.part_of is not None:
            whole_set, rows = self.part_of
            return whole_set._seen[0][rows], whole_set._seen[1][rows]
        side = self.pixels.shape[1]
        step = side // _CELLS
        cells, whole = [], []
        for start in range(0, len(self), _CHUNK):
            x = self.pixels[start : start + _CHUNK] / np.float64(255)
            cells.append(x.reshape(len(x), _CELLS, step, _CELLS, step, 3).mean(axis=(2, 4)))
            across = np.abs(np.diff(x, axis=2)).mean(axis=(1, 2, 3))
            down = np.abs(np.diff(x, axis=1)).mean(axis=(1, 2, 3))
            contrast = x.std(axis=(1, 2)).mean(axis=1)
            whole.append(np.stack([across, down, contrast, x.mean(axis=(1, 2, 3))], axis=1))
        return np.concatenate(cells).reshape(len(self), -1), np.concatenate(whole)


@dataclass(frozen=True)
class Looks:
    """What the pictures say of a group.

    Attributes
    ----------
    kind : str
        ``none``: its pictures do not explain it; ``picture``: it is a kind of picture;
        ``pattern``: it could be that, or a trigger over the whole image.
    auc_picture : float
        AUC of the group from its pictures alone.
    separation : float
        Separation index of the group once its pictures' neighbours are taken into account.
    """

    kind: Kind
    auc_picture: float
    separation: float


def looks(
    Z: FloatArray,
    group: BoolArray,
    pictures: Pictures | None,
    *,
    closely: bool = False,
    seed: int,
) -> Looks:
    """Say whether pictures explain why a group is read unlike the rest.

    Parameters
    ----------
    Z : (n_samples, n_columns) array
        Attention given the question.
    group : (n_samples,) bool array
    pictures : Pictures or None
        Without them nothing is explained.
    closely : bool
        Pictures explain the group only if they tell it from those that look like its members', too:
        one of a single domain is told from the others by what the domain looks like.
    seed : int
        Of the folds.
    """
    if pictures is None or min(int(group.sum()), int((~group).sum())) < _FEWEST:
        return Looks("none", 0.5, float("inf"))
    nearest = pictures.nearest(_neighbours(group))
    told = told_by_picture(group, nearest)
    # Only the neighbours' median is taken off: poison among them widens their spread.
    usual = np.stack([np.median(column[nearest], axis=1) for column in Z.T], axis=1)
    score, _ = set_apart(Z - usual, group, ~group, seed=seed)
    apart = separation(score, group)
    kind: Kind = "none"
    if told > MOST_TOLD and apart < LEAST_SEPARATION:
        agreement, strength = shared_pattern(pictures.pixels, group, seed=seed)
        same = agreement >= LEAST_AGREEMENT and strength >= LEAST_STRENGTH
        kind = "pattern" if same else "picture"
    if kind == "picture" and closely and _told_closely(group, pictures, nearest) <= MOST_TOLD:
        kind = "none"
    return Looks(kind, told, apart)


def _neighbours(group: BoolArray) -> int:
    """A kind of ten has no forty of its own: the median would be that of other kinds."""
    return max(_FEWEST, min(NEIGHBOURS, int(group.sum()) // 2))


def _told_closely(group: BoolArray, pictures: Pictures, nearest: IntArray) -> float:
    """Return how well pictures tell a group from those that look like its members' (AUC)."""
    near = group.copy()
    near[nearest[group]] = True
    if near.sum() - group.sum() < _FEWEST:
        return 1.0
    return told_by_picture(group[near], pictures.select(near).nearest(_neighbours(group)))


def told_by_picture(member: BoolArray, nearest: IntArray) -> float:
    """Return how well pictures alone tell the members of a group (AUC; 0.5 is not at all).

    Parameters
    ----------
    member : (n_samples,) bool array
        Of both sorts there is at least one.
    nearest : (n_samples, k) integer array
        From :meth:`Pictures.nearest`.
    """
    return float(roc_auc_score(member, member[nearest].mean(axis=1)))


def shared_pattern(pictures: PixelArray, group: BoolArray, *, seed: int) -> tuple[float, float]:
    """Return how far a group shares fine detail at the same place.

    Returns
    -------
    agreement : float
        Correlation of the mean detail of two random halves of the group, the rest's taken off.
    strength : float
        Root mean square of what the halves share, over that of one of the rest's images.
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(group))
    usual, single = _mean_detail(pictures, np.flatnonzero(~group))
    first, second = (_mean_detail(pictures, half)[0] - usual for half in (order[::2], order[1::2]))
    size = float(np.sqrt((first**2).mean() * (second**2).mean()))
    both = float((first * second).mean())
    if size <= 0 or single <= 0:
        return 0.0, 0.0
    return both / size, float(np.sqrt(max(both, 0.0) / single))


def _mean_detail(pictures: PixelArray, rows: IntArray) -> tuple[FloatArray, float]:
    """Return what blurring takes away, averaged over some images, and its mean square."""
    total, squares = np.zeros(pictures.shape[1:]), 0.0
    for start in range(0, len(rows), _CHUNK):
        x = pictures[rows[start : start + _CHUNK]].astype(np.float64)
        detail = x - uniform_filter(x, size=(1, _SMOOTH, _SMOOTH, 1))
        total += detail.sum(axis=0)
        squares += float((detail**2).sum())
    return total / len(rows), squares / (len(rows) * total.size)
