"""The files of a commit, laid out in a folder as cheaply as their content allows."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bye_lint import lfs, vcs
from bye_lint.errors import VcsError

#: Files that hold records. One of these that git keeps as a pointer must be had in full.
_RECORD_FILES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")

#: Files that a model in the root consists of: what else lies there is no part of it.
_OF_MODEL = (".safetensors", ".json", ".model", ".txt", ".jinja")
_CHUNK = 1 << 20
_LINK = "120000"

#: How a path begins that leads out of the repository.
_OUTSIDE = (os.sep, os.pardir)


def lay_out(entries: Mapping[str, vcs.Entry], root: Path, tree: Path) -> dict[str, str]:
    """Lay out a commit's files in a folder and return the SHA-256 of each by its path.

    A file that is still the same is linked to the working tree's; only others come from git.
    Sameness is that of the bytes: neither the index's time stamps nor attributes are believed.

    Parameters
    ----------
    entries : mapping of str to Entry
        Files by their path from the root.
    root : Path
        The repository's root.
    tree : Path
        An empty folder.

    Raises
    ------
    VcsError
        If a file of records is a Git LFS pointer whose object was not fetched.
    """
    hashes: dict[str, str] = {}
    current: dict[str, str] = {}
    other: list[str] = []
    for name, entry in entries.items():
        if not entry.is_file or not _is_safe(name):
            continue
        found = _hashes(root / name, like=entry.blob)
        if found is not None:
            current[name] = found.sha256
        if found is not None and found.blob == entry.blob:
            hashes[name] = found.sha256
            _link(root / name, tree / name)
        else:
            other.append(name)
    blobs = vcs.read_blobs(root, (entries[name].blob for name in other))
    for name, (_, data) in zip(other, blobs, strict=True):
        pointed = lfs.pointed(data)
        hashes[name] = pointed or hashlib.sha256(data).hexdigest()
        if pointed is not None and current.get(name) == pointed:
            _link(root / name, tree / name)
        else:
            _write(tree / name, _large(root, name, pointed) if pointed else data)
    _lay_links(entries, root, tree)
    return hashes


def led_to(name: str, entries: Mapping[str, vcs.Entry], root: Path) -> tuple[str, set[str]]:
    """Return where a path of a commit leads, and the links on the way, as far as the commit goes.

    Raises
    ------
    VcsError
        If the links lead in a circle, or out of the commit into the working tree.
    """
    links: set[str] = set()
    while (led := _led_on(name, entries, root, links)) is not None:
        if led.startswith(_OUTSIDE):
            break
        name = led
    return name, links


def with_linked_records(
    some: Mapping[str, vcs.Entry], entries: Mapping[str, vcs.Entry], root: Path
) -> dict[str, vcs.Entry]:
    """Return some files of a commit with those that links among them lead to, if called like
    records: one that is not followed is told by what is behind it.

    A link that leads in a circle, or into the working tree, is left out.
    """
    found = dict(some)
    for name, entry in some.items():
        if entry.mode != _LINK or PurePosixPath(name).suffix.lower() not in _RECORD_FILES:
            continue
        try:
            end, links = led_to(name, entries, root)
        except VcsError:
            del found[name]
        else:
            found |= {also: entries[also] for also in (*links, end) if also in entries}
    return found


def _led_on(name: str, entries: Mapping[str, vcs.Entry], root: Path, links: set[str]) -> str | None:
    """Return where the first link on a path leads, if there is one; it is added to ``links``."""
    parts = PurePosixPath(name).parts
    heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    link = next((h for h in heads if h in entries and entries[h].mode == _LINK), None)
    if link is None:
        return None
    if link in links:
        raise VcsError(f"{link}: at the base it is a link that leads in a circle", "Mend it.")
    target = os.fsdecode(next(vcs.read_blobs(root, [entries[link].blob]))[1])
    rest = parts[len(PurePosixPath(link).parts) :]
    led = os.path.normpath(PurePosixPath(link).parent.joinpath(target, *rest))
    inside = Path(os.path.realpath(led)).is_relative_to(os.path.realpath(root))
    if PurePosixPath(led).is_absolute() and inside:
        raise VcsError(
            f"{link}: at the base it is a link to {target}, in the repository as it is now",
            "Make it a relative link there, so that it leads to what the base had.",
        )
    links.add(link)
    return led


def differing(folder: str, root: Path, commit: str) -> list[str]:
    """Return the files of a folder that a commit did not have as they are, sorted.

    Links are followed, by the commit and in the working tree. What neither the commit nor HEAD
    tracks belongs to the machine: of that, only a link that leads elsewhere than at the commit is
    told. Of the root, tracked files that a model consists of are compared.

    Raises
    ------
    VcsError
        If git cannot tell, or links of a commit lead in a circle.
    """
    return sorted(_differing(folder, root, (commit, vcs.resolve(root, "HEAD")), set()))


def _differing(name: str, root: Path, commits: tuple[str, str], seen: set[str]) -> set[str]:
    then, now = (_end_at(name, root, commit) for commit in commits)
    top = Path(os.path.realpath(root))
    real = Path(os.path.realpath(top / name))
    elsewhere = then != now or real != Path(os.path.realpath(top / then))
    had, has = (_files_at(end, root, at) for end, at in zip((then, now), commits, strict=True))
    if then in seen or not (had or has):
        return {name} if elsewhere else set()
    seen.add(then)

    def is_same(file: str) -> bool:
        entry = had[file]
        if entry.mode == _LINK:
            linked = PurePosixPath(then, file).as_posix()
            return (real / file).is_symlink() and not _differing(linked, root, commits, seen)
        found = _hashes(real / file, like=entry.blob)
        if found is None or found.blob == entry.blob:
            return found is not None
        return lfs.pointed(next(vcs.read_blobs(root, [entry.blob]))[1]) == found.sha256

    if then == "." or "" in had:
        here = {file for file in {*had, *has} if os.path.lexists(real / file)}
    else:
        found = (path for path in real.rglob("*") if path.is_file() or path.is_symlink())
        here = {path.relative_to(real).as_posix() for path in found}
    changed = here.symmetric_difference(had)
    changed |= {file for file in here & set(had) if not is_same(file)}
    if not changed and (elsewhere or real != top / then):
        return {name}
    return {PurePosixPath(name, file).as_posix() for file in changed}


def _end_at(name: str, root: Path, commit: str) -> str:
    """Return where a path leads by the links of a commit."""
    entries: dict[str, vcs.Entry] = {}
    links: set[str] = set()
    led: str | None = name
    while led is not None:
        name = led
        if name == "." or name.startswith(_OUTSIDE):
            break
        heads = [str(head) for head in (PurePosixPath(name), *PurePosixPath(name).parents)]
        entries |= vcs.list_at(root, commit, heads[:-1], deep=False)
        led = _led_on(name, entries, root, links)
    return name


def _files_at(end: str, root: Path, commit: str) -> dict[str, vcs.Entry]:
    """Return what a commit tracks in a folder by its path from there; a file's own is empty."""
    if end.startswith(_OUTSIDE):
        return {}
    if end == ".":
        files = vcs.list_at(root, commit, deep=False)
        return {name: files[name] for name in files if name.endswith(_OF_MODEL)}
    return {name[len(end) + 1 :]: entry for name, entry in vcs.list_at(root, commit, [end]).items()}


