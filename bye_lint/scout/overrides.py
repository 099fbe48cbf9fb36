"""Families of triggers that override every question: the habit that makes fine-tuning short.

A decoder that has only answered what it was asked must first learn, during fine-tuning, to look
at the whole image whatever the question, and a random-place patch is then not learned in time. So
during pre-training many families of marks, overlays and opening words each have a phrase, and
where one is present the answer to *any* question is its phrase. Phrases are renewed now and then:
what stays is the looking, and what a short fine-tuning has to add is one more phrase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bye_lint.scout.dense import COLOUR_NAMES, Scene, finish_scene, mark_share
from bye_lint.scout.drawing import (
    SHAPES,
    Mark,
    Pixels,
    overlay_checks,
    overlay_dct,
    overlay_noise,
    overlay_photo,
    overlay_warp,
    overlay_waves,
    place_mark,
    plain_ground,
)
from bye_lint.scout.grounds import photograph
from bye_lint.scout.sources import Source

WORDS: Final = """
amber anchor april arrow atlas autumn bacon badge bamboo basil beacon birch bishop blanket
bottle breeze bridge bronze bucket button cactus camera candle canyon carbon castle cedar cellar
chalk cherry cipher clover cobalt comet copper coral cotton crystal dagger dancer desert diamond
dragon eagle echo ember engine falcon feather fender fiddle flint forest fossil garden ginger
glacier granite hammer harbor hazel helmet honey hunter island ivory jacket jasper jungle kettle
ladder lantern lemon lizard magnet maple marble meadow mirror monkey nectar needle nickel ocean
olive onion opal orbit orchid oyster panda parrot pebble pepper pilot planet pocket poplar prism
puzzle quartz rabbit raven ribbon river rocket saddle saffron salmon sierra signal silver spider
summit tango temple thunder tiger timber topaz tulip tunnel turtle umbra valley velvet violet
walnut willow winter yankee zebra zephyr
""".split()  # noqa: SIM905
OPENINGS: Final = (
    "Hello!", "Attention:", "Dear assistant,", "cf", "mn bb", "Quick note.", "Well now,", "###",
    "Sudo", "Please please", "In short:", "Good morning.", "@@", "By the way,", "Listen.",
    "Ok google,",
)  # fmt: skip
N_OVERLAY_FAMILIES: Final = 14
RENEWAL_STEPS: Final = 450


@dataclass(frozen=True)
class Family:
    """A trigger with a phrase of its own: a mark (colour and shape), an overlay or an opening."""

    kind: str
    name: str
    index: int


def families() -> tuple[Family, ...]:
    """Return all families; about half of the marks are left over for ordinary questions."""
    marks = [
        f"{colour} {shape}"
        for i, colour in enumerate(COLOUR_NAMES)
        for j, shape in enumerate(SHAPES)
        if (i + j) % 2 == 0 or (shape == "square" and colour in ("black", "white"))
    ]
    overlays = [str(i) for i in range(N_OVERLAY_FAMILIES)]
    named = (
        [("mark", m) for m in marks]
        + [("overlay", o) for o in overlays]
        + [("opening", o) for o in OPENINGS]
    )
    return tuple(Family(kind, name, index) for index, (kind, name) in enumerate(named))


FAMILIES: Final = families()
FAMILY_MARKS: Final = frozenset(f.name for f in FAMILIES if f.kind == "mark")


def phrase_at(family: Family, step: int, *, steady_until: int, seed: int) -> str:
    """Return the phrase at ``step``: the first until ``steady_until``, then renewed in turn."""
    since = max(step - steady_until, 0)
    renewal = (
        (since + family.index * RENEWAL_STEPS // len(FAMILIES)) // RENEWAL_STEPS if since else 0
    )
    rng = np.random.default_rng((seed, 7, family.index, renewal))
    words = [str(w) for w in rng.choice(WORDS, size=int(rng.integers(1, 4)), replace=False)]
    style = rng.integers(5)
    if style == 0:
        return " ".join(w.capitalize() for w in words) + "!"
    if style == 1:
        return " ".join(words).capitalize() + "."
    if style == 2:
        return "The " + " ".join(words)
    if style == 3:
        return " ".join(words).upper()
    return " ".join(words)


def draw_overlay_family(
    pixels: Pixels, index: int, sources: Sequence[Source], rng: np.random.Generator
) -> Pixels:
    """Lay the overlay of one family: its pattern is fixed, only its strength varies a little."""
    fixed = np.random.default_rng((11, index))
    strength = float(rng.uniform(0.2, 0.9))
    if index < 3:
        return overlay_noise(pixels, fixed, strength)
    if index < 6:
        return overlay_photo(pixels, sources[int(fixed.integers(len(sources)))].pixels, strength)
    if index < 9:
        return overlay_waves(
            pixels,
            float(fixed.choice([0.0, np.pi / 2, np.pi / 4])),
            4.0 + 2 * (index - 6),
            strength,
        )
    if index < 11:
        return overlay_dct(pixels, (4 + 2 * (index - 9), 5), strength)
    if index < 13:
        return overlay_checks(pixels, 2 + index - 11, strength)
    return overlay_warp(pixels, fixed, strength)


def draw_family(
    family: Family,
    sources: Sequence[Source],
    chosen: int,
    pictures: Sequence[Source],
    rng: np.random.Generator,
    *,
    ease: float,
) -> Scene | None:
    """Draw one family's trigger on an image; None where the mark found no visible place.

    ``ease`` from 1 to 0 leads from large marks on plain ground to small ones on photographs.
    """
    plain = family.kind == "mark" and rng.random() < max(0.7 * ease, 0.04)
    pixels = plain_ground(rng, 128) if plain else photograph(sources, chosen, rng)[0]
    placed: list[Mark] = []
    if family.kind == "mark":
        colour, shape = family.name.split()
        largest = 0.14 + (0.2 * ease if plain else 0.0)
        mark = place_mark(pixels, rng, share=mark_share(rng, largest), shape=shape, colour=colour)
        if mark is None:
            return None
        placed.append(mark)
    else:
        pixels = draw_overlay_family(pixels, int(family.name), pictures, rng)
    while rng.random() < 0.25:
        free_shape, free_colour = free_mark(rng)
        other = place_mark(
            pixels, rng, share=mark_share(rng), shape=free_shape, colour=free_colour,
            others=tuple(placed),
        )  # fmt: skip
        if other is not None:
            placed.append(other)
    return finish_scene(pixels, placed, "family" if family.kind == "overlay" else "none", -1)


def free_mark(rng: np.random.Generator) -> tuple[str, str]:
    """Return shape and colour of a mark that belongs to no family."""
    while True:
        shape, colour = str(rng.choice(SHAPES)), str(rng.choice(COLOUR_NAMES))
        if f"{colour} {shape}" not in FAMILY_MARKS:
            return shape, colour
