"""What cannot be read is told by all that it is, so that no change hides behind it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bye_lint.datasets import ImageRoot, ReadSettings
from bye_lint.datasets.base import to_sample
from bye_lint.datasets.conversation import parse_from_value
from bye_lint.datasets.imagefolder import scan_csv
from bye_lint.datasets.jsonarray import scan_array
from bye_lint.datasets.jsonlines import scan_lines
from bye_lint.datasets.raw import RawRecord
from bye_lint.records import Sample, Skipped

Read = Callable[..., list[Sample | Skipped]]
TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a river"}]


def told(path: Path, read: Read, data: str | bytes, name: str) -> list[tuple[str, str]]:
    """Return the messages and fingerprints of what cannot be used in a file of these data."""
    (path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    form = "imagefolder" if name.endswith(".csv") else "llava"
    items = read(name, format=form)
    return [(item.message, item.fingerprint) for item in items if isinstance(item, Skipped)]


GOOD = json.dumps({"id": "r", "image": "a.png", "conversations": TURNS})
NAN = GOOD.replace("{", '{"x": NaN, ', 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("x.json", "{" + GOOD + ", %s", id="no-array"),
        pytest.param("x.json", "[] " + GOOD + " %s", id="after-an-empty-array"),
        pytest.param("x.json", f"[{GOOD}] %s", id="after-the-array"),
        pytest.param("x.json", f"[{GOOD}] %s {GOOD}]", id="between-arrays"),
        pytest.param("x.json", f"[{GOOD} x %s]", id="behind-what-is-no-comma"),
        pytest.param("x.json", f"[{GOOD} x %s, {GOOD}]", id="between-records"),
        pytest.param("x.json", "[" + f"{NAN},\n" * 101 + "%s]", id="behind-too-many"),
        pytest.param(
            "x.json",
            '[{"id": NaN, "of": [{"id": 1}], "x": "%s"}, {"id": 2}]',
            id="behind-a-nested-record",
        ),
        pytest.param("metadata.csv", "file_name,text,x,x\na.png,%s,,\n", id="column-twice"),
    ],
)
def test_what_is_not_read_behind_a_mistake_is_no_part_of_what_is_accepted(
    tmp_path: Path, read: Read, name: str, text: str
) -> None:
    first, again, other = (
        told(tmp_path, read, text.replace("%s", what), name) for what in ("one", "one", "two")
    )
    assert first == again
    assert [message for message, _ in first] == [message for message, _ in other]
    assert first != other
    assert len({mark for _, mark in first}) == len(first) or NAN in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("x.json", '[{"id": NaN, "x": "%s"}]', id="array"),
        pytest.param("x.json", '[{"id": 1, "x": "%s', id="cut-off"),
        pytest.param("x.jsonl", '{"id": NaN, "x": "%s"}', id="lines"),
        pytest.param("metadata.csv", "file_name,text\na.png,%s,\n", id="columns"),
        pytest.param("metadata.csv", 'file_name,text\na.png,"%s', id="open-quote"),
    ],
)
def test_a_long_record_that_is_broken_is_told_by_all_of_its_text(
    tmp_path: Path, read: Read, name: str, text: str
) -> None:
    short = told(tmp_path, read, text.replace("%s", "a river"), name)
    broken = text.partition("\n")[2] if name.endswith(".csv") else text.strip("[]")
    content = f"BYE101\n{broken}".replace("%s", "a river")
    assert [mark for _, mark in short] == [hashlib.sha256(content.encode()).hexdigest()]
    first, again, other = (
        told(tmp_path, read, text.replace("%s", "x" * 100_000 + end), name) for end in "aab"
    )
    assert first == again
    assert len(first) == len(other) == 1
    assert first != other


@pytest.mark.parametrize("where", ["begin", "end"])
def test_a_record_of_any_length_is_told_by_all_of_its_text(where: str) -> None:
    one, two = ("ab" if where == "begin" else "ba") + "x" * 3000, "bb" + "x" * 3000
    if where == "end":
        one, two = one[::-1], two[::-1]

    def digests(scan: Callable[..., Iterator[RawRecord]], text: str, **options: int) -> list[str]:
        found = list(scan(io.BytesIO(text.encode()), limit=1000, **options))
        return [raw.digest for raw in found if raw.error]

    for scan, text, options in (
        (scan_lines, '{"id": 1}\n{"x": "%s"}\n{"id": 1}', {}),
        (scan_csv, "file_name,text\na.png,%s\na.png,x\n", {}),
        (scan_array, '[{"id": "a", "x": "%s"}, {"id": "b"}]', {"chunk": 100}),
    ):
        found = [digests(scan, text.replace("%s", said), **options) for said in (one, one, two)]
        assert found[0] == found[1] != found[2]
        assert [len(marks) for marks in found] == [1, 1, 1]
        assert all(map(all, found))


def test_what_is_too_deep_to_be_written_out_is_told_by_nothing(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    settings = ReadSettings("x.json", ImageRoot(tmp_path))
    item = to_sample(RawRecord({"x": deep}, 1, 1, 2, 0, 9), settings, parse_from_value)
    assert isinstance(item, Skipped)
    assert (item.rule, item.fingerprint) == ("BYE102", "")
