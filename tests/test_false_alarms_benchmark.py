"""The benchmark of false alarms: what it counts, and which features it reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bye_lint.evaluate.stored import save_features

DIGEST = "0123456789abcdef"


@pytest.fixture
def benchmark(import_benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "detectors"))
    return import_benchmark("false_alarms")


def save(path: Path, **settings: Any) -> None:
    from synthetic import make_features, plant_canaries

    features, _ = make_features(1000, seed=2, **settings)
    whole = plant_canaries(features, {"patch-random": ((0,), -1.0), "blend": ((1, 2), 1.0)})
    save_features(path, whole, np.ones(len(whole), dtype=np.bool_))


def test_a_second_population_is_counted_and_a_clean_set_is_not(
    benchmark: Any, tmp_path: Path
) -> None:
    save(tmp_path / f"some-clean-r0-n1000-s0-{DIGEST}.npz")
    save(tmp_path / f"other-clean-r0-n1000-s0-{DIGEST}.npz", rate=0.1, shift=-12.0)
    quiet, loud = (
        benchmark.measure(tmp_path / f"{data}-clean-r0-n1000-s0-{DIGEST}.npz", "auto", 2)
        for data in ("some", "other")
    )
    assert (quiet["dataset"], quiet["draws"], quiet["records"]) == ("some", 2, 500)
    assert (quiet["fail"], quiet["flagged"]) == (0, 0)
    assert loud["fail"] == 2
    assert loud["flagged"] >= 2 * 30


def tell(folder: Path, name: str, **more: str) -> None:
    """Write the part of a cell's result that says which features are its own."""
    trigger = name.split("-")[1]
    result = {"name": name, "digest": DIGEST, "pipeline": "p", "cell": {"trigger": trigger}}
    path = folder / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**result, **more}))


def test_only_clean_cells_are_read_and_of_these_what_the_results_are_of(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, out = tmp_path / "features", tmp_path / "out.json"
    features.mkdir()
    save(features / f"some-clean-r0-n1000-s0-{DIGEST}.npz")
    (features / f"some-clean-r0-n1000-s0-{DIGEST}-scores.npz").write_bytes(b"")
    (features / f"some-clean-r0-n1000-s0-{DIGEST[::-1]}.npz").write_bytes(b"")
    (features / f"some-blend-r0.1-n1000-s0-{DIGEST}.npz").write_bytes(b"")
    tell(tmp_path, "some-clean-r0-n1000-s0")
    tell(tmp_path, "some-blend-r0.1-n1000-s0")
    arguments = ["x", "--features", str(features), "--out", str(out), "--draws", "1"]
    arguments += ["--detectors", "auto", "bye"]
    monkeypatch.setattr(sys, "argv", arguments)
    benchmark.main()
    rows = json.loads(out.read_text())
    assert [row["detector"] for row in rows] == ["auto", "bye"]
    assert {row["cell"] for row in rows} == {"some-clean-r0-n1000-s0"}
    assert {row["dataset"] for row in rows} == {"some"}


def test_what_cannot_be_read_as_one_experiment_is_refused(benchmark: Any, tmp_path: Path) -> None:
    features = tmp_path / "features"
    with pytest.raises(SystemExit, match="no result of a clean cell"):
        benchmark.clean_features(features)
    tell(tmp_path, "some-clean-r0-n1000-s0")
    with pytest.raises(SystemExit, match=f"lacks some-clean-r0-n1000-s0-{DIGEST}.npz"):
        benchmark.clean_features(features)
    tell(tmp_path, "some-clean-r0-n1000-s1", pipeline="q")
    with pytest.raises(SystemExit, match="several models"):
        benchmark.clean_features(features)
