"""Hugging Face imagefolder: images beside a ``metadata.jsonl`` or ``metadata.csv``."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bye_lint.datasets.base import Parsed, Reader, ReadSettings, RecordError, kind, to_sample
from bye_lint.datasets.columns import parse_columns
from bye_lint.datasets.jsondecode import clip, has_surrogate
from bye_lint.datasets.jsonfile import mentions, mentions_files, some_record
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.datasets.names import IMAGES, METADATA, names_files
from bye_lint.datasets.raw import BOM, MAX_RECORD, MAX_TEXT, RawRecord, stream_hash, too_long
from bye_lint.records import Sample, Skipped


def sniff(path: Path, head: bytes, fields: Mapping[str, str]) -> bool:
    """Recognise metadata by its name and its column of file names."""
    if path.name not in METADATA or path.suffix == ".parquet":
        return False
    column = fields.get("image", "file_name")

    def is_one(name: str) -> bool:
        return name == column or ("image" not in fields and names_files(name))

    if path.suffix == ".csv":
        lines = head.removeprefix(BOM).lstrip()
        if column.encode() in lines.partition(b"\n")[0]:
            return True
        header = _header(path)
        return column.encode() in lines if header is None else any(map(is_one, header))
    # whatever the first records are: one that names a file is an image to who trains
    if "image" not in fields:
        return mentions_files(path, head)
    return mentions(path, head, column) and some_record(path, lambda record: column in record)


def read(path: Path, settings: ReadSettings) -> Iterator[Sample | Skipped]:
    """Yield the records in the order of the file."""
    with path.open("rb") as stream:
        scan = scan_csv(stream) if path.suffix.lower() == ".csv" else scan_lines(stream)
        for raw in scan:
            yield to_sample(raw, settings, _parse)


def _parse(record: Mapping[str, Any], fields: Mapping[str, str]) -> Parsed:
    column = fields.get("image", "file_name")
    name = record.get(column)
    if not isinstance(name, str) or not name:
        found = (
            "empty"
            if name in ("", None) and column in record
            else kind(name)
            if column in record
            else "missing"
        )
        raise RecordError(f"the field {clip(column)} is {found}, expected the image's file name")
    for key, value in () if "image" in fields else record.items():
        named = key in IMAGES or (names_files(key) and isinstance(value, str | list | dict))
        if not named or value in (None, "", [], name, [name]):
            continue
        raise RecordError(
            f"{clip(column)} and {clip(key)} name different images, expected one of them (or its "
            "name as dataset.fields.image)"
        )
    beside = {key: value for key, value in record.items() if key not in IMAGES}
    return parse_columns({**beside, "image": name}, {**fields, "image": "image"})


def _header(path: Path) -> list[str] | None:
    """Return the columns of a CSV file, ``None`` where they cannot be told."""
    with path.open("rb") as stream:
        try:
            rows = csv.reader(_Lines(stream, MAX_RECORD), strict=True)
            return next((row for row in rows if "".join(row).strip()), [])
        except (csv.Error, _TooLongError):
            return None


def scan_csv(stream: BinaryIO, limit: int = MAX_RECORD) -> Iterator[RawRecord]:
    """Yield the rows of a CSV file as dicts, each with the line that it begins on.

    Parameters
    ----------
    stream : binary file
    limit : int
        Longest row, in bytes.
    """
    lines = _Lines(stream, limit)
    rows = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        lines.begin_row()
        try:
            row = next(rows)
        except StopIteration:
            return
        except _TooLongError:
            lines.skip_row()
            yield lines.record(None, too_long(limit))
            continue
        except csv.Error as error:
            if "field limit" in str(error):
                lines.skip_row()
            yield lines.record(None, f"not valid CSV: {error}")
            continue
        if header is None:
            if not "".join(row).strip():
                continue  # who reads a table with pandas or datasets passes over blank lines
            header = row
            twice = next((name for name, count in Counter(row).items() if count > 1), None)
            if twice is not None:
                yield lines.record(None, f"the column {clip(twice)} is there twice", ends=True)
                return
        elif not row:
            continue
        elif len(row) != len(header):
            yield lines.record(None, f"the row has {len(row)} columns, expected {len(header)}")
        elif any(has_surrogate(cell) for cell in row):
            yield lines.record(None, "not valid UTF-8")
        else:
            # who reads a table with pandas or datasets gets a null for an empty cell
            yield lines.record(
                {name: cell or None for name, cell in zip(header, row, strict=True)}, ""
            )


class _TooLongError(Exception):
    """A row that passes the limit."""


class _Lines:
    """Lines of a file for the csv module, which remember those of the current row."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._number = self._offset = self._start = self._first = self._quotes = 0
        self._row: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        data = self._read()
        if not data:
            raise StopIteration
        if self._offset - self._start > self._limit:
            self._row.append(data[:MAX_TEXT].decode("utf-8", "surrogateescape"))
            raise _TooLongError
        if self._number == 1:
            data = data.removeprefix(BOM)
        line = data.decode("utf-8", "surrogateescape")
        self._row.append(line)
        return line

    def _read(self) -> bytes:
        """Return the next line, of which no more is held than the limit."""
        data = piece = self._stream.readline(self._limit)
        self._number += 1 if data else 0
        while piece:
            self._offset += len(piece)
            self._quotes += piece.count(b'"')
            if len(piece) < self._limit or piece.endswith(b"\n"):
                break
            piece = self._stream.readline(self._limit)
        return data

    def begin_row(self) -> None:
        self._row = []
        self._start = self._offset
        self._first = self._number + 1
        self._quotes = 0

    def skip_row(self) -> None:
        """Go behind a row that is not read to its end: what a quote opens, another one closes."""
        while self._quotes % 2 and self._read():
            pass

    def record(
        self, value: dict[str, str | None] | None, error: str, *, ends: bool = False
    ) -> RawRecord:
        """Return the row as a record; if the reading ends with it, it is told by the file."""
        first = self._row[0] if self._row else ""
        line = self._first if self._row else self._number
        width = max(1, len(first.rstrip("\r\n")))
        size = self._offset - self._start
        text = "".join(self._row) if error else ""
        digest = ""
        if ends:
            digest = stream_hash(self._stream)
        elif len(text) > MAX_TEXT or (error and size > self._limit):
            digest = stream_hash(self._stream, self._start, size)
        return RawRecord(
            value, max(1, line), 1, width + 1, self._start, size, error, text[:MAX_TEXT],
            digest=digest,
        )  # fmt: skip


READER = Reader(
    "imagefolder",
    (".jsonl", ".csv"),
    sniff,
    read,
    "Hugging Face imagefolder: `metadata.jsonl` or `metadata.csv` with `file_name`, an answer "
    "(`answer`, `text` or `caption`) and perhaps a `prompt` (`question`, `instruction`, `query`).",
)
