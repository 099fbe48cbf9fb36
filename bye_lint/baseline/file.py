"""A baseline as a file: YAML or JSON, every mistake at its line and column."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from bye_lint.atomic import write_whole
from bye_lint.baseline.jsonform import read_json
from bye_lint.codes import RULES
from bye_lint.errors import BaselineError
from bye_lint.policy.nodes import Document, Place, Problem, Where, clip, read_document

#: Version of the file's form.
BASELINE_VERSION = 1

_MAX_BYTES = 1 << 24
_MAX_NODES = 1 << 21  # more than the entries of so many bytes have: it is aliases that come to it
_FINGERPRINT = re.compile(r"[0-9a-f]{16,128}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_REQUIRED = ("rule", "fingerprint", "reason", "author", "expires")
_KEYS = (*_REQUIRED, "count", "where")
_REMEDY = "`bye-lint baseline create` writes a baseline; docs/ci.md describes its keys."


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted finding.

    Attributes
    ----------
    fingerprint : str
        Of the record's content and the rule, as in :attr:`Finding.fingerprint`.
    expires : date
        The last day that it holds.
    count : int
        How many exact copies it covers.
    where : str
        Where it stood when it was accepted; for readers, never compared.
    line, column : int
        Of the entry in its file; 1 for one that was not read from a file.
    """

    rule: str
    fingerprint: str
    reason: str
    author: str
    expires: date
    count: int = 1
    where: str = ""
    line: int = 1
    column: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """What a finding is matched by."""
        return self.rule, self.fingerprint


@dataclass(frozen=True, slots=True)
class Baseline:
    """The entries of a baseline, and its file as it is shown to the user."""

    entries: tuple[Entry, ...] = ()
    source: str = ""


