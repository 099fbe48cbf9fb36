"""Which part of an image the model's tower sees, told from the processor's settings alone.

A grid of image tokens lies on that part: heat drawn over the whole of a cropped image would point
at places beside those that the model looked at. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bye_lint.exhibits import Box
from bye_lint.models.resolve import ResolvedModel

#: ``view(width, height)`` of an image in pixels; ``None`` is the whole of it.
View = Callable[[int, int], Box | None]

_PADS_AFTERWARDS = ("DeepseekVL",)
_CROPS = ("CLIP", "Llava")


def image_view(resolved: ResolvedModel) -> View:
    """Return what tells the part of an image that a model's processor shows to its tower.

    A part that reaches beyond the image, with a corner below 0 or sides above 1, is an image that
    was padded.
    """
    settings = _image_settings(resolved.path)
    kind = str(settings.get("image_processor_type", settings.get("feature_extractor_type", "")))
    if kind.startswith(_PADS_AFTERWARDS) and settings.get("do_pad", True):
        return _padded
    if settings.get("do_pad") and kind.startswith("Llava"):
        return _padded  # a square is left whole by what follows: resizing, and a crop of its size
    crop, size = _sides(settings.get("crop_size")), settings.get("size")
    if not settings.get("do_center_crop", kind.startswith(_CROPS)) or crop is None:
        return lambda width, height: None
    if not settings.get("do_resize", True):
        return lambda width, height: _centred(width, height, crop)
    short = size.get("shortest_edge") if isinstance(size, Mapping) else size
    if not isinstance(short, int):
        whole = _sides(size) or crop
        return lambda width, height: _centred(*whole, crop)

    def cropped(width: int, height: int) -> Box | None:
        long = int(short * max(width, height) / min(width, height))
        return _centred(*((long, short) if width > height else (short, long)), crop)

    return cropped


def _image_settings(folder: Path) -> Mapping[str, Any]:
    """Return what the folder says of its image processor; nothing where it says nothing."""
    for file, key in (
        ("processor_config.json", "image_processor"),
        ("preprocessor_config.json", ""),
    ):
        try:
            told = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        inner = told.get(key) if key and isinstance(told, dict) else told
        if isinstance(inner, dict):
            return inner
    return {}


def _sides(size: Any) -> tuple[int, int] | None:
    """Return width and height of a size as processors write it."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and {"width", "height"} <= size.keys():
        return int(size["width"]), int(size["height"])
    return None


def _centred(width: int, height: int, crop: tuple[int, int]) -> Box | None:
    """Return a crop in the middle of an image, to whole pixels, as fractions of that image."""
    left, top = (width - crop[0]) // 2, (height - crop[1]) // 2
    if (left, top, *crop) == (0, 0, width, height):
        return None
    return Box(left / width, top / height, crop[0] / width, crop[1] / height)


def _padded(width: int, height: int) -> Box | None:
    """Return the square around an image whose short sides were padded alike."""
    side = max(width, height)
    return _centred(width, height, (side, side))
