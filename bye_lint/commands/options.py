"""Options that several commands share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bye_lint import tables

F = TypeVar("F", bound=Callable[..., Any])


class ReportOption(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """``FORMAT=PATH``; the format is one of the REPORTS table."""

    name = "FORMAT=PATH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Split and check one value of ``--report``."""
        if isinstance(value, tuple):
            return value
        form, separator, path = str(value).partition("=")
        if not separator or not path:
            self.fail(f"{value!r} is not FORMAT=PATH, for example sarif=bye-lint.sarif", param, ctx)
        if form not in tables.report_names():
            known = tables.report_names()
            close = difflib.get_close_matches(form.lower(), known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]}?" if close else ""
            self.fail(
                f"unknown report format {form!r}; known: {', '.join(known)}.{hint}", param, ctx
            )
        if path == "-":
            self.fail(f"- is no file; --format {form} prints to standard output", param, ctx)
        return form, Path(path)


class Shard(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """``K/N``: the K-th of N parts."""

    name = "K/N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read one value of ``--shard``."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value), re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is not K/N with K from 1 to N, for example 3/8", param, ctx)
        return int(found[1]), int(found[2])


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def out_option(what: str) -> Callable[[F], F]:
    """Return the option that names the folder of a command which can be taken up again."""
    return click.option(
        "--output",
        "--out",
        "-o",
        "out",
        type=click.Path(path_type=Path),
        required=True,
        help=f"{what}; a second run goes on where the first one stopped.",
    )


policy_option = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="Policy file. By default bye-lint.yaml is looked for from the first PATH upwards.",
)

structural_option = click.option(
    "--structural", is_flag=True, help="Run the structural rules alone, without a model."
)

#: Which records are looked at, by which policy. The parameters of these, of the device and of the
#: seed are fields of :class:`bye_lint.request.Overrides`, so that commands pass them on whole.
plan_options = several(
    policy_option,
    click.option(
        "--changed-since",
        metavar="REF",
        help="Judge the records that changed since a git ref, beside a sample of the others; "
        "auto takes the ref that a hook or a CI service names.",
    ),
    click.option(
        "--policy-from-ref",
        is_flag=True,
        help="Read policy and baseline as they are at that ref: a change can't loosen its own "
        "judge.",
    ),
    click.option(
        "--policy-ref",
        metavar="REF",
        help="Read policy and baseline as they are at this ref, also where everything is judged.",
    ),
)

progress_option = click.option("--no-progress", is_flag=True, help="Show no progress bars.")

device_option = click.option(
    "--device", help="Device to run the model on: auto, cpu, cuda, cuda:1 ..."
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),  # as in the policy
    help="Seed of everything that is drawn.",
)

#: How what was looked at is judged.
judge_options = several(
    seed_option,
    click.option(
        "--no-baseline",
        "baseline",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Accept nothing, whatever the baseline says.",
    ),
    click.option(
        "--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict; errors stay 2."
    ),
)

#: What is printed and written.
output_options = several(
    click.option("--verbose", "-v", is_flag=True, help="Print everything that was measured."),
    click.option(
        "--quiet",
        "-q",
        is_flag=True,
        help="Print the errors and warnings, one a line, and the verdict.",
    ),
    click.option(
        "--format",
        "stdout_format",
        type=click.Choice(tables.report_names()),
        default="terminal",
        show_default=True,
        help="What is printed to standard output.",
    ),
    click.option(
        "--report",
        "report_files",
        type=ReportOption(),
        multiple=True,
        help="Also write a report to a file; may be given several times.",
    ),
)
