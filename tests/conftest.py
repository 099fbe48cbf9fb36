"""What tests of several folders share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def import_benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of ``benchmarks``, which is no part of the package, from the checkout."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    for name in [n for n in sys.modules if n.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    return lambda name: importlib.import_module(f"benchmarks.{name}")
