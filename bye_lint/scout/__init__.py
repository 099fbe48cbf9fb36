"""The scout: the small vision-language model that ships with the package.

Importing this package is light; the programs beside it (``pretrain`` and what it uses) need torch.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from bye_lint.errors import ModelError

__all__ = ["SCOUT_DIGEST", "scout_path", "verify_scout"]

#: SHA-256 of the shipped ``model.safetensors``.
SCOUT_DIGEST = "cf989ccf803aa76783483dcc02fcd9de9722e6ca6cffec7632ece352bdaa8e3d"


def scout_path() -> Path:
    """Return the folder of the shipped weights, in the form that ``from_pretrained`` loads."""
    return Path(__file__).parent / "weights"


@cache
def verify_scout() -> Path:
    """Return ``scout_path()`` after comparing the weights with ``SCOUT_DIGEST``.

    Raises
    ------
    ModelError
        Where the weights are missing or are not those that the package was released with.
    """
    weights = scout_path() / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{weights}: the scout's weights are missing", "Reinstall bye-lint.")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != SCOUT_DIGEST:
        raise ModelError(
            f"{weights}: SHA-256 {digest} is not that of the release, {SCOUT_DIGEST}",
            "Reinstall bye-lint, or name the folder as the model if you mean to use these weights.",
        )
    return scout_path()
