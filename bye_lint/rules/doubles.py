"""Is a file an image of one format alone, or of another one too, for whoever asks differently?"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, BinaryIO

from PIL import Image

#: Bytes of a file within which a format is told by those of its readers that have to parse for it.
#: The longest header that Pillow reads in one go, a palette of TGA, is half as long.
_HEADER = 1 << 19
#: Bytes by which Pillow tells most formats.
_MAGIC = 16
#: IM, whose header is lines of text, takes none that is longer than 100 bytes.
_LINE = 1 << 10

#: How those of no magic number begin that are not told by their first bytes alone.
_FIRST_BYTES: dict[str, Callable[[bytes], bool]] = {
    "IPTC": lambda magic: magic[:1] == b"\x1c",
    "TGA": lambda magic: magic[1:2] in (b"\0", b"\1"),
}

#: Decoded by being opened, so that how it begins is taken for it. No other image begins like it.
_DECODED = frozenset({"ICO"})

#: Formats that go by another name once they are open.
_ALSO_CALLED = {"MPO": "JPEG"}


def other_format(stream: BinaryIO, form: str | None) -> str:
    """Return a format, other than its own, by which an image would be opened too, or nothing.

    Whoever opens a file by its name, or by its bytes, or has opened others before, asks Pillow's
    formats in another order, and the first that takes the file has it. Nothing is decoded, and
    the stream stays where it was.

    Parameters
    ----------
    stream : file object
        The whole file.
    form : str or None
        The image's format, as Pillow names it.
    """
    place = stream.tell()
    try:
        stream.seek(0)
        magic = stream.read(_MAGIC)
        for name, factory in _that_accept(magic):
            if name == _ALSO_CALLED.get(form or "", form):
                continue
            if name in _DECODED or _opens(factory, stream):
                return name
    finally:
        stream.seek(place)
    return ""


@lru_cache(maxsize=256)
def _that_accept(magic: bytes) -> tuple[tuple[str, Any], ...]:
    """Return Pillow's own formats that a file may be of which begins so, each with its reader.

    Formats that another package has added read what Pillow reads, only differently.
    """
    Image.init()
    own = ((name, *Image.OPEN[name]) for name in Image.ID)
    return tuple(
        (name, factory)
        for name, factory, accept in own
        if factory.__module__.startswith("PIL.")
        and _is_taken((accept or _FIRST_BYTES.get(name, bool))(magic))
    )


def _is_taken(answer: bool | str) -> bool:
    return bool(answer) and not isinstance(answer, str)  # words say that it cannot be read here


def _opens(factory: Any, stream: BinaryIO) -> bool:
    stream.seek(0)
    try:
        factory(_Header(stream), "")
    except (_TooLongError, Warning):  # warned of is only what is known
        return True
    except Exception:  # readers of what is not theirs raise nearly everything
        return False
    return True


class _TooLongError(Exception):
    """So much was read of a file that is of no use as a header of anything else."""


class _Header:
    """The beginning of a file, to be read from; it ends no reader's search, it is an error."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if size < 0 or self._stream.tell() + size > _HEADER:
            size = _HEADER + 1
        data = self._stream.read(size)
        if self._stream.tell() > _HEADER:
            raise _TooLongError
        return data

    def readline(self) -> bytes:
        line = self._stream.readline(_LINE)
        if self._stream.tell() > _HEADER:
            raise _TooLongError
        return line
