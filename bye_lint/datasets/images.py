"""Image paths: where they lead, and that they do not lead out."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from bye_lint.records import ImageSource

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")
_DRIVE = re.compile(r"[a-zA-Z]:")

#: No file has a longer path on Linux or macOS, and to resolve one costs the square of its length.
_LONGEST = 4096


class ImageRoot:
    """The folder that image paths start from and may not leave, links resolved.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self._inside = self.folder.rstrip(os.sep) + os.sep
        # one look-up a folder instead of one an image
        self._real = lru_cache(maxsize=4096)(self._resolve)

    def _resolve(self, folder: str) -> str:
        return os.path.realpath(os.path.join(self.folder, folder))  # noqa: PTH118

    def find(self, name: str) -> ImageSource | str:
        """Return the image of a name, or, in words, why it is refused.

        Whether the file exists is not looked at, but where a name has backslashes. They separate
        folders, as on Windows, unless a file is called so: that one is opened by who trains here.
        If both are there, which one is meant cannot be told.
        """
        if problem := _refused(name):
            return problem
        path = self._path(name.replace("\\", "/"))
        if "\\" in name and os.sep != "\\":
            literal = self._path(name)
            if literal and os.path.lexists(literal):
                if path and os.path.lexists(path):
                    return "may be two files, one with backslashes in its name and one in a folder"
                path = literal
        if not path:
            return "is a folder"
        if not path.startswith(self._inside):
            return "leaves the image root"
        return ImageSource(name, Path(path))

    def _path(self, name: str) -> str:
        """Return where a name leads, links resolved; nothing, if to a folder."""
        head, _, tail = name.rpartition("/")
        if tail in ("", ".", ".."):
            return ""
        path = os.path.join(self._real(head), tail)  # noqa: PTH118 - pathlib is slow here
        try:
            return os.path.realpath(path) if stat.S_ISLNK(os.lstat(path).st_mode) else path
        except OSError:
            return path  # missing, which is another rule's finding


def _refused(name: str) -> str:
    if not name.strip():
        return "has no name"
    if "\0" in name:
        return "has a NUL in its name"
    if len(name) > _LONGEST:
        return f"has a name of more than {_LONGEST} characters"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "is an absolute path, expected one relative to the image root"
    if _URL.match(name):
        return "is a URL, expected a path relative to the image root"
    return ""
