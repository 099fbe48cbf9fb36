"""Files written in one move: whoever reads one sees the old one or the new, never half of it."""

from __future__ import annotations

import contextlib
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

#: Characters of a name that a temporary name keeps: with the rest of it no more than 255 bytes.
_KEPT = 48


def beside(path: Path) -> Path:
    """Return a path that nothing has, hidden, in the folder of another and named after it."""
    return path.with_name(f".{path.name[:_KEPT]}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def in_one_move(path: Path) -> Iterator[Path]:
    """Give a path to write a file to, which then takes another's place and its permissions.

    Where the writing ends in an exception, an interruption too, the new file is removed and what
    was there stays. A ``path`` that is a link is replaced, not followed.
    """
    temporary = beside(path)
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one move.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    """
    with in_one_move(path) as temporary, temporary.open("xb") as file:
        file.write(data)
