"""Arrays on disk, by key: what was extracted once is not extracted again.

One file a batch, written beside and moved into place, each headed by the SHA-256 of its body:
a run that is killed loses at most the batch it was in, runs beside each other cannot tear a
file, and a damaged file is thrown away and its rows computed again. No pickle is read or written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_dir

from bye_lint.errors import CacheError

Array = npt.NDArray[np.generic]

_SUFFIX = ".rows"
_MAGIC = b"bye-lint rows 1\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
#: Stands for an array that was not loaded.
_LEFT = np.empty(0, dtype=np.float32)
_NAMESPACE = re.compile(r"[0-9a-z-]{1,64}")

#: Files of the cache beyond this many bytes are pruned, the least recently used first.
DEFAULT_LIMIT = 4 * 2**30


def cache_folder() -> Path:
    """Return the cache's folder: ``$BYE_LINT_CACHE``, or the user's cache folder."""
    named = os.environ.get("BYE_LINT_CACHE")
    return Path(named) if named else Path(user_cache_dir("bye-lint"))


def require_writable(folder: Path) -> None:
    """Check, before the work begins, that the cache can take its results.

    Raises
    ------
    CacheError
        If the folder cannot be made, or takes no new file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CacheError(
            f"{folder}: the cache cannot be written: {reason}",
            "Set BYE_LINT_CACHE to a folder that you may write to.",
        ) from error


