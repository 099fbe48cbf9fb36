"""``bye-lint explain`` and ``bye-lint clean``: look at a suspect, take the suspects out."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

_result = click.argument("result", type=click.Path(path_type=Path))


@click.command()
@_result
@click.argument("sample_id", metavar="ID")
@click.option("--png", type=click.Path(path_type=Path), help="Write a picture instead.")
def explain(result: Path, sample_id: str, png: Path | None) -> int:
    """Show one record of a saved RESULT: where the model looked, and why it was flagged or not."""
    from bye_lint.explain import explain_png, explain_text
    from bye_lint.reports import check_writable, load_result, write_bytes

    loaded = load_result(result)
    if png is not None:
        check_writable(png)
        write_bytes(explain_png(loaded, sample_id), png)
        click.echo(f"wrote {png}", err=True)
        return 0
    tty = sys.stdout.isatty()
    text = explain_text(
        loaded,
        sample_id,
        width=shutil.get_terminal_size((100, 24)).columns if tty else 100,
        color=tty and not os.environ.get("NO_COLOR"),
        ascii_only=not (sys.stdout.encoding or "").lower().startswith("utf"),
    )
    click.echo(text, nl=False)
    return 0


@click.command()
@_result
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--in-place", is_flag=True, help="Rewrite the dataset files themselves.")
@click.option("--keep", multiple=True, metavar="ID", help="Keep a suspect; may be repeated.")
@click.option(
    "--review",
    "review_file",
    type=click.Path(path_type=Path),
    help="Decisions on the suspects; those rejected are kept.",
)
@click.option(
    "--write-review",
    type=click.Path(path_type=Path),
    help="Write a review file to fill in, and stop.",
)
@click.option(
    "--images",
    type=click.Choice(["copy", "link", "none"]),
    default="copy",
    show_default=True,
    help="What becomes of the kept records' images.",
)
@click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path), help="Policy of the check."
)
def clean(
    result: Path,
    output: Path | None,
    in_place: bool,
    keep: tuple[str, ...],
    review_file: Path | None,
    write_review: Path | None,
    images: str,
    policy_path: Path | None,
) -> int:
    """Write the dataset of a saved RESULT without its suspects, which go to a quarantine file.

    Nothing is changed in place unless asked for. A result that does not match the data on disk
    is refused.
    """
    from bye_lint import clean as cleaning
    from bye_lint.datasets import read_datasets
    from bye_lint.errors import ResultError, UsageError
    from bye_lint.reports import check_writable, load_result, write_report
    from bye_lint.request import Overrides, plan_request
    from bye_lint.review import read_review
    from bye_lint.review import write_review as review_text
    from bye_lint.vcs import repository_root

    loaded = load_result(result)
    if write_review is not None:
        check_writable(write_review)
        write_report(review_text(loaded), write_review)
        click.echo(f"wrote {write_review}: fill in the decisions, then use --review", err=True)
        return 0
    review = None
    if review_file is not None:
        try:
            text = review_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{review_file}: cannot be read: {error}") from error
        review = read_review(text, loaded, source=str(review_file))
    root = (repository_root(Path.cwd()) or Path.cwd()).resolve()
    paths = tuple(root / path for path in loaded.paths)
    for path in paths:
        if not path.exists():
            raise ResultError(
                f"{path}: the data of this result are not here",
                "Run from the repository (or the folder) in which the check was run.",
            )
    request = plan_request(paths, Overrides(policy_path=policy_path))
    items = read_datasets(
        request.paths, request.policy.dataset, request.policy.base, display_root=request.root
    )
    done = cleaning.clean(
        loaded,
        items,
        root=request.root,
        out=output,
        in_place=in_place,
        keep=keep,
        review=review,
        images=images,  # type: ignore[arg-type]  # click.Choice holds it to the three
    )
    click.echo(f"kept {done.kept} records, removed {done.removed}: {done.folder}")
    if done.quarantine is not None:
        click.echo(f"the removed ones, with the reasons: {done.quarantine}")
    return 0
