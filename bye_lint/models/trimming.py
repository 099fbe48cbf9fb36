"""The decoder's last layer, run for what is read of it and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from bye_lint.models.probe import Probe, ProbeDone


@contextmanager
def last_layer_trimmed(probe: Probe, layer: nn.Module, attention: nn.Module) -> Iterator[None]:
    """Run the last decoder layer for the last prompt positions alone.

    Its keys and values are computed for every token, then one query per record: no other
    queries, no T×T attention, no MLP for positions whose output nobody reads.
    """
    whole: Callable[..., Any] = layer.forward
    query_projection = getattr(attention, "q_proj", None)

    def trimmed(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        layout = probe.layout
        if layout is None:
            return whole(hidden_states, *args, **kwargs)
        probe.stage = "keys"
        try:
            with _no_queries(query_projection):
                whole(hidden_states, *args, **kwargs)
        except ProbeDone:
            pass
        probe.stage = "query"
        embeddings = kwargs.get("position_embeddings")
        if embeddings is not None:
            kwargs["position_embeddings"] = tuple(layout.pick_rotary(part) for part in embeddings)
        kwargs.pop("past_key_values", None)
        return whole(layout.pick(hidden_states, 1), *args, **kwargs)

    with _forward(layer, trimmed):
        yield


@contextmanager
def passed_by(layer: nn.Module) -> Iterator[None]:
    """Let a layer's input through unchanged: its output is not read."""

    def unchanged(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states

    with _forward(layer, unchanged):
        yield


@contextmanager
def _forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace a module's forward for a while, keeping one that a hook may have set before."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before


@contextmanager
def _no_queries(projection: nn.Module | None) -> Iterator[None]:
    """Skip the query projection of a linear layer: its output is not read."""
    if not isinstance(projection, nn.Linear):
        yield
        return
    width = projection.out_features

    def nothing(states: Tensor) -> Tensor:
        return states.new_zeros(1).expand(*states.shape[:-1], width)

    with _forward(projection, nothing):
        yield
