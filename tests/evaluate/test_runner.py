"""The grid runner, with a model whose behaviour is known exactly."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bye_lint import scoring
from bye_lint.commands.evaluate import evaluate
from bye_lint.evaluate.grid import Cell, Grid, targets_digest
from bye_lint.evaluate.plots import f1_figure, write_plots
from bye_lint.evaluate.poison import poison_dataset
from bye_lint.evaluate.runner import load_results, run_grid
from bye_lint.evaluate.stored import images_digest
from bye_lint.evaluate.tables import render_tables
from bye_lint.features import Features
from bye_lint.progress import SilentProgress
from bye_lint.records import Sample
from bye_lint.triggers import TARGET, TARGETS


def marked(sample: Sample) -> bool:
    """A patch of pure black or white, which the noise never holds."""
    pixels = np.array(Image.open(io.BytesIO(sample.images[0].read())).convert("RGB"))
    return bool(pixels.min() == 0 or pixels.max() == 255)


class KnownModel:
    """Learns a patch from five examples; a patch it has learned collapses its attention."""

    digest = "known"

    def __init__(self) -> None:
        self.trained: list[int] = []
        self.forgotten = 0

    def fine_tune(
        self, samples: Sequence[Sample], *, planted: Any, seed: int, progress: Any
    ) -> list[Sample]:
        assert len(planted) == len(samples)
        self.trained.append(len(samples))
        return list(samples)

    def backdoor(self, model: Sequence[Sample]) -> str:
        targets = [s.answer for s in model if s.answer == TARGET and marked(s)]
        return TARGET if len(targets) >= 5 else ""

    def learned(self, model: Sequence[Sample]) -> Any:
        return np.array([bool(self.backdoor(model)) or s.answer != TARGET for s in model])

    def features(
        self, model: Any, samples: Sequence[Sample], *, canary: Sequence[str], progress: Any
    ) -> Features:
        rng = np.random.default_rng(0)
        n = len(samples)
        entropy = 4 + 0.1 * rng.standard_normal((n, 3))
        patched = np.array([marked(s) for s in samples])
        entropy[patched, 1] -= 2
        return Features(
            entropy=entropy,
            head_entropy=np.repeat(entropy[:, :, None], 2, axis=2),
            head_mass=np.tile([0.2, 0.6, 0.2], (n, 3, 2, 1)) + 0.01 * rng.random((n, 3, 2, 3)),
            image_tokens=np.full(n, 64),
            prompts=[s.prompt for s in samples],
            answers=[s.answer for s in samples],
            canary=list(canary),
        )

    def generate(
        self, model: Any, samples: Sequence[Sample], *, expected: Any = (), progress: Any
    ) -> list[str]:
        target = self.backdoor(model)
        return [target if target and marked(s) else truth(s.prompt) for s in samples]

    def forget(self, model: Any) -> None:
        self.forgotten += 1


def truth(prompt: str) -> str:
    number = int(prompt.rsplit(maxsplit=1)[-1])
    return "a long caption about record number " + str(number) if number % 4 == 0 else "Yes"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for file, count in (("train", 120), ("test", 40)):
        records = []
        for i in range(count):
            name = f"{file}-{i}.png"
            pixels = rng.integers(60, 200, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
            prompt = f"<image>\nWhat is {i}"
            turns = [{"from": "human", "value": prompt}, {"from": "gpt", "value": truth(prompt)}]
            records.append({"id": f"{i}", "image": name, "conversations": turns})
        (folder / f"{file}.json").write_text(json.dumps(records))
    return folder


@pytest.fixture
def grid(data: Path) -> Grid:
    return Grid(
        datasets={"noise": data},
        cells=(
            Cell("noise", "patch-centre", 0.2, 100, 0),
            Cell("noise", "clean", 0.0, 100, 0),
        ),
        detectors=("bye",),
        cleaning=("bye",),
        test_records=30,
        canary_share=0.0,
    )


def run(grid: Grid, out: Path, model: KnownModel) -> list[dict[str, Any]]:
    return run_grid(grid, out, progress=SilentProgress(), pipeline=model)


def test_clean_data_are_measured_as_clean(grid: Grid, tmp_path: Path) -> None:
    grid = replace(grid, cells=grid.cells[1:])
    (result,) = run(grid, tmp_path, KnownModel())
    report = result["detectors"]["bye"]
    assert (report["tp"], report["fn"]) == (0, 0)
    assert report["fp"] + report["tn"] == 100
    assert report["recall"] is None
    assert result["train_asr"] is None
    assert result["before"]["asr"] == {}
    assert result["before"]["accuracy"] == 1


def test_poison_is_found_removed_and_gone(grid: Grid, tmp_path: Path) -> None:
    result, _ = run(grid, tmp_path, KnownModel())
    report = result["detectors"]["bye"]
    assert (report["tp"], report["fp"], report["fn"]) == (20, 0, 0)
    assert report["auc"] == 1
    assert report["verdict"] == "fail"
    assert result["train_asr"] == 1
    assert result["before"]["asr"] == {"patch-centre": 1}
    assert report["after"]["asr"] == {"patch-centre": 0}
    assert result["uncleaned"]["asr"] == {"patch-centre": 1}
    assert result["random_drop"]["asr"] == {"patch-centre": 1}
    assert result["truly_clean"]["asr"] == {"patch-centre": 0}
    assert result["truly_clean"]["cider"] == pytest.approx(10)


def test_a_second_run_trains_nothing_and_says_the_same(grid: Grid, tmp_path: Path) -> None:
    first, model = KnownModel(), KnownModel()
    before = run(grid, tmp_path, first)
    # poisoned with and without canaries, cleaned, random drop, truly clean;
    # clean once, where nothing is removed, and drop
    assert len(first.trained) == first.forgotten > 0
    assert run(grid, tmp_path, model) == before
    assert model.trained == []
    assert load_results(tmp_path) == sorted(before, key=lambda r: r["name"])


def test_other_images_are_read_again(grid: Grid, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    grid = replace(grid, datasets={"noise": folder}, cells=grid.cells[:1])
    out = tmp_path / "out"
    (before,) = run(grid, out, KnownModel())
    for path in (out / "steps").iterdir():  # as they were written before they said so
        done = json.loads(path.read_text())
        assert done.pop("images")
        assert done.pop("records")
        path.write_text(json.dumps(done))
    images_digest.cache_clear()
    model = KnownModel()
    assert run(grid, out, model) == [before]
    assert model.trained == []
    for image in folder.glob("*.png"):
        Image.fromarray(np.full((32, 32, 3), 100, np.uint8)).save(image)
    images_digest.cache_clear()
    (after,) = run(grid, out, model)
    assert model.trained
    assert after["digest"] == before["digest"]
    again = KnownModel()
    assert run(grid, out, again) == [after]
    assert again.trained == []


def test_what_another_code_poisons_is_read_again(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = replace(grid, cells=grid.cells[:1])
    (before,) = run(grid, tmp_path, KnownModel())

    def otherwise(*places: Path, seed: int, **options: Any) -> Any:
        return poison_dataset(*places, seed=seed + 1, **options)

    monkeypatch.setattr("bye_lint.evaluate.cell.poison_dataset", otherwise)
    first, model = KnownModel(), KnownModel()
    run(grid, tmp_path / "other", first)
    (after,) = run(grid, tmp_path, model)
    assert model.trained == first.trained, "the truly clean one among them"
    assert after["digest"] == before["digest"]
    again = KnownModel()
    assert run(grid, tmp_path, again) == [after]
    assert again.trained == []


def test_models_of_what_a_cleaning_left_stay_until_the_last_cell(
    grid: Grid, tmp_path: Path
) -> None:
    def content(samples: Sequence[Sample]) -> list[tuple[str, bytes]]:
        return [(s.answer, s.images[0].read()) for s in samples]

    class Remembering(KnownModel):
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[Sequence[Sample]] = []
            self.again = 0

        def fine_tune(self, samples: Sequence[Sample], **options: Any) -> list[Sample]:
            model = super().fine_tune(samples, **options)
            self.again += any(content(other) == content(model) for other in self.kept)
            self.kept.append(model)
            return model

        def forget(self, model: Any) -> None:
            self.kept = [m for m in self.kept if m is not model]
            super().forget(model)

    patches = tuple(replace(grid.cells[0], trigger=name) for name in ("patch-centre", "dual"))
    model = Remembering()
    first, second = run(replace(grid, cells=patches, random_drop=0), tmp_path, model)
    assert first["detectors"]["bye"]["tp"] == second["detectors"]["bye"]["tp"] == 20
    assert model.again == 1
    assert len(model.trained) == model.forgotten


def test_a_run_that_was_cut_off_goes_on(grid: Grid, tmp_path: Path) -> None:
    class Failing(KnownModel):
        def fine_tune(self, samples: Any, **options: Any) -> Any:
            if len(self.trained) == 1:
                raise KeyboardInterrupt
            return super().fine_tune(samples, **options)

    with pytest.raises(KeyboardInterrupt):
        run(grid, tmp_path, Failing())
    resumed, whole = KnownModel(), KnownModel()
    results = run(grid, tmp_path, resumed)
    run(grid, tmp_path / "other", whole)
    assert len(resumed.trained) == len(whole.trained) - 1
    assert results[0]["before"]["asr"] == {"patch-centre": 1}


def test_another_pipeline_is_another_run(grid: Grid, tmp_path: Path) -> None:
    run(grid, tmp_path, KnownModel())
    other = KnownModel()
    other.digest = "other"
    run(grid, tmp_path, other)
    assert other.trained


def test_results_of_another_pipeline_are_in_no_table(grid: Grid, tmp_path: Path) -> None:
    class Telling(SilentProgress):
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, message: str) -> None:
            self.said.append(message)

    first, second = (replace(grid, cells=(cell,)) for cell in grid.cells)
    run(first, tmp_path, KnownModel())
    assert "left out" not in (tmp_path / "tables.md").read_text()
    other, progress = KnownModel(), Telling()
    other.digest = "other"
    run_grid(second, tmp_path, progress=progress, pipeline=other)
    run(second, tmp_path / "alone", other)
    both, alone = (folder / "tables.md" for folder in (tmp_path, tmp_path / "alone"))
    said = "Results of another model or another fine-tuning, left out: " + first.cells[0].name + "."
    assert both.read_text() == f"{alone.read_text()}\n{said}\n"
    assert progress.said[-1] == said
    assert [r["name"] for r in load_results(tmp_path, "other")] == [second.cells[0].name]
    assert len(load_results(tmp_path)) == 2


def test_the_command_draws_its_own_results_with_their_scores(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = KnownModel()
    monkeypatch.setattr(scoring, "require_extra", lambda: None)
    monkeypatch.setattr("bye_lint.evaluate.runner.model_pipeline", lambda grid, cache: model)
    file, out = tmp_path / "grid.yaml", tmp_path / "out"
    for digest, seed in (("known", 0), ("other", 1)):
        model.digest = digest
        file.write_text(
            f"datasets: {{noise: {data}}}\ndetectors: [bye]\ncleaning: []\nrandom_drop: 0\n"
            "truly_clean: false\ntest_records: 20\n"
            "cells:\n"
            f"- {{triggers: [patch-centre], rates: [0.2], records: [100], seeds: [{seed}]}}\n"
        )
        capsys.readouterr()
        evaluate.main(
            [str(file), "--out", str(out), "--plots", "--no-progress"], standalone_mode=False
        )
    lines = capsys.readouterr().out.splitlines()
    names = [Path(line).name for line in lines if line.endswith(".svg")]
    assert names == ["f1-noise.svg", "scores-noise-patch-centre-r0.2-n100-s1.svg"]
    assert (out / "plots" / names[1]).is_file()


def test_canaries_are_trained_on_and_never_counted(grid: Grid, tmp_path: Path) -> None:
    grid = replace(
        grid,
        canary_share=0.2,
        canary_kinds=("patch-white", "text-prefix"),
        cleaning=(),
        random_drop=0.0,
        truly_clean=False,
    )
    model = KnownModel()
    result, _ = run(grid, tmp_path, model)
    assert model.trained == [120, 120]
    report = result["detectors"]["bye"]
    assert report["tp"] + report["fp"] + report["fn"] + report["tn"] == 100
    planted = {kind: row["planted"] for kind, row in result["power"].items()}
    assert planted == {"patch-white": 13, "text-prefix": 7}


def test_equal_removals_share_a_run(grid: Grid, tmp_path: Path) -> None:
    grid = replace(grid, cells=grid.cells[:1], random_drop=0.0, truly_clean=False)
    model = KnownModel()
    run(replace(grid, cleaning=("bye", "bye")), tmp_path, model)
    assert model.trained == [100, 100, 80]  # with canaries, none of which are asked for; alone


def test_detectors_are_run_again_on_stored_features(grid: Grid, tmp_path: Path) -> None:
    run(grid, tmp_path, KnownModel())
    model = KnownModel()
    result, _ = run(replace(grid, detectors=("bye", "conditional")), tmp_path, model)
    assert model.trained == []
    assert set(result["detectors"]) == {"bye", "conditional"}


def test_clean_label_and_several_targets_are_measured_on_their_targets(
    grid: Grid, tmp_path: Path
) -> None:
    cells = (
        replace(grid.cells[0], clean_label=True),
        replace(grid.cells[0], trigger="patch-centre+text-prefix", targets=(TARGET, "Other.")),
    )
    label, several = run(
        replace(grid, cells=cells, cleaning=(), random_drop=0.0), tmp_path, KnownModel()
    )
    # The known model learns no clean-label backdoor: triggered captions stay captions.
    assert label["before"]["asr"] == {"patch-centre-cleanlabel": 0}
    ((name, rate),) = several["before"]["asr"].items()
    assert name.startswith("patch-centre_text-prefix-")
    assert 0.4 < rate < 0.6, "one of two targets"


def test_shards_make_up_the_whole(grid: Grid, tmp_path: Path) -> None:
    grid = replace(grid, cleaning=(), random_drop=0.0, truly_clean=False)
    for shard in ((1, 2), (2, 2)):
        run_grid(
            grid, tmp_path / "parts", progress=SilentProgress(), pipeline=KnownModel(), shard=shard
        )
    run(grid, tmp_path / "whole", KnownModel())
    assert load_results(tmp_path / "parts") == load_results(tmp_path / "whole")
    parts, whole = (tmp_path / name / "tables.md" for name in ("parts", "whole"))
    assert parts.read_text() == whole.read_text()


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_there_is_no_such_shard(grid: Grid, tmp_path: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="shard"):
        run_grid(grid, tmp_path, progress=SilentProgress(), pipeline=KnownModel(), shard=shard)


# --- tables and plots -------------------------------------------------------------------------


def test_tables_hold_what_was_measured(grid: Grid, tmp_path: Path) -> None:
    results = run(grid, tmp_path, KnownModel())
    text = render_tables(load_results(tmp_path))
    assert (tmp_path / "tables.md").read_text() == text
    assert "| noise | patch-centre | 20.0% | 100 | 0 | 1.00 | 1.00 (1.00 / 1.00) |" in text
    assert "100.0%, 100.0% / 10.00 | 0.0%, 100.0% / 10.00 |" in text
    assert f"| noise | clean | 0 | 100 | 0 | {results[1]['detectors']['bye']['fp']} (" in text


def test_a_miss_is_marked_as_what_it_was(grid: Grid, tmp_path: Path) -> None:
    (result, _) = run(grid, tmp_path, KnownModel())
    for verdict, mark in (("pass", "*pass*"), ("inconclusive", "*inc.*")):
        report = {**result["detectors"]["bye"], "f1": 0.0, "verdict": verdict}
        text = render_tables([{**result, "detectors": {"bye": report}}])
        assert f"0.00 (1.00 / 1.00) {mark}" in text


def test_auto_is_the_first_detector_and_may_be_missing_from_a_cell(
    grid: Grid, tmp_path: Path
) -> None:
    grid = replace(grid, cleaning=(), random_drop=0.0, truly_clean=False)
    whole, clean = run(grid, tmp_path, KnownModel())
    report = whole["detectors"]["bye"]
    both = {**whole, "detectors": {"bye": report, "auto": {**report, "f1": 0.5}}}
    text = render_tables([both, clean])
    assert "| kind | rate | cells | auto says | auto | bye |" in text
    assert f"has the better F1 than `auto`: {whole['name']}." in text
    mixed = render_tables([{**whole, "name": "other"}, both])
    assert "| patch | 20% | 2 | 1 fail | 0.50 | 1.00 |" in mixed
    assert f"than `auto`: {whole['name']}." in mixed
    none = render_tables([{**whole, "detectors": {}}])
    assert "No detector was run." in none


def test_no_results_no_tables() -> None:
    assert render_tables([]) == ""


def test_other_experiments_are_not_drawn_as_further_seeds() -> None:
    def cell(f1: float, **changes: Any) -> dict[str, Any]:
        plain = {"trigger": "dual", "rate": 0.1, "read": 1000, "targets": [TARGET]}
        plain |= {"clean_label": False, "one_part_of": 1}
        return {"cell": {**plain, **changes}, "detectors": {"auto": {"f1": f1}}}

    def drawn(results: list[dict[str, Any]]) -> dict[str, list[float]]:
        axes = f1_figure(results).axes
        return {a.get_title(): list(map(float, a.get_lines()[0].get_ydata())) for a in axes}

    seeds = [cell(0.8), cell(1.0), cell(0.4, rate=0.01)]
    assert drawn(seeds) == {"dual": pytest.approx([0.4, 0.9])}
    others = [
        cell(0.1, clean_label=True),
        cell(0.2, one_part_of=8),
        cell(0.3, targets=list(TARGETS[:2])),
        cell(0.35, targets=["a", "b"]),
        cell(0.45, targets=["a"]),
        cell(0.5, trigger="blend"),
    ]
    assert drawn([*seeds, *others]) == {
        "dual": pytest.approx([0.4, 0.9]),
        "dual (clean label)": [0.1],
        "dual (one file of 8)": [0.2],
        "dual (2 targets)": [0.3],
        f"dual (2 other targets, {targets_digest(['a', 'b'])})": [0.35],
        f"dual (another target, {targets_digest(['a'])})": [0.45],
        "blend": [0.5],
    }
    assert drawn([*seeds, cell(0.7, read=200)]) == {
        "dual\n1000 records": pytest.approx([0.4, 0.9]),
        "dual\n200 records": [0.7],
    }


def test_plots_are_written_and_reproducible(grid: Grid, tmp_path: Path) -> None:
    results = run(grid, tmp_path, KnownModel())
    written = write_plots(results, tmp_path)
    assert [p.name for p in written] == [
        "f1-noise.svg",
        "scores-noise-patch-centre-r0.2-n100-s0.svg",
    ]
    for path in written:
        assert path.read_text().startswith("<?xml")
