"""Where a path stands in a repository.

Links in it are not followed: whoever changes the repository may have laid them.
"""

from __future__ import annotations

import os
from pathlib import Path

from bye_lint.errors import VcsError


def place(path: Path, root: Path) -> str:
    """Return a path relative to a repository's root, with forward slashes.

    Links on the way to the repository are followed, links in it are not.

    Raises
    ------
    VcsError
        If the path does not stand in the repository.
    """
    found = find_place(path, root)
    if found is None:
        raise VcsError(
            f"{path}: lies outside of the repository {root}",
            "Compare data of one repository at a time, by a policy and a baseline that lie in it.",
        )
    return found


def find_place(path: Path, root: Path) -> str | None:
    """Return what :func:`place` does, or ``None`` where the path is not in the repository."""
    absolute, top = Path(os.path.abspath(path)), os.path.realpath(root)  # noqa: PTH100 - keeps links
    for folder in (*reversed(absolute.parents), absolute):
        real = os.path.realpath(folder)
        if (real + os.sep).startswith(top.rstrip(os.sep) + os.sep):
            return (Path(real).relative_to(top) / absolute.relative_to(folder)).as_posix()
    return None


def stands_in(path: Path, root: Path) -> bool:
    """Tell whether a path stands in a repository, whatever links in it lead to."""
    return find_place(path, root) is not None


def refuse_links(path: Path, root: Path) -> None:
    """Refuse a path on which a link stands, which could lead to another file at another commit.

    Raises
    ------
    VcsError
    """
    here = Path(place(path, root))
    for part in (here, *here.parents):
        if (root / part).is_symlink() and part != Path():
            raise VcsError(
                f"{part.as_posix()}: is a symbolic link",
                "With --policy-from-ref, the policy and the baseline must be plain files.",
            )


def refuse_leaving(path: Path, root: Path) -> None:
    """Refuse a path in a repository from which links lead out of it, or to git's own files.

    What they lead to would be read, and shown in reports.

    Raises
    ------
    VcsError
    """
    if not stands_in(path, root):
        return
    top, real = Path(os.path.realpath(root)), Path(os.path.realpath(path))
    if not real.is_relative_to(top) or ".git" in real.relative_to(top).parts:
        raise VcsError(
            f"{place(path, root)}: a symbolic link leads out of the data of the repository",
            "With --policy-from-ref, data and images that lie in the repository must stay in it; "
            "name others by their own path.",
        )
