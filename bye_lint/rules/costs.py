"""What it costs to decode an image, where its size does not say it."""

from __future__ import annotations

import re

#: Most scans of a JPEG. Encoders write about ten, and each one is decoded over the whole picture.
MOST_SCANS = 100

_MARKER = re.compile(rb"\xff([^\x00\xff])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
#: Markers that no length follows: TEM, restarts and the start of the image.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


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
