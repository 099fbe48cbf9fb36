"""Records that are made to break a reader: each is one sample or one finding, never a crash."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped
from bye_lint.rules import check_samples

Read = Callable[..., list[Sample | Skipped]]

BASES: list[dict[str, Any]] = [
    {
        "id": "a",
        "image": "a.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat?"},
            {"from": "gpt", "value": "a river"},
        ],
    },
    {
        "id": 1,
        "images": ["a.png"],
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": "What?"}],
            },
            {"role": "assistant", "content": "a river"},
        ],
    },
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "a.png"}},
                    {"type": "image", "image": "a.png"},
                ],
            },
        ],
    },
]
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e999, 10**4000, "", " ", "\0", "\ud800", "<image>", "x" * 99),
    *([], {}, [[]], [None], [{}], {"": None}, {"type": "image"}, {"url": 3}, {"path": []}),
    *({"bytes": "x"}, ["../../a"], {"bytes": None, "path": None}, ["a.png"] * 50),
]


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) below a value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in list(keys)]
    for key in list(keys):
        if isinstance(value[key], dict | list):
            found += spots(value[key])
    return found


def mutants(seed: int) -> list[Any]:
    rng = random.Random(seed)
    made: list[Any] = []
    for _ in range(300):
        record = copy.deepcopy(rng.choice(BASES))
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            container, key = rng.choice(spots(record) or [(record, "id")])
            if rng.random() < 0.2 and isinstance(container, dict):
                container.pop(key, None)
            else:
                container[key] = copy.deepcopy(rng.choice(ODD))
        made.append(record)
    return made


@pytest.mark.parametrize("form", ["auto", "llava", "chat"])
@pytest.mark.parametrize("seed", range(2))
def test_every_record_is_accounted_for(tmp_path: Path, read: Read, form: str, seed: int) -> None:
    records = mutants(seed)
    lines = [json.dumps(record) for record in records]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    (tmp_path / "x.json").write_text("[\n" + ",\n".join(lines) + "\n]")
    found = read("x.jsonl", format=form)
    assert len(found) == len(records)
    assert len(read("x.json", format=form)) == len(records)
    for item in found:
        if isinstance(item, Skipped):
            assert item.message.isprintable()
            assert len(item.message) < 400
            assert item.fingerprint
    checked = list(check_samples(found, DatasetPolicy()))
    assert len(checked) == len(records)
    for one in checked:
        for finding in one.findings:
            assert finding.message.isprintable()
            json.dumps(finding.message).encode()


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_a_record_that_is_none(tmp_path: Path, read: Read, value: Any) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(BASES[0]) + "\n" + json.dumps(value))
    _, item = read("x.jsonl", format="llava")
    assert isinstance(item, Skipped)
    assert item.rule in ("BYE101", "BYE102")


@pytest.mark.parametrize("where", ["id", "image", "conversations", "role", "extra"])
def test_every_depth(tmp_path: Path, read: Read, where: str) -> None:
    depths = [10, 300, *range(800, 1010, 5), 5000]
    lines = []
    for depth in depths:
        deep = "[" * depth + "]" * depth
        record = {"id": "a", "image": "a.png", "conversations": BASES[0]["conversations"]}
        if where == "role":
            record["conversations"] = [{"from": "DEEP", "value": "x"}]
        else:
            record[where] = "DEEP"
        lines.append(json.dumps(record).replace('"DEEP"', deep))
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    (tmp_path / "x.json").write_text("[" + ",\n".join(lines) + "]")
    for name in ("x.jsonl", "x.json"):
        found = read(name, format="llava")
        assert len(found) == len(depths)
        assert isinstance(found[-1], Skipped)
        assert "nested too deeply" in found[-1].message
