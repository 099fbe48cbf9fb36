"""Records that follow others: no first ones hide what they are from who does not train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.datasets import READERS, dataset_files
from bye_lint.datasets.jsonfile import HEAD
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped

Read = Callable[..., list[Sample | Skipped]]

MESSAGES = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "4"}]
TURNS = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "4"}]
CHAT = {"messages": MESSAGES}
LLAVA = {"conversations": TURNS}
ROW = {"prompt": "What is it?", "response": "4"}
IMAGE = {"file_name": "a.png", "prompt": "What?", "text": "a river"}


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def form(path: Path, **policy: Any) -> list[str | None]:
    found = dataset_files([path], DatasetPolicy(**policy), path)
    return [file.reader.name if file.reader else None for file in found]


@pytest.mark.parametrize("first", [CHAT, LLAVA, ROW, {"x": 1}, 1, {**CHAT, "note": "x" * HEAD}])
@pytest.mark.parametrize("count", [1, 40])
def test_an_image_of_metadata_is_seen_behind_any_records(
    tmp_path: Path, read: Read, first: Any, count: int
) -> None:
    (tmp_path / "metadata.jsonl").write_text(lines(*[first] * count, *[IMAGE] * 2))
    found = read(".")
    assert [type(item).__name__ for item in found] == ["Skipped"] * count + ["Sample"] * 2
    assert {item.rule for item in found if isinstance(item, Skipped)} == {"BYE102"}


@pytest.mark.parametrize(
    "key", ['"file\\u005fname" ', '"file_names"', '"mask_file_name"', '"x\\u005Ffile_names"\t']
)
def test_a_column_of_files_is_seen_however_it_is_called(
    tmp_path: Path, read: Read, key: str
) -> None:
    late = json.dumps({**CHAT, "k": "a.png"}).replace('"k"', key)
    (tmp_path / "metadata.jsonl").write_text(lines(*[CHAT] * 40) + late)
    assert form(tmp_path) == ["imagefolder"]
    *found, last = read(".")
    assert all(isinstance(item, Skipped) for item in found)
    assert isinstance(last, Skipped) or [image.name for image in last.images] == ["a.png"]


def test_metadata_without_files_are_what_they_look_like(tmp_path: Path, read: Read) -> None:
    """A text may say anything, and a name may end like another."""
    said = {"role": "user", "content": 'What is {"file_name": "a.png"}?'}
    for record in (
        {"messages": [said, MESSAGES[1]]},
        {**CHAT, "profile_name": "a.png", "file_name_of": "b.png"},
    ):
        (tmp_path / "metadata.jsonl").write_text(lines(*[record] * 20))
        assert form(tmp_path) == ["chat"]
        assert all(isinstance(item, Sample) for item in read("."))


@pytest.mark.parametrize("name", ["llava", "chat"])
def test_a_format_that_the_policy_names_has_no_images_in_metadata(
    tmp_path: Path, read: Read, name: str
) -> None:
    one = LLAVA if name == "llava" else CHAT
    rows = [{**one, "file_name": file} for file in ("a.png", "", None)]
    for file, kinds in (("metadata.jsonl", ["Skipped", "Sample", "Sample"]), ("x.jsonl", None)):
        (tmp_path / file).write_text(lines(*rows))
        found = read(file, format=name)
        assert [type(item).__name__ for item in found] == (kinds or ["Sample"] * 3)
    fields = {"image": "file_name"}
    assert isinstance(read("metadata.jsonl", format=name, fields=fields)[0], Sample)


@pytest.mark.parametrize("first", [{"photo": 1}, {**CHAT, "x": {"photo": 1}}])
def test_metadata_by_the_policy_s_name_for_images(
    tmp_path: Path, read: Read, first: dict[str, Any]
) -> None:
    fields = {"image": "photo"}
    late = {"photo": "a.png", "prompt": "What?", "text": "a river"}
    (tmp_path / "metadata.jsonl").write_text(lines(*[first] * 20, late))
    assert form(tmp_path, fields=fields) == ["imagefolder"]
    (tmp_path / "metadata.jsonl").write_text(lines(*[{**CHAT, "x": {"photo": 1}}] * 20))
    assert form(tmp_path, fields=fields) == ["chat"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ('"a\nb",file_name,text', "1,a.png,x"),
        ("x" * HEAD + ",file_name,text", "1,a.png,x"),
        ("mask_file_name,text", "a.png,x"),
        ("file_names,text", "a.png,x"),
        ('"fi""le","file_name",text', "1,a.png,x"),
    ],
)
def test_a_header_hides_no_images(tmp_path: Path, read: Read, header: str, row: str) -> None:
    (tmp_path / "metadata.csv").write_text(f"{header}\n{row}\n")
    assert form(tmp_path) == ["imagefolder"]
    assert len(read(".")) == 1


def test_metadata_in_parquet_are_refused_once(tmp_path: Path, read: Read) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for more in ({}, {"image": None}):
        rows = [{**CHAT, **more, "file_name": "a.png"}] * 3
        for name in ("metadata.parquet", "other.parquet"):
            parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / name)
        (item,) = read("metadata.parquet")
        assert isinstance(item, Skipped)
        assert (item.rule, "'file_name' is an image" in item.message) == ("BYE101", True)
    (item, *_) = read("metadata.parquet", fields={"image": "file_name"})
    assert isinstance(item, Sample)
    assert [image.name for image in item.images] == ["a.png"]
    assert isinstance(read("other.parquet")[0], Sample)  # which load_dataset takes for no metadata


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_rows_are_seen_behind_any_records(tmp_path: Path, read: Read, suffix: str) -> None:
    records = [*[{"x": 1}] * 40, {**ROW, "image": "a.png"}]
    text = lines(*records) if suffix == "jsonl" else json.dumps(records)
    (tmp_path / f"train.{suffix}").write_text(text)
    assert form(tmp_path) == ["chat"]
    found = [type(item).__name__ for item in read(".")]
    assert found == ["Skipped"] * 40 + ["Sample"]


def test_keys_of_different_records_make_no_row(tmp_path: Path) -> None:
    records = [*[{"x": 1}] * 40, {"image": "a.png"}, {"text": "b", "of": {"image": "c"}}]
    (tmp_path / "icons.json").write_text(json.dumps(records))
    (tmp_path / "train.jsonl").write_text(lines({**LLAVA, "image": "a.png"}))
    assert form(tmp_path) == ["llava"]


@pytest.mark.parametrize("first", [LLAVA, CHAT, {**ROW, "image": "a.png"}])
@pytest.mark.parametrize("late", [LLAVA, CHAT, ROW])
def test_a_record_in_another_format_is_read_or_refused(
    tmp_path: Path, read: Read, first: dict[str, Any], late: dict[str, Any]
) -> None:
    (tmp_path / "train.jsonl").write_text(lines(*[first] * 20, {**late, "image": "a.png"}))
    item = read(".")[-1]
    assert isinstance(item, Skipped) or [image.name for image in item.images] == ["a.png"]


def test_the_table_of_formats_is_tried_with_metadata_first() -> None:
    assert next(iter(READERS)) == "imagefolder"
