"""Parquet: a row a record. A row has no line, so its number (from 1) stands in for one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bye_lint.datasets.base import Reader, ReadSettings, to_sample
from bye_lint.datasets.columns import COLUMNS, has_columns, parse_columns
from bye_lint.datasets.jsondecode import clip
from bye_lint.datasets.raw import RawRecord
from bye_lint.errors import MissingExtraError
from bye_lint.records import Sample, Skipped

_MAGIC = b"PAR1"

#: Rows that are held together; each may embed an image.
_BATCH = 64


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise Parquet with an image column and turns or an answer."""
    if path.suffix.lower() != ".parquet" or not head.startswith(_MAGIC):
        return False
    try:
        arrow = _pyarrow()
    except MissingExtraError:
        return True  # reading it will say what to install
    try:
        names = dict.fromkeys(arrow.parquet.read_schema(path).names, True)
    except (arrow.ArrowException, OSError):
        return True  # reading it will say what is wrong
    image = {fields.get(role, role) for role in ("image", "images")}
    return bool(image & set(names)) and has_columns(names, fields)


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the rows in the order of the file.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    """
    arrow = _pyarrow()
    row = 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            columns = _columns(file.schema_arrow.names, settings.fields)
            twice = next((name for name in columns if columns.count(name) > 1), None)
            if twice is not None:
                raise arrow.ArrowException(f"the column {clip(twice)} is there twice")
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                for value in batch.to_pylist():
                    row += 1
                    yield to_sample(RawRecord(value, row, 1, 2, 0, 0), settings, parse_columns)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        what = str(error).partition("\n")[0][:200]
        message = f"row {row + 1} and what follows cannot be read: {what}"
        digest = hashlib.sha256(message.encode()).hexdigest()
        yield Skipped("BYE101", message, settings.display, row + 1, fingerprint=digest)


def _columns(names: list[str], fields: Mapping[str, str]) -> list[str]:
    wanted = {"id", "image", "images", "messages", "conversations", "system", *COLUMNS}
    return [name for name in names if name in wanted | set(fields.values())]


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "reading Parquet needs pyarrow, which is not installed",
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
