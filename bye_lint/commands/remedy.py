"""``bye-lint explain`` and ``bye-lint clean``: look at a suspect, take the suspects out."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import date
from pathlib import Path

import click

from bye_lint.errors import UsageError

_result = click.argument("result", type=click.Path(path_type=Path))


@click.command(short_help="Show one record: where the model looked, and why it was flagged.")
@_result
@click.argument("sample_id", metavar="ID")
@click.option("--png", type=click.Path(path_type=Path), help="Write a picture instead.")
def explain(result: Path, sample_id: str, png: Path | None) -> int:
    """Show one record of a saved RESULT: where the model looked, and why it was flagged or not.

    ID is the record's id, or its place as reports print it, PATH:LINE.

    Exit status: 0 shown, 2 error.
    """
    from bye_lint.explain import explain_png, explain_text
    from bye_lint.lookup import as_reported
    from bye_lint.reports import check_writable, load_result, write_bytes

    loaded = load_result(result)
    sample_id = as_reported(loaded, sample_id)
    if png is not None:
        check_writable(png, spare=result)
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


@click.command(short_help="Write the dataset without its suspects.")
@_result
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--in-place", is_flag=True, help="Rewrite the dataset files themselves.")
@click.option("--keep", multiple=True, metavar="ID", help="Keep a suspect; may be repeated.")
@click.option(
    "--review",
    "review_file",
    type=click.Path(path_type=Path),
    help="Decisions on the suspects; those rejected are kept, and suppressed in the baseline.",
)
@click.option("--author", help="Who rejected suspects; by default git's user.name.")
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
    "--quarantine",
    type=click.Path(path_type=Path),
    help="File for what is removed; by default beside the output.",
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
    author: str | None,
    write_review: Path | None,
    images: str,
    quarantine: Path | None,
    policy_path: Path | None,
) -> int:
    """Write the dataset of a saved RESULT without its suspects, which go to a quarantine file.

    Nothing is changed in place unless asked for. A result that does not match the data on disk
    is refused.

    Exit status: 0 written, 2 error.
    """
    from bye_lint import clean as cleaning
    from bye_lint import decisions
    from bye_lint.datasets import read_datasets
    from bye_lint.escape import visible
    from bye_lint.output import keep_outside
    from bye_lint.reports import check_writable, load_result, write_report
    from bye_lint.request import Overrides, plan_request, result_paths
    from bye_lint.review import read_review
    from bye_lint.review import write_review as review_text
    from bye_lint.shelf import Shelf
    from bye_lint.store import cache_folder

    loaded = load_result(result)
    if write_review is not None:
        check_writable(write_review, spare=result)
        cleaning.require_scored(loaded)
        write_report(review_text(loaded), write_review)
        click.echo(f"wrote {write_review}: fill in the decisions, then use --review", err=True)
        return 0
    review = None
    if review_file is not None:
        review = read_review(_text(review_file), loaded, source=str(review_file))
    paths = result_paths(loaded)
    request = plan_request(paths, Overrides(policy_path=policy_path))
    for place in (output, quarantine):
        if place is not None:
            keep_outside(place, request)
    rejecting = review is not None and bool(review.rejected)
    accepts = decisions.author_of(request, author) if rejecting else ""
    dataset, base = request.policy.dataset, request.policy.base
    items = read_datasets(
        request.paths, dataset, base, display_root=request.root, shelf=Shelf(cache_folder())
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
        image_root=None if dataset.image_root is None else base / dataset.image_root,
        max_pixels=dataset.max_pixels,
        quarantine=quarantine,
    )
    click.echo(f"kept {done.kept} records, removed {done.removed}: {done.folder}")
    for path in done.left_out:
        click.echo(f"left out, since nothing of it was read: {visible(path)}")
    if done.quarantine is not None:
        click.echo(f"the removed ones, with the reasons: {done.quarantine}")
    if review is not None and review.rejected:
        file, new = decisions.suppress_rejected(request, loaded, review, accepts, date.today())
        click.echo(f"rejected {len(review.rejected)}, {new} newly suppressed: {file}")
        if request.policy.baseline is None:
            said = f"  add `baseline: {file.name}` to the policy, so that checks read it"
            click.echo(said, err=True)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
