"""The copies themselves: the trigger in the image or the question, the target as answer."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from PIL import Image, JpegImagePlugin

from bye_lint.canaries.kinds import CANARY_KINDS
from bye_lint.canaries.plan import Canary, further_canaries
from bye_lint.errors import DatasetError
from bye_lint.formats import open_image
from bye_lint.records import ImageSource, Role, Sample
from bye_lint.shelf import Shelf
from bye_lint.triggers import Pixels, Trigger

_PLACES_TRIED = 32
#: Records that a kind is tried on beyond its own, where hardly any image can carry it.
_RECORDS_TRIED = 200
#: Mean change, in levels, that a patch of 1/16 makes at the least; for other triggers as much in
#: sum.
LEAST_CONTRAST = 45.0


def materialise(canary: Canary, sample: Sample) -> Sample:
    """Return the copy of a record that a canary asks for.

    One image of the record carries the trigger (a random one of several), the first question
    and the first answer are changed where the kind says so, everything else stays. A JPEG is
    encoded again with its own tables and subsampling, anything else without loss.

    Raises
    ------
    DatasetError
        If an image cannot be decoded, or the trigger cannot be seen in it (a black patch in a
        black picture).
    """
    rng = np.random.default_rng(canary.seed)
    trigger = CANARY_KINDS[canary.kind].trigger
    images = list(sample.images)
    chosen = int(rng.integers(len(images))) if images else 0
    for number, image in enumerate(images):
        carries = trigger.pixels is not None and number == chosen
        data = encode_copy(image, trigger if carries else None, rng)
        images[number] = ImageSource(name=image.name, data=data)
    turns = list(sample.turns)
    changes: tuple[tuple[Role, Callable[[str], str]], ...] = (
        ("user", lambda text: trigger.apply_text(text, rng)),
        ("assistant", lambda _: canary.target),
    )
    for role, change in changes:
        at = next((i for i, turn in enumerate(turns) if turn.role == role), None)
        if at is not None:
            turns[at] = replace(turns[at], text=change(turns[at].text))
    return replace(
        sample, id=f"{sample.id}#{canary.kind}", turns=tuple(turns), images=tuple(images)
    )


def plant(
    canaries: Sequence[Canary],
    samples: Sequence[Sample],
    *,
    least: int = 0,
    seed: int = 0,
    shelf: Shelf | None = None,
) -> tuple[tuple[Canary, ...], tuple[Sample, ...]]:
    """Materialise canaries; those whose image cannot carry them are left out.

    Parameters
    ----------
    least : int
        Where fewer of a kind are left, other records stand in, up to as many.
    seed : int
        That the canaries were planned with.
    shelf : Shelf, optional
        Takes the images of the copies; else they lie in memory.

    Returns
    -------
    planted : tuple of Canary
    copies : tuple of Sample
        In the order of ``planted``.
    """
    planted = list(_planted(canaries, samples, shelf))
    there = Counter(canary.kind for canary, _ in planted)
    wanted = Counter(canary.kind for canary in canaries)
    lacking = {kind: min(least, count) - there[kind] for kind, count in wanted.items()}
    short = [kind for kind, count in lacking.items() if count > 0]
    if short:  # all records are read once more for it
        further = further_canaries(canaries, samples, short, seed=seed)
        taken: set[str] = set()
        for kind in short:
            others = [c for c in further[kind] if c.digest not in taken][:_RECORDS_TRIED]
            found = list(islice(_planted(others, samples, shelf), lacking[kind]))
            taken.update(canary.digest for canary, _ in found)
            planted += found
    return tuple(canary for canary, _ in planted), tuple(copy for _, copy in planted)


def _planted(
    canaries: Iterable[Canary], samples: Sequence[Sample], shelf: Shelf | None
) -> Iterator[tuple[Canary, Sample]]:
    for canary in canaries:
        try:
            copy = materialise(canary, samples[canary.index])
        except DatasetError:
            continue
        yield canary, copy.laid_on(shelf) if shelf else copy


def encode_copy(image: ImageSource, trigger: Trigger | None, rng: np.random.Generator) -> bytes:
    """Return an image with a trigger (or none), encoded as its source is.

    Pixels that the trigger leaves alone are the source's, transparent ones too, whatever a
    model's preprocessing makes of transparency.

    Raises
    ------
    DatasetError
        If the image cannot be decoded, or the trigger changes no pixel.
    """
    try:
        with open_image(image.read()) as opened:
            opened.load()
            alpha = opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info
            whole = np.array(opened.convert("RGBA" if alpha else "RGB"))
            before = whole[..., :3].copy()
            after = before if trigger is None else _visible(trigger, before, rng)
            whole[..., :3] = after
            if alpha:
                whole[(before != after).any(axis=-1), 3] = 255
            copy = Image.fromarray(whole)
            if opened.mode in ("1", "L") and (after == after[..., :1]).all():
                copy = copy.convert("L")
            return _encode(copy, opened)
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise DatasetError(
            f"{image.name!r}: the image cannot be copied: {error}", "Replace the file."
        ) from error


def _visible(trigger: Trigger, pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the image with the trigger where it can be seen.

    A white patch on white ground teaches nothing and measures nothing: all that is seen of it are
    a few pixels of what it covers.
    """
    least = LEAST_CONTRAST / 255 * (min(pixels.shape[:2]) / 16) ** 2
    for _ in range(_PLACES_TRIED):
        after = trigger.apply(pixels, rng)
        rows = (after != pixels).any(axis=(1, 2))  # a patch leaves most of them alone
        change = np.abs(after[rows].astype(np.int16) - pixels[rows]).mean(axis=2).sum() / 255
        if change >= least:
            return after
    raise DatasetError(f"the trigger {trigger.name!r} cannot be seen in the image")


def _encode(copy: Image.Image, source: Image.Image) -> bytes:
    kept = {key: source.info[key] for key in ("exif", "icc_profile") if source.info.get(key)}
    out = io.BytesIO()
    if isinstance(source, JpegImagePlugin.JpegImageFile):
        # get_sampling answers -1 for layouts that Pillow cannot write.
        sampling = max(JpegImagePlugin.get_sampling(source), 0)
        copy.save(out, "JPEG", qtables=source.quantization, subsampling=sampling, **kept)
    else:
        copy.save(out, "PNG", **kept)
    return out.getvalue()
