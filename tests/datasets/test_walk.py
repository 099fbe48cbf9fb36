"""Which files are datasets, and what is said of those that are not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.datasets import READERS, dataset_files, display_path
from bye_lint.datasets.jsonfile import HEAD, json_kind
from bye_lint.errors import DatasetError
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped

TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a river"}]
RECORD = {"id": "a", "image": "a.png", "conversations": TURNS}
CHAT = {"messages": [{"role": "user", "content": "hi"}], "images": ["a.png"]}

#: A record whose keys no plain search finds.
ESCAPED = "," + json.dumps(RECORD).replace("conversations", "\\u0063onversation\\u0073")

Read = Callable[..., list[Sample | Skipped]]


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def formats(*paths: Path, **settings: Any) -> list[tuple[str, str | None]]:
    files = dataset_files(paths, DatasetPolicy(**settings), paths[0])
    return [(file.path.name, file.reader.name if file.reader else None) for file in files]


NO_DATASETS = {
    "config.json": {"model_type": "llava", "image_token_index": 3},
    "tokenizer.json": {"model": {"vocab": {"conversations": 1}}},
    "truth.json": {"poisoned": ["a", "b"]},
    "package.json": '{\n  "name": "x"\n}\n',
    "vocab.json": ["a", "b"],
    "coco.json": [{"image_id": 1, "caption": "x"}],
    "metrics.jsonl": '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n',
    "empty.json": "",
    "empty.jsonl": "",
    "words.json": '"just words"',
    "table.csv": "file_name,text\na.png,b\n",
    "bye-lint.yaml": "seed: 1\n",
    ".hidden.json": [RECORD],
    ".git/x.json": [RECORD],
    ".cache/x.json": [RECORD],
    "__pycache__/x.json": [RECORD],
    "model/config.json": {"a": 1},
    "model/model.safetensors": "x",
    "model/vocab.json": '{"}": 1, "{\\"": 2}\n',
    "notes.txt": "{curly} words",
    "log.txt": '[INFO] {"messages": []}',
    "notebook.ipynb": '{\n "cells": [{"messages": []}]\n}',
    "script": "#!/bin/sh\n",
}

#: Places that look as if they held no data, and records in them.
DECOYS = {
    "node_modules/x/x.json": [RECORD],
    "model/config.json": {"a": 1},
    "model/model.safetensors": "",
    "model/samples.json": [RECORD],
    "model/deeper/samples.json": [RECORD],
    "lora/adapter_config.json": [RECORD],
    "lora/x.safetensors": "",
    ".hidden.json": [RECORD],
    ".cache/x.json": [RECORD],
    "__data/x.json": [RECORD],
    "__data/tokenizer.json": {"a": 1},
    "more/part.jsonl.gz": "x",
    "more/part.arrow": "x",
    "more/notes.txt": "x",
    "more/table.txt": '{"file_name": "a.png", "text": "x"}',
    "more/train": json.dumps(RECORD),
    "more/train.txt": json.dumps(CHAT),
    "more/train.jsonl.bak": " " * HEAD + json.dumps(RECORD),
    "more/train.jsonlines": (json.dumps({"pad": "x" * HEAD, **RECORD}) + "\n") * 2,
    "more/train.log": [RECORD],
    "more/train.pq": "PAR1",
    "more/x.gpq": "x",
    "more/x.h5": "x",
    "more/x.lance": "x",
    "more/x.pkl": "x",
    "more/.train.txt": [RECORD],
    "more/a.png": [RECORD],
    "model/vocab.json": [1],
    "model/tokenizer.json": '{"a": 1}\n{"a": 1}',
    "model/processor_config.json": '{"a": 1}{"a": 1}',
    ".cache/part.jsonl.gz": "x",
}


def test_what_is_no_dataset_is_passed_over(tmp_path: Path) -> None:
    for name, value in NO_DATASETS.items():
        put(tmp_path / name, value)
    put(tmp_path / "train.json", [RECORD])
    assert formats(tmp_path) == [("train.json", "llava")]


def test_what_is_called_like_a_model_s_file_is_told_where_there_is_no_model(
    tmp_path: Path,
) -> None:
    put(tmp_path / "train.json", [RECORD])
    put(tmp_path / "config.json", {"a": 1})
    passed: list[Path] = []
    list(dataset_files([tmp_path], DatasetPolicy(), tmp_path, on_passed_over=passed.append))
    assert passed == [tmp_path / "config.json"]


def test_the_case_of_an_ending_says_nothing(tmp_path: Path) -> None:
    put(tmp_path / "A.JSON", [RECORD])
    put(tmp_path / "B.Jsonl", json.dumps(RECORD))
    assert formats(tmp_path) == [("A.JSON", "llava"), ("B.Jsonl", "llava")]


def test_no_place_hides_records(tmp_path: Path) -> None:
    for name, value in DECOYS.items():
        put(tmp_path / name, value)
    passed: list[Path] = []
    found = dataset_files([tmp_path], DatasetPolicy(), tmp_path, on_passed_over=passed.append)
    read = {file.path.relative_to(tmp_path).as_posix() for file in found}
    assert read == {
        "node_modules/x/x.json",
        "model/samples.json",
        "model/deeper/samples.json",
        "lora/adapter_config.json",
    }
    named = {path.relative_to(tmp_path).as_posix() for path in passed}
    unread = {name for name in DECOYS if name.startswith(("more/part.", "more/train", "more/x."))}
    unread |= {"model/vocab.json", "model/tokenizer.json", "model/processor_config.json"}
    assert named == {".hidden.json", ".cache/x.json", "__data/x.json"} | unread


def test_a_folder_that_cannot_be_read_ends_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "x.json", [RECORD])
    for name in ("closed", ".closed"):
        (tmp_path / name).mkdir()
    scandir = os.scandir

    def refuse(path: Path | str) -> Any:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    closed = {".closed"}
    passed: list[Path] = []
    found = dataset_files([tmp_path], DatasetPolicy(), tmp_path, on_passed_over=passed.append)
    assert [file.path.name for file in found] == ["x.json"]
    assert passed == [tmp_path / ".closed"]
    closed = {"closed"}
    with pytest.raises(DatasetError, match=r"closed: cannot be read \(Permission denied\)"):
        formats(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "coco.json", "table.csv", "bye-lint.yaml"])
def test_a_named_file_that_is_no_dataset_is_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, NO_DATASETS[name])
    with pytest.raises(DatasetError, match="not recognised") as caught:
        formats(tmp_path / name)
    assert all(reader.summary[:8] in str(caught.value) for reader in READERS.values())


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.json", "", "the file is empty"),
        ("a.jsonl", "\ufeff\n", "the file is empty"),
        ("a.json", "[ ]", "the file holds no record, only an empty list"),
        ("a.json", '[\n {\n  "id": "r0",\n  "ima', "the file was cut off"),
        ("a.json", "[\n {'id': 1}]", "expecting property name enclosed in double quotes"),
        ("a.json", '{\n"data": [{"id": 1}]}', "one JSON object, expected a list"),
        ("a.json", '{"data": [{"id": 1}]}', "the fields of its first record are 'data'"),
        ("a.json", '[{"url": "x", "text": ""}]', "its first record are 'url', 'text'"),
        ("a.txt", "text", "a.txt: not recognised as a dataset\n"),
    ],
)
def test_what_is_wrong_with_a_named_file_is_said(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        formats(tmp_path / name)
    assert why in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[ ]", b"[1,2", b"\xd7\x01\x9c\x00"])
def test_formats_are_no_remedy_for_a_file_that_is_broken(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        formats(tmp_path / "a.json")
    assert "Known formats" not in str(caught.value)
    assert "name another one" in str(caught.value)


def test_a_folder_without_dataset_names_what_was_looked_at(tmp_path: Path) -> None:
    for i in range(5):
        put(tmp_path / "deep" / f"{i}.json", {"a": i})
    with pytest.raises(DatasetError) as caught:
        formats(tmp_path)
    assert "not recognised as one: 'deep/0.json', 'deep/1.json', 'deep/2.json' and 2 more" in str(
        caught.value
    )


def test_a_folder_says_what_is_wrong_with_its_only_file(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("[")
    with pytest.raises(DatasetError, match=r"'train\.json' \(.*the file was cut off"):
        formats(tmp_path)


def test_a_folder_without_dataset_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "config.json", NO_DATASETS["config.json"])
    with pytest.raises(DatasetError, match="no dataset in this folder"):
        formats(tmp_path)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        formats(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a.json", [RECORD], "llava"),
        ("a.jsonl", json.dumps(RECORD), "llava"),
        ("a.json", json.dumps(RECORD), "llava"),
        ("a.json", json.dumps(RECORD) + "\n" + json.dumps(RECORD), "llava"),
        ("a.ndjson", json.dumps(RECORD), "llava"),
        ("a.jsonl", [RECORD], "llava"),
        ("a.json", "\ufeff" + json.dumps([RECORD]), "llava"),
        ("a.json", [CHAT], "chat"),
        ("a.json", [{"conversations": CHAT["messages"], "images": ["a.png"]}], "chat"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}', "imagefolder"),
        ("metadata.csv", "file_name,text\na.png,x\n", "imagefolder"),
        pytest.param("a.json", [{"x": 1}, RECORD], "llava", id="first-record-is-odd"),
        pytest.param("a.json", "[{,}, " + json.dumps(RECORD) + "]", "llava", id="first-is-broken"),
        pytest.param("a.jsonl", "{,}\n" + json.dumps(RECORD), "llava", id="first-line-is-broken"),
        pytest.param("a.json", "{,}\n" + json.dumps(RECORD), "llava", id="same-named-json"),
        pytest.param(
            "a.json", [{"x": 1}] * HEAD + [RECORD], "llava", id="records-far-behind-the-beginning"
        ),
        pytest.param(
            "a.json", [{"pad": "x" * HEAD, **RECORD}], "llava", id="first-record-is-very-long"
        ),
        pytest.param("a.json", "," + json.dumps([RECORD])[1:], "llava", id="bracket-is-missing"),
        pytest.param(
            "a.json", " \n" * HEAD + json.dumps([RECORD]), "llava", id="behind-a-long-blank"
        ),
        pytest.param(
            "a.json", "\ufeff" + "\n" * HEAD + json.dumps([RECORD]), "llava", id="mark-and-blank"
        ),
        pytest.param(
            "a.json",
            json.dumps({"pad": "x" * 3 * HEAD, **RECORD}) + "\n" * HEAD + json.dumps(RECORD),
            "llava",
            id="lines-of-which-the-first-is-very-long",
        ),
        pytest.param(
            "a.json",
            "[" + json.dumps({"id": "x" * HEAD}) + ESCAPED + "]",
            "llava",
            id="keys-written-as-escapes",
        ),
        pytest.param(
            "a.jsonl",
            json.dumps({"id": "x" * (1 << 20)})
            + ESCAPED.replace('":', '"' + " " * (1 << 20) + ":"),
            "llava",
            id="a-blank-within-the-key",
        ),
        pytest.param("a.json", json.dumps([RECORD])[:70], "llava", id="cut-off-in-first-record"),
    ],
)
def test_recognised(tmp_path: Path, name: str, value: Any, expected: str) -> None:
    put(tmp_path / name, value)
    assert formats(tmp_path / name) == [(name, expected)]
    assert formats(tmp_path) == [(name, expected)]


def test_order_is_sorted_and_each_file_is_read_once(tmp_path: Path) -> None:
    for name in ("b/1.json", "a/2.json", "a/10.json", "c.json"):
        put(tmp_path / name, [RECORD])
    found = dataset_files(
        [tmp_path / "b", tmp_path, tmp_path / "a" / "2.json"], DatasetPolicy(), tmp_path
    )
    assert [display_path(f.path, tmp_path) for f in found] == [
        "b/1.json",
        "c.json",
        "a/10.json",
        "a/2.json",
    ]


def test_paths_of_the_policy_start_at_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "data" / "x.json", [RECORD])
    put(tmp_path / "y.json", [RECORD])
    policy = DatasetPolicy(paths=("data",))
    assert [f.path.name for f in dataset_files([], policy, tmp_path)] == ["x.json"]
    assert list(dataset_files([], DatasetPolicy(), tmp_path)) == []


def test_the_policy_may_name_the_format(tmp_path: Path) -> None:
    put(tmp_path / "a.json", [RECORD])
    put(tmp_path / "config.json", NO_DATASETS["config.json"])
    assert formats(tmp_path, format="chat") == [("a.json", "chat")]
    with pytest.raises(DatasetError, match="unknown format 'lava'"):
        formats(tmp_path, format="lava")


def test_a_named_format_is_not_second_guessed(tmp_path: Path, read: Read) -> None:
    put(tmp_path / "odd.json", [{"x": 1}])
    assert [item.rule for item in read("odd.json", format="llava")] == ["BYE102"]  # type: ignore[union-attr]


def test_a_link_that_leaves_the_folder_is_told_and_not_followed(tmp_path: Path, read: Read) -> None:
    put(tmp_path / "elsewhere" / "x.json", [RECORD])
    put(tmp_path / "data" / "y.json", [RECORD])
    (tmp_path / "data" / "link.json").symlink_to(tmp_path / "elsewhere" / "x.json")
    (tmp_path / "data" / "folder").symlink_to(tmp_path / "elsewhere")
    found = read("data")
    assert [(type(item).__name__, getattr(item, "rule", "")) for item in found] == [
        ("Unread", "BYE105"),
        ("Unread", "BYE105"),
        ("Sample", ""),
    ]
    assert [item.path for item in found if isinstance(item, Skipped)] == [
        "data/folder",
        "data/link.json",
    ]
    assert isinstance(read("data/link.json")[0], Sample)
    assert isinstance(read("data/folder")[0], Sample)


def test_what_is_behind_a_link_that_is_not_followed_is_told_by_its_content(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    def marks() -> list[str]:
        return [item.fingerprint for item in read("data") if isinstance(item, Skipped)]

    (tmp_path / "data").mkdir()
    link = tmp_path / "data" / "link.json"
    link.symlink_to("../elsewhere/x.json")
    missing = marks()
    put(tmp_path / "elsewhere" / "x.json", [RECORD])
    first = marks()
    assert marks() == first != missing
    put(tmp_path / "elsewhere" / "x.json", [RECORD, RECORD])
    second = marks()
    (tmp_path / "elsewhere" / "y.json").write_bytes(
        (tmp_path / "elsewhere" / "x.json").read_bytes()
    )
    link.unlink()
    link.symlink_to("../elsewhere/y.json")
    assert len({*missing, *first, *second, *marks()}) == 4
    monkeypatch.setattr("bye_lint.datasets._LARGEST", 9)
    assert marks() == [""]
    link.unlink()
    link.symlink_to("../elsewhere")  # of a folder, and of what is no file, nothing is known
    assert marks() == [""]
    link.unlink()
    os.mkfifo(tmp_path / "elsewhere" / "pipe")
    link.symlink_to("../elsewhere/pipe")
    assert marks() == [""]


def test_a_link_to_a_folder_that_is_read_needs_no_word(tmp_path: Path, read: Read) -> None:
    put(tmp_path / "data" / "a" / "x.json", [RECORD])
    put(tmp_path / "data" / ".b" / "x.json", [RECORD])
    (tmp_path / "data" / "same").symlink_to("a")
    (tmp_path / "data" / ".same").symlink_to("a")
    assert [type(item).__name__ for item in read("data")] == ["Sample"]
    (tmp_path / "data" / "secret").symlink_to(".b")
    assert [type(item).__name__ for item in read("data")] == ["Unread", "Sample"]


def test_a_link_is_no_finding_where_it_is_named_beside_its_folder(
    tmp_path: Path, read: Read
) -> None:
    put(tmp_path / "elsewhere" / "x.json", [RECORD])
    put(tmp_path / "elsewhere" / ".b" / "x.json", [RECORD])
    put(tmp_path / "data" / "y.json", [RECORD])
    (tmp_path / "data" / "link.json").symlink_to(tmp_path / "elsewhere" / "x.json")
    (tmp_path / "data" / "folder").symlink_to(tmp_path / "elsewhere")
    for named in (
        ["data", "data/folder", "data/link.json"],
        ["data/link.json", "elsewhere", "data"],
    ):
        assert [type(item).__name__ for item in read(*named)] == ["Sample"] * 3, named
    (tmp_path / "data" / "secret").symlink_to("../elsewhere/.b")
    found = [item.path for item in read("data", "elsewhere") if isinstance(item, Skipped)]
    assert found == ["data/secret", "data/link.json"]


def test_a_link_to_a_folder_of_images_alone_is_no_finding(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "data" / "x.json", [RECORD])
    store = tmp_path / "store"
    put(store / "a" / "1.png", "")
    put(store / "a" / "2.JPG", "")
    (tmp_path / "data" / "images").symlink_to(store)
    assert [type(item).__name__ for item in read("data")] == ["Sample"]

    for name in ("a/b/x.jsonl", "METADATA.CSV", "x.jsonl.gz", "more"):
        path = store / name
        if name == "more":
            path.symlink_to(tmp_path)
        else:
            put(path, "")
        assert [type(item).__name__ for item in read("data")] == ["Unread", "Sample"], name
        path.unlink()
    monkeypatch.setattr("bye_lint.datasets.beside._LOOKED_AT", 1)
    assert [type(item).__name__ for item in read("data")] == ["Unread", "Sample"]


@pytest.mark.parametrize("name", ["train.txt", "train", "x.jsonl.bak"])
def test_a_link_to_a_folder_of_records_by_another_name_is_told(
    tmp_path: Path, read: Read, name: str
) -> None:
    put(tmp_path / "data" / "x.json", [RECORD])
    put(tmp_path / "other" / "a" / name, "Some words.")
    os.mkfifo(tmp_path / "other" / "pipe")
    (tmp_path / "data" / "other").symlink_to("../other")
    assert [type(item).__name__ for item in read("data")] == ["Sample"]
    put(tmp_path / "other" / "a" / name, [RECORD])
    assert [type(item).__name__ for item in read("data")] == ["Unread", "Sample"]


def test_a_link_to_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "data" / "x.json", [RECORD])
    (tmp_path / "other" / "closed").mkdir(parents=True)
    (tmp_path / "data" / "other").symlink_to("../other")
    assert [type(item).__name__ for item in read("data")] == ["Sample"]
    scandir = os.scandir

    def refuse(path: Path | str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [type(item).__name__ for item in read("data")] == ["Unread", "Sample"]


def test_a_linked_file_is_read_with_the_images_beside_it(tmp_path: Path, read: Read) -> None:
    put(tmp_path / "a" / "x.json", [RECORD])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.json").symlink_to("../a/x.json")
    found = [item.images[0].path for item in read(".") if isinstance(item, Sample)]
    assert found == [tmp_path / "a" / "a.png", tmp_path / "b" / "a.png"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet", "metadata.csv"])
def test_lfs_pointers_are_told(tmp_path: Path, read: Read, name: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    put(tmp_path / "data" / name, pointer)
    for path in ("data", f"data/{name}"):
        (item,) = read(path)
        assert isinstance(item, Skipped)
        assert (item.rule, item.path, item.line) == ("BYE110", f"data/{name}", 1)
        assert "git lfs pull" in item.message
        assert item.fingerprint


def test_utf16_is_told(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.json").write_bytes(json.dumps([RECORD]).encode("utf-16"))
    (item,) = read("a.json")
    assert isinstance(item, Skipped)
    assert item.rule == "BYE101"
    assert "UTF-16" in item.message


def test_display_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert display_path(Path("a b/../a b/x.json"), tmp_path) == "a b/x.json"
    assert display_path(tmp_path / "x.json", Path("a b")) == "../x.json"
    (tmp_path / "link").symlink_to("a b")
    assert display_path(tmp_path / "a b" / "x", tmp_path / "link") == "x"
    (tmp_path / "a b" / "file").symlink_to("x.json")
    assert display_path(Path("a b/file"), tmp_path) == "a b/file"
    (tmp_path / "a b" / "out").symlink_to("/")
    assert display_path(Path("a b/out/x.json"), tmp_path) == "a b/out/x.json"
    assert display_path(Path("link/x.json"), tmp_path) == "a b/x.json", "git has no link/x.json"


def test_a_file_beside_the_data_that_cannot_be_opened_is_no_hindrance(tmp_path: Path) -> None:
    put(tmp_path / "x.json", [RECORD])
    put(tmp_path / "elsewhere.txt", [RECORD])
    (tmp_path / "data").mkdir()
    put(tmp_path / "data" / "y.json", [RECORD])
    os.mkfifo(tmp_path / "data" / "pipe")
    (tmp_path / "data" / "nothing").symlink_to("none")
    (tmp_path / "data" / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    passed: list[Path] = []
    found = dataset_files(
        [tmp_path / "data"], DatasetPolicy(), tmp_path, on_passed_over=passed.append
    )
    assert [file.path.name for file in found] == ["y.json"]
    assert passed == []


ONE = json.dumps(RECORD)
SPREAD = json.dumps(RECORD, indent=1)
ROW = json.dumps({"image": "a.png", "text": '\\ " } {'})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ONE + ONE, 1),
        (ONE + " , " + ONE + "\n", 1),
        (SPREAD + "\n" + SPREAD, SPREAD.count("\n") + 2),
        ("\ufeff\n\n" + SPREAD + "\n\n,\n" + SPREAD, SPREAD.count("\n") + 6),
        (ROW.replace(",", ",\n") + ROW, 2),
        (json.dumps({"pad": '"\\' * HEAD * 16 + "x", **RECORD}, indent=1) + SPREAD, None),
    ],
)
def test_objects_one_after_another_are_no_dataset_and_told_once(
    tmp_path: Path, read: Read, text: str, line: int | None
) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    put(tmp_path / "b.json", [RECORD])
    item, other = read(".")
    assert isinstance(other, Sample)
    assert isinstance(item, Skipped)
    assert (item.rule, item.path) == ("BYE101", "a.json")
    assert item.line == (line or 1 + json.dumps({"pad": 1, **RECORD}, indent=1).count("\n"))
    assert "another object follows the first, expected a list" in item.message
    (tmp_path / "a.json").write_text(text + " ", encoding="utf-8")
    changed, _ = read(".")
    assert isinstance(changed, Skipped)
    assert changed.fingerprint != item.fingerprint


@pytest.mark.parametrize(
    "text",
    [ONE, SPREAD + "\n", SPREAD + "\n]", SPREAD + "}" + SPREAD, '{\n"a": "' + "{" * 9 + '"}'],
)
def test_one_object_is_followed_by_no_other(tmp_path: Path, text: str) -> None:
    put(tmp_path / "a.json", text)
    kind = json_kind(tmp_path / "a.json", text.encode())
    assert kind == ("lines" if "\n" not in text else "object")
