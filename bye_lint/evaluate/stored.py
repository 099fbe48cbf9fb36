"""Features on disk: arrays and JSON text in one npz, never a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]
    os.replace(temporary, path)  # noqa: PTH105


def load_features(path: Path) -> tuple[Features, BoolArray]:
    """Read what :func:`save_features` wrote."""
    with np.load(path, allow_pickle=False) as data:
        texts = json.loads(data["texts"].tobytes().decode())
        arrays = {name: data[name] for name in (*_ARRAYS, *_OPTIONAL) if name in data.files}
        return Features(**arrays, **texts), data["learned"]
