"""Tables in documents, between marks that a command knows: ``<!-- NAME: begin -->``."""

from __future__ import annotations

from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """Return the lines that stand around a generated part."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def fill(document: Path, name: str, text: str) -> None:
    """Put a text between the marks of a document; what stood there goes.

    Raises
    ------
    SystemExit
        If the marks are not there, the first before the second.
    """
    begin, end = marks(name)
    before, found, rest = document.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{document}: lacks the marks {begin} and {end}")
    document.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", "utf-8")
