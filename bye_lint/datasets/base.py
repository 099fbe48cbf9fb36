"""What every reader shares: its settings, and the step from a raw record to a sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bye_lint.codes import IMAGE_OUTSIDE_ROOT, INVALID_JSON, INVALID_RECORD
from bye_lint.datasets.images import ImageRoot
from bye_lint.datasets.jsondecode import clip, has_surrogate
from bye_lint.datasets.names import misspelled
from bye_lint.datasets.raw import RawRecord
from bye_lint.records import ImageSource, Location, Sample, Skipped, Turn


class RecordError(Exception):
    """A record that cannot be used; becomes a :class:`Skipped` at the record's place."""

    def __init__(self, message: str, rule: str = INVALID_RECORD) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How one file is read.

    Attributes
    ----------
    display : str
        Path of the file as it is reported.
    images : ImageRoot
        Where image paths start, and which they may not leave.
    fields : mapping of str to str
        Renamed fields, as in :attr:`bye_lint.policy.DatasetPolicy.fields`.
    """

    display: str
    images: ImageRoot
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """One format.

    Attributes
    ----------
    name : str
        As the policy names it.
    suffixes : tuple of str
        Endings of files that may hold it.
    sniff : callable
        ``sniff(path, head, fields)``: does this file, which begins with ``head``, hold it?
    read : callable
        ``read(path, settings)`` yields the records in the order of the file.
    summary : str
        One line for the reference docs.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path, bytes, Mapping[str, str]], bool]
    read: Callable[[Path, ReadSettings], Iterator[Sample | Skipped]]
    summary: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a format finds in a record; an image is a name, or a name and bytes."""

    id: str | None
    turns: tuple[Turn, ...]
    images: tuple[str | ImageSource, ...]


Convert = Callable[[Mapping[str, Any], Mapping[str, str]], Parsed]


def to_sample(raw: RawRecord, settings: ReadSettings, convert: Convert) -> Sample | Skipped:
    """Make a sample of a raw record, or say why there is none."""
    if raw.error:
        told = f"{raw.text or raw.error}\n{raw.digest}" if raw.digest else raw.text
        return _skipped(raw, settings, INVALID_JSON, raw.error, told)
    try:
        if not isinstance(raw.value, dict):
            raise RecordError(f"the record is {kind(raw.value)}, expected an object with fields")
        _refuse_misspelled(raw.value, settings.fields)
        parsed = convert(raw.value, settings.fields)
        _refuse_halves(parsed)
        images = tuple(_image(image, settings) for image in parsed.images)
    except RecordError as error:
        content = _content(raw.value)
        return _skipped(raw, settings, error.rule, str(error), content, _id_of(raw, settings))
    return Sample(
        parsed.id if parsed.id is not None else _made_id(raw, settings),
        Location(settings.display, raw.line, raw.column, raw.end_column),
        parsed.turns,
        images,
    )


def _refuse_misspelled(record: Mapping[str, Any], fields: Mapping[str, str]) -> None:
    name = misspelled(record, fields)
    if name is not None:
        raise RecordError(
            f"the field {clip(name)} is {clip(name.lower())} to some trainers: write it so, or "
            "name it in dataset.fields"
        )


def _image(image: str | ImageSource, settings: ReadSettings) -> ImageSource:
    if isinstance(image, ImageSource):
        return image
    if image[:5].lower() == "data:":
        raise RecordError(
            "an image is embedded as a data: URL, which is not read; save it as a file beside the "
            "data, or as bytes in Parquet"
        )
    found = settings.images.find(image)
    if isinstance(found, str):
        raise RecordError(f"the image {clip(image)} {found}", IMAGE_OUTSIDE_ROOT)
    return found


def _refuse_halves(parsed: Parsed) -> None:
    texts = [turn.text for turn in parsed.turns]
    texts += [image if isinstance(image, str) else image.name for image in parsed.images]
    if any(has_surrogate(text) for text in texts):
        raise RecordError("a text holds half a character (a lone surrogate escape)")


def _made_id(raw: RawRecord, settings: ReadSettings) -> str:
    column = f":{raw.column}" if raw.shares_line else ""
    return f"{settings.display}:{raw.line}{column}"


def _skipped(
    raw: RawRecord,
    settings: ReadSettings,
    rule: str,
    message: str,
    content: str | None,
    sample_id: str | None = None,
) -> Skipped:
    """Return what stands for the record, told by its content; where that is unknown, by nothing,
    so that it counts as changed."""
    key = f"{rule}\n{content or message}".encode("utf-8", "surrogateescape")
    return Skipped(
        rule,
        message,
        settings.display,
        raw.line,
        raw.column,
        raw.end_column,
        sample_id,
        hashlib.sha256(key).hexdigest() if content is not None else "",
    )


def _id_of(raw: RawRecord, settings: ReadSettings) -> str | None:
    try:
        return record_id(raw.value, settings.fields) if isinstance(raw.value, dict) else None
    except RecordError:
        return None


def _content(value: object) -> str | None:
    try:
        return json.dumps(value, sort_keys=True, default=_bytes_digest)
    except (RecursionError, TypeError, ValueError):
        return None  # nested as deeply as can be read, which is too deep to write


def _bytes_digest(value: object) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else type(value).__name__


def record_id(record: Mapping[str, Any], fields: Mapping[str, str]) -> str | None:
    """Return the id of a record, ``None`` where it has none."""
    name = fields.get("id", "id")
    value = record.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with a gap
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RecordError(
            f"the field {clip(name)} is {kind(value)}, expected text or a whole number"
        )
    if isinstance(value, str) and has_surrogate(value):
        raise RecordError(f"the field {clip(name)} holds half a character")
    return str(value)


def kind(value: object) -> str:
    """Name the type of a decoded value, as messages do."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", bytes: "bytes"}
    names |= {list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
