"""Which way imports may point, and what stays out of a quick start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bye_lint"

#: From the command line down; a unit imports from its own layer or below. Rooms are apart:
#: none of them imports another.
LAYERS = (
    {"cli", "__main__"},
    {
        "changes", "evaluate", "findings", "output", "reference", "request", "scan", "scoring",
        "snapshot", "tables",
    },
    {
        "baseline", "canaries", "datasets", "detectors", "evidence", "models", "reports", "rules",
        "scout", "store", "vcs",
    },
    {
        "codes", "escape", "features", "heat", "mixtures", "policy", "progress", "stages",
        "triggers", "verdict",
    },
    {"__init__", "errors", "records"},
)  # fmt: skip
ROOMS = LAYERS[2]
HEAVY = {"torch", "transformers", "peft", "accelerate"}
LAYER = {unit: depth for depth, units in enumerate(LAYERS) for unit in units}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Yield every module with the unit it belongs to: a top-level file or folder."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield (
            path.relative_to(PACKAGE).parts[0].removesuffix(".py"),
            path,
            ast.parse(path.read_text(encoding="utf-8")),
        )


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges() -> set[tuple[str, str]]:
    """Return which unit imports which other."""
    found = set()
    for unit, _, tree in modules():
        for name in imported(tree):
            package, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if package == "bye_lint" and target != unit:
                exists = (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()
                found.add((unit, target if exists else "__init__"))
    return found


def test_every_unit_has_its_layer() -> None:
    units = {unit for unit, _, _ in modules()}
    assert units - set(LAYER) == set(), "say in LAYERS where it belongs"


def test_imports_point_down() -> None:
    assert [e for e in sorted(edges()) if LAYER[e[0]] > LAYER[e[1]]] == []


def test_rooms_do_not_import_each_other() -> None:
    assert [e for e in sorted(edges()) if set(e) <= ROOMS] == []


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for unit, target in edges():
        graph.setdefault(unit, set()).add(target)
    assert list(TopologicalSorter(graph).static_order())


def test_heavy_packages_stay_in_their_rooms() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for unit, path, tree in modules()
        if unit not in ("models", "scout") and {n.partition(".")[0] for n in imported(tree)} & HEAVY
    }
    assert found == set()


@pytest.mark.parametrize("start", ["import bye_lint.cli", "from bye_lint import changes, baseline"])
def test_a_quick_start_loads_no_heavy_package(start: str) -> None:
    code = f"{start}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "bye_lint" in loaded
    assert loaded & {*HEAVY, "sklearn", "scipy", "pyarrow"} == set()
