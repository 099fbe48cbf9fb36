"""docs/models.md is what the table of families says."""

from __future__ import annotations

from pathlib import Path

from bye_lint.models.reference import models_page

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == models_page()
