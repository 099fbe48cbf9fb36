"""Where images lie that are no files of their own: in memory, and on disk beyond some megabytes."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bye_lint.errors import CacheError

#: Bytes that a shelf keeps in memory before it opens its file.
IN_MEMORY = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Slot:
    """Bytes on a shelf, which live as long as a slot does; another process is sent the bytes.

    ``digest`` is their SHA-256.
    """

    shelf: Shelf
    start: int
    length: int
    digest: bytes

    def __len__(self) -> int:
        return self.length

    def __reduce__(self) -> tuple[Callable[[bytes], bytes], tuple[bytes]]:
        return bytes, (self.read(),)

    def read(self) -> bytes:
        """Return the bytes.

        Raises
        ------
        OSError
            If the disk does not give them back.
        """
        return self.shelf._read(self.start, self.length)


class Shelf:
    """Holds bytes for the length of a run: the first ones in memory, the others in one file.

    The file has no name, so that nothing of it is left even if the process is killed.

    Parameters
    ----------
    folder : Path
        Where the file is made if there has to be one; the folder is made too. The system's folder
        for temporary files stands in where that cannot be written.
    in_memory : int, optional
        Bytes that stay in memory; :data:`IN_MEMORY` unless given.
    """

    def __init__(self, folder: Path, *, in_memory: int | None = None) -> None:
        self._folder = folder
        self._room = IN_MEMORY if in_memory is None else in_memory
        self._end = 0
        self._file: IO[bytes] | None = None
        # places, not slots: these would keep the shelf, which would keep them
        self._laid: dict[bytes, bytes | tuple[int, int]] = {}
        self._lock = threading.Lock()

    def put(self, data: bytes) -> bytes | Slot:
        """Take bytes; return what gives them back, equal for equal bytes.

        Raises
        ------
        CacheError
            If the disk does not take them.
        """
        digest = hashlib.sha256(data).digest()
        with self._lock:
            found = self._laid.get(digest)
            if found is None:
                found = self._laid[digest] = self._lay(data)
        return found if isinstance(found, bytes) else Slot(self, *found, digest)

    def _lay(self, data: bytes) -> bytes | tuple[int, int]:
        if len(data) <= self._room:
            self._room -= len(data)
            return data
        try:
            file = self._opened()
            file.seek(self._end)
            file.write(data)
            file.flush()
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise CacheError(
                f"{self._folder}: images cannot be laid aside: {reason}",
                "Set BYE_LINT_CACHE to a folder with room for the images that the dataset "
                "embeds, and for the canaries' copies.",
            ) from error
        start, self._end = self._end, self._end + len(data)
        return start, len(data)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            except OSError:  # a cache that is read-only still serves who asks for nothing new
                self._file = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        return self._file

    def _read(self, start: int, length: int) -> bytes:
        with self._lock:
            file = self._opened()
            file.seek(start)
            data = file.read(length)
        if len(data) < length:
            raise OSError(f"{self._folder}: {length - len(data)} bytes of an image are gone")
        return data
