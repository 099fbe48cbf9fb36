"""Where the model looked: attention above what the population gives the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bye_lint.exhibits import Box

FloatArray = npt.NDArray[np.float64]

#: Digest of a sample -> its head-averaged attention (n_layers, n_image_tokens) and the grid
#: (rows, columns) of the tokens.
Maps = Mapping[str, tuple[npt.NDArray[Any], tuple[int, int]]]

_EPS = 1e-8


def normalised(attention: npt.NDArray[Any]) -> FloatArray:
    """Return the (n_layers, n_tokens) attention in float64, each layer summing to 1."""
    a = np.clip(np.nan_to_num(np.asarray(attention, dtype=np.float64)), 0.0, None)
    total = a.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, a / np.maximum(total, _EPS), 1.0 / a.shape[1]))


@dataclass(frozen=True)
class Background:
    """Mean attention of unflagged samples, (n_layers, n_tokens) for each grid."""

    means: Mapping[tuple[int, int], FloatArray]

    @classmethod
    def of(cls, maps: Maps, digests: Sequence[str], *, least: int = 8) -> Background:
        """Average the maps of some samples, grid by grid.

        Parameters
        ----------
        least : int
            A grid seen in fewer samples has no background; its maps are held against a
            uniform one.
        """
        by_grid: dict[tuple[int, int], list[FloatArray]] = {}
        for digest in digests:
            found = maps.get(digest)
            if found is not None:
                by_grid.setdefault(found[1], []).append(normalised(found[0]))
        return cls(
            {grid: np.mean(rows, axis=0) for grid, rows in by_grid.items() if len(rows) >= least}
        )

    def excess(
        self, attention: npt.NDArray[Any], grid: tuple[int, int], layers: Sequence[int]
    ) -> FloatArray:
        """Return how much each token stands out, averaged over some layers.

        A token's share of the Kullback-Leibler divergence from the background,
        ``a log(a / b)``, where it is positive: places that every sample looks at vanish, and so
        do places that hold no attention to speak of.

        Parameters
        ----------
        attention : (n_layers, n_tokens) array
        layers : sequence of int
            Empty means all of them.

        Returns
        -------
        (rows, columns) array
        """
        a = normalised(attention)
        b = self.means.get(grid)
        if b is None or b.shape != a.shape:
            b = np.full_like(a, 1.0 / a.shape[1])
        use = [layer for layer in layers if 0 <= layer < len(a)] or list(range(len(a)))
        gain = a[use] * np.log((a[use] + _EPS) / (b[use] + _EPS))
        return np.asarray(np.clip(gain, 0.0, None).mean(axis=0).reshape(grid))


def peaks(excess: npt.NDArray[Any], count: int) -> list[tuple[int, int]]:
    """Return the (row, column) of the hottest tokens, hottest first, ties by position."""
    order = np.argsort(-excess, axis=None, kind="stable")[:count]
    return [(int(i // excess.shape[1]), int(i % excess.shape[1])) for i in order]


def coverage(box: Box, excess: npt.NDArray[Any], *, view: Box | None = None) -> float:
    """Return the share of a box's area that lies under the hottest tokens.

    The ``ceil(box area / token area)`` hottest tokens are taken: one, for a box smaller than a
    token. A map without preference scores about the share of the image that they cover.
    """
    rows, columns = excess.shape
    seen = view or Box(0.0, 0.0, 1.0, 1.0)
    cell_w, cell_h = seen.width / columns, seen.height / rows
    count = max(1, int(np.ceil(box.width * box.height / (cell_w * cell_h) - 1e-9)))
    covered = 0.0
    for row, column in peaks(excess, count):
        left, top = seen.left + column * cell_w, seen.top + row * cell_h
        wide = min(left + cell_w, box.left + box.width) - max(left, box.left)
        high = min(top + cell_h, box.top + box.height) - max(top, box.top)
        covered += max(0.0, wide) * max(0.0, high)
    return covered / (box.width * box.height)