def load_baseline(path: Path, *, text: str | None = None, source: str | None = None) -> Baseline:
    """Read a baseline.

    Parameters
    ----------
    text : str, optional
        Content to use in place of the file's, such as the one of another commit.
    source : str, optional
        Name shown in messages and findings; the path by default.

    Raises
    ------
    BaselineError
        If it cannot be read or has mistakes; all of them are listed, each as
        ``file:line:column: what, expected what``.
    """
    shown = source or str(path)
    content = _read(path, shown) if text is None else text
    plain = read_json(content) if path.suffix.lower() == ".json" else None
    entries, problems = _told(plain) if plain is not None else ([], [])
    if plain is None or problems:
        entries, problems = _told(read_document(content, max_nodes=_MAX_NODES, fast=True))
    if problems:
        lines = [f"{shown}:{p.place.line}:{p.place.column}: {p.message}" for p in sorted(problems)]
        raise BaselineError("\n".join(dict.fromkeys(lines)), _REMEDY)
    return Baseline(tuple(entries), shown)


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline whole, or leave what was there.

    Raises
    ------
    BaselineError
        If it cannot be written, or no check could read it.
    """
    data = dump_baseline(baseline, as_json=path.suffix.lower() == ".json").encode()
    if len(data) > _MAX_BYTES:
        rule, most = Counter(e.rule for e in baseline.entries).most_common(1)[0]
        raise BaselineError(
            f"{path}: not written: {len(baseline.entries):,} entries are more than the 16 MiB that "
            "a check reads",
            f"Mend records, or take them out, and accept what is left: {most:,} are of {rule}.",
        )
    try:
        write_whole(path, data)
    except OSError as error:
        raise BaselineError(
            f"{path}: cannot be written: {error.strerror}", "Choose a folder you may write to."
        ) from error


def dump_baseline(baseline: Baseline, *, as_json: bool = False) -> str:
    """Return a baseline as YAML or JSON; the order depends on the content alone."""
    rows = [
        {
            "rule": e.rule,
            "fingerprint": e.fingerprint,
            **({"count": e.count} if e.count > 1 else {}),
            "reason": e.reason,
            "author": e.author,
            "expires": e.expires.isoformat(),
            **({"where": e.where} if e.where else {}),
        }
        for e in sorted(baseline.entries, key=lambda e: (e.key, e.expires, e.reason, e.author))
    ]
    data = {"version": BASELINE_VERSION, "entries": rows}
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    text: str = yaml.safe_dump(data, sort_keys=False, width=100)
    return (
        f"# Findings of bye-lint that were accepted; `bye-lint baseline audit` checks them.\n{text}"
    )


def _told(document: Document) -> tuple[list[Entry], list[Problem]]:
    """Return the entries and the mistakes of a document."""
    if document.problems:
        return [], document.problems
    found = list(_entries(document))
    entries = [item for item in found if isinstance(item, Entry)]
    return entries, [item for item in found if isinstance(item, Problem)]


def _read(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise BaselineError(f"{shown}:1:1: larger than 16 MiB, expected a baseline", _REMEDY)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BaselineError(f"{shown}: cannot be read: {error.strerror}", _REMEDY) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BaselineError(f"{shown}:{line}:1: not UTF-8 text", "Save it as UTF-8.") from error


def _entries(document: Document) -> Iterator[Entry | Problem]:
    value = document.value
    if not isinstance(value, dict):
        yield Problem(Place(1, 1), "not a baseline, expected the keys version and entries")
        return
    for key in value:
        if key not in ("version", "entries"):
            place = document.keys[(key,)]
            yield Problem(place, f"unknown key {clip(key)}, expected version or entries")
    if value.get("version") != BASELINE_VERSION:
        place = document.values.get(("version",), Place(1, 1))
        found = clip(value.get("version"))
        yield Problem(place, f"version is {found}, expected {BASELINE_VERSION}")
    rows = value.get("entries")
    if rows is None:
        return
    if not isinstance(rows, list):
        yield Problem(document.values[("entries",)], "entries is not a list")
        return
    for i, row in enumerate(rows):
        yield from _entry(document, ("entries", i), row)


def _entry(document: Document, where: Where, row: Any) -> Iterator[Entry | Problem]:
    here = document.values[where]
    if not isinstance(row, dict):
        yield Problem(here, f"an entry is a mapping, expected the keys {', '.join(_REQUIRED)}")
        return
    problems = [
        Problem(document.keys[(*where, key)], f"unknown key {clip(key)}")
        for key in row
        if key not in _KEYS
    ]
    problems += [Problem(here, f"the entry lacks {key}") for key in _REQUIRED if key not in row]
    for key, value in row.items():
        mistake = _mistake(key, value)
        if mistake:
            problems.append(Problem(document.values[(*where, key)], mistake))
    if problems:
        yield from problems
        return
    yield Entry(
        rule=row["rule"],
        fingerprint=row["fingerprint"],
        reason=row["reason"].strip(),
        author=row["author"].strip(),
        expires=date.fromisoformat(row["expires"]),
        count=row.get("count", 1),
        where=row.get("where", ""),
        line=here.line,
        column=here.column,
    )


def _mistake(key: str, value: Any) -> str:
    """Say what is wrong with a value, or nothing."""
    if key == "count":
        fine = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return "" if fine else f"count is {clip(value)}, expected a whole number above 0"
    if key not in _KEYS:
        return ""
    if not isinstance(value, str) or (key != "where" and not value.strip()):
        return f"{key} is {clip(value)}, expected text in quotes" if value else f"{key} is empty"
    if key == "rule" and value not in RULES:
        return f"rule is {clip(value)}, expected one of {', '.join(RULES)}"
    if key == "fingerprint" and not _FINGERPRINT.fullmatch(value):
        return f"fingerprint is {clip(value)}, expected 16 to 128 hexadecimal digits"
    if key == "expires" and not _is_date(value):
        return f"expires is {clip(value)}, expected a date such as 2027-01-31"
    return ""


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return _DATE.fullmatch(text) is not None
