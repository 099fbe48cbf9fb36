"""Whether what a run's canaries said it would see is what it saw of a real trigger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Result = Mapping[str, Any]

#: By how much the recall of a real trigger may fall short and still be as foretold.
TOLERANCE = 0.05

_PATCHES = (
    "patch-centre",
    "patch-random",
    "checker",
    "dual",
    "multi",
    "badnets",
    "patch-text",
)
#: The triggers that a kind of canary is like. FTrojan's pattern lies over the whole image as waves
#: do; nothing that is planted by default bends an image as WaNet does.
_LIKE: Mapping[str, tuple[str, ...]] = {
    "patch-random": _PATCHES,
    "patch-white": _PATCHES,
    "checker": _PATCHES,
    "blend": ("blend",),
    "waves": ("sig", "ftrojan"),
    "warp": ("wanet",),
    "text-prefix": ("text-prefix", "text-word", "text-sentence", "patch-text"),
}


def kin(result: Result, detector: str) -> list[Mapping[str, Any]]:
    """Return the power of the canaries that are like the cell's trigger."""
    triggers = set(result["cell"]["trigger"].split("+"))
    power = result["detectors"].get(detector, {}).get("power", {})
    return [p for kind, p in power.items() if triggers & set(_LIKE.get(kind, ()))]


def recalls(result: Result, detector: str) -> tuple[float, float] | None:
    """Return the least recall of a cell's canaries of the trigger's kind, and the real recall.

    ``None`` where none is of that kind, or nothing was poisoned.
    """
    alike = kin(result, detector)
    seen = result["detectors"].get(detector, {}).get("recall")
    if not alike or seen is None:
        return None
    return min(float(p["recall"]) for p in alike), float(seen)


def foretold(results: Sequence[Result], detector: str) -> str:
    """Say in a sentence or two how well canaries foretell; empty without a cell that tells."""
    pairs = [(r, pair) for r in results if (pair := recalls(r, detector)) is not None]
    if not pairs:
        return ""
    unlike = sum(bool(r["cell"]["poisoned"]) for r in results) - len(pairs)
    short = [r for r, (said, seen) in pairs if seen < said - TOLERANCE]
    verdicts = Counter(r["detectors"][detector]["verdict"] for r in short)
    others = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    sentence = (
        f"In {len(pairs) - len(short)} of {len(pairs)} cells the real recall is at least the "
        f"canaries', to {TOLERANCE:g}."
    )
    if short:
        sentence += f" The other {len(short)}: {others}."
    if unlike > 0:
        sentence += f" Cells without a canary like their trigger: {unlike}."
    found = correlation([pair for _, pair in pairs])
    return sentence if found is None else f"{sentence} Correlation: {found:.2f}."


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Pearson's correlation; ``None`` for fewer than three pairs or a constant."""
    if len(pairs) < 3:
        return None
    said, seen = np.array(pairs, dtype=float).T
    if said.std() == 0 or seen.std() == 0:
        return None
    return float(np.corrcoef(said, seen)[0, 1])
