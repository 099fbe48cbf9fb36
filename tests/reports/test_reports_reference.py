"""The generated pages are current, and the rooms below stay light."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bye_lint.codes import RULES
from bye_lint.reports import REPORTS
from bye_lint.reports.reference import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", pages(ROOT))
def test_the_page_is_current(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == pages(ROOT)[path], "run python -m bye_lint.reports.reference"


def test_every_rule_and_report_is_on_its_page() -> None:
    rules = (ROOT / "docs/rules.md").read_text(encoding="utf-8")
    anchors = re.findall(r"\]\(#([\w-]+)\)", rules)
    headings = re.findall(r"^### (.*)$", rules, re.MULTILINE)
    assert [h.lower().replace(" ", "-") for h in headings] == anchors
    assert [h.split(" ")[0] for h in headings] == list(RULES)
    reports = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", reports, re.MULTILINE) == list(REPORTS)


def test_importing_the_reports_is_light() -> None:
    code = (
        "import sys, bye_lint.reports; heavy = {'rich', 'torch', 'sklearn', 'numpy', 'PIL',"
        " 'jsonschema', 'transformers'} & {m.split('.')[0] for m in sys.modules}; print(heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"


def test_the_row_that_is_loaded_late_is_the_formats_own() -> None:
    from bye_lint.reports import html

    row, own = REPORTS["html"], html.REPORT
    assert (row.name, row.description, row.extension) == (own.name, own.description, own.extension)
