"""Features on disk, as arrays and JSON text in one npz, never a pickle; the images behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bye_lint.atomic import in_one_move
from bye_lint.features import BoolArray, Features

_ARRAYS = ("entropy", "head_entropy", "head_mass", "image_tokens")
_OPTIONAL = ("hidden", "picture", "loss", "target_learned")
_TEXTS = ("prompts", "answers", "canary", "canary_kinds")


def save_features(path: Path, features: Features, learned: BoolArray) -> None:
    """Write features and which records the model had learned, in one move."""
    arrays = {name: np.asarray(getattr(features, name)) for name in _ARRAYS}
    arrays |= {
        name: np.asarray(value)
        for name in _OPTIONAL
        if (value := getattr(features, name)) is not None
    }
    texts = json.dumps({name: list(getattr(features, name)) for name in _TEXTS})
    arrays["texts"] = np.frombuffer(texts.encode(), dtype=np.uint8)
    save_arrays(path, {**arrays, "learned": np.asarray(learned)})


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Write named arrays, in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_one_move(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]


def load_features(path: Path) -> tuple[Features, BoolArray]:
    """Read what :func:`save_features` wrote."""
    with np.load(path, allow_pickle=False) as data:
        texts = json.loads(data["texts"].tobytes().decode())
        arrays = {name: data[name] for name in (*_ARRAYS, *_OPTIONAL) if name in data.files}
        return Features(**arrays, **texts), data["learned"]


@cache
def images_digest(folder: Path) -> str:
    """Return the hash of the images that a data set's records name, names and contents.

    Computed once a process: a data set is left alone while it is worked on. An image that cannot
    be read counts as missing; not every cell needs all of them.
    """
    named: set[str] = set()
    for file in ("train.json", "test.json"):
        for record in json.loads((folder / file).read_text("utf-8")):
            image = record.get("image")
            named.update(image if isinstance(image, list) else [image] if image else [])
    whole = hashlib.sha256()
    for name in sorted(named):
        try:
            content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError:
            content = "missing"
        whole.update(f"{name}\0{content}\n".encode())
    return whole.hexdigest()[:16]
