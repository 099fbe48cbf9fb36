"""Parquet: images as bytes, as structs or as paths; turns or columns; rows for lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bye_lint.datasets import dataset_files
from bye_lint.errors import DatasetError, MissingExtraError
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped

Read = Callable[..., list[Sample | Skipped]]
CHAT = [
    {"role": "user", "content": "<image>\nWhat?"},
    {"role": "assistant", "content": "a river"},
]
SHAREGPT = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a river"}]
PARTS = [
    {
        "role": "user",
        "content": [{"type": "image", "text": None}, {"type": "text", "text": "What?"}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "a river"}]},
]


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param({"messages": CHAT}, id="messages"),
        pytest.param({"conversations": SHAREGPT}, id="conversations"),
        pytest.param({"messages": PARTS}, id="typed-parts"),
        pytest.param({"prompt": "What?", "answer": "a river"}, id="columns"),
        pytest.param({"question": "What?", "answer": "a river"}, id="question"),
        pytest.param({"query": "What?", "answer": "a river"}, id="query"),
        pytest.param({"instruction": "What?", "text": "a river"}, id="instruction"),
    ],
)
@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda png: {"image": png}, id="bytes"),
        pytest.param(lambda png: {"image": {"bytes": png, "path": None}}, id="struct"),
        pytest.param(lambda png: {"image": {"bytes": png, "path": "a.png"}}, id="named-struct"),
        pytest.param(lambda png: {"image": {"bytes": None, "path": "a.png"}}, id="path-struct"),
        pytest.param(lambda png: {"image": "a.png"}, id="path"),
        pytest.param(lambda png: {"images": [png]}, id="list-of-bytes"),
        pytest.param(lambda png: {"images": [{"bytes": png, "path": "a.png"}]}, id="structs"),
    ],
)
def test_every_shape(
    tmp_path: Path,
    read: Read,
    png: bytes,
    image: Callable[[bytes], dict[str, Any]],
    turns: dict[str, Any],
) -> None:
    (tmp_path / "a.png").write_bytes(png)
    write(tmp_path / "x.parquet", [{"id": f"r{i}", **image(png), **turns} for i in range(3)])
    found = read("x.parquet")
    assert [item.id for item in found if isinstance(item, Sample)] == ["r0", "r1", "r2"]
    for row, item in enumerate(found, 1):
        assert isinstance(item, Sample)
        assert item.prompt == "<image>\nWhat?"
        assert item.answer == "a river"
        assert [i.read() for i in item.images] == [png]
        assert (item.location.path, item.location.line) == ("x.parquet", row)


def test_ids_are_made_from_rows(tmp_path: Path, read: Read, png: bytes) -> None:
    write(tmp_path / "x.parquet", [{"image": png, "text": "a"}] * 200, row_group_size=30)
    assert [item.id for item in read("x.parquet")] == [f"x.parquet:{i}" for i in range(1, 201)]  # type: ignore[union-attr]


def test_several_images_in_a_row(tmp_path: Path, read: Read, png: bytes) -> None:
    write(tmp_path / "x.parquet", [{"images": [png, png], "prompt": "Same?", "answer": "yes"}])
    (item,) = read("x.parquet")
    assert isinstance(item, Sample)
    assert item.prompt == "<image>\n<image>\nSame?"


def test_renamed_columns(tmp_path: Path, read: Read, png: bytes) -> None:
    write(tmp_path / "x.parquet", [{"pic": png, "q": "What?", "label": "a river", "key": 7}])
    fields = {"image": "pic", "prompt": "q", "answer": "label", "id": "key"}
    (item,) = read("x.parquet", fields=fields)
    assert isinstance(item, Sample)
    assert (item.id, item.prompt, item.answer) == ("7", "<image>\nWhat?", "a river")


def test_a_column_that_says_something_else_is_not_passed_over(
    tmp_path: Path, read: Read, png: bytes
) -> None:
    rows = [
        {"image": png, "answer": "a river", "response": said} for said in ("a river", "Attack!")
    ]
    write(tmp_path / "x.parquet", rows)
    assert [getattr(item, "rule", "") for item in read("x.parquet")] == ["", "BYE102"]


def test_rows_that_cannot_be_used(tmp_path: Path, read: Read, png: bytes) -> None:
    rows = [
        {"image": {"bytes": png, "path": None}, "messages": CHAT},
        {"image": {"bytes": None, "path": "../a.png"}, "messages": CHAT},
        {"image": {"bytes": png, "path": None}, "messages": []},
        {"image": {"bytes": png, "path": "../named.png"}, "messages": CHAT},
    ]
    write(tmp_path / "x.parquet", rows)
    found = read("x.parquet")
    assert [getattr(item, "rule", "") for item in found] == ["", "BYE105", "BYE102", ""]
    assert len({item.fingerprint for item in found if isinstance(item, Skipped)}) == 2


def test_other_tables_are_no_datasets(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [{"a": 1, "answer": "b"}])
    with pytest.raises(DatasetError, match="no dataset"):
        list(dataset_files([tmp_path], DatasetPolicy(), tmp_path))


@pytest.mark.parametrize("cut", [10, 200, -5])
def test_damage_is_told(tmp_path: Path, read: Read, png: bytes, cut: int) -> None:
    write(tmp_path / "x.parquet", [{"image": png, "text": "a"}] * 5)
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data[:cut])
    found = read("x.parquet")
    assert [getattr(item, "rule", "") for item in found] == ["BYE101"]


def test_damage_inside_keeps_the_rows_before(tmp_path: Path, read: Read) -> None:
    rows = [{"image": "a.png", "text": f"{i:04d}" * 20} for i in range(300)]
    write(tmp_path / "x.parquet", rows, row_group_size=100, compression="gzip")
    group = pq.read_metadata(tmp_path / "x.parquet").row_group(2).column(1)
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    (tmp_path / "x.parquet").write_bytes(data)
    found = read("x.parquet")
    assert sum(isinstance(item, Sample) for item in found) >= 192
    assert isinstance(found[-1], Skipped)
    assert found[-1].line == len(found)


def test_without_pyarrow(
    tmp_path: Path, read: Read, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.parquet", [{"image": png, "text": "a"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bye-lint\[parquet\]'"):
        read(".")
