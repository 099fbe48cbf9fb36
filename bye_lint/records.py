"""The records that travel between the stages: frozen, plain, without behaviour worth a test double.

What is read from a dataset is here; what a check comes to is in :mod:`bye_lint.results`, and what
is shown of a suspicious sample in :mod:`bye_lint.exhibits`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from bye_lint.digests import digest_of, read_digested
from bye_lint.shelf import Shelf, Slot

#: How a Git LFS pointer begins, which stands for a file that was not fetched (docs/spec.md).
LFS_POINTER = b"version https://git-lfs.github.com/spec/"

Role = Literal["system", "user", "assistant"]

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a record begins: path as shown to the user, 1-based line and columns.

    ``end_column`` is one past the last character of the record *on that line*, so that the
    region is always a single line.
    """

    path: str
    line: int
    column: int = 1
    end_column: int = 2


class Placed(Protocol):
    """Whatever says at which record it stands."""

    @property
    def path(self) -> str:
        """Path as shown to the user."""

    @property
    def line(self) -> int:
        """Line, from 1."""

    @property
    def column(self) -> int:
        """Column, from 1."""


def place_of(row: Placed) -> tuple[str, int, int]:
    """Return what tells a record from all others of a check: path, line and column."""
    return row.path, row.line, row.column


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. ``<image>`` in the text marks where an image stands."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image of a record: a file under the image root, or bytes held by the dataset itself.

    Attributes
    ----------
    name : str
        The image as the record names it; shown in reports, never opened.
    path : Path or None
        The resolved file.
    data : bytes or Slot or None
        The encoded image, where the dataset embeds it.
    """

    name: str
    path: Path | None = None
    data: bytes | Slot | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """Return the encoded bytes of the image.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if isinstance(self.data, Slot):
            return self.data.read()
        if self.data is not None:
            return self.data
        if self.path is None:
            raise FileNotFoundError(self.name)
        return self.path.read_bytes()

    def digest(self) -> bytes:
        """Return the SHA-256 of the encoded bytes; a file is read again only if it was changed.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if isinstance(self.data, Slot):
            return self.data.digest
        if self.data is None and self.path is not None:
            return digest_of(self.path)
        return hashlib.sha256(self.read()).digest()

    def digested(self) -> tuple[bytes, bytes]:
        """Return the encoded bytes, and their SHA-256.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if self.data is None and self.path is not None:
            return read_digested(self.path)
        data = self.read()
        return data, hashlib.sha256(data).digest()

    def laid_on(self, shelf: Shelf) -> ImageSource:
        """Return the image with the bytes that it holds itself, if any, laid on a shelf."""
        if not isinstance(self.data, bytes):
            return self
        return replace(self, data=shelf.put(self.data))


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable record: images and a conversation, with the place it was read from."""

    id: str
    location: Location
    turns: tuple[Turn, ...]
    images: tuple[ImageSource, ...]

    def laid_on(self, shelf: Shelf) -> Sample:
        """Return the record with the images that it holds itself laid on a shelf."""
        images = tuple(image.laid_on(shelf) for image in self.images)
        return self if images == self.images else replace(self, images=images)

    @property
    def system(self) -> str:
        """Text of the system turns, or an empty string."""
        return "\n".join(t.text for t in self.turns if t.role == "system")

    @property
    def prompt(self) -> str:
        """Text of the first user turn."""
        return next((t.text for t in self.turns if t.role == "user"), "")

    @property
    def answer(self) -> str:
        """Text of the first assistant turn."""
        return next((t.text for t in self.turns if t.role == "assistant"), "")

    def digest(self) -> str:
        """Return the SHA-256 of the record's content: image bytes and conversation.

        The id, the path and the line do not enter, so that renaming and reordering
        change nothing.

        Raises
        ------
        OSError
            If an image cannot be read.
        """
        return content_digest(self.turns, (image.digest().hex() for image in self.images))


def content_digest(turns: Iterable[Turn], images: Iterable[str]) -> str:
    """Return the digest of a record whose images' SHA-256 (hexadecimal) are known already."""
    h = hashlib.sha256()
    for turn in turns:
        h.update(json.dumps([turn.role, turn.text]).encode())
    for image in images:
        h.update(bytes.fromhex(image))
    return h.hexdigest()


def identity(turns: Iterable[Turn], images: Sequence[tuple[str, str | None]]) -> str:
    """Return what a record is told by between two commits, also one whose images are not all there.

    Parameters
    ----------
    images : sequence of tuple of str and (str or None)
        Name of each image, and its SHA-256 (hexadecimal) or ``None`` where it can't be read.

    Returns
    -------
    str
        :func:`content_digest` where every image is known.
    """
    known = [digest for _, digest in images if digest is not None]
    if len(known) == len(images):
        return content_digest(turns, known)
    words = [[turn.role, turn.text] for turn in turns]
    content = [words, [[digest or "missing", "" if digest else name] for name, digest in images]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that was not scored, and why: the code of a structural rule and a message.

    ``fingerprint`` is a SHA-256 of the rule and the record's raw content.
    """

    rule: str
    message: str
    path: str
    line: int
    column: int = 1
    end_column: int = 2
    sample_id: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Unread(Skipped):
    """A file, or a linked folder, of which nothing was read, at its first line."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of one rule, at one place.

    Attributes
    ----------
    score : float or None
        The detector's score, larger is more suspicious; ``None`` for structural rules.
    posterior : float or None
        Probability of belonging to the suspicious component.
    fingerprint : str
        Stable under renames, reordering and insertion of other records.
    properties : mapping of str to str
        What else a reader wants to see: ``answer``, ``prompt``, ``image`` as the record names it,
        ``image_path`` of its file from the folder that paths are relative to.
    """

    rule: str
    level: Level
    message: str
    path: str
    line: int
    column: int = 1
    end_column: int = 2
    sample_id: str | None = None
    score: float | None = None
    posterior: float | None = None
    fingerprint: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    suppressed: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A record after the structural rules.

    Attributes
    ----------
    sample : Sample or None
        The record; ``None`` where the reader could not make one of it.
    digest : str
        :meth:`Sample.digest`, or an empty string where the images' bytes were not all read.
    identity : str
        What the record is told by between two commits; see :func:`identity`. That of a record
        without a sample is a hash of its raw content.
    findings : tuple of Finding
        What the structural rules say, in the order of their codes.
    skipped : Skipped or None
        Why the record is not scored.
    text_alone : bool
        That is because there is no image in it, nor a place for one: nothing was left unread.
    """

    sample: Sample | None
    digest: str = ""
    findings: tuple[Finding, ...] = ()
    skipped: Skipped | None = None
    identity: str = ""
    text_alone: bool = False

    def without_bytes(self) -> Checked:
        """Return the record without the images that it holds itself, which have been checked."""
        if self.sample is None or all(image.data is None for image in self.sample.images):
            return self
        images = tuple(replace(image, data=None) for image in self.sample.images)
        return replace(self, sample=replace(self.sample, images=images))

    @property
    def unread(self) -> bool:
        """The record is skipped, and there was something to score in it."""
        return self.skipped is not None and not self.text_alone

    @property
    def usable(self) -> bool:
        """The record can be scored."""
        return self.sample is not None and self.skipped is None
