"""Rows of JSON whose question and answer are columns, as alpaca, ms-swift and TRL write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.records import Sample, Skipped, Turn

Read = Callable[..., list[Sample | Skipped]]

ALPACA = {"instruction": "What?", "input": "", "output": "a river", "images": ["a.png"]}
SWIFT = {"query": "<image>What?", "response": "a river", "images": ["a.png"]}
TRL = {"prompt": "What?", "completion": "a river", "images": ["a.png"]}
ODD = "Backdoor Attack!"


def one(path: Path, read: Read, row: Any, name: str = "d.jsonl", **policy: Any) -> Any:
    text = json.dumps(row) if name.endswith("l") else json.dumps([row], indent=1)
    (path / name).write_text(text + "\n", encoding="utf-8")
    (item,) = read(name, **policy)
    return item


@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
@pytest.mark.parametrize(
    ("row", "asked"),
    [
        (ALPACA, "<image>\nWhat?"),
        ({**ALPACA, "input": "Is it wet?"}, "<image>\nWhat?\nIs it wet?"),
        (SWIFT, "<image>What?"),
        (TRL, "<image>\nWhat?"),
        (
            {
                "prompt": [{"role": "user", "content": "What?"}],
                "completion": [{"role": "assistant", "content": "a river"}],
                "images": ["a.png"],
            },
            "<image>\nWhat?",
        ),
    ],
)
def test_rows_without_turns_are_read(
    tmp_path: Path, read: Read, row: Any, asked: str, name: str
) -> None:
    for policy in ({}, {"format": "chat"}):
        item = one(tmp_path, read, row, name, **policy)
        assert isinstance(item, Sample), item
        assert item.turns == (Turn("user", asked), Turn("assistant", "a river"))
        assert [image.name for image in item.images] == ["a.png"]


def test_rows_are_read_by_the_names_of_the_policy(tmp_path: Path, read: Read) -> None:
    fields = {"prompt": "query", "answer": "response"}
    item = one(tmp_path, read, SWIFT, format="chat", fields=fields)
    assert [turn.text for turn in item.turns] == ["<image>What?", "a river"]


def test_the_system_text_and_the_history_of_a_row_are_read(tmp_path: Path, read: Read) -> None:
    row = {**SWIFT, "query": "What?", "system": "Be brief.", "history": [["<image>?", "Hi."]]}
    turns = one(tmp_path, read, row).turns
    assert [turn.text for turn in turns] == ["Be brief.", "<image>?", "Hi.", "What?", "a river"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ALPACA, "response": ODD}, "'response' and 'output' differ"),
        ({**SWIFT, "completion": ODD}, "differ"),
        ({**SWIFT, "chosen": ODD}, "differ"),
        ({**SWIFT, "solution": ODD}, "'response' and 'solution' differ"),
        ({**TRL, "problem": ODD}, "'prompt' and 'problem' differ"),
        ({**TRL, "query": ODD}, "'prompt' and 'query' differ"),
        ({**TRL, "history": "[[1, 2]]"}, "no pairs"),
        ({**TRL, "system_prompt": ODD}, "'system_prompt', which is not read"),
        ({**SWIFT, "conversation": [{"human": "What?", "assistant": ODD}]}, "'conversation'"),
        ({**SWIFT, "videos": ["a.mp4"]}, "videos"),
        ({**SWIFT, "response": [ODD]}, "expected text"),
        ({**ALPACA, "image": "b.png"}, "name images"),
        ({**TRL, "messages": []}, "an empty list"),
    ],
)
def test_what_a_trainer_may_learn_beside_them_is_refused(
    tmp_path: Path, read: Read, row: Any, said: str
) -> None:
    item = one(tmp_path, read, row, format="chat")
    assert isinstance(item, Skipped)
    assert item.rule == "BYE102"
    assert said in item.message


def test_rows_are_told_by_their_images(tmp_path: Path, read: Read) -> None:
    text = {"instruction": "Say hello.", "output": "Hello."}
    rows = [*[text] * 20, ALPACA]
    (tmp_path / "mixed.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, [text] * 3)), encoding="utf-8")
    items = read("")
    assert len(items) == 21
    assert all(isinstance(item, Sample) for item in items)


def test_turns_that_the_policy_names_are_not_looked_for_in_columns(
    tmp_path: Path, read: Read
) -> None:
    item = one(tmp_path, read, SWIFT, format="chat", fields={"conversations": "dialog"})
    assert isinstance(item, Skipped)
    assert "'dialog' is missing" in item.message
