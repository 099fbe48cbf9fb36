"""Tables that benchmarks put into documents, and the marks that they look for there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def documents(import_benchmark: Any) -> Any:
    return import_benchmark("documents")


def test_what_stood_between_the_marks_goes(documents: Any, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    begin, end = documents.marks("table")
    document.write_text(f"a\n{begin}\nold\n{end}\nb\n")
    for text in ("first\n", "second\n"):
        documents.fill(document, "table", text)
    assert document.read_text() == f"a\n{begin}\n\nsecond\n\n{end}\nb\n"


@pytest.mark.parametrize("text", ["none\n", "<!-- table: end -->\n<!-- table: begin -->\n"])
def test_a_document_without_marks_is_left_alone(documents: Any, tmp_path: Path, text: str) -> None:
    document = tmp_path / "a.md"
    document.write_text(text)
    with pytest.raises(SystemExit, match="lacks the marks"):
        documents.fill(document, "table", "new\n")
    assert document.read_text() == text


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ("performance.md", "extraction"),
        ("performance.md", "precision"),
        ("ci.md", "pull_request"),
        ("scout.md", "scout"),
        ("scout.md", "second"),
        ("scout.md", "null"),
        ("scout.md", "crippled"),
        ("scout.md", "looking"),
        ("scout.md", "looking-sizes"),
        ("scout.md", "looking-overlays"),
        ("detection.md", "false-alarms"),
    ],
)
def test_the_published_documents_have_the_marks(documents: Any, document: str, name: str) -> None:
    text = (ROOT / "docs" / document).read_text("utf-8")
    assert [text.count(mark) for mark in documents.marks(name)] == [1, 1]
