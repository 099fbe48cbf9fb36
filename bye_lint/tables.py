"""Names of everything that can be chosen, read from the tables themselves without their weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def report_names() -> tuple[str, ...]:
    """Names of the report formats."""
    from bye_lint.reports import REPORTS

    return tuple(REPORTS)


def choices() -> Mapping[str, tuple[str, ...]]:
    """Names allowed in a policy, by kind: formats, detectors, reports."""
    from bye_lint.datasets import READERS
    from bye_lint.detectors import DETECTORS

    return {
        "formats": ("auto", *READERS),
        "detectors": tuple(DETECTORS),
        "reports": report_names(),
    }


def schema(which: str) -> dict[str, Any]:
    """JSON schema of the ``policy`` or of the JSON ``result``."""
    if which == "policy":
        from bye_lint.policy import policy_schema

        return policy_schema(choices())
    from bye_lint.reports import result_schema

    return result_schema()
