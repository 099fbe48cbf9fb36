"""The REPORTS table: one row a format, each rendered from one saved result."""

from __future__ import annotations

from collections.abc import Mapping

from bye_lint.errors import UsageError
from bye_lint.reports import github, gitlab, json_result, junit, markdown, sarif, terminal
from bye_lint.reports.base import RenderContext, Report
from bye_lint.reports.files import check_writable, load_result, write_bytes, write_report
from bye_lint.reports.schema import result_schema
from bye_lint.results import ScanResult

__all__ = [
    "REPORTS",
    "RenderContext",
    "Report",
    "check_writable",
    "load_result",
    "render",
    "result_schema",
    "write_bytes",
    "write_report",
]


def _html(result: ScanResult, context: RenderContext) -> str:
    from bye_lint.reports import html  # numpy, Pillow and Jinja: naming a format costs none

    return html.render(result, context)


REPORTS: Mapping[str, Report] = {
    report.name: report
    for report in (
        terminal.REPORT,
        json_result.REPORT,
        sarif.REPORT,
        markdown.REPORT,
        github.REPORT,
        gitlab.REPORT,
        junit.REPORT,
        Report(
            "html",
            "one page to look at: images, attention, the trigger; no network",
            _html,
            ".html",
        ),
    )
}


def render(result: ScanResult, form: str, context: RenderContext | None = None) -> str:
    """Return a result in one of the formats of the table.

    Raises
    ------
    UsageError
        If there is no such format; the message lists those there are.
    """
    report = REPORTS.get(form)
    if report is None:
        raise UsageError(f"unknown report format {form!r}", f"Known: {', '.join(REPORTS)}.")
    context = context or RenderContext()
    text = report.render(result, context)
    return text.encode("ascii", "backslashreplace").decode() if context.ascii else text
