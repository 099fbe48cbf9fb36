"""Which records a branch added or modified, by content, and which others are read beside them.

A record is its conversation and the bytes of its images (:func:`records.identity`): a rename,
another order or another id change nothing, another image under the same record does, and so does
one more copy of a record. Records that can't be used are compared too, so that a change answers
for those that it brings and for no others. The base is read by the same readers, from a folder in
which its files stand under their old names (:mod:`bye_lint.snapshot`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bye_lint import vcs
from bye_lint.datasets import read_datasets
from bye_lint.errors import DatasetError
from bye_lint.places import place, stands_in
from bye_lint.policy import ContextPolicy, DatasetPolicy, Policy
from bye_lint.records import ImageSource, Sample, identity
from bye_lint.snapshot import lay_out, led_to, with_linked_records


@dataclass(frozen=True, slots=True)
class Changes:
    """What a branch changed.

    Attributes
    ----------
    base : str
        The commit that was compared with.
    changed : tuple of bool
        One a sample, in the order given.
    base_records : int
        Records at the base, usable or not.
    unread : tuple of str
        What could not be read at the base, and why: none of its records is known.
    """

    base: str
    changed: tuple[bool, ...]
    base_records: int
    unread: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of changed records."""
        return sum(self.changed)


@dataclass(frozen=True, slots=True)
class Selection:
    """Indices of the samples to look at, each ascending: the changed and their context."""

    changed: tuple[int, ...]
    context: tuple[int, ...]


def find_changes(
    digests: Sequence[str],
    *,
    ref: str,
    paths: Sequence[Path],
    policy: Policy,
    root: Path,
    known: Sequence[Path] | None = None,
) -> Changes:
    """Compare the records of the working tree with those of the merge base.

    Parameters
    ----------
    digests : sequence of str
        :attr:`records.Checked.identity` of each record as it is now, in order.
    ref : str
        Branch, tag or commit; the comparison is with the commit where HEAD left it.
    paths : sequence of Path
        The dataset files and folders that the samples were read from.
    policy : Policy
        How the base is read: its dataset section, its folder and its paths.
    root : Path
        The repository's root.
    known : sequence of Path, optional
        The files and folders whose records at the base are known; by default `paths` and the
        policy's, also under the names that they had. Given where a change is judged by its base:
        it must not choose what is known. Records that the ref has taken out since HEAD left it
        are not known then.

    Raises
    ------
    VcsError
        If git cannot tell, a path lies outside of the repository, or a file of records is a
        Git LFS pointer whose object was not fetched.
    """
    commit = vcs.merge_base(root, ref)
    files = vcs.list_at(root, commit)
    for path in paths:
        place(path, root)  # where there is none, nothing can be compared
    if known is None:
        own = [*paths, *(policy.base / path for path in policy.dataset.paths)]
        places = _places(own, root, files, commit)
    else:
        places = _places(known, root, files)
    unread: dict[str, None] = {}
    before = _base_digests(places, policy, root, files, unread)
    tip = vcs.resolve(root, ref)
    if known is not None and tip != commit:
        # an old branch still has what the base has taken out since, and could bring it back
        files = vcs.list_at(root, tip)
        before &= _base_digests(_places(known, root, files), policy, root, files, unread)
    return Changes(commit, changed_flags(digests, before), before.total(), tuple(unread))


def changed_flags(digests: Sequence[str], before: Mapping[str, int]) -> tuple[bool, ...]:
    """Say of each record whether the base lacks it; the last of surplus copies are the new ones.

    Parameters
    ----------
    digests : sequence of str
        An empty one, of what cannot be told, counts as changed.
    before : mapping of str to int
        How often each digest stands at the base.
    """
    left = Counter(before)
    flags = []
    for digest in digests:
        flags.append(not digest or left[digest] <= 0)
        left[digest] -= 1
    return tuple(flags)


def context_sample(
    unchanged: Iterable[str], n_changed: int, policy: ContextPolicy
) -> frozenset[str]:
    """Draw unchanged records to read beside the changed ones, by their digests.

    Drawn by a hash of the content, so that the same data give the same sample and one more
    record moves at most one. Copies of a record are one.

    Parameters
    ----------
    unchanged : iterable of str
        Digests.
    n_changed : int
        ``policy.factor`` times as many are drawn, within ``policy.min`` and ``policy.max``;
        none where nothing changed.
    """
    if n_changed == 0:
        return frozenset()
    size = int(min(max(n_changed * policy.factor, policy.min), policy.max))
    return frozenset(sorted(set(unchanged), key=_lot)[:size])


