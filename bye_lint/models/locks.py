"""One process at a time: checks that share a cache must not write one model together."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)


@contextmanager
def held(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a file inside the block; wait while another process holds it.

    The system lets go of the lock of a process that dies. Where the disk or the system knows no
    such locks, nothing is held.

    Parameters
    ----------
    path : Path
        Made for the time of the block, with the folders above it.
    doing : str
        What the other process is at, for the line that says that it is waited for.
    """
    handle = _lock(path, doing)
    try:
        yield
    finally:
        if handle is not None:
            path.unlink(missing_ok=True)
            os.close(handle)


def _lock(path: Path, doing: str) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    said = False
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return None  # nothing can be written there, which is told where it matters
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    _log.warning("another process is %s; waiting for it", doing)
                said = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_there(path, handle):
                return handle
        except OSError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # whoever held it took the file away


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
