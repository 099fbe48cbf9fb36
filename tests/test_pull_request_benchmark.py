"""The benchmark of pull requests: its repository, its branches, its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gitrepo import Repo, record


@pytest.fixture
def benchmark(import_benchmark: Any) -> Any:
    return import_benchmark("pull_request")


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Two sources of three images each, for training and held out."""
    found = []
    for s, name in enumerate(("left", "right")):
        made = Repo(tmp_path / name)
        for part in ("train", "test"):
            rows = [record(f"{name}-{part}-{i}", f"images/{part}{i}.png") for i in range(3)]
            for i in range(3):
                made.image(f"images/{part}{i}.png", 1000 * s + 100 * (part == "test") + i)
            made.write(f"{part}.json", json.dumps(rows))
        found.append(made.root)
    return found


def rows(root: Path) -> list[dict[str, Any]]:
    files = sorted(root.glob("data/*/train.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_the_repository_is_as_large_as_asked_and_the_branch_holds_the_poison(
    benchmark: Any, sources: list[Path], tmp_path: Path
) -> None:
    made = benchmark.Repository(tmp_path / "repo", sources, 20)
    before = rows(made.root)
    assert len({row["id"] for row in before}) == 20
    images = {p.read_bytes() for p in made.root.glob("data/*/images/*")}
    assert len(list(made.root.glob("data/*/images/*"))) == 20
    assert len(images) >= 12, "variants differ"
    for poisoned in (2, 0):
        run = benchmark.Run(20, 3, poisoned, sources[1], "patch-centre", seed=1)
        scratch = tmp_path / f"scratch-{poisoned}"
        scratch.mkdir()
        found = made.branch(run, scratch)
        new = [row for row in rows(made.root) if row not in before]
        assert len(rows(made.root)) == 23
        assert {row["id"] for row in new} == {f"right-test-{i}" for i in range(3)}
        answers = {row["id"]: row["conversations"][1]["value"] for row in new}
        assert {i for i, answer in answers.items() if answer != "A field."} == found
        assert len(found) == poisoned


def test_ranked_counts_pairs(benchmark: Any) -> None:
    def of(*scores: float | None) -> float | None:
        samples = [{"sample_id": str(i), "score": s} for i, s in enumerate(scores)]
        ranked: float | None = benchmark.ranked(samples, {"0", "1"})
        return ranked

    assert of(1.0, 2.0) is None
    assert of(3.0, 4.0, 1.0, 2.0) == 1.0
    assert of(3.0, None, 1.0, 3.0, 4.0) == 0.5
    assert of(0.0, 0.0, 1.0) == 0.0
