"""``bye-lint doctor``: can a check run here, on what, with which model, at what cost?"""

from __future__ import annotations

from pathlib import Path

import click

from bye_lint.commands.options import device_option, policy_option


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@policy_option
@device_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json"]),
    default="terminal",
    show_default=True,
    help="What is printed to standard output.",
)
def doctor(paths: tuple[Path, ...], policy_path: Path | None, device: str | None, form: str) -> int:
    """Say whether a full check can run here, and what it would cost.

    Prints versions, devices and their memory, the cache, the policy's model as it resolves, and,
    for the data at PATHS or those of the policy, what a check would take. Nothing is fetched,
    loaded or trained. Exit status: 0 a full check can run, 2 it can't.
    """
    from bye_lint.doctor import examine, to_json, to_text
    from bye_lint.progress import SilentProgress
    from bye_lint.request import Overrides

    overrides = Overrides(policy_path=policy_path, device=device)
    found = examine(paths, overrides, progress=SilentProgress())
    click.echo(to_json(found) if form == "json" else to_text(found), nl=False)
    return 2 if found.problems else 0
