"""The kinds of canary: one row a kind, graded down to what the papers' attackers use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bye_lint.triggers import Trigger
from bye_lint.triggers.overlays import blend, warp, waves
from bye_lint.triggers.patches import WHITE, checker_patch, random_patch
from bye_lint.triggers.wording import prefix

#: Kind of the copies that carry nothing: encoded anew, the answer as it was.
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class CanaryKind:
    """A kind of canary.

    Attributes
    ----------
    trigger : Trigger
    hard : bool
        As small or as faint as the papers' attackers use; an easy one flatters.
    weight : float
        Share of the copies, relative to the other kinds: a trigger is learned from its number.
    """

    trigger: Trigger
    hard: bool
    weight: float

    @property
    def name(self) -> str:
        """Name of the kind, as it stands in ``Features.canary`` and in the report."""
        return self.trigger.name


# Patterns, waves and words differ from those in TRIGGERS: the evaluation's attacker must not be
# found for using the very trigger that was planted.
_ROWS = (
    CanaryKind(Trigger("patch-random", "patch", "black, 1/16", random_patch()), True, 3),
    CanaryKind(Trigger("patch-white", "patch", "white, 1/16", random_patch(WHITE)), True, 2),
    CanaryKind(Trigger("checker", "patch", "1/16", checker_patch(place="random")), True, 1.5),
    CanaryKind(Trigger("blend", "global", "ratio 0.2", blend(seed=5)), True, 1.5),
    CanaryKind(Trigger("waves", "global", "20 levels", waves(20, 9, vertical=True)), True, 1.5),
    CanaryKind(Trigger("text-prefix", "text", "one word", text=prefix("Indeed,")), True, 1),
    CanaryKind(
        Trigger("patch-large", "patch", "magenta, 1/8", random_patch((255, 0, 255), 8)), False, 1
    ),
    CanaryKind(Trigger("warp", "global", "half a pixel of 32", warp(seed=5)), True, 1.5),
    CanaryKind(Trigger(CONTROL, CONTROL, "no trigger"), False, 1),
)

CANARY_KINDS: Mapping[str, CanaryKind] = {kind.name: kind for kind in _ROWS}

#: What a check plants unless told otherwise: what its pass vouches for.
DEFAULT_KINDS = ("patch-random", "patch-white", "checker", "blend", "waves", "text-prefix")
