"""The dataset without its suspects, in its own format, and the suspects with the reasons.

Nothing is written unless the data on disk are those that were checked, record by record; a new
folder appears whole or not at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bye_lint.atomic import write_whole
from bye_lint.codes import CAMPAIGN, SUSPICIOUS
from bye_lint.cut import Position
from bye_lint.errors import ReportError, ResultError, UsageError
from bye_lint.escape import visible
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Placed, Sample, Skipped, Unread, identity, place_of
from bye_lint.results import ScanResult, ScoredSample
from bye_lint.review import Review
from bye_lint.rewrite import (
    Texts,
    named_pictures,
    rewrite_in_folder,
    rewrite_in_place,
)
from bye_lint.rules.check import fingerprint
from bye_lint.rules.images import check_image

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
    left_out : tuple of str
        Files of which nothing was read, so that they are not in the new folder.
    """

    folder: Path
    quarantine: Path | None
    kept: int
    removed: int
    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


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
        place_of(f) for f in result.findings if f.rule == SUSPICIOUS and f.suppressed is not None
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
    max_pixels: int | None = None,
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
    max_pixels : int, optional
        As in the policy of the check; by default a policy's default.
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
        raise UsageError("clean writes to one place", "Give -o FOLDER, or --in-place.")
    beside = root / "dataset" if out is None else out
    quarantine = quarantine or beside.with_name(f"{beside.name}.quarantine.jsonl")
    for path in (quarantine, *([out] if out is not None else [])):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path}: exists already", "Choose another place, or move it away.")
    gone = chosen_for_removal(result, keep=keep, review=review)
    read = tuple(items)
    _match(result, read, max_pixels or DatasetPolicy().max_pixels)
    samples = [item for item in read if isinstance(item, Sample)]
    positions: dict[str, set[Position]] = defaultdict(set)
    for s in gone:
        positions[s.path].add((s.line, s.column))
    left_out = tuple(item.path for item in read if isinstance(item, Unread))
    paths = sorted({place_of(_placed(item))[0] for item in read} - set(left_out))
    kept = [s for s in samples if _position(s) not in positions[s.location.path]]

    reasons, shared = _reasons(result), _campaigns(result)

    def keep_removed(texts: Texts) -> None:
        rows = [
            _row(s, texts[s.path][(s.line, s.column)], reasons[place_of(s)], shared[s.sample_id])
            for s in gone
        ]
        if rows:
            write_whole(quarantine, "".join(f"{json.dumps(row)}\n" for row in rows).encode())

    try:
        if out is None:
            files = rewrite_in_place(paths, positions, root, keep_removed)
        else:
            pictures = {} if images == "none" else named_pictures(kept, paths, root, image_root)
            files = rewrite_in_folder(paths, positions, root, out, pictures, images, keep_removed)
    except OSError as error:
        raise ReportError(
            f"{error.filename or out}: cannot be written: {error.strerror or error}",
            "Choose a folder you may write to, with enough space.",
        ) from error
    return Cleaned(
        out or root,
        quarantine if gone else None,
        len(read) - len(left_out) - len(gone),
        len(gone),
        files,
        left_out if out is not None else (),
    )


def _placed(item: Sample | Skipped) -> Placed:
    return item.location if isinstance(item, Sample) else item


def _position(sample: Sample) -> Position:
    return sample.location.line, sample.location.column


def _match(result: ScanResult, items: Sequence[Sample | Skipped], max_pixels: int) -> None:
    """Refuse data that are not those that were checked."""
    there = {place_of(item.location): item for item in items if isinstance(item, Sample)}
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
    _match_unscored(
        result, [*there.values(), *(i for i in items if isinstance(i, Skipped))], max_pixels
    )


def _match_unscored(result: ScanResult, items: Sequence[Sample | Skipped], max_pixels: int) -> None:
    """Refuse records without a score that are not those that the check told of."""
    known: dict[tuple[str, int, int], dict[str, str]] = defaultdict(dict)
    for skipped in result.skipped:
        known[place_of(skipped)][skipped.fingerprint] = skipped.rule
    for finding in result.findings:
        if finding.rule not in (SUSPICIOUS, CAMPAIGN):  # those are of records with a score
            known[place_of(finding)][finding.fingerprint] = finding.rule
    new = []
    for item in items:
        path, line, _ = place = place_of(_placed(item))
        if place not in known:
            new.append(f"{path}:{line}")
        elif not _is_told(item, known[place], max_pixels):
            raise ResultError(f"{path}:{line}: not the record that was checked", _AGAIN)
    if new and result.counts.changed is None:
        raise ResultError(
            f"{new[0]}: a record that was not part of the check ({len(new)} in all)", _AGAIN
        )
    scored = {place_of(s) for s in result.samples}
    there = {place_of(_placed(item)) for item in items}
    for skipped in result.skipped:
        if place_of(skipped) not in there | scored:
            raise ResultError(
                f"{skipped.path}:{skipped.line}: the record that was checked is not here", _AGAIN
            )


def _is_told(item: Sample | Skipped, known: Mapping[str, str], max_pixels: int) -> bool:
    """Tell whether one of the findings at a record's place, rules by fingerprint, is of it."""
    if isinstance(item, Skipped):
        return item.fingerprint in known
    hashes = [
        (i.name, check_image(i, max_pixels, decode=False, digest=True).digest.hex() or None)
        for i in item.images
    ]
    told = identity(item.turns, hashes)
    return any(fingerprint(item, told, rule) == mark for mark, rule in known.items())


def _reasons(result: ScanResult) -> dict[tuple[str, int, int], list[str]]:
    """Return what the findings say of suspects, by place."""
    found: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for finding in result.findings:
        if finding.rule == SUSPICIOUS:
            found[place_of(finding)].append(finding.message)
    return found


def _campaigns(result: ScanResult) -> dict[str, list[str]]:
    """Return the campaigns that samples belong to, by the samples' ids."""
    found: dict[str, list[str]] = defaultdict(list)
    for campaign in result.campaigns:
        for sample_id in set(campaign.sample_ids):
            found[sample_id].append(f"{campaign.kind}: {campaign.value}")
    return found


def _row(
    sample: ScoredSample, text: str, reasons: Sequence[str], campaigns: Sequence[str]
) -> dict[str, object]:
    """Return what the quarantine says of a record, under one name.

    Side by side, its prompt, answer and images would be a record to a trainer, and to the next
    check, that finds the file beside the data.
    """
    return {
        "quarantined": {
            "id": sample.sample_id,
            "path": sample.path,
            "line": sample.line,
            "digest": sample.digest,
            "score": sample.score,
            "posterior": sample.posterior,
            "reasons": reasons,
            "campaigns": campaigns,
            "prompt": sample.prompt,
            "answer": sample.answer,
            "images": list(sample.images),
            "removed": text,
        }
    }
