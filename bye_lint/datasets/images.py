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

#: How a Git LFS pointer begins (git-lfs, docs/spec.md).
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


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

        Whether the file exists is not looked at. Backslashes separate folders, as on Windows.
        """
        if problem := _refused(name):
            return problem
        head, _, tail = name.replace("\\", "/").rpartition("/")
        if tail in ("", ".", ".."):
            return "is a folder"
        path = os.path.join(self._real(head), tail)  # noqa: PTH118 - pathlib is slow here
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                path = os.path.realpath(path)
        except OSError:
            pass  # missing, which is another rule's finding
        if not path.startswith(self._inside):
            return "leaves the image root"
        return ImageSource(name, Path(path))


def _refused(name: str) -> str:
    if not name.strip():
        return "has no name"
    if "\0" in name:
        return "has a NUL in its name"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "is an absolute path, expected one relative to the image root"
    if _URL.match(name):
        return "is a URL, expected a path relative to the image root"
    return ""
