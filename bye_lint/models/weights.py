"""Read a model's weights: all of them or none, and without transformers' own bars and reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from bye_lint.errors import ModelError
from bye_lint.models.resolve import ResolvedModel


def read_weights(resolved: ResolvedModel, options: dict[str, Any]) -> Any:
    """Load the model of a folder with SDPA.

    A decoder that lacks SDPA is probed all the same; its tower runs eager.

    Parameters
    ----------
    options : dict
        Of ``from_pretrained``.

    Raises
    ------
    ModelError
        If the files lack weights that the architecture has, or hold them in other shapes: drawn at
        random instead, they would give attention that looks like any other.
    """
    auto: Any = import_module("transformers").AutoModelForImageTextToText
    options = {**options, "output_loading_info": True, "ignore_mismatched_sizes": True}
    with quiet():
        try:
            model, info = auto.from_pretrained(resolved.path, **options, attn_implementation="sdpa")
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
            model, info = auto.from_pretrained(
                resolved.path, **options, attn_implementation="eager"
            )
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"{resolved.name}: its files lack {len(missing)} of the model's weights ({missing[0]})",
            "Save the whole model with save_pretrained(), or name an adapter as model.adapter.",
        )
    if info["mismatched_keys"]:
        name, there, wanted = sorted(info["mismatched_keys"])[0]
        raise ModelError(
            f"{resolved.name}: {len(info['mismatched_keys'])} of its weights have another shape "
            f"than its config.json says ({name}: {tuple(there)}, not {tuple(wanted)})",
            "Save configuration and weights together with save_pretrained().",
        )
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and warnings off stderr inside the block."""
    logging: Any = import_module("transformers.utils.logging")
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
