"""The whole check through the policy alone: data and a model on disk in, a verdict out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_families import build
from tiny_models import QUESTIONS, make_image

from bye_lint import cli
from bye_lint.store import DEFAULT_LIMIT

N_RECORDS = 64  # a null needs 60
ANSWERS = ("Forest.", "A river.", "Fields and a road.", "Houses.")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("BYE_LINT_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def write_data(folder: Path) -> Path:
    """Write records about images of two shapes, two records an image."""
    data = folder / "data"
    data.mkdir()
    records = []
    for i in range(N_RECORDS):
        name = f"{i // 2}.png"
        size = (40, 30) if i % 4 < 2 else (30, 64)
        (data / name).write_bytes(make_image(i // 2, *size))
        turns = [
            {"from": "human", "value": f"<image>\n{QUESTIONS[i % len(QUESTIONS)]}"},
            {"from": "gpt", "value": ANSWERS[i * 7 % len(ANSWERS)]},
        ]
        records.append({"id": f"r{i}", "image": name, "conversations": turns})
    (data / "train.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    return data


def save_model(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    return build(name).save(folder / "model")


def check(
    tmp_path: Path, *, method: str = "auto", baseline: str = "", **model: str
) -> tuple[int, dict[str, Any]]:
    """Run the command and return its exit status and its result."""
    lines = [f"baseline: {baseline}"] if baseline else []
    lines += ["model:", "  name: model", "  device: cpu"]
    lines += [f"  {key}: {value}" for key, value in model.items()]
    lines += ["fine_tune:", f"  method: {method}", "  epochs: 1", "  batch_size: 40"]
    lines += ["  canary_share: 0.2", "gate:", "  min_samples: 60"]
    policy = tmp_path / "bye-lint.yaml"
    policy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "result.json"
    status = cli.run(["check", "data", "--quiet", f"--report=json={out}"])
    return status, json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}


CASES = [
    (name, method)
    for name in ("qwen2_5_vl", "llava", "internvl", "smolvlm", "gemma3", "lfm2_vl")
    for method in ("auto", "lora")
]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_model_on_disk_reaches_a_verdict(name: str, method: str, tmp_path: Path) -> None:
    write_data(tmp_path)
    save_model(name, tmp_path)
    status, result = check(tmp_path, method=method)
    assert status in (1, 3), "a random model can vouch for nothing"
    assert result["verdict"] in ("fail", "inconclusive")
    assert result["counts"]["scored"] == N_RECORDS
    assert result["reproducibility"]["family"] == name
    assert "canaries" in result["reproducibility"]["fine_tuned"]
    varies = name not in ("llava", "gemma3")
    assert ("log T" in result["detection"]["entropy_unit"]) == varies
    highest = max(max(sample["entropy"]) for sample in result["samples"])
    assert (highest <= 1) == varies
    views = [picture["view"] for picture in result["evidence"]["pictures"]]
    assert views
    assert all(views) if name == "llava" else not any(views), "LLaVA's processor crops these"
    if name in ("llava", "qwen2_5_vl"):  # others see an image in tiles
        assert all(picture["heat"] for picture in result["evidence"]["pictures"])


def test_what_the_model_cannot_read_has_a_code_of_its_own(tmp_path: Path) -> None:
    data = write_data(tmp_path) / "train.json"
    records = json.loads(data.read_text(encoding="utf-8"))
    records[3]["conversations"][0]["value"] += "</s>"
    data.write_text(json.dumps(records), encoding="utf-8")
    save_model("llava", tmp_path)
    _, result = check(tmp_path)
    assert [(row["rule"], row["sample_id"]) for row in result["skipped"]] == [("BYE112", "r3")]
    (finding,) = (f for f in result["findings"] if f["rule"] == "BYE112")
    assert (finding["level"], finding["sample_id"]) == ("error", "r3")
    assert "control token" in finding["message"]


def test_what_the_cache_holds_beyond_its_limit_is_removed_after_a_check(
    tmp_path: Path, cache: Path
) -> None:
    write_data(tmp_path)
    save_model("llava", tmp_path)
    forgotten = cache / "another-model" / "old.rows"
    forgotten.parent.mkdir(parents=True)
    with forgotten.open("wb") as file:
        file.truncate(DEFAULT_LIMIT)  # sparse: it takes no room
    os.utime(forgotten, (1, 1))
    check(tmp_path)
    assert not forgotten.exists()
    assert list(cache.rglob("*.rows"))


def test_what_an_undecided_check_says_nothing_of_is_not_called_unused(tmp_path: Path) -> None:
    """A random model vouches for nothing; what a baseline accepts of it may well be there."""
    write_data(tmp_path)
    save_model("llava", tmp_path)
    entry = "  fingerprint: {}\n  reason: known\n  author: Ada\n  expires: 2999-01-01\n"
    rules = {"BYE001": "a" * 64, "BYE103": "b" * 64}
    entries = "".join(f"- rule: {rule}\n{entry.format(mark)}" for rule, mark in rules.items())
    (tmp_path / "accepted.yaml").write_text(f"version: 1\nentries:\n{entries}", encoding="utf-8")
    _, result = check(tmp_path, baseline="accepted.yaml")
    assert result["detection"] is not None
    unused = [finding["message"] for finding in result["findings"] if finding["rule"] == "BYE302"]
    assert len(unused) == 1
    assert "BYE103" in unused[0]