@dataclass
class FeatureStore:
    """Rows of arrays by key, in one folder of the cache.

    Parameters
    ----------
    folder : Path
        Folder of the cache; made when the first row is kept.
    namespace : str
        Rows of one model lie together, so that only its files are read.

    Attributes
    ----------
    damaged : int
        How many damaged files were found and thrown away.
    """

    folder: Path
    namespace: str = "features"

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(f"not a name of a namespace: {self.namespace!r}")
        self.damaged = 0
        self._used: set[Path] = set()

    @property
    def _home(self) -> Path:
        return self.folder / self.namespace

    def get(
        self, keys: Sequence[str], *, leave: Collection[str] = ()
    ) -> dict[str, dict[str, Array]]:
        """Return the rows that are there, by key; of two with one key, the one that holds more.

        A file that cannot be read whole is removed and counted in ``damaged``; its rows are
        missing then.

        Parameters
        ----------
        leave : collection of str
            Arrays that are not loaded: where a row has one, an empty one stands for it.
        """
        wanted = set(keys)
        found: dict[str, dict[str, Array]] = {}
        if not wanted or not self._home.is_dir():
            return found
        for path in sorted(self._home.glob(f"*{_SUFFIX}")):
            rows = self._read(path, wanted, leave)
            for name, row in rows.items():
                if len(row) > len(found.get(name, ())):
                    found[name] = row
            if rows:
                self._used.add(path)
                _touch(path)
        return found

    def _read(
        self, path: Path, wanted: Set[str], leave: Collection[str]
    ) -> dict[str, dict[str, Array]]:
        """Return the wanted rows of a file; one that holds none is not read any further."""
        try:
            with path.open("rb") as file:
                head = file.read(_HEADER)
                names = _names(file) if head.startswith(_MAGIC) else None
                hits = [i for i, name in enumerate(names or ()) if name in wanted]
                if names is not None and not hits:
                    return {}
                if names is not None and head == _MAGIC + _digest(file):
                    # Whoever wrote the file wrote its digest too, and anything beneath it: zip,
                    # deflate, numpy's header and what is unpacked each raise errors of their own.
                    with contextlib.suppress(Exception), _arrays(file) as shard:
                        return _unpack(shard, names, hits, leave)
        except OSError:
            return {}
        self.damaged += 1
        _remove(path)
        return {}

    def put(self, rows: Mapping[str, Mapping[str, Array]]) -> None:
        """Keep rows; all of them or, if the process dies, none.

        Raises
        ------
        OSError
            If the folder cannot be written.
        ValueError
            If the rows differ in the dtype of an array.
        """
        if not rows:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_pack(rows))
        body = buffer.getvalue()
        digest = hashlib.sha256(body)
        self._home.mkdir(parents=True, exist_ok=True)
        target = self._home / f"{digest.hexdigest()[:32]}{_SUFFIX}"
        handle, name = tempfile.mkstemp(dir=self._home, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + digest.digest() + body)
            Path(name).replace(target)
            self._used.add(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def prune(self, limit: int = DEFAULT_LIMIT) -> int:
        """Remove the least recently used files of the whole cache until ``limit`` bytes are left.

        What this store itself has read or written stays: the same check would make it again.

        Returns
        -------
        int
            Bytes removed.
        """
        files = []
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            try:
                state = path.stat()
            except OSError:
                continue
            files.append((state.st_mtime_ns, str(path), state.st_size))
        total = sum(size for _, _, size in files)
        removed = 0
        for _, name, size in sorted(files):
            if total - removed <= limit:
                break
            if Path(name) not in self._used and _remove(Path(name)):
                removed += size
        return removed


def _arrays(file: BinaryIO) -> np.lib.npyio.NpzFile:
    """Return a file's arrays, each of which is read when it is asked for."""
    file.seek(_HEADER)
    # a zip is found from its end: what stands before it does not matter
    return np.lib.npyio.NpzFile(file, allow_pickle=False)


def _names(file: BinaryIO) -> list[str] | None:
    """Return the keys of a file that may be damaged, or ``None`` where they cannot be read."""
    try:
        with _arrays(file) as shard:
            return [str(name) for name in shard["keys"]]
    except Exception:  # the digest has not been looked at: anything may be in there
        return None


def _digest(file: io.BufferedReader) -> bytes:
    """Return the SHA-256 of a file's body."""
    file.seek(_HEADER)
    return hashlib.file_digest(file, "sha256").digest()


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False  # the cache is read-only, or the file is another user's
    return True


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return  # a cache on a read-only disk still serves


def _pack(rows: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Flatten rows whose arrays may differ in shape into a few long arrays."""
    packed: dict[str, Array] = {"keys": np.array(list(rows), dtype=np.str_)}
    fields = sorted({name for row in rows.values() for name in row})
    for name in fields:
        arrays = [row.get(name) for row in rows.values()]
        present = [array for array in arrays if array is not None]
        if len({array.dtype for array in present}) > 1:
            raise ValueError(f"rows of one batch differ in the dtype of {name!r}")
        packed[f"{name}.data"] = np.concatenate([array.ravel() for array in present])
        depth = max(array.ndim for array in present)
        # A row that lacks the field has -1 for its first length.
        shapes = np.full((len(arrays), depth + 1), -1, dtype=np.int64)
        for line, array in zip(shapes, arrays, strict=True):
            if array is not None:
                line[: array.ndim + 1] = (array.ndim, *array.shape)
        packed[f"{name}.shape"] = shapes
    return packed


def _unpack(
    shard: Mapping[str, Array],
    names: Sequence[str],
    hits: Sequence[int],
    leave: Collection[str],
) -> dict[str, dict[str, Array]]:
    rows: dict[str, dict[str, Array]] = {names[i]: {} for i in hits}
    chosen = set(hits)
    for field in sorted(name[:-5] for name in shard if name.endswith(".data")):
        left = field in leave
        data, start = _LEFT if left else shard[f"{field}.data"], 0
        for i, line in enumerate(shard[f"{field}.shape"]):
            depth = int(line[0])
            if depth < 0:
                continue
            shape = tuple(int(n) for n in line[1 : depth + 1])
            stop = start + int(np.prod(shape, dtype=np.int64))
            if i in chosen:
                # a view would keep the whole file in memory for one row
                rows[names[i]][field] = data if left else data[start:stop].reshape(shape).copy()
            start = stop
    return rows
