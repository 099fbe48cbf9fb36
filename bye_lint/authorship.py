"""Who wrote what: the commit behind a line, and the name that the next one goes under."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bye_lint.errors import VcsError
from bye_lint.vcs import git, repository_root

_BLAMED = re.compile(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?$")
_WORDS = re.compile(r"\w")


def blamer(
    root: Path, say: Callable[[str], None]
) -> Callable[[str], Mapping[int, tuple[str, str, int]]] | None:
    """Return what tells who wrote each line of a file, where git can; it says where git fails."""
    if repository_root(root) != root:
        return None

    def ask(path: str) -> Mapping[int, tuple[str, str, int]]:
        try:
            return blame(root, path)
        except VcsError as error:
            say(f"who brought in the records of {path} is not known: {error.message}")
            return {}

    return ask


def blame(repo: Path, path: str) -> dict[int, tuple[str, str, int]]:
    """Return commit, author and time of commit of each line (1-based) of a file as it is on disk.

    Lines that were not committed yet are left out; of a file that git does not track, all are. So
    are lines of punctuation alone: which of many equal brackets is new, a diff can only guess.

    Parameters
    ----------
    path : str
        Relative to the repository's root.

    Raises
    ------
    VcsError
        If there is no repository.
    """
    found = git(repo, "blame", "--no-textconv", "--porcelain", "--", path, accept=(0, 128))
    authors: dict[str, list[str]] = {}
    times: dict[str, int] = {}
    lines: dict[int, str] = {}
    commit, number = "", 0
    # no splitlines: a record may hold any character that Python takes for the end of a line
    for line in found.decode(errors="replace").split("\n"):
        if header := _BLAMED.match(line):
            commit, number = header[1], int(header[2])
        elif line.startswith("\t"):
            if _WORDS.search(line):
                lines[number] = commit
        elif line.startswith(("author ", "author-mail ")):
            authors.setdefault(commit, []).append(line.partition(" ")[2])
        elif line.startswith("committer-time "):
            times[commit] = int(line.partition(" ")[2])
    return {
        number: (commit, " ".join(authors.get(commit, [])), times.get(commit, 0))
        for number, commit in lines.items()
        if commit.strip("0")
    }


def committer(repo: Path) -> str:
    """Return the name that git would commit under, or an empty string."""
    return git(repo, "config", "user.name", accept=(0, 1)).decode().strip()
