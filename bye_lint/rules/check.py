"""Every record through every structural rule, images in parallel, order kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from bye_lint.codes import (
    DUPLICATE_ID,
    EMPTY_ANSWER,
    IMAGE_TOO_LARGE,
    NO_IMAGE_ASKED,
    PLACEHOLDER_MISMATCH,
    RULES,
    UNDECODABLE_IMAGE,
)
from bye_lint.conversation import questions
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Checked, Finding, ImageSource, Sample, Skipped, identity
from bye_lint.rules.images import ImageCheck, check_image
from bye_lint.rules.turns import empty_answer, is_text_alone, no_image_asked, placeholders

#: Records that are worked on together. Nothing goes on between two blocks, while the caller
#: has control. Fewer, if the images that they hold themselves come to this many bytes.
_BLOCK = 256
_BLOCK_BYTES = 64 << 20

#: Warnings say nothing that makes a record unusable: a duplicate id is ambiguous, no more.
_STILL_SCORED = (DUPLICATE_ID,)

#: What may come out of an image only once it is decoded whole.
WHEN_DECODED = (UNDECODABLE_IMAGE, IMAGE_TOO_LARGE)

#: Rule of a record that asks nothing about an image.

_RULES: tuple[tuple[str, Callable[[Sample], Iterator[str]]], ...] = (
    (EMPTY_ANSWER, empty_answer),
    (PLACEHOLDER_MISMATCH, placeholders),
    (NO_IMAGE_ASKED, no_image_asked),
)

#: Tasks that a block is cut into: handing each record over by itself costs more than a small image
#: does.
_PIECES = 16

#: Seconds of work, or of waiting for a slow disk, from which a record is worth a thread. Small
#: images are not: threads that take turns on a busy machine cost more than they save.
_HEAVY = 0.001
_SLOW = 0.02

CheckImage = Callable[[ImageSource], ImageCheck]
Item = TypeVar("Item", Sample, Sample | Skipped)


def check_samples(
    items: Iterable[Sample | Skipped],
    policy: DatasetPolicy,
    *,
    jobs: int | None = None,
    decode: bool = True,
    digest: bool = False,
) -> Iterator[Checked]:
    """Apply the structural rules to records, in their order.

    Parameters
    ----------
    items : iterable of Sample or Skipped
        As the readers yield them; a skipped record becomes a finding of the rule that it names.
    policy : DatasetPolicy
    jobs : int, optional
        Most threads that decode images; by default one a core, at most 8.
    decode : bool
        Decode images whole. Without it, images are judged by their headers alone.
    digest : bool
        Digest the records also then; else :attr:`Checked.digest` stays empty.
    """
    seen: dict[str, str] = {}
    for item, images in _look(items, _remembering(policy.max_pixels, decode, digest), jobs):
        yield _checked(item, images, seen)


def check_pixels(
    items: Sequence[Checked], policy: DatasetPolicy, *, jobs: int | None = None
) -> Iterator[Checked]:
    """Decode the images of records of which only headers and bytes were looked at so far.

    Parameters
    ----------
    items : sequence of Checked
        Usable ones.
    """
    samples = [item.sample for item in items if item.sample is not None]
    looked = _look(samples, _remembering(policy.max_pixels, True, False), jobs)
    for item, (sample, images) in zip(items, looked, strict=True):
        found = _of_images(sample, images)
        if not found:
            yield item
            continue
        more = tuple(_finding(sample, item.identity, code, message) for code, message in found)
        skipped = _skipped(sample, item.identity, found)
        yield replace(item, findings=(*item.findings, *more), skipped=skipped)


def _look(
    items: Iterable[Item], check: CheckImage, jobs: int | None
) -> Iterator[tuple[Item, list[ImageCheck]]]:
    """Yield each record with what was found out about its images."""
    workers = jobs if jobs is not None else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for block in _blocks(items):
            # warnings are process-wide state, so that they are silenced around a whole block
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                images = _in_pieces(pool, block, check)
            yield from zip(block, images, strict=True)


def _blocks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the records in blocks, each of which is emptied before the next one is read."""
    block: list[Item] = []
    size = 0
    for item in items:
        block.append(item)
        size += _size(item)
        if len(block) == _BLOCK or size >= _BLOCK_BYTES:
            yield block
            block.clear()
            size = 0
    if block:
        yield block


def _size(item: Sample | Skipped) -> int:
    """Return the bytes of the images that a record holds in memory."""
    if not isinstance(item, Sample):
        return 0
    return sum(len(image.data) for image in item.images if isinstance(image.data, bytes))


