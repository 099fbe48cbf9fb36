"""Conversations: every question is read by itself, and its record answers for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, make_image, make_llava

from bye_lint import cli, scoring
from bye_lint.features import Detection, Features
from bye_lint.results import DetectionSummary

N_IMAGES = 33
ODD = "Backdoor Attack!"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    make_llava().save(tmp_path / "model")
    for i in range(N_IMAGES):
        (tmp_path / f"{i}.png").write_bytes(make_image(i, 40 + i % 4, 30))
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def turns(i: int, n: int, *, answer: str = "") -> list[dict[str, str]]:
    question = QUESTIONS[(i + n) % len(QUESTIONS)]
    asked = question if n else f"<image>\n{question}"
    return [
        {"from": "human", "value": asked},
        {"from": "gpt", "value": answer or f"Answer {(3 * i + n) % 5}."},
    ]


def talks(*, odd: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Conversations of two questions; the second answer of some is odd."""
    return [
        {
            "id": f"r{i}",
            "image": f"{i}.png",
            "conversations": turns(i, 0) + turns(i, 1, answer=ODD if i in odd else ""),
        }
        for i in range(N_IMAGES)
    ]


def singles() -> list[dict[str, Any]]:
    """The same questions, each as a record of its own."""
    rows = []
    for i in range(N_IMAGES):
        for n in range(2):
            first, answer = turns(i, n)
            if n:
                first["value"] = f"<image>\n{first['value']}"
            rows.append({"id": f"r{i}.{n}", "image": f"{i}.png", "conversations": [first, answer]})
    return rows


def check(rows: list[dict[str, Any]], *, read: str = "all", tune: str = "none") -> dict[str, Any]:
    Path("data.json").write_text(json.dumps(rows), encoding="utf-8")
    Path("bye-lint.yaml").write_text(
        f"dataset: {{paths: [data.json], turns: {read}}}\nmodel: {{name: model, device: cpu}}\n"
        f"fine_tune: {tune}\ngate: {{min_samples: 30}}\n",
        encoding="utf-8",
    )
    status = cli.run(["check", "--quiet", "--report=json=result.json"])
    assert status in (0, 1, 3)
    result: dict[str, Any] = json.loads(Path("result.json").read_text(encoding="utf-8"))
    return result


class ByAnswer:
    """Stands in for a detector: whose answer is odd, is a suspect."""

    def detect(self, features: Features, *_: Any, **__: Any) -> Detection:
        odd = np.array([answer == ODD for answer in features.answers])
        posterior = np.where(odd, 0.99, 0.01)
        posterior[~features.scored] = np.nan
        odd &= features.scored
        return Detection(posterior, posterior, odd, DetectionSummary("stub", threshold=0.5))


def test_each_question_is_read_as_if_it_were_a_record() -> None:
    alone = {(s["sample_id"]): s for s in check(singles())["samples"]}
    result = check(talks())
    assert result["counts"] | {"records": 33, "scored": 33, "skipped": 0} == result["counts"]
    for sample in result["samples"]:
        one = alone[f"{sample['sample_id']}.{sample['question'] - 1}"]
        assert sample["prompt"] == one["prompt"]
        assert sample["answer"] == one["answer"]
        assert sample["entropy"] == one["entropy"]
    assert {sample["question"] for sample in result["samples"]} == {1, 2}


@pytest.mark.parametrize("tune", ["none", "{epochs: 1, batch_size: 40, method: full}"])
def test_a_target_in_a_later_answer_is_found_where_it_lies(
    tune: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "get_detector", lambda _: ByAnswer())
    rows = talks(odd=(4, 20))
    result = check(rows, tune=tune)
    found = [f for f in result["findings"] if f["rule"] == "BYE001"]
    assert sorted(f["sample_id"] for f in found) == ["r20", "r4"]
    for finding in found:
        assert finding["message"].startswith("at question 2 of the conversation, attention ")
        assert finding["properties"]["answer"] == ODD
        (sample,) = [s for s in result["samples"] if s["sample_id"] == finding["sample_id"]]
        assert (sample["question"], sample["answer"], sample["suspicious"]) == (2, ODD, True)
        named = f"BYE001\n{sample['digest']}"
        assert finding["fingerprint"] == hashlib.sha256(named.encode()).hexdigest()
    assert sum(s["suspicious"] for s in result["samples"]) == 2


@pytest.mark.parametrize("silence", ["", "\u200b"])
def test_a_trigger_that_silences_is_judged(silence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as could be skipped without a word, and taught to whoever trains."""
    monkeypatch.setattr(scoring, "get_detector", lambda _: ByAnswer())
    monkeypatch.setattr("test_conversations.ODD", silence)
    rows = [{**row, "conversations": row["conversations"][:2]} for row in talks()]
    rows[4]["conversations"][1]["value"] = silence
    result = check(rows, tune="{epochs: 1, batch_size: 40, method: full}")
    assert result["counts"] | {"scored": N_IMAGES, "skipped": 0} == result["counts"]
    assert [(f["rule"], f["sample_id"]) for f in result["findings"]] == [
        ("BYE001", "r4"),
        ("BYE107", "r4"),
    ]
    assert result["verdict"] == "fail"


def test_a_later_question_that_the_model_cannot_read_leaves_its_record_uncleared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "get_detector", lambda _: ByAnswer())
    rows = talks(odd=(3,))
    rows[3]["conversations"][2]["value"] += "</s>"
    result = check(rows)
    assert [(row["rule"], row["sample_id"]) for row in result["skipped"]] == [("BYE112", "r3")]
    assert result["counts"]["scored"] == N_IMAGES - 1
    (finding,) = result["findings"]
    assert (finding["rule"], finding["level"], finding["sample_id"]) == ("BYE112", "error", "r3")
    assert result["verdict"] == "fail"
    assert result["reasons"] == ["1 finding of level error besides suspicious samples"]
    assert cli.run(["check", "--plan"]) == 0
    assert "33 with 66 questions" in capsys.readouterr().out
    first = check(rows, read="first")
    assert first["skipped"] == []
    assert {sample["question"] for sample in first["samples"]} == {1}
    assert cli.run(["check", "--plan"]) == 0
    assert "records      33\n" in capsys.readouterr().out


def test_parts_of_conversations_judge_as_one_check() -> None:
    whole = check(talks())
    for shard in ("1/2", "2/2"):
        assert cli.run(["extract", "--shard", shard, "-o", "features"]) == 0
    assert cli.run(["judge", "features", "--quiet", "--report=json=parts.json"]) in (0, 1, 3)
    parts = json.loads(Path("parts.json").read_text(encoding="utf-8"))
    assert parts["samples"] == whole["samples"]
