"""Parquet: a row a record. A row has no line, so its number (from 1) stands in for one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bye_lint.codes import INVALID_JSON
from bye_lint.datasets.base import Reader, ReadSettings, to_sample
from bye_lint.datasets.columns import has_columns, parse_columns
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.names import KNOWN, unread_files
from bye_lint.datasets.raw import MAX_RECORD, RawRecord, file_hash, too_long
from bye_lint.errors import MissingExtraError
from bye_lint.records import Sample, Skipped

#: How a file begins.
MAGIC = b"PAR1"

#: How a file is opened: as pyarrow opens it by itself, whatever was read stays in memory until the
#: file is closed.
STREAMED: Mapping[str, Any] = {"pre_buffer": False, "buffer_size": 1 << 20}

#: Rows that are held together, each of which may embed an image; more where distinct values are.
_ROWS = 16
_ROWS_CODED = 64

#: Bytes of a file up to which distinct values are told apart while it is read, which costs a
#: multiple of what they take.
_SMALL = 16 << 20


#: How many values a column may have in any file, and how many more for each byte of it. Values that
#: are all the same take none, so that a kilobyte may come to any number of records; but a million
#: records that differ by a number in a path and one of few answers take this much at the least.
_VALUES = 50_000
_PER_BYTE = 8

#: What a value takes beside its own bytes where it is written out.
_VALUE = 64


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise Parquet with an image column and turns or an answer."""
    if path.suffix.lower() != ".parquet" or not head.startswith(MAGIC):
        return False
    try:
        arrow = require_pyarrow("reading")
    except MissingExtraError:
        return True  # reading it will say what to install
    try:
        names = dict.fromkeys(arrow.parquet.read_schema(path).names, True)
    except (arrow.ArrowException, OSError, ValueError):
        return True  # reading it will say what is wrong
    if unread_files(path.name, names, fields):
        return True  # reading it will say that they are not read
    image = {fields.get(role, role) for role in ("image", "images")}
    return bool(image & set(names)) and has_columns(names, fields)


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the rows in the order of the file.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    """
    arrow = require_pyarrow("reading")
    row = 0
    try:
        with arrow.parquet.ParquetFile(path, **STREAMED) as file:
            columns = _columns(file.schema_arrow.names, settings.fields)
            twice = next((name for name in columns if columns.count(name) > 1), None)
            if twice is not None:
                raise arrow.ArrowException(f"the column {clip(twice)} is there twice")
            for name in unread_files(path.name, file.schema_arrow.names, settings.fields):
                raise arrow.ArrowException(
                    f'{clip(name)} is an image to load_dataset("imagefolder"), and not read from '
                    "Parquet (name it as dataset.fields.image, or write metadata.jsonl)"
                )
            _refuse_too_many(arrow, path, file.metadata, columns)
            for batch in _batches(arrow, path, file, columns):
                for value, wrong in _values(arrow, batch):
                    row += 1
                    text = f"{wrong}\n{_hash(path)}" if wrong else ""
                    raw = RawRecord(value, row, 1, 2, 0, 0, wrong, text)
                    yield to_sample(raw, settings, parse_columns)
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        message = f"row {row + 1} and what follows cannot be read: {_first_line(error)}"
        digest = hashlib.sha256(f"{message}\n{_hash(path)}".encode()).hexdigest()
        yield Skipped(INVALID_JSON, message, settings.display, row + 1, fingerprint=digest)


def _refuse_too_many(arrow: Any, path: Path, metadata: Any, columns: list[str]) -> None:
    """Refuse a file that says that it has many times the values that its size has room for."""
    size = path.stat().st_size
    counts = {"the file": metadata.num_rows}
    for i in range(metadata.num_columns):
        name = metadata.schema.column(i).path
        if any(name == column or name.startswith(f"{column}.") for column in columns):
            groups = (metadata.row_group(g) for g in range(metadata.num_row_groups))
            counts[clip(name)] = sum(group.column(i).num_values for group in groups)
    for name, count in counts.items():
        if count > _VALUES + size * _PER_BYTE:
            what = "rows" if name == "the file" else "values"
            raise arrow.ArrowException(
                f"{name} has {count:,} {what} in {size:,} bytes, which is not plausible; if they "
                "are meant, save them as JSON lines"
            )


def _batches(arrow: Any, path: Path, file: Any, columns: list[str]) -> Iterator[Any]:
    """Yield the rows in pieces, in which a value that is there often is held once, if it can be."""
    if path.stat().st_size > _SMALL:
        yield from file.iter_batches(batch_size=_ROWS, columns=columns)
        return
    # columns in which others are nested can be read so within one group of rows at most
    told = _coded(file.metadata)
    with arrow.parquet.ParquetFile(path, read_dictionary=told, **STREAMED) as coded:
        for group in range(file.num_row_groups):
            seen = 0
            options = {"row_groups": [group], "columns": columns}
            try:
                for batch in coded.iter_batches(batch_size=_ROWS_CODED, **options):
                    yield batch
                    seen += batch.num_rows
            except arrow.ArrowNotImplementedError:
                for row, batch in enumerate(file.iter_batches(batch_size=1, **options)):
                    if row >= seen:
                        yield batch


def _coded(metadata: Any) -> list[str]:
    """Return the columns of texts or bytes that the file holds as numbers of distinct ones.

    In a small file they are kept so: written out, a kilobyte may come to any size.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return [
        metadata.schema.column(i).path
        for i in range(metadata.num_columns)
        if metadata.schema.column(i).physical_type == "BYTE_ARRAY"
        and any("DICTIONARY" in code for group in groups for code in group.column(i).encodings)
    ]


