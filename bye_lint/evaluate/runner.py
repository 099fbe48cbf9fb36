"""Run a grid: cell after cell, each result written when it is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bye_lint import __version__
from bye_lint.evaluate.cell import run_cell, run_truly_clean
from bye_lint.evaluate.grid import Cell, Grid, cell_digest
from bye_lint.evaluate.pipeline import Pipeline
from bye_lint.evaluate.tables import render_tables
from bye_lint.evaluate.truth import write_json
from bye_lint.policy import ModelPolicy
from bye_lint.progress import Progress


def run_grid(
    grid: Grid,
    out: Path,
    *,
    progress: Progress,
    pipeline: Pipeline | None = None,
    shard: tuple[int, int] = (1, 1),
) -> list[dict[str, Any]]:
    """Run every cell of a grid that has not been run, and write results and tables.

    ``out/results/*.json`` holds one result a cell, ``out/tables.md`` the tables rendered from
    all that are there of this pipeline, and the names of those of others; ``out/steps`` and
    ``out/features`` are what a second run takes up. Cells of one data set, size and seed share
    the truly clean model, and those of them that a cleaning leaves with the same records share
    the model trained on these.

    Parameters
    ----------
    pipeline : Pipeline, optional
        By default the grid's model, fine-tuned and read as ``bye-lint check`` does.
    shard : tuple of two int
        ``(k, n)``: run the k-th of n parts of the cells, so that machines may share a grid;
        their folders are merged by copying one over the other.

    Returns
    -------
    list of dict
        The results of the cells that were asked for, in their order.

    Raises
    ------
    ByeLintError
        If the data, the model or a trigger cannot be used.
    ValueError
        If there is no such shard.
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard must be (k, n) with k from 1 to n, got {shard}")
    cells = grid.cells[part - 1 :: parts]
    if pipeline is None:
        pipeline = model_pipeline(grid, out / "models")
    clean: dict[tuple[str, int, int], dict[str, Any]] = {}
    cleaned: list[Any] = []
    results = []
    for number, cell in enumerate(cells, 1):
        progress.say(f"cell {number} of {len(cells)}: {cell.name}")
        digest = cell_digest(cell, grid, pipeline.digest)
        result = run_cell(cell, grid, pipeline, out, digest, cleaned=cleaned, progress=progress)
        result |= {
            "name": cell.name,
            "digest": digest,
            "pipeline": pipeline.digest,
            "tool_version": __version__,
        }
        if grid.truly_clean:
            key = _population(cell)
            if key not in clean:
                alike = [other for other in grid.cells if _population(other) == key]
                clean[key] = _clean(alike, grid, pipeline, out, progress)
            result["truly_clean"] = clean[key]
        write_json(out / "results" / f"{cell.name}.json", result)
        results.append(result)
    for model in cleaned:
        pipeline.forget(model)
    out.mkdir(parents=True, exist_ok=True)
    tables, others = render_tables(load_results(out, pipeline.digest)), _others(out, pipeline)
    if others:
        progress.say(others)
        tables += f"\n{others}\n"
    (out / "tables.md").write_text(tables, "utf-8")
    return results


def _others(out: Path, pipeline: Pipeline) -> str:
    """Say which results are left out, as those of another model or another fine-tuning."""
    names = [r["name"] for r in load_results(out) if r.get("pipeline") != pipeline.digest]
    told = f"of another model or another fine-tuning, left out: {', '.join(names)}."
    return f"Results {told}" if names else ""


def model_pipeline(grid: Grid, cache: Path) -> Pipeline:
    """Return the grid's model with the grid's schedule; needs the ``[model]`` extra.

    Raises
    ------
    ModelError
        If the model cannot be used.
    """
    from bye_lint import models
    from bye_lint.learning import resolve
    from bye_lint.models.pipeline import ModelPipeline

    base = resolve(ModelPolicy(name=grid.model, device=grid.device), grid.base)
    settings = models.schedule(grid.fine_tune, base, device=grid.device, seed=0)
    return ModelPipeline(base, settings, cache, device=grid.device)


def load_results(out: Path, pipeline: str | None = None) -> list[dict[str, Any]]:
    """Read the results that a grid has written so far, by name.

    Parameters
    ----------
    pipeline : str, optional
        Digest of the one whose results are asked for; those of all that ran in the folder are no
        one experiment.
    """
    files = sorted((out / "results").glob("*.json"))
    found = [json.loads(path.read_text("utf-8")) for path in files]
    return [r for r in found if pipeline is None or r.get("pipeline") == pipeline]


def _population(cell: Cell) -> tuple[str, int, int]:
    return cell.dataset, cell.records, cell.seed


def _clean(
    cells: Sequence[Cell], grid: Grid, pipeline: Pipeline, out: Path, progress: Progress
) -> dict[str, Any]:
    digests = "".join(sorted(cell_digest(cell, grid, pipeline.digest) for cell in cells))
    digest = hashlib.sha256(digests.encode()).hexdigest()[:16]
    progress.say(f"truly clean: {cells[0].dataset}, {cells[0].records} records")
    return run_truly_clean(cells, grid, pipeline, out, digest, progress=progress)
