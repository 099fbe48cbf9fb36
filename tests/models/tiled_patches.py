"""LFM2-VL's image processor without torchvision: patches of one resized image, or tiles of it.

The arithmetic is that of transformers' ``Lfm2VlImageProcessor``; images are resized by PIL.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import transformers as hf
from transformers.image_utils import SizeDict


class TiledPatchesKwargs(hf.Siglip2ImageProcessorPil.valid_kwargs, total=False):
    """Settings that the family's processor, or a folder, may give."""

    encoder_patch_size: int
    downsample_factor: int
    min_image_tokens: int
    max_image_tokens: int
    max_pixels_tolerance: float
    tile_size: int
    min_tiles: int
    max_tiles: int
    use_thumbnail: bool
    return_row_col_info: bool


class TiledPatchesImageProcessor(hf.Siglip2ImageProcessorPil):
    """Gives ``pixel_values`` (tiles, patches, values), their mask, and ``spatial_shapes``."""

    valid_kwargs = TiledPatchesKwargs
    encoder_patch_size = 16
    downsample_factor = 2
    min_image_tokens = 64
    max_image_tokens = 256
    max_pixels_tolerance = 2.0
    tile_size = 512
    min_tiles = 2
    max_tiles = 10
    use_thumbnail = True
    return_row_col_info = False

    def _preprocess(
        self, images: list[np.ndarray], *, return_tensors: Any = None, **settings: Any
    ) -> hf.BatchFeature:
        tiles, rows, columns, sizes = [], [], [], []
        for image in images:
            size = self._whole_size(*image.shape[-2:])
            grid = self._grid(*image.shape[-2:])
            cut = self._cut(image, grid, settings["resample"]) if grid != (1, 1) else []
            if not cut or self.use_thumbnail:
                cut.append(self._resized(image, size, settings["resample"]))
            tiles += cut
            rows.append(grid[0])
            columns.append(grid[1])
            sizes.append(list(size))
        side = self.encoder_patch_size
        # Siglip2's cuts an image into patches and pads them; every tile has its size already.
        settings = {**settings, "do_resize": False, "patch_size": side}
        settings["max_num_patches"] = max(
            self.max_image_tokens * self.downsample_factor**2, (self.tile_size // side) ** 2
        )
        told = settings.pop("return_row_col_info", False)
        output = super()._preprocess(tiles, return_tensors=return_tensors, **settings)
        if told:
            output.update({"image_rows": rows, "image_cols": columns, "image_sizes": sizes})
        return output

    def _resized(self, image: np.ndarray, size: tuple[int, int], resample: Any) -> np.ndarray:
        return self.resize(image, SizeDict(height=size[0], width=size[1]), resample=resample)

    def _whole_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the whole image: its tokens within bounds, its shape kept."""
        unit = self.encoder_patch_size * self.downsample_factor
        least, most = self.min_image_tokens * unit**2, self.max_image_tokens * unit**2
        size = [max(unit, round(n / unit) * unit) for n in (height, width)]
        if size[0] * size[1] > most:
            scale = math.sqrt(height * width / most)
            size = [max(unit, math.floor(n / scale / unit) * unit) for n in (height, width)]
        elif size[0] * size[1] < least:
            scale = math.sqrt(least / (height * width))
            size = [math.ceil(n * scale / unit) * unit for n in (height, width)]
        return size[0], size[1]

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of tiles; (1, 1) for an image that stays whole."""
        patch = self.encoder_patch_size
        unit = patch * self.downsample_factor
        rounded = [max(patch, round(n / unit) * unit) for n in (height, width)]
        allowed = self.max_image_tokens * unit**2 * self.max_pixels_tolerance
        if rounded[0] * rounded[1] <= allowed:
            return 1, 1
        numbers = range(1, self.max_tiles + 1)
        grids = [(r, c) for c in numbers for r in numbers]
        grids = [g for g in grids if self.min_tiles <= g[0] * g[1] <= self.max_tiles]
        best, least = (1, 1), math.inf
        for grid in sorted(grids, key=lambda g: g[0] * g[1]):
            off = abs(width / height - grid[1] / grid[0])
            fills = 2 * height * width > self.tile_size**2 * grid[0] * grid[1]
            if off < least or (off == least and fills):
                best, least = grid, off
        return best

    def _cut(self, image: np.ndarray, grid: tuple[int, int], resample: Any) -> list[np.ndarray]:
        side = self.tile_size
        whole = self._resized(image, (grid[0] * side, grid[1] * side), resample)
        places = [(r * side, c * side) for r in range(grid[0]) for c in range(grid[1])]
        return [whole[:, top : top + side, left : left + side] for top, left in places]
