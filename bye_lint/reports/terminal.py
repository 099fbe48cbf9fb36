"""What is printed: the verdict first, then what it rests on, then what to do next."""

from __future__ import annotations

import io

from bye_lint.escape import MAX_MESSAGE, MAX_PATH, visible
from bye_lint.records import Finding
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.results import ScanResult

#: What a terminal without Unicode gets for the characters of the layout.
_ASCII = str.maketrans(
    {
        "─": "-", "━": "=", "│": "|", "┃": "|", "╭": "+", "╮": "+", "╯": "+", "╰": "+",
        "┌": "+", "┐": "+", "┘": "+", "└": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+",
        "┼": "+", "╶": "-", "╴": "-", "█": "#", "▇": "#", "░": ".", "▒": ":", "●": "*", "◐": "~",
        "·": "-", "…": "...", "✔": "+", "✖": "x", "±": "+-", "→": "->", "▸": ">", "≥": ">=",
        "τ": "tau", "–": "-", "“": '"', "”": '"',  "×": "x",
    }
)  # fmt: skip


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the report for a terminal: plain text unless the context allows colour."""
    text = _quiet(result) if context.verbosity < 0 else _full(result, context)
    return text.translate(_ASCII) if context.ascii else text


def place(path: str, line: int) -> str:
    """Return ``path:line`` as editors and terminals link it."""
    return f"{visible(path, MAX_PATH).strip(':')}:{line}"


def _quiet(result: ScanResult) -> str:
    findings = view.active(result)
    lines = [_line(finding) for finding in findings if finding.level != "note"]
    if len(lines) < len(findings):
        lines.append(f"{view.plural(len(findings) - len(lines), 'note')} not shown")
    reasons = "; ".join(visible(reason, MAX_MESSAGE) for reason in result.reasons)
    lines.append(f"{result.verdict}: {reasons}")
    return "\n".join(lines) + "\n"


def _line(finding: Finding) -> str:
    where = f"{place(finding.path, finding.line)}:{finding.column}"
    sample = f" [{visible(finding.sample_id)}]" if finding.sample_id else ""
    return f"{where}: {visible(finding.rule)} {visible(finding.message)}{sample}"


def _full(result: ScanResult, context: RenderContext) -> str:

    from rich.console import Console

    from bye_lint.reports import terminal_parts

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(context.width, 40),
        force_terminal=context.color,
        color_system="standard" if context.color else None,
        no_color=not context.color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        _environ={},
    )
    for part in terminal_parts.parts(result, verbose=context.verbosity > 0):
        console.print(part)
        console.print()
    lines = out.getvalue().rstrip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n"


REPORT = Report("terminal", "for people: panels, tables and a histogram", render, ".txt")
