"""How good the detectors are: poisoned copies of clean data, the grid that runs them, its tables.

Nothing here is part of a check. The truth about a poisoned copy is written outside of it and
reaches the metrics alone.
"""

from __future__ import annotations

from bye_lint.evaluate.grid import Cell, Grid
from bye_lint.evaluate.gridfile import grid_schema, load_grid
from bye_lint.evaluate.plots import write_plots
from bye_lint.evaluate.poison import poison_dataset
from bye_lint.evaluate.runner import load_results, run_grid
from bye_lint.evaluate.tables import render_tables

__all__ = [
    "Cell",
    "Grid",
    "grid_schema",
    "load_grid",
    "load_results",
    "poison_dataset",
    "render_tables",
    "run_grid",
    "write_plots",
]
