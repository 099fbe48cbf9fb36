"""Which files of the given paths are datasets, and what format each has."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bye_lint.codes import IMAGE_OUTSIDE_ROOT, INVALID_JSON, IS_LFS_POINTER
from bye_lint.datasets.base import Reader
from bye_lint.datasets.beside import is_of_model, looks_like_data, may_hold_records
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.jsonfile import HEAD, SUFFIXES, beginning, json_kind, peek
from bye_lint.datasets.raw import BOM
from bye_lint.errors import DatasetError
from bye_lint.records import LFS_POINTER

_UTF16 = (b"\xff\xfe", b"\xfe\xff")

#: The finding of a file that is a link out of the folder that is read.
_LEAVES = (
    IMAGE_OUTSIDE_ROOT,
    "the file is a link that leaves the folder; name the file to check it",
)


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """A file to read.

    Attributes
    ----------
    reader : Reader or None
        ``None`` where the file cannot be read, for the reason in ``problem``.
    problem : tuple of str
        Code of a structural rule, and a message.
    """

    path: Path
    reader: Reader | None
    problem: tuple[str, str] | None = None


def find_files(
    paths: Sequence[Path],
    readers: Mapping[str, Reader],
    form: str,
    fields: Mapping[str, str],
    on_passed_over: Callable[[Path], None] | None = None,
) -> Iterator[DatasetFile]:
    """Yield the dataset files of the given files and folders, each once, in sorted order.

    In a folder, a file that no reader recognises is no dataset; a file that is named is refused
    if it is none. A link to a file is read where it stands, since images are looked for beside it.
    A link that leaves its folder is a finding, unless where it leads is named as well.

    Raises
    ------
    DatasetError
        If a path does not exist or cannot be read, a named file has no known format, or a folder
        holds no dataset.
    """
    chosen = _chosen(readers, form)
    folders = [os.path.realpath(path) for path in paths if path.is_dir()]
    named = {_place(path) for path in paths if not path.is_dir()}
    seen: set[tuple[str, str]] = set()
    for path in paths:
        passed: list[str] = []
        found = (
            _in_folder(path, chosen, fields, passed, folders)
            if path.is_dir()
            else [_named(path, chosen, fields)]
        )
        empty = True
        for file in found:
            empty = False
            real = _place(file.path)
            if file.problem == _LEAVES and path.is_dir() and real in named:
                continue  # read in its turn
            if real not in seen:
                seen.add(real)
                yield file
        if empty:
            raise DatasetError(
                f"{path}: no dataset in this folder{_among(path, passed)}", _formats(chosen)
            )
        if on_passed_over is not None:
            for name in passed:
                on_passed_over(path / name)


def _place(path: Path) -> tuple[str, str]:
    return os.path.realpath(path), os.path.realpath(path.parent)


def is_recognised(
    path: Path, readers: Mapping[str, Reader], form: str, fields: Mapping[str, str]
) -> bool:
    """Tell whether a file would be read, or told as unreadable, if its folder were named."""
    inside = os.path.realpath(path.parent) + os.sep
    return _maybe(path, _chosen(readers, form), fields, inside) is not None


def _chosen(readers: Mapping[str, Reader], form: str) -> Sequence[Reader]:
    if form == "auto":
        return tuple(readers.values())
    if form not in readers:
        raise DatasetError(f"unknown format {clip(form)}", f"Known formats: {_listed(readers)}.")
    return (readers[form],)


def _listed(readers: Mapping[str, Reader]) -> str:
    return ", ".join(readers)


def _formats(readers: Sequence[Reader]) -> str:
    """Say what would be recognised, one format a line."""
    lines = "\n".join(f"    {reader.name}: {reader.summary}" for reader in readers)
    return (
        "The policy can name the format (dataset.format) and rename fields (dataset.fields). "
        f"Known formats:\n{lines.replace('`', '')}"
    )


def _among(folder: Path, passed: Sequence[str]) -> str:
    if not passed:
        return ""
    if len(passed) == 1:
        path = folder / passed[0]
        return f"; {clip(passed[0])} ({_why(path, _head(path))})"
    named = ", ".join(clip(name) for name in passed[:3])
    more = f" and {len(passed) - 3} more" if len(passed) > 3 else ""
    return f"; not recognised as one: {named}{more}"


def _named(path: Path, readers: Sequence[Reader], fields: Mapping[str, str]) -> DatasetFile:
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder", "Check the spelling of the path.")
    if not path.is_file():
        raise DatasetError(f"{path}: neither a file nor a folder", "Name a dataset file.")
    head = _head(path)
    problem = _unreadable(head)
    if problem is not None:
        return DatasetFile(path, None, problem)
    if len(readers) == 1:
        return DatasetFile(path, readers[0])  # the policy says so
    for reader in readers:
        if reader.sniff(path, head, fields):
            return DatasetFile(path, reader)
    broken = _broken(head)
    if broken:
        raise DatasetError(f"{path}: {broken}", "Mend the file, or name another one.")
    raise DatasetError(f"{path}: {_why(path, head)}", _formats(readers))


def _broken(head: bytes) -> str:
    """Say what is wrong with a file whatever its fields, from its beginning."""
    text = head.removeprefix(BOM).strip()
    if not text:
        return "the file is empty"
    if text.startswith(b"[") and len(head) < HEAD:
        found = list(scan_array(io.BytesIO(head)))
        if not found:
            return "the file holds no record, only an empty list"
        first = next((raw for raw in found if raw.error or isinstance(raw.value, dict)), found[0])
        if first.error:
            return f"not recognised as a dataset: {first.error} (line {first.line})"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # what is cut off at the end is fine
    except UnicodeDecodeError:
        return "not recognised as a dataset: neither text in UTF-8 nor Parquet"
    return ""


def _why(path: Path, head: bytes) -> str:
    """Say why a file is no dataset, from its beginning."""
    broken = _broken(head)
    if broken:
        return broken
    if json_kind(path, head) == "object":
        return "not recognised as a dataset: one JSON object, expected a list or lines of records"
    records = peek(path, head) if path.suffix.lower() in SUFFIXES else []
    if records:
        names = ", ".join(clip(name, 40) for name in list(records[0])[:6])
        return f"not recognised as a dataset: the fields of its first record are {names or 'none'}"
    return "not recognised as a dataset"


def _in_folder(
    folder: Path,
    readers: Sequence[Reader],
    fields: Mapping[str, str],
    passed: list[str],
    named: Sequence[str],
) -> Iterator[DatasetFile]:
    """Yield a folder's datasets, and its links to folders that are neither named nor in one.

    Added to passed are files of a dataset's suffix that are none, archives and tables that cannot
    be read, records in files of any other name, and what is hidden: datasets, links, folders that
    may not be looked into.

    Raises
    ------
    DatasetError
        If a folder that is not hidden cannot be read.
    """
    suffixes = {suffix for reader in readers for suffix in reader.suffixes}
    inside = os.path.realpath(folder) + os.sep

    def refuse(error: OSError) -> None:
        if not _is_hidden(error.filename, folder):
            raise _cannot_be_read(error.filename, error) from error
        passed.append(Path(error.filename).relative_to(folder).as_posix())

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name != ".git")
        weights = any(name.endswith(".safetensors") for name in names)
        for path in (Path(here, name) for name in folders):
            linked = _linked(path, named, readers, fields)
            if linked is not None and not _is_hidden(path, folder):
                yield linked
            elif linked is not None:
                passed.append(path.relative_to(folder).as_posix())
        for path in (Path(here, name) for name in sorted(names)):
            hidden = _is_hidden(path, folder)
            if path.suffix.lower() not in suffixes:
                if not hidden and looks_like_data(path, readers, fields, inside):
                    passed.append(path.relative_to(folder).as_posix())
                continue
            file = _maybe(path, readers, fields, inside)
            if file is not None and not hidden:
                yield file
            elif file is not None or not (hidden or (weights and is_of_model(path))):
                passed.append(path.relative_to(folder).as_posix())


def _is_hidden(path: str | Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in Path(path).relative_to(folder).parts)


def _linked(
    path: Path, named: Sequence[str], readers: Sequence[Reader], fields: Mapping[str, str]
) -> DatasetFile | None:
    """Return a finding for a link to a folder, unless it is read anyway or holds no records."""
    if not path.is_symlink():
        return None
    real = os.path.realpath(path)
    for folder in named:
        inside = (real + os.sep).startswith(folder.rstrip(os.sep) + os.sep)
        if inside and not _is_hidden(real, Path(folder)):
            return None
    if not may_hold_records(real, readers, fields):
        return None
    return DatasetFile(
        path,
        None,
        (IMAGE_OUTSIDE_ROOT, "the folder is a link, which is not followed; name it to check it"),
    )


def _maybe(
    path: Path, readers: Sequence[Reader], fields: Mapping[str, str], inside: str
) -> DatasetFile | None:
    if not os.path.realpath(path).startswith(inside):
        return DatasetFile(path, None, _LEAVES)
    if not path.is_file():
        return None
    head = _head(path)
    problem = _unreadable(head)
    if problem is not None:
        return DatasetFile(path, None, problem)
    for reader in readers:
        if path.suffix.lower() in reader.suffixes and reader.sniff(path, head, fields):
            return DatasetFile(path, reader)
    return None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return beginning(stream)
    except OSError as error:
        raise _cannot_be_read(path, error) from error


def _cannot_be_read(path: str | Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{path}: cannot be read ({error.strerror or error})", "Check its permissions."
    )


def _unreadable(head: bytes) -> tuple[str, str] | None:
    if head.startswith(LFS_POINTER):
        return IS_LFS_POINTER, "the file is a Git LFS pointer, run git lfs pull"
    if head.startswith(_UTF16):
        return INVALID_JSON, "the file is UTF-16, save it as UTF-8"
    return None
