"""SHA-256 of files, each of which is read once as long as nothing is written to it."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

#: Nanoseconds after which another change of a file shows in its times, on the coarsest of disks.
SETTLED = 3 * 10**9
#: Files whose digests are remembered.
_MOST = 1 << 20

_State = tuple[int, int, int, int, int]
_known: dict[str, tuple[_State, bytes]] = {}


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file, read again only if it was changed since it was read last.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    known = _known.get(os.fspath(path))
    if known is not None and known[0] == _state(path.stat()):
        return known[1]
    return read_digested(path)[1]


def read_digested(path: Path) -> tuple[bytes, bytes]:
    """Return the bytes of a file and their SHA-256.

    The digest is remembered together with what the system tells of the file. A change that comes
    so soon after another that both bear one time would not be seen: the digest of a file that was
    changed just now is not remembered.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = file.read()
        after = os.fstat(file.fileno())
    digest = hashlib.sha256(data).digest()
    name, state = os.fspath(path), _state(after)
    settled = max(after.st_mtime_ns, after.st_ctime_ns) < time.time_ns() - SETTLED
    if settled and state == _state(before) and stat.S_ISREG(after.st_mode):
        if len(_known) < _MOST or name in _known:
            _known[name] = state, digest
    else:
        _known.pop(name, None)
    return data, digest


def _state(status: os.stat_result) -> _State:
    """Return what differs once a file was written to, or another stands in its place."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
