"""What a report format is, and what it is told about the place it is rendered for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bye_lint.results import ScanResult


@dataclass(frozen=True, slots=True)
class RenderContext:
    """Where a report will be read.

    Attributes
    ----------
    color : bool
        ANSI colours may be used.
    width : int
        Columns of the terminal.
    verbosity : int
        -1 quiet, 0 normal, 1 verbose; the terminal report alone minds it.
    environ : mapping of str to str
        The runner's ``GITHUB_*`` variables, for links to the lines at the head commit.
    ascii : bool
        The output cannot show anything beyond ASCII.
    """

    color: bool = False
    width: int = 100
    verbosity: int = 0
    environ: Mapping[str, str] = field(default_factory=dict)
    ascii: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report format: one row of the table.

    Attributes
    ----------
    description : str
        One line for the help and the reference.
    render : callable
        ``render(result, context) -> text``; reads nothing but its arguments, so that a saved
        result renders the same anywhere. The text ends with a newline.
    extension : str
        Usual ending of its files, with the dot.
    """

    name: str
    description: str
    render: Callable[[ScanResult, RenderContext], str]
    extension: str
