"""The dataset without its suspects, in its own format, and the suspects with the reasons.

Nothing is written unless the data on disk are those that were checked, record by record; a new
folder appears whole or not at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bye_lint.cut import Position
from bye_lint.errors import ReportError, ResultError, UsageError
from bye_lint.escape import visible
from bye_lint.records import Sample, Skipped, place_of
from bye_lint.results import ScanResult, ScoredSample
from bye_lint.review import Review
from bye_lint.rewrite import (
    Texts,
    named_pictures,
    rewrite_in_folder,
    rewrite_in_place,
    write_whole,
)

_AGAIN = "Run the check again, then clean with its result."


@dataclass(frozen=True)
class Cleaned:
    """What was done.

    Attributes
    ----------
    folder : Path
        The new folder, or the root of the files changed in place.
    quarantine : Path or None
        JSON lines, one a removed record; ``None`` if nothing was removed.
    kept, removed : int
        Records.
    files : tuple of Path
        The dataset files written.
    """

    folder: Path
    quarantine: Path | None
    kept: int
    removed: int
    files: tuple[Path, ...]


def require_scored(result: ScanResult) -> None:
    """Refuse a result that knows no suspects, since no model looked at the records.

    Raises
    ------
    ResultError
    """
    counts = result.counts
    if result.structural_only:
        raise ResultError(
            "the result is of the structure alone: it knows no suspects",
            "Run the check without --structural, then clean with its result.",
        )
    if not result.samples and counts.changed is None and counts.records > counts.skipped:
        raise ResultError(
            f"no record was scored: {'; '.join(map(visible, result.reasons))}",
            "Run a check that comes to a verdict, then clean with its result.",
        )


def chosen_for_removal(
    result: ScanResult, *, keep: Collection[str] = (), review: Review | None = None
) -> tuple[ScoredSample, ...]:
    """Return the suspects that go: all but those suppressed, kept by id, or rejected in review.

    Raises
    ------
    UsageError
        If an id to keep is not a suspect's.
    """
    suppressed = {
        place_of(f) for f in result.findings if f.rule == "BYE001" and f.suppressed is not None
    }
    suspects = [s for s in result.samples if s.suspicious]
    unknown = sorted(set(keep) - {s.sample_id for s in suspects})
    if unknown:
        raise UsageError(
            f"--keep {unknown[0]!r}: not the id of a suspect",
            f"The result has {len(suspects)} suspects; see them with bye-lint report.",
        )
    rejected = review.rejected if review is not None else {}
    return tuple(
        s
        for s in suspects
        if s.sample_id not in keep and s.digest not in rejected and place_of(s) not in suppressed
    )


def clean(
    result: ScanResult,
    items: Iterable[Sample | Skipped],
    *,
    root: Path,
    out: Path | None = None,
    in_place: bool = False,
    keep: Collection[str] = (),
    review: Review | None = None,
    images: Literal["copy", "link", "none"] = "copy",
    image_root: Path | None = None,
    quarantine: Path | None = None,
) -> Cleaned:
    """Write the dataset without its suspects.

    Parameters
    ----------
    items : iterable of Sample or Skipped
        The dataset as it is on disk now, from :func:`bye_lint.datasets.read_datasets` with the
        policy of the check.
    root : Path
        Folder that the paths of the result are relative to.
    out : Path, optional
        The folder to make; it must not exist. Files keep their places relative to each other.
    in_place : bool
        Rewrite the dataset files themselves instead; images stay.
    keep, review
        See :func:`chosen_for_removal`.
    images : {"copy", "link", "none"}
        What becomes of the kept records' images: copied beside, hard-linked, or left out.
    image_root : Path, optional
        Folder that image names start from; by default that of the dataset file.
    quarantine : Path, optional
        By default ``out`` with ``.quarantine.jsonl`` after its name.

    Raises
    ------
    ResultError
        If the result knows no suspects, or the data on disk are not those of the result.
    UsageError
        If neither or both of ``out`` and ``in_place`` are given, or ``out`` exists.
    ReportError
        If something cannot be written; nothing half-written is left.
    """
    require_scored(result)
    if (out is None) == (not in_place):
        raise UsageError("clean needs either an output folder or to be told to work in place")
    beside = root / "dataset" if out is None else out
    quarantine = quarantine or beside.with_name(f"{beside.name}.quarantine.jsonl")
    for path in (quarantine, *([out] if out is not None else [])):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path}: exists already", "Choose another place, or move it away.")
    gone = chosen_for_removal(result, keep=keep, review=review)
    read = tuple(items)
    samples = [item for item in read if isinstance(item, Sample)]
    _match(result, samples)
    positions: dict[str, set[Position]] = defaultdict(set)
    for s in gone:
        positions[s.path].add((s.line, s.column))
    paths = sorted({_path_of(item) for item in read})
    kept = [s for s in samples if _position(s) not in positions[s.location.path]]

    def keep_removed(texts: Texts) -> None:
        rows = [_row(result, s, texts[s.path][(s.line, s.column)]) for s in gone]
        if rows:
            write_whole(quarantine, "".join(f"{json.dumps(row)}\n" for row in rows).encode())

    try:
        if out is None:
            files = rewrite_in_place(paths, positions, root, keep_removed)
        else:
            pictures = {} if images == "none" else named_pictures(kept, root, image_root)
            files = rewrite_in_folder(paths, positions, root, out, pictures, images, keep_removed)
    except OSError as error:
        raise ReportError(
            f"{error.filename or out}: cannot be written: {error.strerror or error}",
            "Choose a folder you may write to, with enough space.",
        ) from error
    return Cleaned(
        out or root, quarantine if gone else None, len(read) - len(gone), len(gone), files
    )


def _path_of(item: Sample | Skipped) -> str:
    return item.location.path if isinstance(item, Sample) else item.path


def _position(sample: Sample) -> Position:
    return sample.location.line, sample.location.column


def _match(result: ScanResult, samples: Sequence[Sample]) -> None:
    """Refuse data that are not those that were checked."""
    there = {place_of(s.location): s for s in samples}
    for scored in result.samples:
        place = f"{scored.path}:{scored.line}"
        sample = there.pop(place_of(scored), None)
        if sample is None:
            raise ResultError(f"{place}: the record that was checked is not here", _AGAIN)
        try:
            digest = sample.digest()
        except OSError as error:
            raise ResultError(f"{place}: its image cannot be read", _AGAIN) from error
        if digest != scored.digest:
            raise ResultError(f"{place}: not the record that was checked", _AGAIN)
    known = {(s.path, s.line) for s in result.skipped} | {(f.path, f.line) for f in result.findings}
    new = [key for key in there if key[:2] not in known]
    if new and result.counts.changed is None:
        raise ResultError(
            f"{new[0][0]}:{new[0][1]}: a record that was not part of the check ({len(new)} in all)",
            _AGAIN,
        )


def _row(result: ScanResult, sample: ScoredSample, text: str) -> dict[str, object]:
    """Return what the quarantine says of a record."""
    reasons = [
        f.message for f in result.findings if f.rule == "BYE001" and place_of(f) == place_of(sample)
    ]
    shared = [f"{c.kind}: {c.value}" for c in result.campaigns if sample.sample_id in c.sample_ids]
    return {
        "id": sample.sample_id,
        "path": sample.path,
        "line": sample.line,
        "digest": sample.digest,
        "score": sample.score,
        "posterior": sample.posterior,
        "reasons": reasons,
        "campaigns": shared,
        "prompt": sample.prompt,
        "answer": sample.answer,
        "images": list(sample.images),
        "removed": text,
    }
