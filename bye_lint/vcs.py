"""What git knows: where the repository begins, where a branch left it, what a file held there.

Git is called with argument lists and never through a shell. The environment that a hook, a
worktree or a server leaves behind (``GIT_DIR``, ``GIT_INDEX_FILE`` ...) is taken away first, so
that the answer depends on the folder alone; nothing is fetched.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bye_lint.errors import VcsError

_KEPT = re.compile(
    r"GIT_(EXEC_PATH|CEILING_DIRECTORIES|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+))"
)
_PARTIAL = "Clone without --filter, or fetch what is missing: git fetch --refetch --no-filter."
_FETCH = "Fetch the history first: git fetch --unshallow, or fetch-depth: 0 in actions/checkout."


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a commit: its mode (``100644``, ``120000`` for a link ...) and its blob id."""

    mode: str
    blob: str

    @property
    def is_file(self) -> bool:
        """A plain file, neither a symbolic link nor a submodule."""
        return self.mode.startswith("100")


def repository_root(path: Path) -> Path | None:
    """Return the folder of the git repository around a path, or None outside of one.

    Git itself is not asked, so that an ordinary check needs none and distrusts no owner.
    """
    start = path.resolve()
    for folder in (start, *start.parents):
        marker = folder / ".git"
        if (marker / "HEAD").is_file() or marker.is_file():
            return folder
    return None


def merge_base(repo: Path, ref: str, head: str = "HEAD") -> str:
    """Return the commit at which `head` left `ref`.

    Parameters
    ----------
    repo : Path
        The repository's root, or a folder in it.
    ref : str
        Branch, tag or commit. Nothing that begins with a dash, which git could take for an
        option.

    Raises
    ------
    VcsError
        If this is no repository, the ref is unknown, or the history is too short or unrelated.
    """
    base, tip = resolve(repo, ref), resolve(repo, head)
    found = git(repo, "merge-base", base, tip, accept=(0, 1)).decode().strip()
    if found:
        return found
    if is_shallow(repo):
        raise VcsError(
            f"{repo}: the clone is shallow and does not reach the commit where {ref!r} and "
            f"{head!r} part",
            _FETCH,
        )
    raise VcsError(
        f"{repo}: {ref!r} and {head!r} have no commit in common",
        "Give a ref that the branch was made from.",
    )


def resolve(repo: Path, ref: str) -> str:
    """Return the full id of the commit that a ref names.

    Raises
    ------
    VcsError
        If there is no such commit, or the ref could be taken for an option.
    """
    if not ref or ref.startswith("-") or any(c.isspace() or not c.isprintable() for c in ref):
        raise VcsError(f"{ref!r} is not a git ref", "Give a branch, a tag or a commit.")
    found = git(
        repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}",
        accept=(0, 1, 128),
    )  # fmt: skip
    if found:
        return found.decode().strip()
    if ref == "HEAD":
        raise VcsError(f"{repo}: the repository has no commit yet", "Commit the data first.")
    if is_shallow(repo):
        raise VcsError(f"{repo}: unknown ref {ref!r} in a shallow clone", _FETCH)
    remote = git(
        repo, "for-each-ref", "--count=1", "--format=%(refname:short)", f"refs/remotes/*/{ref}"
    )
    hint = f"did you mean {remote.decode().strip()!r}?" if remote else "git branch --all lists them"
    raise VcsError(f"{repo}: unknown ref {ref!r}", f"Give a branch, a tag or a commit; {hint}.")


def is_shallow(repo: Path) -> bool:
    """Say whether the clone's history was cut short."""
    return git(repo, "rev-parse", "--is-shallow-repository").strip() == b"true"


def list_at(
    repo: Path, commit: str, paths: Sequence[str] = (), *, deep: bool = True
) -> dict[str, Entry]:
    """Return the files of a commit under the given paths, by their path from the root.

    Parameters
    ----------
    commit : str
        A full id, as :func:`resolve` returns it.
    paths : sequence of str
        Files and folders, relative to the root, with forward slashes; all files by default.
    deep : bool
        List what folders hold; else the paths themselves, by default those in the root.
    """
    wanted = [p for p in paths if p not in ("", ".")]
    options = ["-r", "-z"] if deep else ["-z"]
    listing = git(repo, "ls-tree", *options, "--full-tree", commit, "--", *wanted)
    entries = {}
    for row in filter(None, listing.split(b"\0")):
        about, _, name = row.partition(b"\t")
        mode, _, blob = about.decode().split(" ")
        entries[os.fsdecode(name)] = Entry(mode, blob)
    return entries


