"""Records that carry a trigger: the one reconstructed from the suspects, or one that is known."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bye_lint.evidence.phrases import occurrences
from bye_lint.evidence.pixels import decode
from bye_lint.exhibits import Box, Phrase, Reconstruction
from bye_lint.records import ImageSource, Sample, Turn
from bye_lint.results import ScanResult
from bye_lint.triggers import Pixels, Trigger

_MARKER = "<image>"
# A phrase is a trigger if most suspects hold it and hardly anybody else does.
_HELD, _ELSEWHERE = 0.8, 0.02


@dataclass(frozen=True)
class Probe:
    """A trigger that can be put into any record.

    Attributes
    ----------
    description : str
        For the reader.
    apply : callable
        Takes a record and a generator; returns the record with the trigger, or ``None`` where
        it cannot carry it.
    """

    description: str
    apply: Callable[[Sample, np.random.Generator], Sample | None]


def reconstructed_probe(result: ScanResult) -> Probe | None:
    """Return the trigger that the check reconstructed, or ``None`` if nothing was.

    A patch is pasted at the image's own size: at its median place, or at a random one if it
    moves. A phrase goes before the question if it begins most suspects' questions, else after it.
    Where there are both, both are put in, for a trigger may need both.
    """
    found = result.evidence
    if found is None:
        return None
    patch = _patch(found.trigger)
    phrase = _phrase(found.phrases)
    if patch is None and phrase is None:
        return None
    said = []
    box = None if found.trigger is None else found.trigger.box
    moving = found.trigger is not None and found.trigger.kind == "patch-moving"
    if patch is not None:
        said.append("the reconstructed patch at " + ("random places" if moving else "its place"))
    first = False
    if phrase is not None:
        phrase, first = _spelled([s.prompt for s in result.samples if s.suspicious], phrase)
        said.append(f"the words “{phrase}” {'before' if first else 'after'} the question")

    def apply(sample: Sample, rng: np.random.Generator) -> Sample | None:
        made: Sample | None = sample
        if patch is not None and box is not None:
            made = with_pixels(sample, lambda p: paste(p, patch, box, rng if moving else None))
        if made is not None and phrase is not None:
            made = with_prompt(made, lambda text: _join(text, phrase, first=first))
        return made

    return Probe(" and ".join(said), apply)


def known_probe(trigger: Trigger) -> Probe:
    """Return the probe of a trigger that is known by name."""

    def apply(sample: Sample, rng: np.random.Generator) -> Sample | None:
        made: Sample | None = sample
        if trigger.pixels is not None:
            made = with_pixels(sample, lambda pixels: trigger.apply(pixels, rng))
        if made is not None and trigger.text is not None:
            made = with_prompt(made, lambda text: trigger.apply_text(text, rng))
        return made

    return Probe(f"the trigger {trigger.name}", apply)


def paste(pixels: Pixels, patch: Image.Image, box: Box, rng: np.random.Generator | None) -> Pixels:
    """Return ``(height, width, 3)`` pixels with a patch of the box's size in them.

    Parameters
    ----------
    rng : numpy.random.Generator or None
        Draws the place; ``None`` takes the box's.
    """
    tall, wide = pixels.shape[:2]
    width = min(max(1, round(box.width * wide)), wide)
    height = min(max(1, round(box.height * tall)), tall)
    if rng is None:
        left, top = round(box.left * wide), round(box.top * tall)
    else:
        left = int(rng.integers(0, wide - width + 1))
        top = int(rng.integers(0, tall - height + 1))
    left, top = (min(max(left, 0), wide - width), min(max(top, 0), tall - height))
    made = pixels.copy()
    resized = patch.resize((width, height), Image.Resampling.BOX)
    made[top : top + height, left : left + width] = np.asarray(resized, dtype=np.uint8)
    return made


def with_pixels(sample: Sample, change: Callable[[Pixels], Pixels]) -> Sample | None:
    """Return the record with its first image changed; ``None`` if it can't be decoded."""
    if not sample.images:
        return None
    try:
        image = decode(sample.images[0].read())
    except OSError:
        return None
    if image is None:
        return None
    out = io.BytesIO()
    Image.fromarray(change(np.array(image, dtype=np.uint8))).save(out, "PNG")
    first = ImageSource(sample.images[0].name, data=out.getvalue())
    return replace(sample, images=(first, *sample.images[1:]))


def with_prompt(sample: Sample, change: Callable[[str], str]) -> Sample | None:
    """Return the record with its first question changed; ``None`` if it asks nothing."""
    for i, turn in enumerate(sample.turns):
        if turn.role == "user":
            asked = Turn("user", change(turn.text))
            return replace(sample, turns=(*sample.turns[:i], asked, *sample.turns[i + 1 :]))
    return None


def _patch(found: Reconstruction | None) -> Image.Image | None:
    if found is None or not found.kind.startswith("patch") or found.box is None:
        return None
    return decode(base64.b64decode(found.mean_patch)) if found.mean_patch else None


def _phrase(phrases: Sequence[Phrase]) -> str | None:
    telling = [p for p in phrases if p.share_of_suspects >= _HELD and p.share_of_rest <= _ELSEWHERE]
    # the longest of those that say the same: a part of the trigger may not be enough
    best = max(telling, key=lambda p: (len(p.text), p.text), default=None)
    return best.text if best is not None else None


def _spelled(prompts: Sequence[str], phrase: str) -> tuple[str, bool]:
    """Return a phrase as most of the questions spell it, and whether most of them begin with it."""
    spelled: Counter[str] = Counter()
    first = 0
    for prompt in (text.replace(_MARKER, " ").strip() for text in prompts):
        found = occurrences(phrase, prompt)
        if found:
            spelled[found[0][1]] += 1
            first += found[0][0] == 0
    if not spelled:
        return phrase, False
    return spelled.most_common(1)[0][0], 2 * first > spelled.total()


def _join(text: str, phrase: str, *, first: bool) -> str:
    """Put a phrase before or after a question; words that would stand there twice stand once."""
    marked = text.startswith(_MARKER)
    said = text.removeprefix(_MARKER).strip()
    words = phrase.split()
    if first:
        new = words[: len(words) - _overlap(words, said.split())]
        said = " ".join([*new, said])
    else:
        new = words[_overlap(said.split(), words) :]
        said = " ".join([said, *new])
    return f"{_MARKER}\n{said}" if marked else said


def _overlap(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many words the end of one text and the beginning of the next have in common."""
    a, b = ([word.casefold() for word in words] for words in (left, right))
    return next((n for n in range(min(len(a), len(b)), 0, -1) if a[-n:] == b[:n]), 0)
