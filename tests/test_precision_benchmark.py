"""The benchmark of precisions trains in the one it names, and compares with the first."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def bench(import_benchmark: Any) -> Any:
    return import_benchmark("precision")


@pytest.mark.parametrize(("native", "told"), [(True, "has"), (False, "lacks")])
def test_ratios_are_of_medians(bench: Any, monkeypatch: Any, native: bool, told: str) -> None:
    monkeypatch.setattr(bench, "gains_from_bfloat16", lambda _: native)
    lines = bench.table({"one": [0.1, 0.2, 9.0], "two": [0.5, 0.1, 0.5]}).splitlines()
    assert lines[2:] == [
        "| one | 200 | 1.00 |",
        "| two | 500 | 2.50 |",
        "",
        f"This processor {told} instructions for bfloat16.",
    ]


def test_each_way_trains_in_its_precision(bench: Any, monkeypatch: Any) -> None:
    seen = []

    def train(model: Any, examples: Any, settings: Any, *, on_progress: Any, **_: Any) -> None:
        seen.append((settings.bfloat16, settings.max_steps, model.config._attn_implementation))
        for _step in range(settings.max_steps):
            on_progress(None)

    monkeypatch.setattr(bench, "fine_tune", train)
    folder = bench.ROOT / "examples" / "clean"
    read = bench.read_datasets(
        [folder / "data.json"], bench.DatasetPolicy(), folder, display_root=folder
    )
    samples = [next(read) for _ in range(2)]
    assert [len(bench.step_seconds(way, samples, 3)) for way in bench.WAYS] == [3, 3, 3]
    assert seen == [(False, 4, "sdpa"), (False, 4, "eager"), (True, 4, "eager")]
