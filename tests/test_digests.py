"""A file's digest is of the bytes that are there now, and each file is read once for it."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bye_lint import digests
from bye_lint.records import ImageSource, Location, Sample
from bye_lint.shelf import Shelf


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Note what is opened; every file counts as written to long ago."""
    monkeypatch.setattr(digests, "SETTLED", 0)
    monkeypatch.setattr(digests, "_known", {})
    opened: list[Path] = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r": (opened.append(self), real(self, mode))[1]
    )
    return opened


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def write(path: Path, data: bytes) -> Path:
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(data)
    return path


def test_a_file_that_nobody_writes_to_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    path = write(tmp_path / "a", b"one")
    image = ImageSource("a", path)
    sample = Sample("a", Location("a", 1), (), (image, replace(image, name="b")))
    assert image.digested() == (b"one", sha256(b"one"))
    assert image.digest() == ImageSource("b", path).digest() == sha256(b"one")
    assert sample.digest() == sha256(sha256(b"one") * 2).hex()
    assert reads == [path]


def test_bytes_are_never_taken_from_memory(tmp_path: Path, reads: list[Path]) -> None:
    path = write(tmp_path / "a", b"one")
    assert digests.digest_of(path) == sha256(b"one")
    assert ImageSource("a", path).digested() == (b"one", sha256(b"one"))
    assert ImageSource("a", path).read() == b"one"
    assert len(reads) >= 2


@pytest.mark.parametrize("how", ["longer", "same length", "same length and time", "replaced"])
def test_a_change_is_seen(tmp_path: Path, how: str) -> None:
    path = write(tmp_path / "a", b"one")
    before = path.stat()
    assert digests.digest_of(path) == sha256(b"one")
    time.sleep(0.05)  # longer than a tick of the clock that files are dated by
    after = b"three" if how == "longer" else b"two"
    if how == "replaced":
        write(tmp_path / "b", after).replace(path)
    else:
        write(path, after)
    if "time" in how or how == "replaced":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests.digest_of(path) == sha256(after)
    assert digests.digest_of(path) == sha256(after)


def test_a_file_that_was_written_to_just_now_is_not_remembered(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 60 * 10**9)
    path = write(tmp_path / "a", b"one")
    for _ in range(3):
        assert digests.digest_of(path) == sha256(b"one")
    assert reads == [path] * 3


def test_a_change_while_a_file_is_read_is_not_remembered(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"one")
    states = iter([(0, 0, 3, 0, 0), (0, 0, 3, 1, 1)])
    real = digests._state
    monkeypatch.setattr(digests, "_state", lambda status: next(states, None) or real(status))
    digests.digest_of(path)
    digests.digest_of(path)
    assert reads == [path] * 2


@pytest.mark.parametrize("gone", ["removed", "unreadable"])
def test_a_file_that_can_no_longer_be_read_has_no_digest(tmp_path: Path, gone: str) -> None:
    path = write(tmp_path / "a", b"one")
    digests.digest_of(path)
    path.unlink()
    if gone == "unreadable":
        path.mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        ImageSource("a", path).digest()


def test_what_lies_on_a_shelf_is_not_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = Shelf(tmp_path, in_memory=0).put(b"one")
    monkeypatch.setattr(Shelf, "_read", None)
    assert ImageSource("a", data=slot).digest() == sha256(b"one")
    assert ImageSource("a", data=b"two").digest() == sha256(b"two")


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_MOST", 2)
    paths = [write(tmp_path / str(i), bytes([i])) for i in range(4)]
    for _ in range(2):
        assert [digests.digest_of(path) for path in paths] == [sha256(bytes([i])) for i in range(4)]
    assert len(digests._known) == 2
