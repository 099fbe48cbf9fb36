"""Which way imports may point, and what stays out of a quick start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from gitrepo import Repo, record

PACKAGE = Path(__file__).parents[1] / "bye_lint"

#: From the command line down; a unit imports from its own layer or below. Rooms are apart:
#: none of them imports another.
LAYERS = (
    {"__main__", "cli", "commands"},
    {
        "authorship", "changes", "ci", "clean", "comparison", "cut", "datapaths", "decisions",
        "doctor", "evaluate", "explain", "findings", "foresight", "learning", "lfs", "lookup",
        "output", "places", "planning", "portrait", "probes", "provenance", "reference", "request",
        "retraining", "review", "rewrite", "scan", "scoring", "shards", "snapshot", "tables",
        "tuned", "verify",
    },
    {
        "baseline", "canaries", "datasets", "detectors", "evidence", "models", "reports", "rules",
        "scout", "store", "vcs",
    },
    {
        "codes", "escape", "features", "formats", "heat", "mixtures", "packages", "policy",
        "precision", "progress", "robust", "stages", "triggers", "verdict",
    },
    {
        "__init__", "atomic", "conversation", "digests", "errors", "exhibits", "readings",
        "records", "results", "shelf", "spelling",
    },
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


def test_rule_codes_are_named_in_one_place() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for _, path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and re.fullmatch(r"BYE\d{3}", str(node.value))
    }
    assert found == {"codes.py"}


def test_heavy_packages_stay_in_their_rooms() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for unit, path, tree in modules()
        if unit not in ("models", "scout") and {n.partition(".")[0] for n in imported(tree)} & HEAVY
    }
    assert found == set()


WITHOUT_EXTRA = """
import sys
for name in ("torch", "transformers", "peft", "accelerate", "sklearn", "scipy", "pyarrow"):
    sys.modules[name] = None
from bye_lint import cli
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.image("data/a.png", 1)
    made.records([record("a")])
    made.write("bye-lint.yaml", "dataset: {paths: [data]}\n")
    made.commit()
    return made


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "--structural"], 0),
        (["check", "--structural", "data/train.jsonl", "bye-lint.yaml"], 0),
        (["check", "--structural", "--changed-since", "HEAD", "--policy-from-ref"], 0),
        (["check", "--show-policy"], 0),
        (["rule"], 0),
        (["schema"], 0),
    ],
    ids=["structure", "files of a hook", "pull request", "policy", "rules", "schema"],
)
def test_what_needs_no_model_needs_no_extra(repo: Repo, arguments: list[str], status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, *arguments],
        cwd=repo.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr


def test_the_full_check_says_which_extra_it_lacks(repo: Repo) -> None:
    repo.write("bye-lint.yaml", "dataset: {paths: [data]}\ngate: {min_samples: 1}\n")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, "check"],
        cwd=repo.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "bye-lint[model]" in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("start", ["import bye_lint.cli", "from bye_lint import changes, baseline"])
def test_a_quick_start_loads_no_heavy_package(start: str) -> None:
    code = f"{start}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "bye_lint" in loaded
    assert loaded & {*HEAVY, "sklearn", "scipy", "pyarrow"} == set()
