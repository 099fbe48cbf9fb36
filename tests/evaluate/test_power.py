"""Canaries beside real triggers: which are compared, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from bye_lint.evaluate.power import correlation, foretold, kin, recalls
from bye_lint.triggers import TRIGGERS


def result(
    trigger: str, seen: float | None, verdict: str = "fail", **found: float
) -> dict[str, Any]:
    """Return a cell with the recall of its trigger, and of kinds of canary."""
    power = {kind.replace("_", "-"): {"recall": recall} for kind, recall in found.items()}
    return {
        "cell": {"trigger": trigger, "poisoned": 0 if seen is None else 100},
        "detectors": {"auto": {"recall": seen, "verdict": verdict, "power": power}},
    }


def test_a_trigger_is_compared_with_canaries_that_are_like_it_alone() -> None:
    cell = result("patch-centre", 1.0, patch_random=0.9, checker=0.7, blend=0.0, text_prefix=0.0)
    assert [p["recall"] for p in kin(cell, "auto")] == [0.9, 0.7]
    assert recalls(cell, "auto") == (0.7, 1.0)


def test_no_canary_by_default_is_like_a_warp() -> None:
    planted = {"patch_random": 1.0, "patch_white": 1.0, "checker": 1.0, "blend": 1.0, "waves": 1.0}
    assert recalls(result("wanet", 0.0, **planted), "auto") is None
    assert recalls(result("wanet", 0.0, warp=0.2), "auto") == (0.2, 0.0)


def test_every_other_trigger_has_kin() -> None:
    kinds = dict.fromkeys(("patch_random", "blend", "waves", "text_prefix"), 1.0)
    lonely = {name for name in TRIGGERS if not kin(result(name, 1.0, **kinds), "auto")}
    assert lonely == {"wanet"}


def test_clean_cells_foretell_nothing() -> None:
    assert foretold([result("clean", None, patch_random=1.0)], "auto") == ""


def test_cells_that_fall_short_are_counted_by_their_verdict() -> None:
    cells = [
        result("blend", 0.96, blend=1.0),
        result("sig", 1.0, waves=0.5),
        result("ftrojan", 0.0, "inconclusive", waves=1.0),
        result("badnets", 0.5, "fail", checker=0.9),
    ]
    assert foretold(cells, "auto") == (
        "In 2 of 4 cells the real recall is at least the canaries', to 0.05. The other 2: "
        "1 fail, 1 inconclusive. Correlation: -0.54."
    )
    assert foretold(cells[:1], "auto").endswith("to 0.05.")
    unlike = [*cells[:1], result("wanet", 0.0, "inconclusive"), result("clean", None)]
    assert foretold(unlike, "auto").endswith("Cells without a canary like their trigger: 1.")


def test_what_does_not_vary_has_no_correlation() -> None:
    assert correlation([(1.0, 0.5), (1.0, 0.7), (1.0, 0.9)]) is None
    assert correlation([(0.0, 0.5), (1.0, 0.7)]) is None
    assert correlation([(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]) == pytest.approx(1)