def _lay_links(entries: Mapping[str, vcs.Entry], root: Path, tree: Path) -> None:
    """Lay symbolic links last, so that no file is written through one."""
    links = [name for name, entry in entries.items() if entry.mode == _LINK and _is_safe(name)]
    targets = vcs.read_blobs(root, (entries[name].blob for name in links))
    for name, (_, target) in zip(links, targets, strict=True):
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.fsdecode(target))


def _large(root: Path, name: str, digest: str) -> bytes:
    """Return a large file's content, or nothing in place of an image, whose digest is enough."""
    data = lfs.stored(root, digest)
    if data is None and PurePosixPath(name).suffix.lower() in _RECORD_FILES:
        raise VcsError(
            f"{name}: at the base it is a Git LFS pointer, and its object was not fetched",
            "Fetch it: git lfs fetch --all, or lfs: true and fetch-depth: 0 in actions/checkout.",
        )
    return data or b""


@dataclass(frozen=True, slots=True)
class _Hashes:
    blob: str
    sha256: str


def _hashes(path: Path, like: str) -> _Hashes | None:
    """Return git's id and the SHA-256 of a file, in one pass; None if it is no plain file."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            plain = hashlib.sha256()
            blob = plain.copy() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
            blob.update(b"blob %d\0" % size)
            while chunk := file.read(_CHUNK):
                plain.update(chunk)
                blob.update(chunk)
    except OSError:
        return None
    return _Hashes(blob.hexdigest(), plain.hexdigest())


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target, follow_symlinks=False)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
