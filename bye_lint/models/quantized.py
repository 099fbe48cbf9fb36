"""Quantized weights: which there are on disk, and which of a model are quantized when it loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bye_lint.models.families import PROJECTORS, TOWERS

#: Names of the modules that stay as they are. Quantized, a head changes every answer, a router
#: chooses other experts, and a tower sees less, for few weights.
UNQUANTIZED = TOWERS | PROJECTORS | {"lm_head", "router"}
#: Weights that are no linear layers, and are not quantized either.
_TABLES = frozenset({"embed_tokens", "experts"})

_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def stored_quantization(config: Mapping[str, Any]) -> str:
    """Return how the weights of a model are quantized on disk; empty where they are not."""
    found = config.get("quantization_config")
    if not found and isinstance(text := config.get("text_config"), Mapping):
        found = text.get("quantization_config")
    if not isinstance(found, Mapping) or not found:
        return ""
    for bits in ("4bit", "8bit"):
        if found.get(f"load_in_{bits}"):
            return bits
    # whoever wrote the model wrote this, and it is printed
    return _ODD.sub("", str(found.get("quant_method")))[:40] or "quantized"


def number_bytes(name: str, size: float, quantization: str) -> float:
    """Bytes of each number of a weight; ``size`` where it is not quantized."""
    if not (UNQUANTIZED | _TABLES).isdisjoint(name.split(".")):
        return size
    return {"8bit": 1.0, "4bit": 0.55}.get(quantization, size)
