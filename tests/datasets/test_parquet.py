"""Parquet: images as bytes, as structs or as paths; turns or columns; rows for lines."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bye_lint.datasets import dataset_files, parquet, read_datasets
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


def test_a_small_file_of_large_repeated_values_is_not_written_out(
    tmp_path: Path, read: Read, png: bytes
) -> None:
    """What stands in the file once is held once, however many rows show it."""
    arrow_bytes = pa.default_memory_pool()
    large = pa.array([png + bytes(8 << 20)], pa.binary())
    images = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), large)
    names = pa.array(["a.png"] * 64)
    columns = {
        "flat": images,
        "struct": pa.StructArray.from_arrays([images, names], ["bytes", "path"]),
        "list": pa.ListArray.from_arrays(pa.array(range(65), pa.int32()), images),
    }
    for name, column in columns.items():
        table = pa.table({"images": column, "text": ["a"] * 64})
        pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
        del table
        assert (tmp_path / "x.parquet").stat().st_size < 10_000
        before, most, rows = arrow_bytes.bytes_allocated(), 0, 0
        for item in read_datasets(
            [tmp_path / "x.parquet"], DatasetPolicy(), tmp_path, display_root=tmp_path
        ):
            assert isinstance(item, Sample), item
            most, rows = max(most, arrow_bytes.bytes_allocated() - before), rows + 1
        assert rows == 64
        assert most < 64 << 20, name


@pytest.mark.parametrize("small", [True, False])
def test_a_file_is_not_held_in_memory_while_it_is_read(
    tmp_path: Path, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    columns = {"image": [os.urandom(1 << 18) for _ in range(96)], "text": ["a"] * 96}
    pq.write_table(pa.table(columns), path, row_group_size=16, use_dictionary=False)
    del columns
    if not small:
        monkeypatch.setattr("bye_lint.datasets.parquet._SMALL", 1 << 20)
    before, most = pa.total_allocated_bytes(), 0
    for item in read_datasets([path], DatasetPolicy(), tmp_path, display_root=tmp_path):
        assert isinstance(item, Sample), item
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < path.stat().st_size * 2 / 3


@pytest.mark.parametrize("small", [True, False])
def test_a_row_that_is_longer_than_a_record_may_be_is_one_finding(
    tmp_path: Path, read: Read, png: bytes, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bye_lint.datasets.parquet.MAX_RECORD", 1 << 20)
    monkeypatch.setattr("bye_lint.datasets.parquet._SMALL", (1 << 20) if small else 0)
    fits, more = bytes((1 << 20) - 999), bytes(1 << 20)
    rows = [
        {"images": [{"bytes": data, "path": None} for data in images], "text": "a"}
        for images in ([png], [fits], [more], [png] * 9, [fits, png + fits], [png])
    ]
    write(tmp_path / "x.parquet", rows)
    found = read("x.parquet")
    assert [getattr(item, "message", "") for item in found] == [
        "", "", "longer than 1 MiB", "", "longer than 1 MiB", "",
    ]  # fmt: skip
    assert [item.line for item in found if isinstance(item, Skipped)] == [3, 5]


ODD_COLUMNS = {
    "far": pa.array([5, 2**60, 5], pa.timestamp("us")),
    "fine": pa.array([5000, 1, 5000], pa.timestamp("ns")),
    "day": pa.array([5, 2**30, 5], pa.int32()).cast(pa.date32()),
    "time": pa.array([5000, 5, 5000], pa.time64("ns")),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_a_row_that_has_no_value_in_python_is_one_finding(
    tmp_path: Path, read: Read, png: bytes, name: str
) -> None:
    table = pa.table({"image": [png] * 3, "text": ["a"] * 3, "answers": ODD_COLUMNS[name]})
    pq.write_table(table, tmp_path / "x.parquet")
    first, odd, last = read("x.parquet")
    assert isinstance(first, Sample)
    assert isinstance(last, Sample)
    assert isinstance(odd, Skipped)
    assert (odd.rule, odd.line) == ("BYE101", 2)
    assert odd.message.startswith("the row cannot be read: ")


def test_names_and_texts_that_are_not_utf8_are_damage(
    tmp_path: Path, read: Read, png: bytes
) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"image": [png] * 2, "text": ["hihi", "a"], "zzzz": ["", ""]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"hihi", b"h\xffhi"))
    text, other = read("x.parquet")
    assert isinstance(text, Skipped)
    assert (text.rule, text.line) == ("BYE101", 1)
    assert isinstance(other, Sample)
    path.write_bytes(data.replace(b"zzzz", b"z\xffzz"))
    (name,) = read("x.parquet")
    assert isinstance(name, Skipped)
    assert (name.rule, name.line) == ("BYE101", 1)


def test_what_is_accepted_of_a_damaged_file_holds_for_it_alone(
    tmp_path: Path, read: Read, png: bytes
) -> None:
    marks = set()
    for text in ("a", "b"):
        write(tmp_path / "x.parquet", [{"image": png, "text": text}] * 5)
        data = (tmp_path / "x.parquet").read_bytes()
        (tmp_path / "x.parquet").write_bytes(data[:-5])
        (item,) = read("x.parquet")
        assert isinstance(item, Skipped)
        marks.add(item.fingerprint)
        (tmp_path / "x.parquet").write_bytes(data[:-5])
        assert read("x.parquet") == [item]
    assert len(marks) == 2


def test_what_is_accepted_of_a_row_that_cannot_be_read_holds_for_its_file_alone(
    tmp_path: Path, read: Read, png: bytes
) -> None:
    marks = set()
    for text in ("a", "b"):
        odd = {"image": [png] * 3, "text": [text] * 3, "answers": ODD_COLUMNS["far"]}
        pq.write_table(pa.table(odd), tmp_path / "x.parquet")
        _, item, _ = read("x.parquet")
        assert isinstance(item, Skipped)
        marks.add(item.fingerprint)
    assert len(marks) == 2


def test_a_column_that_is_there_twice_is_not_read(tmp_path: Path, read: Read, png: bytes) -> None:
    table = pa.Table.from_arrays([[png], ["a river"], ["odd"]], names=["image", "text", "text"])
    pq.write_table(table, tmp_path / "x.parquet")
    (item,) = read("x.parquet")
    assert isinstance(item, Skipped)
    assert "the column 'text' is there twice" in item.message


@pytest.mark.parametrize("shape", ["flat", "struct", "list"])
@pytest.mark.parametrize("distinct", [3, 300])
def test_values_are_the_same_however_the_file_holds_them(
    tmp_path: Path, read: Read, png: bytes, shape: str, distinct: int
) -> None:
    """In several groups of rows, and where a dictionary becomes too large within one."""
    data = [png + bytes([i % 256, i // 256]) * 9000 for i in range(distinct)]
    images = [data[i % distinct] for i in range(300)]
    shapes: dict[str, Callable[[bytes], Any]] = {
        "flat": lambda image: image,
        "struct": lambda image: {"bytes": image, "path": "a.png"},
        "list": lambda image: [{"bytes": image, "path": "a.png"}],
    }
    field = "images" if shape == "list" else "image"
    rows = [{field: shapes[shape](image), "text": f"t{i}"} for i, image in enumerate(images)]
    write(tmp_path / "x.parquet", rows, row_group_size=130, data_page_size=9000, write_batch_size=7)
    found = read("x.parquet")
    assert [item.answer for item in found if isinstance(item, Sample)] == [
        f"t{i}" for i in range(300)
    ]
    assert [item.images[0].read() for item in found if isinstance(item, Sample)] == images


def test_a_column_that_cannot_be_read_as_distinct_values_is_read_otherwise(
    tmp_path: Path, read: Read, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.parquet", [{"image": png, "text": f"t{i}"} for i in range(150)])
    iter_batches = pq.ParquetFile.iter_batches

    def refuse(self: Any, batch_size: int, **options: Any) -> Any:
        for i, batch in enumerate(iter_batches(self, batch_size=batch_size, **options)):
            if i == 1 and batch_size > 1:
                raise pa.ArrowNotImplementedError("chunked array outputs")
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)
    found = read("x.parquet")
    assert [item.answer for item in found if isinstance(item, Sample)] == [
        f"t{i}" for i in range(150)
    ]


def test_a_file_has_no_more_records_than_its_size_has_room_for(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    same = pa.array(["x"] * 400_000).dictionary_encode()
    pq.write_table(pa.table({"image": same, "text": same}), path, compression="zstd")
    assert path.stat().st_size < 5000
    (item,) = read("x.parquet")
    assert isinstance(item, Skipped)
    assert (item.rule, item.line) == ("BYE101", 1)
    assert "the file has 400,000 rows in " in item.message
    monkeypatch.setattr("bye_lint.datasets.parquet._VALUES", 400_000)
    items = read_datasets([path], DatasetPolicy(), tmp_path, display_root=tmp_path)
    assert isinstance(next(items), Sample)


def test_records_that_differ_have_room(tmp_path: Path) -> None:
    """Those that differ by a number in a path and one of few answers are the smallest of all."""
    n = 300_000
    columns = {
        "image": [f"images/{i:06}.jpg" for i in range(n)],
        "prompt": ["What is it?"] * n,
        "text": [f"class {answer}" for answer in random.Random(1).choices(range(2), k=n)],
    }
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table(columns), path, compression="zstd", use_dictionary=["prompt", "text"],
        column_encoding={"image": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    assert n < parquet._VALUES + path.stat().st_size * parquet._PER_BYTE
    items = read_datasets([path], DatasetPolicy(), tmp_path, display_root=tmp_path)
    assert isinstance(next(items), Sample)


@pytest.mark.parametrize("name", ["messages", "token_ids"])
def test_a_row_has_no_more_values_than_a_file_of_its_size(
    tmp_path: Path, read: Read, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = {"role": "user", "content": ""}
    rows = [{"image": "a.png", "text": "b", name: turns} for turns in ([], [turn] * 90_000)]
    write(tmp_path / "x.parquet", rows, compression="zstd")
    monkeypatch.setattr("bye_lint.datasets.parquet._PER_BYTE", 1)
    found = read("x.parquet")
    if name == "token_ids":  # a column that is not read may hold anything
        assert [type(item).__name__ for item in found] == ["Sample"] * 2
        return
    (item,) = found
    assert isinstance(item, Skipped)
    assert "'messages.list.element.role' has 90,001 values in " in item.message
    monkeypatch.setattr("bye_lint.datasets.parquet._VALUES", 100_000)
    monkeypatch.setattr("bye_lint.datasets.parquet.MAX_RECORD", 4 << 20)
    found = read("x.parquet")
    assert [item.message for item in found if isinstance(item, Skipped)][1:] == [
        "longer than 4 MiB"
    ]
