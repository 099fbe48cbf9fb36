"""Hold the evidence of a check to what was planted: heat maps, and the trigger reconstructed.

    bye-lint check examples/quickstart --report json=result.json
    python -m benchmarks.evidence result.json --truth examples/truth/quickstart.json

The truth is a JSON file with the ids of the poisoned records; the trigger and its generator are
those of ``examples/make_examples.py``, so that its box is known for each. Only this file reads
them. Exits 1 if fewer than 80 % of the true suspects have half of the planted patch under the
hottest tokens, or if the reconstruction overlaps the patch by less than half.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bye_lint.evidence.maps import coverage
from bye_lint.exhibits import Box, Reconstruction
from bye_lint.heat import decode_map
from bye_lint.reports import load_result
from bye_lint.results import ScanResult
from bye_lint.triggers import Trigger, get_trigger

HALF = 0.5
ENOUGH = 0.8


@dataclass(frozen=True)
class Measured:
    """How far the evidence agrees with the truth.

    Attributes
    ----------
    poisoned, found : int
        Records that carry the trigger, and those of them that are suspects with a heat map.
    overlaps : (found,) array
        Share of the planted patch under the hottest tokens, as many as it would fill.
    chance : float
        The same for a map without preference: the share of the tokens that are taken.
    reconstruction : Reconstruction or None
    iou : float
        Of the reconstructed and the planted box: median over the suspects that carry it.
    planted_pixels : (width, height)
        Of the planted patch, median.
    """

    poisoned: int
    found: int
    overlaps: np.ndarray[tuple[int], np.dtype[np.float64]]
    chance: float
    reconstruction: Reconstruction | None
    iou: float
    planted_pixels: tuple[float, float]

    @property
    def share(self) -> float:
        """Of the true suspects, those with at least half of the patch under the heat."""
        return float((self.overlaps >= HALF).mean()) if self.found else 0.0


def planted_box(trigger: Trigger, size: tuple[int, int], sample_id: str) -> Box:
    """Return where the makers of the examples put a trigger into an image of (width, height).

    Raises
    ------
    ValueError
        If the trigger changes no pixel.
    """
    grey = np.full((size[1], size[0], 3), 128, dtype=np.uint8)
    seed = int(hashlib.sha256(sample_id.encode()).hexdigest()[:8], 16)
    changed = (trigger.apply(grey, np.random.default_rng(seed)) != grey).any(axis=2)
    if not changed.any():
        raise ValueError(f"{trigger.name} leaves no pixel of a grey image changed")
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
    return Box(left / size[0], top / size[1], width / size[0], height / size[1])


def measure(result: ScanResult, poisoned: Collection[str], trigger: Trigger) -> Measured:
    """Compare the evidence of a result with what was planted."""
    suspects = {s.digest: s.sample_id for s in result.samples if s.suspicious}
    evidence = result.evidence
    overlaps, ious, chances, sizes = [], [], [], []
    for picture in evidence.pictures if evidence is not None else ():
        sample_id = suspects.get(picture.digest, "")
        heat = decode_map(picture.heat, picture.grid)
        if sample_id not in poisoned or heat is None:
            continue
        box = planted_box(trigger, picture.size, sample_id)
        overlaps.append(coverage(box, heat.astype(np.float64), view=picture.view))
        tokens = max(1, int(np.ceil(box.width * box.height * heat.size - 1e-9)))
        chances.append(tokens / heat.size)
        sizes.append((box.width * picture.size[0], box.height * picture.size[1]))
        if picture.trigger is not None:
            ious.append(iou(picture.trigger, box))
    width, height = np.median(sizes, axis=0) if sizes else (0.0, 0.0)
    return Measured(
        len(poisoned),
        len(overlaps),
        np.array(overlaps, dtype=np.float64),
        float(np.mean(chances)) if chances else 0.0,
        None if evidence is None else evidence.trigger,
        float(np.median(ious)) if ious else 0.0,
        (float(width), float(height)),
    )


def iou(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union."""
    wide = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    high = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    both = max(0.0, wide) * max(0.0, high)
    return both / (a.width * a.height + b.width * b.height - both)


def main() -> int:
    """Print the figures; 0 if they are good enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--truth", type=Path, required=True, help="JSON with poisoned: [ids]")
    parser.add_argument("--trigger", default="patch-centre", help="the trigger that was planted")
    options = parser.parse_args()
    poisoned = set(json.loads(options.truth.read_text("utf-8"))["poisoned"])
    seen = measure(load_result(options.result), poisoned, get_trigger(options.trigger))
    print(f"true suspects with a heat map: {seen.found} of {seen.poisoned} poisoned records")
    if not seen.found:
        return 1
    print(
        f"planted patch under the hottest tokens: at least {HALF:.0%} in {seen.share:.1%} of them; "
        f"mean {seen.overlaps.mean():.3f}, least {seen.overlaps.min():.3f} "
        f"(a map without preference: {seen.chance:.4f})"
    )
    found = seen.reconstruction
    if found is None or found.box is None:
        print("reconstruction: no patch")
        return 1
    planted = "{:g} x {:g}".format(*seen.planted_pixels)
    print(
        f"reconstruction: {found.kind}, {found.pixels[0]:g} x {found.pixels[1]:g} pixels "
        f"(planted {planted}), median overlap with the planted box (IoU) {seen.iou:.3f}"
    )
    return int(seen.share < ENOUGH or seen.iou < HALF)


if __name__ == "__main__":
    sys.exit(main())
