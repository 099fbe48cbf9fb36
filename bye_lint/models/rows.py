"""What extraction gives for each record, its key in the cache, and its form for the detectors.

Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bye_lint.errors import ModelError
from bye_lint.features import PICTURE_SIDE, Features, FloatArray, PixelArray
from bye_lint.models.resolve import ResolvedModel
from bye_lint.packages import installed
from bye_lint.records import Sample

#: Raised whenever the same record and model would give other numbers than before.
ROW_VERSION = 2

#: What the numbers of a row follow from, beside the model's code.
_PACKAGES = ("torch", "torchvision", "pillow", "tokenizers")

_NUMBER = npt.NDArray[np.generic]


class RowStore(Protocol):
    """Where rows are kept between runs; :class:`bye_lint.store.FeatureStore` is one."""

    def get(
        self, keys: Sequence[str], *, leave: Collection[str] = ()
    ) -> dict[str, dict[str, _NUMBER]]:
        """Return the rows that are there, with an empty array for each of those left."""

    def put(self, rows: Mapping[str, Mapping[str, _NUMBER]]) -> None:
        """Keep some rows."""


@dataclass(frozen=True)
class FeatureRow:
    """Attention of one record's first decoding token (last prompt position).

    Attributes
    ----------
    entropy : (n_layers,) float32 array
        Entropy in nats of the head-averaged attention, renormalised over the image tokens
        (BYE, Eq. 4 and 5).
    head_entropy : (n_layers, n_heads) float32 array
    head_mass : (n_layers, n_heads, 3) float32 array
        Attention mass on system, vision and user-text tokens (TCAP, component profiling).
    image_tokens : int
        Number T of image tokens.
    grid : tuple of two int or None
        Rows and columns of the image tokens, where they form one grid.
    hidden : (width,) float32 array or None
        Last hidden state of the first decoding token.
    attention : (n_layers, T) float16 array or None
        Head-averaged attention, renormalised over the image tokens; only where asked for.
    picture : (side, side, 3) uint8 array or None
        The first image in small (:func:`bye_lint.models.pictures.thumbnail`).
    error : str
        Why the record was not scored, or an empty string; the arrays are NaN then.
    passing : bool
        Another try may score it: the row is not kept.
    """

    entropy: FloatArray
    head_entropy: FloatArray
    head_mass: FloatArray
    image_tokens: int
    grid: tuple[int, int] | None = None
    hidden: FloatArray | None = None
    attention: FloatArray | None = None
    picture: PixelArray | None = None
    error: str = ""
    passing: bool = False

    @property
    def scored(self) -> bool:
        """Whether every entropy is finite."""
        return not self.error and bool(np.isfinite(self.entropy).all())

    def to_arrays(self) -> dict[str, _NUMBER]:
        """Return the arrays that the cache keeps."""
        arrays: dict[str, _NUMBER] = {
            "entropy": self.entropy,
            "head_entropy": self.head_entropy,
            "head_mass": self.head_mass,
            "shape": np.array([self.image_tokens, *(self.grid or (0, 0))], dtype=np.int64),
        }
        if self.error:
            arrays["error"] = np.frombuffer(self.error.encode(), dtype=np.uint8)
        if self.hidden is not None:
            arrays["hidden"] = self.hidden
        if self.attention is not None:
            arrays["attention"] = self.attention
        if self.picture is not None:
            arrays["picture"] = self.picture
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, _NUMBER]) -> FeatureRow:
        """Rebuild a row from the arrays of :meth:`to_arrays`; an empty map is none."""
        attention = arrays.get("attention")
        tokens, rows, columns = (int(n) for n in arrays["shape"])
        return cls(
            entropy=_floating(arrays["entropy"]),
            head_entropy=_floating(arrays["head_entropy"]),
            head_mass=_floating(arrays["head_mass"]),
            image_tokens=tokens,
            grid=(rows, columns) if rows else None,
            hidden=_floating(arrays["hidden"]) if "hidden" in arrays else None,
            attention=_floating(attention) if attention is not None and attention.size else None,
            picture=arrays["picture"].astype(np.uint8) if "picture" in arrays else None,
            error=arrays["error"].tobytes().decode() if "error" in arrays else "",
        )


def _floating(array: _NUMBER) -> FloatArray:
    return array.astype(array.dtype, copy=False)


def feature_keys(
    samples: Sequence[Sample], model: ResolvedModel, *, dtype: str = "float32", device: str = ""
) -> list[str]:
    """Return the cache key of each sample's row: its content, the model and the settings.

    A sample whose image can no longer be read has the empty key and is never cached.

    Parameters
    ----------
    device : str
        Where the rows are read. It enters, and so do the packages that decode, resize and
        multiply, lest rows of two machines be compared as one population; an empty one leaves
        them out, for rows that are carried from machine to machine.
    """
    settings = [ROW_VERSION, model.whole_digest, model.quantized_as, dtype, version("transformers")]
    if device:
        settings += [device.partition(":")[0], *(installed(name) or "" for name in _PACKAGES)]
    head = json.dumps(settings)
    keys = []
    for sample in samples:
        try:
            digest = sample.digest()
        except OSError:
            keys.append("")
            continue
        keys.append(hashlib.sha256(f"{head}\n{digest}".encode()).hexdigest())
    return keys


def cached_rows(
    store: RowStore | None,
    keys: Sequence[str],
    *,
    attention: bool = False,
    hidden: bool = True,
    leave: bool = False,
) -> list[FeatureRow | None]:
    """Return the rows that the store holds, ``None`` for those that must be extracted.

    Parameters
    ----------
    attention, hidden : bool
        A row without this part counts as missing.
    leave : bool
        The attention stays in the store; see :func:`stored_attention`.
    """
    if store is None:
        return [None] * len(keys)
    found = store.get([key for key in keys if key], leave=("attention",) if leave else ())
    rows: list[FeatureRow | None] = []
    for key in keys:
        arrays = found.get(key)
        wanted = {"attention"} if attention else set()
        wanted |= {"hidden"} if hidden else set()
        complete = arrays is not None and ("error" in arrays or wanted <= arrays.keys())
        rows.append(FeatureRow.from_arrays(arrays) if arrays is not None and complete else None)
    return rows


def stored_attention(stores: Iterable[RowStore], keys: Sequence[str]) -> list[FloatArray | None]:
    """Return the attention maps that stores hold, ``None`` where none does."""
    maps: dict[str, FloatArray] = {}
    for store in stores:
        for key, arrays in store.get([key for key in keys if key]).items():
            if (found := FeatureRow.from_arrays(arrays).attention) is not None:
                maps[key] = found
    return [maps.get(key) for key in keys]


def failed_row(error: str, n_layers: int, n_heads: int, *, passing: bool = False) -> FeatureRow:
    """Return the row of a record that could not be read: all NaN, with the reason."""
    return FeatureRow(
        entropy=np.full(n_layers, np.nan, dtype=np.float32),
        head_entropy=np.full((n_layers, n_heads), np.nan, dtype=np.float32),
        head_mass=np.full((n_layers, n_heads, 3), np.nan, dtype=np.float32),
        image_tokens=0,
        error=error,
        passing=passing,
    )


def to_features(
    rows: Sequence[FeatureRow],
    samples: Sequence[Sample],
    *,
    canary: Sequence[str] = (),
) -> Features:
    """Gather rows and the wording of their records into what the detectors read.

    Parameters
    ----------
    rows : sequence of FeatureRow
        In the order of ``samples``; a row that failed stays NaN.
    canary : sequence of str
        Kind of the planted trigger, empty for real records.

    Raises
    ------
    ModelError
        If there are no rows, or they come from models of different shape.
    """
    if not rows or len(rows) != len(samples):
        raise ModelError(f"{len(rows)} rows of features for {len(samples)} samples")
    shapes = {row.head_entropy.shape for row in rows}
    if len(shapes) != 1:
        raise ModelError(f"rows of features from different models: {sorted(shapes)}")
    width = next((row.hidden.shape[0] for row in rows if row.hidden is not None), None)
    hidden = None
    if width is not None:
        blank = np.full(width, np.nan, dtype=np.float32)
        hidden = np.stack([blank if row.hidden is None else row.hidden for row in rows])
    return Features(
        entropy=np.stack([row.entropy for row in rows]),
        head_entropy=np.stack([row.head_entropy for row in rows]),
        head_mass=np.stack([row.head_mass for row in rows]),
        image_tokens=np.array([row.image_tokens for row in rows], dtype=np.int64),
        prompts=[sample.prompt for sample in samples],
        answers=[sample.answer for sample in samples],
        canary=list(canary),
        hidden=hidden,
        picture=_pictures(rows),
    )


def _pictures(rows: Sequence[FeatureRow]) -> PixelArray | None:
    """Stack the thumbnails; ``None`` where a scored row has none."""
    if any(row.picture is None for row in rows if row.scored):
        return None
    blank = np.zeros((PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.uint8)
    return np.stack([blank if row.picture is None else row.picture for row in rows])