def select(digests: Sequence[str], changed: Sequence[bool], policy: ContextPolicy) -> Selection:
    """Return which samples to look at: every changed one, and one of each context record."""
    new = tuple(i for i, flag in enumerate(changed) if flag)
    old = [i for i, flag in enumerate(changed) if not flag]
    drawn = set(context_sample((digests[i] for i in old), len(new), policy))
    context = []
    for i in old:
        if digests[i] in drawn:
            drawn.remove(digests[i])
            context.append(i)
    return Selection(new, tuple(context))


def _lot(digest: str) -> bytes:
    return hashlib.sha256(b"context\0" + digest.encode()).digest()


def _places(
    paths: Sequence[Path], root: Path, files: Mapping[str, vcs.Entry], commit: str | None = None
) -> list[str]:
    """Return what to read at the base: the same paths, under their old names if they moved.

    Parameters
    ----------
    commit : str, optional
        Where to look for old names; without it, they do not count.
    """
    known = {str(parent) for name in files for parent in PurePosixPath(name).parents} | set(files)
    found: dict[str, str] = {}
    for path in paths:
        here: str | None = place(path, root)
        end = here and led_to(here, files, root)[0]
        if end not in known:
            here = end = vcs.renamed_from(root, commit, str(here)) if commit else None
        if here is None or end is None:
            continue
        key = end
        if end in files:  # a file is read where it stands, since its images lie there
            folder, name = PurePosixPath(here).parent, PurePosixPath(here).name
            key = str(PurePosixPath(led_to(str(folder), files, root)[0], name))
        if not _is_under(key, found):
            found = {k: v for k, v in found.items() if not _is_under(k, [key])} | {key: here}
    return list(found.values())


def _base_digests(
    places: Sequence[str],
    policy: Policy,
    root: Path,
    files: Mapping[str, vcs.Entry],
    unread: dict[str, None],
) -> Counter[str]:
    """Return how often each record stands at a commit; put into ``unread`` what cannot be told."""
    folders: set[str] = set()
    for here in places:
        folders |= _with_links(here, files, root)
        if led_to(here, files, root)[0] in files:
            folders |= _with_links(str(PurePosixPath(here).parent), files, root)
    dataset = policy.dataset
    if dataset.image_root is not None:
        images = policy.base / dataset.image_root
        if stands_in(images, root):
            folders |= _with_links(place(images, root), files, root)
        else:  # of the machine: read where they are
            dataset = replace(dataset, image_root=str(images.absolute()))
    entries = {name: entry for name, entry in files.items() if _is_under(name, folders)}
    entries = with_linked_records(entries, files, root)
    with tempfile.TemporaryDirectory(prefix="bye-lint-") as temporary:
        tree = Path(temporary).resolve()
        hashes = lay_out(entries, root, tree)
        base = tree / place(policy.base, root)
        found: Counter[str] = Counter()
        for here in places:
            # what cannot be read, or holds no dataset yet, vouches for no record
            try:
                found.update(_read_digests(tree / here, dataset, base, tree, hashes))
            except DatasetError as error:
                unread[error.message.replace(f"{tree}{os.sep}", "")] = None
        return found


def _with_links(name: str, files: Mapping[str, vcs.Entry], root: Path) -> set[str]:
    """Return where a path leads and the links on the way, all of which are to be laid out."""
    end, links = led_to(name, files, root)
    return links | {end}


def _read_digests(
    path: Path, dataset: DatasetPolicy, base: Path, tree: Path, hashes: Mapping[str, str]
) -> Iterator[str]:
    for item in read_datasets([path], dataset, base, display_root=tree):
        if isinstance(item, Sample):
            images = [(image.name, _image_hash(image, tree, hashes)) for image in item.images]
            yield identity(item.turns, images)
        else:
            yield item.fingerprint


def _image_hash(image: ImageSource, tree: Path, hashes: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of an image at the base, or None where the base had no such file."""
    if image.path is not None and image.path.is_relative_to(tree):
        return hashes.get(image.path.relative_to(tree).as_posix())
    try:
        return image.digest().hex()
    except OSError:
        return None


def _is_under(name: str, folders: Iterable[str]) -> bool:
    return any(f in (".", name) or name.startswith(f"{f}/") for f in folders)
