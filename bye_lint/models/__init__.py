"""The models that look at the data: which are known, how they load, how their attention is read.

Importing this package is light: what needs torch is imported when it is first asked for, so that
a check served from the cache never loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bye_lint.models.families import FAMILIES, REFUSED, Family, find_family
from bye_lint.models.resolve import ResolvedModel, model_digest, resolve_model
from bye_lint.models.rows import (
    FeatureRow,
    cached_rows,
    feature_keys,
    normalised_entropy,
    to_features,
)

if TYPE_CHECKING:
    from bye_lint.models.extraction import extract
    from bye_lint.models.loading import LoadedModel, estimate_memory, load_model
    from bye_lint.models.prompts import Encoded, encode
    from bye_lint.models.tuning import Tuned, tune

_LAZY = {
    "Encoded": "prompts",
    "Tuned": "tuning",
    "LoadedModel": "loading",
    "encode": "prompts",
    "estimate_memory": "loading",
    "extract": "extraction",
    "load_model": "loading",
    "tune": "tuning",
}

__all__ = [
    "FAMILIES",
    "REFUSED",
    "Encoded",
    "Family",
    "FeatureRow",
    "LoadedModel",
    "ResolvedModel",
    "Tuned",
    "cached_rows",
    "encode",
    "estimate_memory",
    "extract",
    "feature_keys",
    "find_family",
    "load_model",
    "model_digest",
    "normalised_entropy",
    "resolve_model",
    "to_features",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for (PEP 562)."""
    if name in _LAZY:
        return getattr(import_module(f"bye_lint.models.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
