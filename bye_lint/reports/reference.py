"""Writes what is generated: the schema of results, and the reference pages of the docs.

``python -m bye_lint.reports.reference`` from the root of the repository; tests fail where a
page is not what it would write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bye_lint.reports import write_report
from bye_lint.reports.schema import build_schema


def pages() -> Mapping[str, str]:
    """Return each generated file: its path from the root of the repository, and its text."""
    return {
        "bye_lint/schema/result.schema.json": json.dumps(build_schema(), indent=2) + "\n",
    }


def main() -> None:
    """Write the generated files again."""
    for path, text in pages().items():
        write_report(text, Path(path))


if __name__ == "__main__":
    main()
