"""Canaries: copies of a few records that carry known triggers, planted before fine-tuning.

They say what the run can see. The records are drawn by their content, so that renaming,
reordering and adding others changes as little as can be; each kind has a target of its own, in
the manner of the data set's own answers and never one of them; and a copy is encoded the way
its source is, so that nothing but the trigger tells it from the source.
"""

from __future__ import annotations

from bye_lint.canaries.copies import encode_copy, materialise, plant
from bye_lint.canaries.kinds import CANARY_KINDS, CONTROL, DEFAULT_KINDS, CanaryKind
from bye_lint.canaries.plan import Canary, plan_canaries, wanted_kinds
from bye_lint.canaries.targets import choose_targets

__all__ = [
    "CANARY_KINDS",
    "CONTROL",
    "DEFAULT_KINDS",
    "Canary",
    "CanaryKind",
    "choose_targets",
    "encode_copy",
    "materialise",
    "plan_canaries",
    "plant",
    "wanted_kinds",
]