def read_at(repo: Path, ref: str, path: str) -> bytes | None:
    """Return what a file held at a ref, or None where the ref has no such file.

    Raises
    ------
    VcsError
        If the ref is unknown, or the path was a link or a submodule there.
    """
    entry = list_at(repo, resolve(repo, ref), [path]).get(path)
    if entry is None:
        return None
    if not entry.is_file:
        raise VcsError(
            f"{path}: is not a plain file at {ref}", "Use a plain file, not a link or a submodule."
        )
    return next(data for _, data in read_blobs(repo, [entry.blob]))


def read_blobs(repo: Path, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each blob's id and bytes, by one process however many there are.

    Raises
    ------
    VcsError
        If a blob is not on this machine (a partial clone).
    """
    wanted = list(blobs)
    with tempfile.TemporaryFile() as names:
        names.write("".join(f"{blob}\n" for blob in wanted).encode())
        names.seek(0)
        with subprocess.Popen(  # noqa: S603
            [*_command(repo), "cat-file", "--batch"],
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as process:
            out = process.stdout
            assert out is not None  # noqa: S101
            given = 0
            for header in iter(out.readline, b""):
                blob, *about = header.decode().split()
                if about[0] == "missing":
                    break
                size = int(about[1])
                data = out.read(size)
                out.read(1)
                given += 1
                yield blob, data
        if given < len(wanted):  # git says "missing", or dies where it may not fetch
            raise VcsError(f"{repo}: the object {wanted[given]} is not in this clone", _PARTIAL)


def tracked_in(repo: Path, path: str) -> str | None:
    """Return the first file that git tracks under a path, or at it; None if there is none."""
    listing = git(repo, "ls-files", "--full-name", "-z", "--", path or ".")
    return os.fsdecode(listing.partition(b"\0")[0]) or None


def renamed_from(repo: Path, commit: str, path: str) -> str | None:
    """Return the path that a tracked file had in a commit, if git sees it as renamed since."""
    rows = git(
        repo, "diff", "--no-ext-diff", "--no-textconv", "--name-status", "-z", "--find-renames",
        "--diff-filter=R", commit, "--",
    ).split(b"\0")  # fmt: skip
    for old, new in zip(rows[1::3], rows[2::3], strict=False):
        if os.fsdecode(new) == path:
            return os.fsdecode(old)
    return None


def common_folder(repo: Path) -> Path:
    """Return the folder that all worktrees of a repository share."""
    named = os.fsdecode(git(repo, "rev-parse", "--git-common-dir").strip())
    return repo / named


def _command(repo: Path) -> list[str]:
    # fsmonitor is a program that the repository's configuration names; it has no part in this.
    return ["git", "-c", "core.fsmonitor=false", "-C", str(repo)]


def _environment() -> Mapping[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or _KEPT.fullmatch(k)}
    return kept | {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
    }


def git(repo: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> bytes:
    """Return what a git command writes.

    Parameters
    ----------
    accept : tuple of int
        Exit codes that are answers.

    Raises
    ------
    VcsError
        If git is missing, this is no repository, or the command fails.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [*_command(repo), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise VcsError(
            "git is not installed, or not on PATH", "Install git, or check without --changed-since."
        ) from error
    said = "".join(
        c if c.isprintable() else " " for c in done.stderr.decode(errors="replace")
    ).strip()
    if "dubious ownership" in said:
        raise VcsError(
            f"{repo}: git refuses a repository that belongs to another user",
            f"Allow it, once: git config --global --add safe.directory {repo.resolve()}",
        )
    if "not a git repository" in said:
        raise VcsError(
            f"{repo}: not a git repository", "Run inside a clone, or without --changed-since."
        )
    if done.returncode not in accept and "lazy fetching disabled" in said:
        raise VcsError(f"{repo}: an object is not in this clone: {said}", _PARTIAL)
    if done.returncode not in accept:
        raise VcsError(
            f"{repo}: git {arguments[0]} failed: {said or f'status {done.returncode}'}",
            "Look at the repository with git fsck.",
        )
    return done.stdout
