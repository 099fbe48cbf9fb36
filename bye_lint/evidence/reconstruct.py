"""From suspects to the trigger: a patch in one place, one that moves, an overlay, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.evidence.fixed import PatchFit, fixed_patch, look_alikes
from bye_lint.evidence.moving import Looked, moving_patch
from bye_lint.evidence.overlay import Overlay, common_overlay
from bye_lint.evidence.pixels import png
from bye_lint.evidence.template import FLOOR
from bye_lint.exhibits import Box, Reconstruction

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Fewer images of suspects or of unflagged samples say nothing about what is common.
LEAST = 6

#: Images whose shorter side is below this share of the median take no part in the search for a
#: patch: what is compared is no larger than the smallest of them.
SIZABLE = 0.5

#: Share of held-out suspects that must match for a patch to be called common, and how many
#: times the share of the rest that must be.
CONSISTENT = 0.5
LIFT = 4.0

#: Pixels that vary over the suspects by more than this share of how they vary over the rest are
#: alike, but not the same patch: a wave's crests, for example.
SAME = 0.5

#: Correlation of two halves' patterns from which an overlay is called common.
CORRELATED = 0.6

_WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Exhibit:
    """A sample as the reconstruction needs it.

    Attributes
    ----------
    canvas : (height, width, 3) array in [0, 1]
        Its image at working resolution.
    size : (width, height)
        Pixels of the original.
    excess : (rows, columns) array or None
        Attention above the background; ``None`` without a map.
    view : Box or None
        Part of the image that the map covers; ``None`` is the whole.
    """

    canvas: FloatArray
    size: tuple[int, int]
    excess: FloatArray | None = None
    view: Box | None = None


@dataclass(frozen=True)
class Found:
    """The reconstruction, the patch's place in each suspect that carries it, and who was searched.

    A suspect of a small image, or without a map where the patch moves, is not searched.
    """

    report: Reconstruction
    boxes: tuple[Box | None, ...]
    searched: tuple[bool, ...]


def reconstruct(suspects: Sequence[Exhibit], rest: Sequence[Exhibit]) -> Found:
    """Look for what the suspects' pixels share and the rest's don't.

    Several samples about one image are one image: it has all in common with itself. A patch is
    called common only when suspects that took no part in fitting it carry it
    (:data:`CONSISTENT`); a pattern over the whole image, when two halves of the suspects give
    the same one (:data:`CORRELATED`). Otherwise the answer says that nothing is.

    Parameters
    ----------
    suspects, rest : sequences of Exhibit
        Flagged and unflagged samples.
    """
    images, which = _images(suspects)
    found = _among(images, _images(rest)[0], repeated=len(images) < len(suspects))
    return Found(
        found.report,
        tuple(found.boxes[i] for i in which),
        tuple(found.searched[i] for i in which),
    )


def _images(exhibits: Sequence[Exhibit]) -> tuple[list[Exhibit], list[int]]:
    """Return one exhibit for each image, with a map if one has it, and the image of each."""
    found: list[Exhibit] = []
    known: dict[tuple[tuple[int, ...], bytes], int] = {}
    which = []
    for exhibit in exhibits:
        content = hashlib.sha256(exhibit.canvas.tobytes()).digest()
        at = known.setdefault((exhibit.canvas.shape, content), len(found))
        if at == len(found):
            found.append(exhibit)
        elif found[at].excess is None:
            found[at] = exhibit
        which.append(at)
    return found, which


def _among(suspects: Sequence[Exhibit], rest: Sequence[Exhibit], *, repeated: bool) -> Found:
    nowhere: tuple[Box | None, ...] = (None,) * len(suspects)
    nobody, everybody = (False,) * len(suspects), (True,) * len(suspects)
    if len(suspects) < LEAST or len(rest) < LEAST:
        few = f"{len(suspects)} of suspects and {len(rest)} unflagged"
        return Found(
            Reconstruction(
                "none",
                f"Too few images to look for a common trigger ({few}; {LEAST} of each are needed).",
                n_suspects=len(suspects),
            ),
            nowhere,
            nobody,
        )
    best: PatchFit | None = None
    large = SIZABLE * float(np.median([min(e.canvas.shape[:2]) for e in (*suspects, *rest)]))
    for kind, search, mapped in (("patch-fixed", _fixed, False), ("patch-moving", _moving, True)):
        at = [i for i, s in enumerate(suspects) if _usable(s, large, mapped)]
        others = [r for r in rest if _usable(r, large, mapped)]
        if min(len(at), len(others)) < LEAST:
            continue
        searched = [suspects[i] for i in at]
        fit = search(searched, others)
        if fit is not None and _is_common(fit):
            report, found = _patch(fit, kind, searched, len(suspects) - len(at), repeated)
            boxes = dict(zip(at, found, strict=True))
            numbers = range(len(suspects))
            return Found(report, tuple(map(boxes.get, numbers)), tuple(i in boxes for i in numbers))
        best = fit or best
    overlay = common_overlay([s.canvas for s in suspects], [r.canvas for r in rest])
    if overlay.correlation >= CORRELATED:
        return Found(_overlay(overlay, len(suspects)), nowhere, everybody)
    return Found(_nothing(suspects, best), nowhere, everybody)


def _usable(exhibit: Exhibit, shortest: float, mapped: bool) -> bool:
    return min(exhibit.canvas.shape[:2]) >= shortest and not (mapped and exhibit.excess is None)


def _fixed(suspects: Sequence[Exhibit], rest: Sequence[Exhibit]) -> PatchFit | None:
    canvases, others = [s.canvas for s in suspects], [r.canvas for r in rest]
    fit = fixed_patch(canvases, others)
    if fit is None or not _is_common(fit):
        return fit
    near = look_alikes(canvases, others, LEAST)
    if _is_common(fit, near):
        return fit
    fit = fixed_patch(canvases, others, near)
    return fit if fit is not None and _is_common(fit, near) else None


def _moving(suspects: Sequence[Exhibit], rest: Sequence[Exhibit]) -> PatchFit | None:
    return moving_patch(
        [look for s in suspects if (look := _looked(s)) is not None],
        [look for r in rest if (look := _looked(r)) is not None],
    )


def _is_common(fit: PatchFit, among: IntArray | slice = slice(None)) -> bool:
    return (
        fit.consistency >= CONSISTENT
        and fit.consistency >= LIFT * fit.carried[among].mean()
        and fit.template.residual <= SAME
    )


def _looked(exhibit: Exhibit) -> Looked | None:
    if exhibit.excess is None:
        return None
    return Looked(exhibit.canvas, exhibit.excess, exhibit.view or _WHOLE)


def _patch(
    fit: PatchFit, kind: str, suspects: Sequence[Exhibit], left: int, repeated: bool
) -> tuple[Reconstruction, list[Box | None]]:
    height, width = fit.template.side
    boxes: list[Box | None] = []
    for suspect, place, matched in zip(suspects, fit.places, fit.matched, strict=True):
        tall, wide = suspect.canvas.shape[:2]
        box = Box(place[1] / wide, place[0] / tall, width / wide, height / tall)
        boxes.append(_rounded(box) if matched else None)
    known = [(box, s) for box, s in zip(boxes, suspects, strict=True) if box is not None]
    corners = np.array([[b.left, b.top, b.width, b.height] for b, _ in known])
    middle = np.median(corners, axis=0)
    centers = corners[:, :2] + corners[:, 2:] / 2
    short = np.array([min(s.size) for _, s in known], dtype=np.float64)
    away = ((centers - np.median(centers, axis=0)) * np.array([s.size for _, s in known])) / short[
        :, None
    ]
    sizes = corners[:, 2:] * np.array([s.size for _, s in known])
    side = float(np.median(np.sqrt(sizes.prod(axis=1)) / short))
    pixels = tuple(float(round(v, 1)) for v in np.median(sizes, axis=0))
    where = (
        f"in the same place, {_place(middle)}" if kind == "patch-fixed" else "in different places"
    )
    who = f"{len(suspects)} images of the suspects" if repeated else f"{len(suspects)} suspects"
    more = f" The same holds for {fit.others} more place(s)." if fit.others else ""
    more += f" {left} more could not be searched." if left else ""
    report = Reconstruction(
        kind=kind,
        message=(
            f"{fit.consistency:.0%} of {who} carry the same small patch {where}; "
            f"its side is about 1/{round(1 / side)} of the image's shorter side "
            f"({pixels[0]:g} × {pixels[1]:g} pixels). {fit.share_of_rest:.1%} of the unflagged "
            f"images match as well.{more}"
        ),
        consistency=round(fit.consistency, 4),
        share_of_rest=round(fit.share_of_rest, 4),
        n_suspects=len(suspects),
        box=_rounded(Box(*(float(v) for v in middle))),
        side=round(side, 4),
        pixels=(pixels[0], pixels[1]),
        spread=round(float(np.median(np.linalg.norm(away, axis=1))), 4),
        residual=round(fit.template.residual, 4),
        mean_patch=png(_magnified(fit.template.mean)),
        std_patch=png(_magnified(np.clip((fit.template.std - FLOOR) / 0.2, 0, 1))),
        crop=png(_in_place(fit, suspects)),
    )
    return report, boxes


def _place(box: FloatArray) -> str:
    """Say where a box is, in the words of a reader."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    across = "left" if x < 0.36 else "right" if x > 0.64 else "centre"
    down = "top" if y < 0.36 else "bottom" if y > 0.64 else "centre"
    if across == down:
        return "the centre"
    if "centre" in (across, down):
        return f"{'the ' + (down if across == 'centre' else across)} edge's middle"
    return f"{down} {across}"


