"""What it costs to decode an image, where its size does not say it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

#: Most scans of a JPEG. Encoders write about ten, and each one is decoded over the whole picture.
MOST_SCANS = 100

_MARKER = re.compile(rb"\xff([^\x00\xff])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
#: Markers that no length follows: TEM, restarts and the start of the image.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SHORT, _LONG, _LONG8 = 3, 4, 16


def has_too_many_scans(data: bytes) -> bool:
    """Tell whether a JPEG has more than :data:`MOST_SCANS` scans.

    Segments are stepped over by their lengths, since a thumbnail in one has scans of its own. In
    what a scan holds, no marker is anything but one.
    """
    if data.count(b"\xff\xda") <= MOST_SCANS:  # of whatever they are part: nearly always
        return False
    scans, place = 0, 2
    while scans <= MOST_SCANS and (found := _MARKER.search(data, place)):
        marker, place = found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            break
        if marker in _ALONE:
            continue
        scans += marker == _START_OF_SCAN
        place += int.from_bytes(data[place : place + 2], "big")
    return scans > MOST_SCANS


def tiled_pixels(stream: BinaryIO, width: int, height: int) -> int:
    """Return the pixels that are decoded of a TIFF in tiles: those of one, or half those of all.

    A tile is decoded whole, however little of it the image shows. Half of all are as many as the
    image has, in tiles that are twice too large for it. Of a size that is given twice the larger
    one holds, since readers differ in which they take. Without tiles it is 0.

    Raises
    ------
    ValueError
        If the size of a tile is not given as a number.
    """
    sizes = {_TILE_WIDTH: 0, _TILE_HEIGHT: 0}
    for tag, value in _entries(stream):
        if tag in sizes:
            if value is None:
                raise ValueError("the size of its tiles is no number")
            sizes[tag] = max(sizes[tag], value)
    across, down = sizes.values()
    if not across or not down:
        return 0
    tiles = math.ceil(width / across) * math.ceil(height / down)
    return max(1, tiles // 2) * across * down


def _entries(stream: BinaryIO) -> Iterator[tuple[int, int | None]]:
    """Yield the entries of a TIFF's first directory; a value that is no one number is ``None``."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head.startswith(b"II") else ">"
    is_big = 43 in head[2:4]
    count, entry, (start,) = (
        (f"{order}Q", f"{order}HHQ8s", struct.unpack_from(f"{order}Q", head, 8))
        if is_big
        else (f"{order}H", f"{order}HHI4s", struct.unpack_from(f"{order}I", head, 4))
    )
    forms = {_SHORT: f"{order}H", _LONG: f"{order}I"} | ({_LONG8: f"{order}Q"} if is_big else {})
    stream.seek(start)
    (entries,) = struct.unpack(count, stream.read(struct.calcsize(count)))
    for _ in range(entries):
        tag, kind, length, value = struct.unpack(entry, stream.read(struct.calcsize(entry)))
        is_number = length == 1 and kind in forms
        yield tag, struct.unpack_from(forms[kind], value)[0] if is_number else None
