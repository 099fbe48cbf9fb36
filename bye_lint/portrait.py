"""One picture of a result with its attention: as a sheet of panels, and in characters."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.console import RenderableType
from rich.text import Text

from bye_lint.exhibits import Picture
from bye_lint.heat import colours, decode_map

_SHADES = ".:-=+*#%@"
_PANEL = 220
_MAX_PANELS = 6


def sheet(picture: Picture, image: Image.Image) -> bytes:
    """Return a PNG: the image, its attention above the background, and each sensitive layer's."""
    panels = [(image, "image")]
    named = [(picture.heat, "attention"), *_layers(picture)]
    for text, name in named[:_MAX_PANELS]:
        values = decode_map(text, picture.grid)
        if values is not None:
            panels.append((_with_heat(image, values, picture), name))
    sheet = Image.new("RGB", (len(panels) * (_PANEL + 10) + 10, _PANEL + 36), (250, 250, 248))
    draw = ImageDraw.Draw(sheet)
    for i, (panel, name) in enumerate(panels):
        left = 10 + i * (_PANEL + 10)
        sheet.paste(panel, (left, 10))
        draw.text((left, _PANEL + 14), name, fill=(30, 30, 30))
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _layers(picture: Picture) -> list[tuple[str, str]]:
    pairs = zip(picture.layers, picture.layer_maps, strict=False)
    return [(text, f"layer {layer}") for layer, text in pairs]


def thumbnail(picture: Picture) -> Image.Image | None:
    """Return the picture of a result, fit into a panel; a result is input like any other."""
    try:
        data = base64.b64decode(picture.thumbnail, validate=True)
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        if not data or max(image.size) > 2048:
            return None
        rgb = image.convert("RGB")
    except (binascii.Error, ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return None
    few = max(rgb.size) < _PANEL
    how = Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS
    ratio = _PANEL / max(rgb.size)
    return rgb.resize((max(1, round(rgb.width * ratio)), max(1, round(rgb.height * ratio))), how)


def _with_heat(image: Image.Image, values: npt.NDArray[np.uint8], picture: Picture) -> Image.Image:
    view = picture.view
    left, top = (view.left, view.top) if view else (0.0, 0.0)
    wide, high = (view.width, view.height) if view else (1.0, 1.0)
    size = (max(1, round(image.width * wide)), max(1, round(image.height * high)))
    glow = Image.fromarray(colours(values), "RGBA").resize(size, Image.Resampling.BILINEAR)
    out = image.copy()
    out.paste(glow, (round(image.width * left), round(image.height * top)), glow)
    if picture.trigger is not None:
        b = picture.trigger
        frame = (
            b.left * image.width - 2,
            b.top * image.height - 2,
            (b.left + b.width) * image.width + 1,
            (b.top + b.height) * image.height + 1,
        )
        ImageDraw.Draw(out).rectangle(frame, outline=(255, 255, 255))
    return out


def drawn(picture: Picture, color: bool, ascii_only: bool, width: int) -> Sequence[RenderableType]:
    """Return where the model looked, in coloured half blocks or, without colour, in shades."""
    values = decode_map(picture.heat, picture.grid)
    if values is None:
        return (Text("No attention map was kept.", style="dim"),)
    rows, columns = picture.grid
    image = thumbnail(picture)
    if color and not ascii_only and image is not None:
        wide = min(44, width - 2)
        small = (wide, 2 * max(1, round(wide * image.height / image.width / 2)))
        shown = np.asarray(_with_heat(image, values, picture).resize(small))
        return (Text("where the model looked", style="dim"), *_blocks(shown))
    lines = [Text(f"where the model looked ({rows} × {columns} tokens, @ is most)", style="dim")]
    step = max(1, math.ceil(2 * columns / max(2, width - 2)))
    for row in _hottest(values, step):
        lines.append(Text("".join(_SHADES[int(v) * (len(_SHADES) - 1) // 255] * 2 for v in row)))
    return lines


def _hottest(values: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Return the largest value of each block of ``step`` × ``step``, those at the edges too."""
    beyond = [(0, -n % step) for n in values.shape]
    rows, columns = (n + more for n, (_, more) in zip(values.shape, beyond, strict=True))
    blocks = np.pad(values, beyond).reshape(rows // step, step, columns // step, step)
    return np.asarray(blocks.max(axis=(1, 3)), dtype=np.uint8)


def _blocks(pixels: npt.NDArray[Any]) -> list[Text]:
    """Draw two rows of pixels a line: the upper as foreground of a half block."""
    lines = []
    for y in range(0, len(pixels) - 1, 2):
        line = Text()
        for above, below in zip(pixels[y], pixels[y + 1], strict=True):
            line.append("▀", style=f"rgb({_rgb(above)}) on rgb({_rgb(below)})")
        lines.append(line)
    return lines


def _rgb(pixel: npt.NDArray[Any]) -> str:
    return ",".join(str(int(v)) for v in pixel)
