"""Datasets: files of known formats to :class:`~bye_lint.records.Sample` and
:class:`~bye_lint.records.Skipped`, each with the place it was read from.

To add a format, write a module with a :class:`~bye_lint.datasets.base.Reader` and add its row
to :data:`READERS`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bye_lint.codes import INVALID_JSON
from bye_lint.datasets import chat, imagefolder, llava, parquet
from bye_lint.datasets.base import Reader, ReadSettings
from bye_lint.datasets.images import ImageRoot
from bye_lint.datasets.raw import file_hash, stream_hash
from bye_lint.datasets.walk import DatasetFile, find_files, is_recognised
from bye_lint.errors import DatasetError
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped, Unread
from bye_lint.shelf import Shelf

__all__ = [
    "READERS",
    "DatasetFile",
    "ImageRoot",
    "ReadSettings",
    "Reader",
    "dataset_files",
    "display_path",
    "holds_records",
    "read_datasets",
]

#: The formats by name, in the order in which a file is tried.
READERS: Mapping[str, Reader] = {
    module.READER.name: module.READER for module in (imagefolder, llava, chat, parquet)
}

#: A larger file behind a link that is not followed is not read for its hash either: it may be any
#: file of the machine.
_LARGEST = 4 << 30


def dataset_files(
    paths: Sequence[Path],
    policy: DatasetPolicy,
    base: Path,
    *,
    on_passed_over: Callable[[Path], None] | None = None,
) -> Iterator[DatasetFile]:
    """Yield the files that :func:`read_datasets` reads, in its order.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders; if there are none, the policy's.
    policy : DatasetPolicy
    base : Path
        Folder that the policy's paths start from.
    on_passed_over : callable, optional
        Told of every file in a folder that has a dataset's suffix and no known format, of archives
        and tables that are not read, and of datasets that are hidden.

    Raises
    ------
    DatasetError
        If a path does not exist or cannot be read, a named file has no known format, or a folder
        holds no dataset.
    """
    chosen = list(paths) or [base / path for path in policy.paths]
    return find_files(chosen, READERS, policy.format, policy.fields, on_passed_over)


def holds_records(path: Path, policy: DatasetPolicy, base: Path) -> bool:
    """Tell whether a file is a dataset by the policy's word, or by its own look, as in a folder."""
    named = {os.path.realpath(base / name) for name in policy.paths}
    if os.path.realpath(path) in named:
        return True
    return is_recognised(path, READERS, policy.format, policy.fields)


def read_datasets(
    paths: Sequence[Path],
    policy: DatasetPolicy,
    base: Path,
    *,
    display_root: Path,
    on_passed_over: Callable[[Path], None] | None = None,
    shelf: Shelf | None = None,
) -> Iterator[Sample | Skipped]:
    """Yield every record of the given datasets, usable or not, in a fixed order.

    Parameters
    ----------
    paths, policy, base, on_passed_over
        As in :func:`dataset_files`.
    display_root : Path
        Folder that reported paths are relative to.
    shelf : Shelf, optional
        Takes the images that the datasets embed, for who keeps the records.

    Raises
    ------
    DatasetError
        As :func:`dataset_files`, and if the image root is no folder or a file vanishes.
    MissingExtraError
        If a Parquet file is to be read without pyarrow.
    """
    root = base / policy.image_root if policy.image_root is not None else None
    if root is not None and not root.is_dir():
        raise DatasetError(
            f"{root}: the image root is not a folder",
            "dataset.image_root is relative to the policy file.",
        )
    for file in dataset_files(paths, policy, base, on_passed_over=on_passed_over):
        display = display_path(file.path, display_root)
        if file.reader is None:
            rule, message = file.problem or (INVALID_JSON, "the file cannot be read")
            mark = _mark(file.path)
            content = f"{rule}\n{display}\n{mark}".encode("utf-8", "surrogateescape")
            digest = hashlib.sha256(content).hexdigest() if mark else ""
            yield Unread(rule, message, display, 1, fingerprint=digest)
            continue
        settings = ReadSettings(display, ImageRoot(root or file.path.parent), policy.fields)
        try:
            for item in file.reader.read(file.path, settings):
                yield item.laid_on(shelf) if shelf and isinstance(item, Sample) else item
        except OSError as error:
            raise DatasetError(
                f"{file.path}: cannot be read ({error.strerror or error})", "Try again."
            ) from error


def _mark(path: Path) -> str:
    """Return what a file that is not read is told by: a hash of the bytes, and where a link leads.

    Else another file of the same name, or behind the same link, would pass for the old one. Where
    the bytes are not to be had, it is nothing, so that it counts as changed: of a folder behind a
    link, and of what is no file or too large to be one of records.
    """
    if not path.is_symlink():
        return file_hash(path)
    leads = os.readlink(path)  # noqa: PTH115 - as it is written
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
            return ""
        with path.open("rb") as stream:
            return f"{leads}\n{stream_hash(stream, size=about.st_size)}"
    except FileNotFoundError:
        return f"{leads}\nmissing"
    except OSError:
        return ""


def display_path(path: Path, root: Path) -> str:
    """Return a path as it is reported: relative to ``root``, with forward slashes.

    Links to folders are resolved unless they lead out of the root, so that the file is one that
    git has under that name; a file that is a link itself is read, and named, where it stands.
    """
    path, root = path.absolute(), root.absolute()
    real = path.parent.resolve() / path.name
    for here, base in ((real, root.resolve()), (path, root)):
        if here.is_relative_to(base):
            return Path(os.path.normpath(here.relative_to(base))).as_posix()
    try:
        return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    except ValueError:  # another drive
        return path.as_posix()
