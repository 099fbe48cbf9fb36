"""Take records out of one dataset file; every byte of the others stays as it is."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Collection, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from bye_lint.datasets.imagefolder import scan_csv
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsonfile import json_kind
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.datasets.parquet import MAGIC, STREAMED, require_pyarrow
from bye_lint.datasets.raw import BOM
from bye_lint.errors import ResultError

#: Line and column where a record begins, as in :class:`bye_lint.records.Location`.
Position = tuple[int, int]


class _Span(NamedTuple):
    """Where a record stands; what it says is in the file's bytes."""

    line: int
    column: int
    offset: int
    size: int
    broken: bool


def cut(path: Path, gone: Collection[Position], target: Path) -> dict[Position, str]:
    """Write a copy of a dataset file without some records.

    Parameters
    ----------
    gone : collection of (line, column)
        Where the records begin; in Parquet the line is the row, from 1.
    target : Path
        The file to write; must not be ``path``.

    Returns
    -------
    dict
        The text of each record taken out; of a Parquet row its JSON, bytes as
        ``{"base64": ...}``.

    Raises
    ------
    ResultError
        If a record does not begin where it should, so that nothing is cut at the wrong place.
    OSError
        If a file cannot be read or written.
    """
    if _is_parquet(path):
        rows = _cut_parquet(path, {line for line, _ in gone}, target)
        return {(line, column): rows[line] for line, column in gone}
    data = path.read_bytes()
    records = list(_scan(path, data))
    wanted = set(gone)
    places = {raw[:2]: i for i, raw in enumerate(records) if raw[:2] in wanted and not raw.broken}
    missing = sorted(wanted - set(places))
    if missing:
        line, column = missing[0]
        raise ResultError(
            f"{path}:{line}:{column}: no record begins here",
            "The file has changed since the check; run the check again.",
        )
    chosen = sorted(places[place] for place in gone)
    out = set(chosen)
    rest = _without(data, records, chosen, array=_is_array(path, data))
    kept = (_bytes(data, raw) for i, raw in enumerate(records) if i not in out)
    again = (_bytes(rest, raw) for raw in _scan(path, rest))
    if any(old != new for old, new in zip_longest(kept, again)):
        raise ResultError(
            f"{path}: the records could not be taken out without touching others",
            "Mend what the structural rules report about this file, then run the check again.",
        )
    target.write_bytes(rest)
    return {
        (records[i].line, records[i].column): _bytes(data, records[i]).decode(
            "utf-8", "backslashreplace"
        )
        for i in chosen
    }


def _is_parquet(path: Path) -> bool:
    """Tell by the content: where the policy names the format, a file may be called anything."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _bytes(data: bytes, raw: _Span) -> bytes:
    return data[raw.offset : raw.offset + raw.size].removeprefix(BOM).strip()


def _is_array(path: Path, data: bytes) -> bool:
    return path.suffix.lower() != ".csv" and json_kind(path, data) == "array"


def _scan(path: Path, data: bytes) -> Iterator[_Span]:
    stream = io.BytesIO(data)
    if path.suffix.lower() == ".csv":
        found = scan_csv(stream)
    else:
        found = scan_array(stream) if _is_array(path, data) else scan_lines(stream)
    for raw in found:
        yield _Span(raw.line, raw.column, raw.offset, raw.size, bool(raw.error))


def _without(data: bytes, records: list[_Span], chosen: list[int], *, array: bool) -> bytes:
    """Cut bytes out; in an array, a record goes with the separator between it and its neighbour.

    That is the separator before it, or the one behind it where no kept record stands before.
    """
    spans = [(raw.offset, raw.offset + raw.size) for raw in records]
    out, at = [], 0
    # what is chosen is sorted, so that the first kept record is where the two part
    first_kept = next((i for i, at_i in enumerate(chosen) if i != at_i), len(chosen))
    for i in chosen:
        start, end = spans[i]
        if array and i > first_kept:
            start = spans[i - 1][1]
        elif array and i + 1 < len(records):
            end = spans[i + 1][0]
        out.append(data[at:start])
        at = max(at, end)
    out.append(data[at:])
    return b"".join(out)


def _cut_parquet(path: Path, rows: Collection[int], target: Path) -> dict[int, str]:
    arrow = require_pyarrow("cleaning")
    seen = 0
    removed: dict[int, str] = {}
    with arrow.parquet.ParquetFile(path, **STREAMED) as file:
        total = file.metadata.num_rows
        if rows and max(rows) > total:
            raise ResultError(
                f"{path}: row {max(rows)} does not exist, the file has {total}",
                "The file has changed since the check; run the check again.",
            )
        codec = "snappy"
        if file.metadata.num_row_groups and file.metadata.num_columns:
            codec = file.metadata.row_group(0).column(0).compression.lower()
        codec = "none" if codec == "uncompressed" else codec
        with arrow.parquet.ParquetWriter(target, file.schema_arrow, compression=codec) as writer:
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group)
                keep = [seen + i + 1 not in rows for i in range(table.num_rows)]
                for i in (i for i, kept in enumerate(keep) if not kept):
                    (row,) = table.slice(i, 1).to_pylist()
                    removed[seen + i + 1] = json.dumps(row, ensure_ascii=False, default=_plain)
                seen += table.num_rows
                writer.write_table(table.filter(arrow.array(keep, type=arrow.bool_())))
                del table  # while the next one is read
    return removed


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return str(value)
