"""Git LFS: what a pointer stands for, and the large file itself where the clone has it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bye_lint.records import LFS_POINTER
from bye_lint.vcs import common_folder

_POINTER = re.compile(re.escape(LFS_POINTER) + rb"v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\n")
#: Pointers are shorter than this, by their specification.
_POINTER_BYTES = 1024


def pointed(data: bytes) -> str | None:
    """Return the SHA-256 that a Git LFS pointer stands for, or None if this is no pointer."""
    if len(data) >= _POINTER_BYTES:
        return None
    found = _POINTER.match(data)
    return found.group(1).decode() if found else None


def stored(repo: Path, digest: str) -> bytes | None:
    """Return a large file from the clone's own store, or None where it was not fetched."""
    path = common_folder(repo) / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None
