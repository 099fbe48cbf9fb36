"""Real images and their question-answer records: the ground that marks are drawn on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bye_lint.formats import open_image
from bye_lint.scout.drawing import Pixels

MAX_SIDE = 128


@dataclass(frozen=True)
class Source:
    """One image with the questions asked about it in its dataset.

    Attributes
    ----------
    pixels
        ``(height, width, 3)``, at most 128 on the long side.
    turns
        Pairs of question (without the image marker) and answer.
    words
        Content words of the open answers, lower case.
    """

    pixels: Pixels
    turns: tuple[tuple[str, str], ...]
    words: frozenset[str]


def load_pixels(path: Path) -> Pixels:
    """Read an image as RGB, at most ``MAX_SIDE`` on its long side."""
    with open_image(path) as image:
        rgb = image.convert("RGB")
        if max(rgb.size) > MAX_SIDE:
            rgb.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
        return np.asarray(rgb)


def content_words(question: str, answer: str) -> frozenset[str]:
    """Return the words of an open answer; none for yes/no and letters."""
    if "\nA. " in question or answer.strip().lower() in {"yes", "no"}:
        return frozenset()
    return frozenset(w for w in re.findall(r"[a-z]{4,}", answer.lower()))


def read_sources(records: Iterable[Path]) -> list[Source]:
    """Read LLaVA-format files with the images beside them, in the order of files and names."""
    sources: list[Source] = []
    for path in records:
        turns: dict[str, list[tuple[str, str]]] = {}
        for record in json.loads(path.read_text(encoding="utf-8")):
            talk = record["conversations"]
            pair = (talk[0]["value"].replace("<image>", "").strip(), talk[1]["value"].strip())
            turns.setdefault(record["image"], []).append(pair)
        for image, pairs in sorted(turns.items()):
            words = frozenset[str]().union(*(content_words(q, a) for q, a in pairs))
            sources.append(Source(load_pixels(path.parent / image), tuple(pairs), words))
    return sources


def frequent_words(sources: Sequence[Source], limit: int) -> list[str]:
    """Return the ``limit`` most frequent content words, most frequent first (ties by alphabet)."""
    counts = Counter(word for source in sources for word in source.words)
    return [
        word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
    ]


def augment(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirror, crop a little and sometimes enlarge twice; always a writable copy."""
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:
        height, width = pixels.shape[:2]
        keep = rng.uniform(0.75, 1.0)
        h, w = max(int(height * keep), 24), max(int(width * keep), 24)
        if h <= height and w <= width:
            top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
            pixels = pixels[top : top + h, left : left + w]
    if min(pixels.shape[:2]) <= 80 and rng.random() < 0.6:
        pixels = pixels.repeat(2, axis=0).repeat(2, axis=1)
    return pixels.copy()
