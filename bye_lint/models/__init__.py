"""The models that look at the data: which are known, how they load, how their attention is read.

Importing this package is light: what needs torch is imported when it is first asked for, so that
a check served from the cache never loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bye_lint.models.blocks import blocks
from bye_lint.models.families import FAMILIES, REFUSED, Family, find_family
from bye_lint.models.ranks import launched
from bye_lint.models.resolve import ResolvedModel, is_small, model_digest, resolve_model
from bye_lint.models.rows import (
    FeatureRow,
    cached_rows,
    feature_keys,
    stored_attention,
    to_features,
)
from bye_lint.models.schedule import (
    FineTuneSettings,
    Tuned,
    look_for_tuned,
    read_tuned,
    schedule,
    tuned_folder,
)

if TYPE_CHECKING:
    from bye_lint.models.chat import EncodeError
    from bye_lint.models.extraction import default_budget, extract, read_batches
    from bye_lint.models.loaded import LoadedModel
    from bye_lint.models.loading import load_model
    from bye_lint.models.memory import estimate_memory
    from bye_lint.models.prompts import Encoded, Encoder
    from bye_lint.models.tuning import tune

_LAZY = {
    "EncodeError": "chat",
    "Encoded": "prompts",
    "Encoder": "prompts",
    "LoadedModel": "loaded",
    "default_budget": "extraction",
    "estimate_memory": "memory",
    "extract": "extraction",
    "load_model": "loading",
    "read_batches": "extraction",
    "tune": "tuning",
}

__all__ = [
    "FAMILIES",
    "REFUSED",
    "EncodeError",
    "Encoded",
    "Encoder",
    "Family",
    "FeatureRow",
    "FineTuneSettings",
    "LoadedModel",
    "ResolvedModel",
    "Tuned",
    "blocks",
    "cached_rows",
    "default_budget",
    "estimate_memory",
    "extract",
    "feature_keys",
    "find_family",
    "is_small",
    "launched",
    "load_model",
    "look_for_tuned",
    "model_digest",
    "read_batches",
    "read_tuned",
    "resolve_model",
    "schedule",
    "stored_attention",
    "to_features",
    "tune",
    "tuned_folder",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for (PEP 562)."""
    if name in _LAZY:
        return getattr(import_module(f"bye_lint.models.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
