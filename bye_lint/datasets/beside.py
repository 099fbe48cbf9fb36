"""What lies beside datasets and is not read: which of it may hold records, so that it is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bye_lint.datasets.base import Reader
from bye_lint.datasets.jsonfile import SUFFIXES, beginning, is_one_object
from bye_lint.datasets.parquet import MAGIC
from bye_lint.datasets.raw import BOM

#: How many files of a linked folder are looked at for one that may hold records.
_LOOKED_AT = 1_000_000

#: Endings of files that trainers read records from and this package does not: told, never read.
_UNREAD = frozenset(
    (
        ".7z", ".arrow", ".avro", ".bz2", ".eval", ".feather", ".geoparquet", ".gpq", ".gz", ".h5",
        ".hdf5", ".lance", ".lz4", ".mdb", ".msgpack", ".npz", ".orc", ".pickle", ".pkl", ".rar",
        ".tar", ".tfrecord", ".tfrecords", ".tgz", ".tsv", ".xlsx", ".xz", ".zip", ".zst",
    )
)  # fmt: skip

#: Endings of files that are not opened to see what they are, since there may be millions.
_PICTURES = frozenset(
    (
        ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".mpo", ".png", ".ppm",
        ".tif", ".tiff", ".webp",
    )
)  # fmt: skip

#: What lies beside the weights of a model: no dataset, and expected where it is, so that it needs
#: no word. What a reader recognises is read, whatever it is called.
_OF_MODELS = frozenset(
    (
        "adapter_config.json", "added_tokens.json", "chat_template.json", "config.json",
        "generation_config.json", "model.safetensors.index.json", "preprocessor_config.json",
        "processor_config.json", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json", "video_preprocessor_config.json", "vocab.json",
    )
)  # fmt: skip

_FIRST = 512


def is_of_model(path: Path) -> bool:
    """Tell whether a file that no reader recognises belongs to a model's weights: by its name, and
    by being one JSON object, which lists and lines of records are not."""
    return path.name in _OF_MODELS and path.is_file() and is_one_object(path)


def looks_like_data(
    path: Path, readers: Sequence[Reader], fields: Mapping[str, str], inside: str
) -> bool:
    """Tell whether a file whose ending no reader knows may hold records: by that ending, or
    because it is Parquet, or JSON that would be read if it were called so."""
    suffix = path.suffix.lower()
    if suffix in _UNREAD:
        return True
    if suffix in _PICTURES or not path.is_file():
        return False
    if path.is_symlink() and not os.path.realpath(path).startswith(inside):
        return False
    try:
        with path.open("rb") as stream:
            first = stream.read(_FIRST).removeprefix(BOM).strip()
            if first.startswith(MAGIC):
                return True
            if first and not _begins_like_records(first):
                return False
            stream.seek(0)
            head = beginning(stream)
        return _begins_like_records(head.removeprefix(BOM).strip()) and any(
            reader.sniff(path, head, fields)
            for reader in readers
            if set(SUFFIXES) <= set(reader.suffixes)
        )
    except OSError:
        return False


def _begins_like_records(text: bytes) -> bool:
    return text.startswith(b"{") or (text[:1] == b"[" and text[1:].lstrip()[:1] in (b"{", b""))


def may_hold_records(folder: str, readers: Sequence[Reader], fields: Mapping[str, str]) -> bool:
    """Tell whether files elsewhere may hold records, by their names or, as beside datasets, by how
    they begin; images don't.

    So may links to other folders, folders that cannot be read, and more files than are looked at.
    """
    unread: list[OSError] = []
    endings = (*(suffix for reader in readers for suffix in reader.suffixes), *_UNREAD)
    inside = folder.rstrip(os.sep) + os.sep
    left = _LOOKED_AT
    for here, folders, names in os.walk(folder, onerror=unread.append):
        left -= len(names)
        if left < 0 or any(Path(here, name).is_symlink() for name in folders):
            return True
        if any(name.lower().endswith(endings) for name in names):
            return True
        if any(looks_like_data(Path(here, name), readers, fields, inside) for name in names):
            return True
    return bool(unread)
