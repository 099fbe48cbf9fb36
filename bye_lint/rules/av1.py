"""How large the frames of an AVIF are, which its header may say otherwise.

The size that a reader is told (``ispe``) is only what the frame is scaled to once it is decoded;
that of the frame stands at the beginning of its data. Boxes by ISO/IEC 14496-12 and 23008-12, data
by the AV1 bitstream specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

_INSIDE = frozenset({b"moov", b"trak", b"mdia", b"minf"})
#: Most images of a file, and most units in what one image holds; either is a handful.
_MOST = 1000
_SEQUENCE_HEADER = 1


def frame_pixels(data: bytes) -> int:
    """Return the pixels of the largest frame among the images of an AVIF and its tracks' first.

    Raises
    ------
    ValueError, IndexError
        If there is none, or the file cannot be followed to one.
    """
    sizes = [_pixels(frame) for frame in islice(_frames(data), _MOST)]
    if not 0 < len(sizes) < _MOST:
        raise ValueError("it holds no AV1 frame" if not sizes else "it holds too many images")
    return max(sizes)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes in a piece of a file: kind, where its content begins and where it ends."""
    while at + 8 <= end:
        size, kind, start = _number(data, at, 4), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = _number(data, start, 8), start + 8
        stop = at + size if size else end
        if not start <= stop <= end:
            raise ValueError("a box is longer than what it is in")
        yield kind, start, stop
        at = stop


def _only(data: bytes, at: int, end: int, kinds: frozenset[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return where the boxes of some kinds lie in another one, which may hold one of each."""
    found: dict[bytes, tuple[int, int]] = {}
    for kind, start, stop in _boxes(data, at, end):
        if kind in found:
            raise ValueError("it holds two boxes where one is allowed")
        if kind in kinds:
            found[kind] = (start, stop)
    return found


def _frames(data: bytes) -> Iterator[bytes]:
    """Yield the data of each image, and of the first frame of each track."""
    pending = [(0, len(data))]
    while pending:
        for kind, start, stop in _boxes(data, *pending.pop()):
            if kind in _INSIDE:
                pending.append((start, stop))
            elif kind == b"meta":
                yield from _items(data, start + 4, stop)
            elif kind == b"stbl":
                yield _first_of_track(data, start, stop)


def _first_of_track(data: bytes, at: int, end: int) -> bytes:
    boxes = _only(data, at, end, frozenset({b"stco", b"co64", b"stsz"}))
    if len(boxes) != 2 or b"stsz" not in boxes:
        raise ValueError("a track does not say where it is")
    where, _ = boxes.get(b"stco") or boxes[b"co64"]
    offset = _number(data, where + 8, 4 if b"stco" in boxes else 8)
    sizes, _ = boxes[b"stsz"]
    return _piece(data, offset, _number(data, sizes + 4, 4) or _number(data, sizes + 12, 4))


def _items(data: bytes, at: int, end: int) -> Iterator[bytes]:
    """Yield the data of the AV1 items of a ``meta`` box."""
    boxes = _only(data, at, end, frozenset({b"iinf", b"iloc", b"idat"}))
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    start, stop = boxes[b"iinf"]
    images = set()
    for kind, entry, _ in _boxes(data, start + (8 if data[start] else 6), stop):
        width = 2 if data[entry] < 3 else 4
        if kind == b"infe" and data[entry + 6 + width : entry + 10 + width] == b"av01":
            images.add(_number(data, entry + 4, width))
    for item, method, extents in _places(data, *boxes[b"iloc"]):
        if item in images:
            base = boxes[b"idat"][0] if method and b"idat" in boxes else 0
            yield b"".join(_piece(data, base + offset, size) for offset, size in extents)


def _piece(data: bytes, at: int, size: int) -> bytes:
    if not size or at + size > len(data):
        raise ValueError("a frame is cut off")
    return data[at : at + size]


def _places(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield each item of an ``iloc`` box: number, method, and its pieces' offsets and lengths."""
    reader = _Bytes(data, at, end)
    version = reader.take(4) >> 24
    widths = reader.take(2)
    of_offset, of_length, of_base, of_index = (widths >> n & 15 for n in (12, 8, 4, 0))
    wide = 4 if version > 1 else 2
    total = 0
    for _ in range(reader.take(wide)):
        item = reader.take(wide)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(of_base)
        extents = []
        for _ in range(reader.take(2)):
            reader.take(of_index if version else 0)
            extents.append((base + reader.take(of_offset), reader.take(of_length)))
            total += extents[-1][1]
        if total > len(data):
            raise ValueError("its images take more bytes than it has")
        yield item, method, extents


def _pixels(data: bytes) -> int:
    """Return the largest width times height of the sequence headers in a frame's data."""
    largest = at = units = 0
    while at < len(data):
        units += 1
        if units > _MOST:
            raise ValueError("a frame is cut into too many units")
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:
            size = shift = 0
            while True:
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            largest = max(largest, _of_sequence(_Bits(data[at : at + min(size, 1024)])))
        at += size
    if not largest:
        raise ValueError("a frame does not say its size")
    return largest


def _of_sequence(bits: _Bits) -> int:
    """Return the width times height of a sequence header (5.5.1 of the specification)."""
    bits.take(4)
    if bits.take(1):  # a still picture's, reduced
        bits.take(5)
    else:
        delay = 0
        if bits.take(1):
            bits.take(64)
            if bits.take(1):
                zeros = 0
                while not bits.take(1):
                    zeros += 1
                bits.take(zeros)
            if bits.take(1):
                delay = bits.take(5) + 1
                bits.take(42)
        shown = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if delay and bits.take(1):
                bits.take(2 * delay + 1)
            if shown and bits.take(1):
                bits.take(4)
    of_width, of_height = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(of_width) + 1) * (bits.take(of_height) + 1)


def _number(data: bytes, at: int, width: int) -> int:
    if at + width > len(data):
        raise ValueError("it is cut off")
    return int.from_bytes(data[at : at + width], "big")


class _Bytes:
    """Numbers of whole bytes, one after another."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self._at, self._end = data, at, end

    def take(self, width: int) -> int:
        self._at += width
        if self._at > self._end:
            raise ValueError("a box ends too early")
        return _number(self._data, self._at - width, width)


class _Bits:
    """Numbers of bits, one after another."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, width: int) -> int:
        self._left -= width
        if self._left < 0:
            raise ValueError("a frame's header is cut off")
        return self._value >> self._left & ((1 << width) - 1)