def _values(arrow: Any, batch: Any) -> Iterator[tuple[Any, str]]:
    """Yield the rows of a batch, each with what is wrong with it; together, if they are small."""
    try:
        if _size(arrow, batch.columns) <= MAX_RECORD:
            yield from [(value, "") for value in batch.to_pylist()]
            return
    except (arrow.ArrowException, ValueError, OverflowError):
        pass  # of which row is found out below
    for i in range(batch.num_rows):
        row = batch.slice(i, 1)
        try:
            if _size(arrow, row.columns) > MAX_RECORD:
                yield None, too_long(MAX_RECORD)
                continue
            (value,) = row.to_pylist()
        except (arrow.ArrowException, ValueError, OverflowError) as error:
            yield None, f"the row cannot be read: {_first_line(error)}"
            continue
        yield value, ""


def _size(arrow: Any, arrays: list[Any]) -> int:
    """Return the bytes that columns take where they are written out."""
    size = 0
    for array in arrays:
        if arrow.types.is_dictionary(array.type):
            lengths = arrow.compute.binary_length(array.dictionary)
            size += arrow.compute.sum(lengths.take(array.indices)).as_py() or 0
        elif arrow.types.is_struct(array.type) and array.type.num_fields:
            size += _size(arrow, array.flatten())
        elif arrow.types.is_list(array.type) or arrow.types.is_large_list(array.type):
            size += _size(arrow, [array.flatten()]) + 8 * len(array)
        else:
            size += array.nbytes
        size += _VALUE * len(array)
    return size


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _hash(path: Path) -> str:
    """Return the hash of the whole file, once for all of its rows."""
    status = path.stat()
    return _hashed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _hashed(path: Path, _size: int, _changed: int) -> str:
    return file_hash(path)


def _columns(names: list[str], fields: Mapping[str, str]) -> list[str]:
    wanted = {"id", *fields.values()}
    return [name for name in names if name in wanted or name.lower() in KNOWN]


def require_pyarrow(what: str) -> Any:
    """Return pyarrow, which reading and cleaning Parquet need.

    Raises
    ------
    MissingExtraError
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{what} Parquet needs pyarrow, which is not installed",
            "pip install 'bye-lint[parquet]'",
        ) from error
    return pyarrow


READER = Reader(
    "parquet",
    (".parquet",),
    sniff,
    read,
    "Parquet: an `image` or `images` column (bytes, `{bytes, path}` or path) with `messages`, "
    "`conversations`, or an answer and perhaps a prompt. Line numbers are row numbers.",
)
