"""JSON lines: one broken line is one broken record, and its neighbours stand."""

from __future__ import annotations

import io
import json

import pytest

from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.datasets.raw import RawRecord


def scan(data: bytes, limit: int = 1 << 20) -> list[RawRecord]:
    return list(scan_lines(io.BytesIO(data), limit))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b" \n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_places(end: bytes, bom: bytes) -> None:
    lines = ['{"a": 1}', '  {"b": "é"}', '{"c": "\u2028\x85"}']
    data = bom + end.join(line.encode() for line in lines)
    found = scan(data)
    assert [raw.value for raw in found] == [json.loads(line) for line in lines]
    step = end.count(b"\n")
    assert [raw.line for raw in found] == [1, 1 + step, 1 + 2 * step]
    assert [raw.column for raw in found] == [1, 3, 1]
    assert [raw.end_column for raw in found] == [len(line) + 1 for line in lines]
    pieces = [data[raw.offset : raw.offset + raw.size] for raw in found]
    assert [json.loads(piece.decode("utf-8-sig")) for piece in pieces] == [r.value for r in found]


@pytest.mark.parametrize(
    ("line", "column", "error"),
    [
        (b'{"a": 1', 8, "expecting ',' delimiter"),
        (b"{a: 1}", 2, "expecting property name"),
        (b'{"a": NaN}', 7, "NaN is not JSON"),
        (b'{"a": "NaN", "b": -Infinity}', 19, "-Infinity is not JSON"),
        (b'{"a": 1, "a": 2}', 1, "'a' is given twice"),
        (b'{"a": 1} {"a": 2}', 9, "more text follows"),
        (b'{"a": "\xff"}', 8, "not valid UTF-8"),
        (b'{"a": "\t"}', 8, "invalid control character"),
        (b'{"a": ' + b"9" * 5000 + b"}", 1, "too many digits"),
        (b"[" * 100_000, 1, "nested too deeply"),
        (b"", None, ""),
    ],
)
def test_a_broken_line_is_one_record(line: bytes, column: int | None, error: str) -> None:
    found = scan(b'{"id": 1}\n' + line + b'\n{"id": 3}\n')
    assert [raw.value for raw in found if not raw.error] == [{"id": 1}, {"id": 3}]
    broken = [(raw.line, raw.column) for raw in found if raw.error]
    assert broken == ([] if column is None else [(2, column)])
    assert all(error in raw.error for raw in found if raw.error)


@pytest.mark.parametrize("begins", ['{"x": {"a": 1, "a": 2}, "', '{"x": "', '{"x": 1e9, "y": "'])
@pytest.mark.parametrize("refused", ["", ' "a": 1, "a": 2}', ' "a": NaN}'])
def test_a_line_of_quotes_is_looked_through_once(begins: str, refused: str) -> None:
    line = begins + '\\"' * 1_000_000 + refused
    found = scan(f"{line}\n".encode(), limit=4 << 20)
    assert [bool(raw.error) for raw in found] == [True]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"x": "NaN \\" NaN", "a": NaN}', 26),
        ('{"a": {"x": NaN}, "b": "NaN', 13),
        ('{"\\\\": "\\\\", "a": NaN, "b": "', 19),
    ],
)
def test_a_constant_is_found_beside_texts_that_name_it(line: str, column: int) -> None:
    (found,) = scan(f"{line}\n".encode())
    assert (found.column, found.error[:15]) == (column, "NaN is not JSON")


def test_an_endless_line_is_one_record() -> None:
    found = scan(b'{"id": 1}\n' + b"x" * 5000 + b'\n{"id": 3}\n' + b"y" * 300, limit=100)
    assert [(raw.line, bool(raw.error)) for raw in found] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