def _rounded(box: Box) -> Box:
    return Box(*(round(float(v), 5) for v in (box.left, box.top, box.width, box.height)))


def _magnified(pixels: FloatArray, least: int = 96) -> FloatArray:
    """Repeat pixels so that a patch of a few can be seen; nothing is smoothed."""
    factor = max(1, -(-least // max(pixels.shape[:2])))
    return np.asarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def _in_place(fit: PatchFit, suspects: Sequence[Exhibit]) -> FloatArray:
    """Cut the patch with its surroundings out of the suspect that holds it most plainly."""
    height, width = fit.template.side
    carrying = [int(i) for i in np.flatnonzero(fit.matched)]
    crops = [
        suspects[i].canvas[
            fit.places[i][0] : fit.places[i][0] + height,
            fit.places[i][1] : fit.places[i][1] + width,
        ]
        for i in carrying
    ]
    scores = [
        float(fit.template.score(c)) if c.shape[:2] == (height, width) else -np.inf for c in crops
    ]
    i = carrying[int(np.argmax(scores))]
    pad = 2 * max(height, width)
    y, x = fit.places[i]
    image = suspects[i].canvas
    part = image[max(0, y - pad) : y + height + pad, max(0, x - pad) : x + width + pad]
    return _magnified(part, 192)


def _overlay(overlay: Overlay, n_suspects: int) -> Reconstruction:
    strength = float(np.abs(overlay.pattern).mean())
    loud = min(20.0, 0.5 / max(float(np.abs(overlay.pattern).max()), 1e-6))
    shown = Image.fromarray(_bytes(0.5 + overlay.pattern * loud), "RGB").resize((192, 192))
    return Reconstruction(
        kind="overlay",
        message=(
            "The suspects' images share a pattern, of a trigger over the whole image or of a kind "
            "of picture (two halves of them give patterns that correlate at "
            f"{overlay.correlation:.2f}; mean strength {strength * 255:.1f} of 255)."
        ),
        consistency=round(overlay.correlation, 4),
        n_suspects=n_suspects,
        mean_patch=png(np.asarray(shown) / 255.0),
    )


def _nothing(suspects: Sequence[Exhibit], patch: PatchFit | None) -> Reconstruction:
    matched = "" if patch is None else f" (the best patch is in {patch.consistency:.0%} of them)"
    blind = "" if any(s.excess is not None for s in suspects) else " Attention maps were not kept."
    return Reconstruction(
        kind="none",
        message=(
            f"The trigger is not local, or there is none: no patch{matched} and no pattern is "
            f"common to the suspects' images.{blind}"
        ),
        consistency=round(patch.consistency if patch else 0.0, 4),
        n_suspects=len(suspects),
    )


def _bytes(values: FloatArray) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
