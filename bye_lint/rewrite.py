"""Dataset files written anew without some of their records, and the images of the others.

A new folder appears whole or not at all; files in place are all written before one is replaced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bye_lint.atomic import beside, in_one_move
from bye_lint.cut import Position, cut
from bye_lint.errors import ReportError
from bye_lint.records import Sample

#: The text of each record taken out, by file and position.
Texts = dict[str, dict[Position, str]]


def _lies(path: Path) -> Path:
    """Return where a file lies, whatever links lead to its folder; it may be a link itself."""
    return path.parent.resolve() / path.name


def named_pictures(
    kept: Sequence[Sample], paths: Sequence[str], root: Path, image_root: Path | None
) -> dict[Path, Path]:
    """Return the images of the kept records: the place that each is named by, and its file.

    The new folder has no links, so that an image that is one, or that lies behind one, goes where
    its name leads. What is no file is left out, and so is a dataset file that a record names as
    its image: a copy of it would bring the removed records back.
    """
    datasets = {_file_id(root / path) for path in paths}
    found: dict[Path, Path] = {}
    for s in kept:
        start = (image_root or (root / s.location.path).parent).resolve()
        for image in s.images:
            file = None if image.path is None else _file_id(image.path)
            if image.path is not None and file is not None and file not in datasets:
                name = os.path.normpath(start / image.name.replace("\\", "/"))
                named = Path(name).is_relative_to(start) and _is_file(Path(name), image.path)
                found[Path(name) if named else image.path.resolve()] = image.path
    return dict(sorted(found.items()))


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others, whatever it is called; nothing if it is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _is_file(place: Path, file: Path) -> bool:
    try:
        return place.samefile(file)
    except OSError:
        return False


def rewrite_in_folder(
    paths: Sequence[str],
    positions: dict[str, set[Position]],
    root: Path,
    out: Path,
    pictures: Mapping[Path, Path],
    images: str,
    keep_removed: Callable[[Texts], None],
) -> tuple[Path, ...]:
    """Write into a folder beside; when what is removed is safe too, give it its name."""
    # folders resolved, so that a file and its images have one root whatever links lead to them
    sources = {path: _lies(root / path) for path in paths}
    places = [*sources.values(), *pictures]
    top = Path(os.path.commonpath([p.parent for p in places])) if places else root
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(out)
    texts: Texts = {}
    try:
        temporary.mkdir()
        files = []
        for path, source in sources.items():
            target = temporary / source.relative_to(top)
            target.parent.mkdir(parents=True, exist_ok=True)
            texts[path] = _copy_without(source, positions.get(path, set()), target)
            files.append(out / source.relative_to(top))
        for place, picture in pictures.items():
            target = temporary / place.relative_to(top)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise ReportError(
                    f"{place}: takes the place of another file in {out}, where names that differ "
                    "in case alone are one",
                    "Rename the file, or choose a folder on another disk.",
                )
            if images == "link":
                os.link(picture, target)
            else:
                shutil.copyfile(picture, target)
        keep_removed(texts)
        temporary.replace(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return tuple(files)


def rewrite_in_place(
    paths: Sequence[str],
    positions: dict[str, set[Position]],
    root: Path,
    keep_removed: Callable[[Texts], None],
) -> tuple[Path, ...]:
    """Write every new file beside the old one first; only then put them in their places."""
    texts: Texts = {}
    # a file that is read by two names is written once, without what was found by either
    names: dict[Path, list[str]] = defaultdict(list)
    for path in paths:
        if positions.get(path):
            names[(root / path).resolve()].append(path)
    with contextlib.ExitStack() as moves:
        for source, called in names.items():
            temporary = moves.enter_context(in_one_move(source))
            gone = set().union(*(positions[path] for path in called))
            texts |= dict.fromkeys(called, cut(source, gone, temporary))
        keep_removed(texts)
    return tuple(names)


def _copy_without(source: Path, gone: set[Position], target: Path) -> dict[Position, str]:
    if gone:
        return cut(source, gone, target)
    shutil.copyfile(source, target)
    return {}
