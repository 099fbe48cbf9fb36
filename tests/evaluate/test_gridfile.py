"""The grid file: what it becomes, and every mistake at its line and column."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from bye_lint import scoring
from bye_lint.canaries import DEFAULT_KINDS
from bye_lint.commands.evaluate import evaluate
from bye_lint.errors import MissingExtraError, PolicyError
from bye_lint.evaluate.grid import Cell, cell_digest
from bye_lint.evaluate.gridfile import grid_schema, load_grid
from bye_lint.triggers import TARGET, TRIGGERS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("train.json", "test.json"):
            (tmp_path / name / file).write_text(f"[] {name}")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


HEAD = "datasets: {one: one, two: two}\n"


def test_blocks_are_multiplied_out_and_repeats_dropped(folder: Path) -> None:
    grid = load_grid(
        write(
            folder,
            HEAD
            + "cells:\n"
            + "  - {triggers: [patch-centre, blend], rates: [0.1, 0.02], seeds: [0, 1]}\n"
            + "  - {triggers: [clean], rates: [0.1, 0.5], datasets: [two], records: [500]}\n"
            + "  - {triggers: [blend], rates: [0.1], seeds: [0]}\n",
        )
    )
    assert len(grid.cells) == 2 * 2 * 2 * 2 + 1
    assert grid.cells[0] == Cell("one", "patch-centre", 0.1, 1000, 0)
    assert grid.cells[-1] == Cell("two", "clean", 0.0, 500, 0)
    assert grid.datasets["one"] == folder / "one"
    assert grid.canary_kinds == DEFAULT_KINDS
    assert len({cell.name for cell in grid.cells}) == len(grid.cells)


def test_every_setting_arrives(folder: Path) -> None:
    grid = load_grid(
        write(
            folder,
            HEAD
            + "cells: [{triggers: [patch-centre+text-prefix], targets: [a, b], clean_label: true,"
            + " one_part_of: 4}]\nmodel: ./m\ndevice: cpu\ndetectors: [bye]\ncleaning: []\n"
            + "random_drop: 0\ntruly_clean: false\ntest_records: 50\n"
            + "canaries: {share: 0.05, kinds: [blend]}\n"
            + "fine_tune: {epochs: 2, learning_rate: 2e-4}\n",
        )
    )
    (cell,) = {c for c in grid.cells if c.dataset == "one"}
    assert cell.triggers == ("patch-centre", "text-prefix")
    assert (cell.targets, cell.clean_label, cell.one_part_of) == (("a", "b"), True, 4)
    assert (grid.model, grid.device, grid.detectors, grid.cleaning) == ("./m", "cpu", ("bye",), ())
    assert (grid.random_drop, grid.truly_clean, grid.test_records) == (0, False, 50)
    assert (grid.canary_share, grid.canary_kinds) == (0.05, ("blend",))
    assert (grid.fine_tune.epochs, grid.fine_tune.learning_rate) == (2, 2e-4)
    assert TARGET not in cell.targets


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("cells: [{triggers: [clean]}]\n", "1:1", "lacks datasets"),
        (HEAD + "cells: []\n", "2:8", "cells"),
        (HEAD + "cells:\n  - {triggers: [pacth]}\n", "3:17", "unknown trigger 'pacth'"),
        (HEAD + "cells:\n  - {triggers: [clean+blend]}\n", "3:17", "unknown trigger"),
        (HEAD + "cells:\n  - {triggers: [blend], rate: [0.1]}\n", "3:25", "unknown key 'rate'"),
        (HEAD + "cells:\n  - {triggers: [blend], rates: [2]}\n", "3:33", "2 is greater"),
        (HEAD + "cells:\n  - {triggers: [blend], rates: [0]}\n", "3:33", "0 is less"),
        (HEAD + "cells:\n  - {triggers: [blend], datasets: [three]}\n", "3:36", "'three'"),
        (HEAD + "cells: [{triggers: [clean]}]\ndetectors: [by]\n", "3:13", "'by' is not one of"),
        (HEAD + "cells: [{triggers: [clean]}]\ndetectors: []\n", "3:12", "detectors: []"),
        ("datasets: {one: gone}\ncells: [{triggers: [clean]}]\n", "1:17", "no train.json"),
        (HEAD + "cells: [{triggers: [clean]}]\ncells: []\n", "3:1", "given twice"),
        ("datasets: [\n", "2:1", "not valid YAML"),
        ("- a\n", "1:1", "is not of type 'object'"),
    ],
)
def test_mistakes_are_told_at_their_place(folder: Path, text: str, place: str, what: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_grid(write(folder, text))
    assert f"grid.yaml:{place}: " in caught.value.message
    assert what in caught.value.message


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    text = HEAD + "cells:\n  - {triggers: [x], rates: [3]}\nmodle: scout\n"
    with pytest.raises(PolicyError) as caught:
        load_grid(write(folder, text))
    assert len(caught.value.message.splitlines()) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_grid(tmp_path / "none.yaml")


def test_too_many_cells_are_refused(folder: Path) -> None:
    seeds = ", ".join(map(str, range(3000)))
    text = HEAD + f"cells: [{{triggers: [blend], seeds: [{seeds}]}}]\n"
    with pytest.raises(PolicyError, match="6000 cells"):
        load_grid(write(folder, text))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(grid_schema())


def test_the_digest_follows_data_settings_and_pipeline(folder: Path) -> None:
    path = write(folder, HEAD + "cells: [{triggers: [blend], seeds: [0, 1]}]\n")
    grid = load_grid(path)
    cell = grid.cells[0]
    digest = cell_digest(cell, grid, "p")
    assert digest == cell_digest(cell, load_grid(path), "p")
    assert digest != cell_digest(grid.cells[1], grid, "p")
    assert digest != cell_digest(cell, grid, "q")
    (folder / "one" / "train.json").write_text("[1]")
    assert digest != cell_digest(cell, grid, "p")


# --- what the project itself ships ------------------------------------------------------------


def with_data(tmp_path: Path, text: str) -> Path:
    """Put a grid where its data sets are: the last part of every path, beside it."""
    for name in ("eurosat", "grocery", "emoji", "pqdocs", "mixed"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for file in ("train.json", "test.json"):
            (folder / file).write_text("[]")
    return write(tmp_path, text.replace("../../data/", "data/"))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "detection").glob("*.yaml")))
def test_shipped_grids_can_be_read(path: Path, tmp_path: Path) -> None:
    assert load_grid(with_data(tmp_path, path.read_text())).cells


def test_the_core_grid_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    text = (ROOT / "benchmarks" / "detection" / "core.yaml").read_text()
    cells = load_grid(with_data(tmp_path, text)).cells
    clean = [c for c in cells if not c.triggers]
    assert len(clean) == 4 * 5
    at_ten = {(c.dataset, c.trigger, c.seed) for c in cells if c.rate == 0.1}
    for data in ("eurosat", "grocery"):
        for trigger in TRIGGERS:
            assert {(data, trigger, 0), (data, trigger, 1)} <= at_ten


def test_the_documented_grid_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "detection.md").read_text()
    grid = load_grid(with_data(tmp_path, text.split("```yaml\n")[1].split("```")[0]))
    assert {"patch-random+text-prefix", "clean"} <= {c.trigger for c in grid.cells}
    documented = text.split("```yaml\n")[1].split("```")[0]
    for key in (
        *grid_schema()["properties"],
        *grid_schema()["properties"]["cells"]["items"]["properties"],
    ):
        assert f"{key}:" in documented


def test_the_command_says_which_extra_it_lacks(folder, monkeypatch):
    grid = folder / "grid.yaml"
    grid.write_text("datasets: {one: one}\ncells:\n  - triggers: [clean]\n", "utf-8")
    monkeypatch.setattr(scoring, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingExtraError, match="torch"):
        evaluate.main([str(grid), "--out", str(folder / "out")], standalone_mode=False)
    assert not (folder / "out").exists()