def _remembering(max_pixels: int, decode: bool, digest: bool) -> CheckImage:
    """Check each file once, however many records show it."""

    @lru_cache(maxsize=1 << 16)
    def file(path: Path) -> ImageCheck:
        return check_image(ImageSource(path.name, path), max_pixels, decode=decode, digest=digest)

    def check(image: ImageSource) -> ImageCheck:
        if image.path is None or image.data is not None:
            return check_image(image, max_pixels, decode=decode, digest=digest)
        return file(image.path)

    return check


def _in_pieces(
    pool: ThreadPoolExecutor, block: Sequence[Sample | Skipped], check: CheckImage
) -> list[list[ImageCheck]]:
    """Check a block's images; in threads only if the first ones say that it is worth it."""

    def look(piece: Sequence[Sample | Skipped]) -> list[list[ImageCheck]]:
        return [_images(item, check) for item in piece]

    size = max(1, len(block) // _PIECES)
    worked, waited = time.thread_time(), time.perf_counter()
    first = look(block[:size])
    worked, waited = time.thread_time() - worked, time.perf_counter() - waited
    pieces = [block[i : i + size] for i in range(size, len(block), size)]
    heavy = worked > size * _HEAVY or waited > size * _SLOW
    done = pool.map(look, pieces) if heavy else map(look, pieces)
    return first + [images for piece in done for images in piece]


def _images(item: Sample | Skipped, check: CheckImage) -> list[ImageCheck]:
    return [check(image) for image in item.images] if isinstance(item, Sample) else []


def _checked(item: Sample | Skipped, images: list[ImageCheck], seen: dict[str, str]) -> Checked:
    if isinstance(item, Skipped):
        return Checked(None, "", (finding_of_skipped(item),), item, item.fingerprint)
    found = _of_images(item, images)
    found += [(code, message) for code, rule in _RULES for message in rule(item)]
    place = f"{item.location.path}:{item.location.line}"
    first = seen.setdefault(item.id, place)
    if first is not place:
        found.append((DUPLICATE_ID, f"the id {_shown(item.id)} is also that of {first}"))
    found.sort(key=lambda pair: pair[0])
    hashes = [image.digest.hex() or None for image in images]
    told = identity(item.turns, list(zip((i.name for i in item.images), hashes, strict=True)))
    skipped = _skipped(item, told, found)
    return Checked(
        item,
        "" if None in hashes else told,
        tuple(_finding(item, told, code, message) for code, message in found),
        skipped,
        told,
        skipped is not None and skipped.rule == NO_IMAGE_ASKED and is_text_alone(item),
    )


def _of_images(sample: Sample, images: Sequence[ImageCheck]) -> list[tuple[str, str]]:
    """Return code and message of each rule that an image breaks."""
    return [
        (check.rule, f"the image {_shown(image.name)} {check.message}")
        for image, check in zip(sample.images, images, strict=True)
        if check.rule
    ]


def fingerprint(sample: Sample, told: str, code: str) -> str:
    """Return a SHA-256 of a rule and a record's content: what is accepted of it holds for it alone.

    The place does not enter, nor the id, which may be made from the place; but for duplicate
    ids the id is what the finding is about.

    Parameters
    ----------
    told : str
        :attr:`Checked.identity` of the record.
    """
    content = [code, sample.id if code == DUPLICATE_ID else "", told]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _finding(sample: Sample, told: str, code: str, message: str) -> Finding:
    place = sample.location
    properties = {"prompt": sample.prompt, "answer": sample.answer}
    if sample.images:
        properties["image"] = sample.images[0].name
    return Finding(
        rule=code,
        level=RULES[code].level,
        message=message,
        path=place.path,
        line=place.line,
        column=place.column,
        end_column=place.end_column,
        sample_id=sample.id,
        fingerprint=fingerprint(sample, told, code),
        properties=properties,
    )


def finding_of_skipped(item: Skipped) -> Finding:
    """Return the finding of the rule that a skipped record names."""
    return Finding(
        rule=item.rule,
        level=RULES[item.rule].level,
        message=item.message,
        path=item.path,
        line=item.line,
        column=item.column,
        end_column=item.end_column,
        sample_id=item.sample_id,
        fingerprint=item.fingerprint,
    )


def _skipped(sample: Sample, told: str, found: list[tuple[str, str]]) -> Skipped | None:
    """Return why a sample is not scored: the gravest reason, then the first."""
    reasons = [pair for pair in found if pair[0] not in _STILL_SCORED]
    if [code for code, _ in reasons] == [EMPTY_ANSWER] and any(questions(sample)):
        # Silence is learned as any answer is, and may be what a trigger asks for.
        reasons = []
    if not reasons:
        return None
    code, message = min(reasons, key=lambda pair: _LEVELS.index(RULES[pair[0]].level))
    place = sample.location
    return Skipped(
        code,
        message,
        place.path,
        place.line,
        place.column,
        place.end_column,
        sample.id,
        fingerprint(sample, told, code),
    )


_LEVELS = ("error", "warning", "note")


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:76] + "..." + shown[-1]
