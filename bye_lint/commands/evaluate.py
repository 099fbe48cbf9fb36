"""``bye-lint evaluate``: how good the detectors are, measured on poisoned copies of clean data."""

from __future__ import annotations

from pathlib import Path

import click

from bye_lint.commands.options import Shard, out_option


@click.command(short_help="Measure the detectors on poisoned copies of clean data.")
@click.argument("grid", type=click.Path(path_type=Path))
@out_option("Folder for results and tables")
@click.option("--shard", type=Shard(), default="1/1", help="Run one part of the cells.")
@click.option("--plots", is_flag=True, help="Also draw plots (needs the [plots] extra).")
@click.option("--no-progress", is_flag=True, help="Show no progress bars.")
def evaluate(grid: Path, out: Path, shard: tuple[int, int], plots: bool, no_progress: bool) -> int:
    """Run a GRID of poisoned copies: triggers, rates, datasets, every detector on each.

    The clean data are never written to.

    Exit status: 0 measured, 2 error.
    """
    from bye_lint import scoring
    from bye_lint.evaluate.gridfile import load_grid
    from bye_lint.evaluate.runner import load_results, run_grid
    from bye_lint.progress import RichProgress

    loaded = load_grid(grid)
    scoring.require_extra()
    results = run_grid(loaded, out, progress=RichProgress(bars=not no_progress), shard=shard)
    click.echo(f"{len(results)} cells: {out / 'tables.md'}")
    if plots:
        from bye_lint.evaluate.plots import write_plots

        for path in write_plots(load_results(out, results[0]["pipeline"]) if results else [], out):
            click.echo(path)
    return 0
