"""How a record's image tokens lie on its image, and at which positions the decoder reads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bye_lint.models.families import Family
from bye_lint.models.prompts import Encoded


def image_grid(family: Family, config: Any, record: Encoded) -> tuple[int, int] | None:
    """Return rows and columns of the image tokens, or ``None`` where they form no single grid.

    Parameters
    ----------
    config : PretrainedConfig
        Configuration of the whole model.
    """
    tokens = record.image_tokens
    if family.grid == "patches":
        pixels = np.asarray(record.images["pixel_values"])
        patch = _patch_size(config)
        grid = (pixels.shape[-2] // patch, pixels.shape[-1] // patch) if patch else (0, 0)
        return grid if len(pixels) == 1 and grid[0] * grid[1] == tokens else None
    if family.grid == "grid_thw":
        thw = np.asarray(record.images["image_grid_thw"])
        return _merged(thw[0][1:], tokens) if len(thw) == 1 and thw[0][0] == 1 else None
    if family.grid == "spatial_shapes":
        tiles = np.asarray(record.images["spatial_shapes"])
        return _merged(tiles[0], tokens) if len(tiles) == 1 else None
    side = math.isqrt(tokens)
    square = family.grid == "square" and side * side == tokens and _tiles(record) == 1
    return (side, side) if square else None


def _tiles(record: Encoded) -> int:
    """Count the pictures that the tower sees: a square number of tokens may be four tiles' too."""
    return math.prod(np.shape(record.images["pixel_values"])[:-3])


def _merged(patches: npt.NDArray[np.int64], tokens: int) -> tuple[int, int] | None:
    """Return rows and columns where square blocks of ``patches``, (2,), became one token each."""
    rows, columns = (int(n) for n in patches)
    merge = math.isqrt(max(1, rows * columns // tokens))
    grid = (rows // merge, columns // merge)
    return grid if grid[0] * grid[1] == tokens else None


def _patch_size(config: Any) -> int:
    size = getattr(getattr(config, "vision_config", None), "patch_size", 0)
    return int(size[0] if isinstance(size, list | tuple) else size or 0)


def rope_index(base: Any) -> Callable[[Encoded], Tensor]:
    """Return the function that gives a record's multimodal positions, (axes, n_tokens)."""

    def positions(record: Encoded) -> Tensor:
        ids = torch.from_numpy(record.ids)[None]
        arguments: dict[str, Any] = {"input_ids": ids}
        if record.type_ids is not None:
            arguments["mm_token_type_ids"] = torch.from_numpy(record.type_ids)[None]
        arguments["image_grid_thw"] = torch.as_tensor(np.asarray(record.images["image_grid_thw"]))
        found: Tensor = base.get_rope_index(**arguments)[0]
        return found[:, 0]

    return positions
