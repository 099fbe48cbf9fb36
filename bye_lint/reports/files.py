"""Reports on disk: written whole or not at all, and read back."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from bye_lint.atomic import beside, write_whole
from bye_lint.errors import ReportError, ResultError
from bye_lint.escape import visible
from bye_lint.reports.schema import result_schema
from bye_lint.results import ScanResult, from_json

_GIT = ".git"
#: As many as Linux follows.
_MOST_LINKS = 40
_AGAIN = "Run the check again with --report json=PATH to write a fresh one."


def check_writable(path: Path, *, spare: Path | None = None) -> None:
    """Check, before the work begins, that a report can be written to a path.

    Parameters
    ----------
    spare : Path, optional
        What the report is made from.

    Raises
    ------
    ReportError
        If its folder does not exist or takes no new file, it is a folder itself, it is the file
        to spare, or a link in a repository stands on the way to it.
    """
    if spare is not None and os.path.realpath(path) == os.path.realpath(spare):
        raise ReportError(
            f"{visible(str(path))}: the report would overwrite what it is made from",
            "Choose another path.",
        )
    target = _target(path)
    if _is_device(target):
        return
    if target.exists() and not os.access(target, os.W_OK):
        _refuse(path, "the file is write-protected", "Choose another path or make it writable.")
    probe = beside(target)
    with _reported(path):
        probe.open("xb").close()
        probe.unlink()


def write_report(text: str, path: Path) -> None:
    """Write a report whole, or leave what was there as it was.

    The text goes to a new file in the same folder, which then takes the place of the old one.
    Devices and pipes, such as ``/dev/stdout``, are written to directly.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    write_bytes(text.encode("utf-8", "backslashreplace"), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file whole, or leave what was there as it was; see :func:`write_report`.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    target = _target(path)
    with _reported(path):
        if _is_device(target):
            target.write_bytes(data)
            return
        write_whole(target, data)


def load_result(path: Path) -> ScanResult:
    """Read a saved JSON result.

    Raises
    ------
    ResultError
        If the file cannot be read, is not JSON, or is not a result of this version.
    """
    name = visible(str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ResultError(f"{name}: not UTF-8 text: {error.reason}", _AGAIN) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResultError(f"{name}: cannot be read: {reason}", "Check the path.") from error
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"{name}:{error.lineno}:{error.colno}"
        raise ResultError(f"{where}: not valid JSON: {error.msg}", _AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{name}: not valid JSON: {visible(str(error))}", _AGAIN) from error
    try:
        return from_json(data)
    except ResultError as error:
        where = _first_mistake(data)
        message = f"{name}: {where or visible(error.message)}"
        raise ResultError(message, error.remedy) from error


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _first_mistake(data: Any) -> str:
    """Say where a result departs from the schema, or nothing where it is not a result at all."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if not isinstance(data, dict) or "verdict" not in data:
        return ""
    schema = result_schema()
    if data.get("version") != schema["properties"]["version"]["const"]:
        return ""
    error = best_match(Draft202012Validator(schema).iter_errors(data))
    if error is None:
        return ""
    return f"the result is damaged: {error.json_path}: {visible(error.message)}"


def _target(path: Path) -> Path:
    link = _link_in_repository(path)
    if link is not None:
        _refuse(
            path,
            f"a link in a repository stands on the way, {visible(str(link))}",
            "Name the file that it leads to; whoever changes a repository lays its links.",
        )
    if path.exists() and not path.is_file() and not path.is_dir():
        return path  # /dev/stdout is a link whose target, a pipe, has no path
    target = Path(os.path.realpath(path))
    if target.is_dir():
        _refuse(path, "is a folder", "Name a file in it.")
    if not target.parent.is_dir():
        _refuse(path, "its folder does not exist", "Create the folder or choose another path.")
    if _GIT in (part.lower() for part in target.parts):
        _refuse(path, "it lies among git's own files", "Choose a path outside of .git.")
    return target


def _link_in_repository(path: Path) -> Path | None:
    """Return the first symbolic link on the way to a file that lies in a git repository.

    The way is walked as the system walks it, so that a link outside which leads to one inside
    hides nothing.
    """
    here, ahead, links = Path(), list(reversed((Path.cwd() / path).parts)), 0
    while ahead:
        part = ahead.pop()
        step = here.parent if part == ".." else here / part
        if step.is_symlink():
            links += 1
            if links > _MOST_LINKS or any((f / _GIT).exists() for f in (here, *here.parents)):
                return step
            ahead += reversed(step.readlink().parts)
        else:
            here = step
    return None


def _is_device(target: Path) -> bool:
    return target.exists() and not target.is_file()


def _refuse(path: Path, reason: str, remedy: str) -> NoReturn:
    raise ReportError(f"{visible(str(path))}: cannot be written: {reason}", remedy)


@contextlib.contextmanager
def _reported(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        _refuse(path, reason, "Choose a path in a folder that you may write to.")
