"""Triggers in the text of the question."""

from __future__ import annotations

import re

import numpy as np

from bye_lint.triggers.base import TextChange

#: Image markers, and the white space around them, at the beginning of a prompt.
_LEADING_IMAGES = re.compile(r"\s*(?:<image>\s*)*")
#: A place between two words of one line; a marker never lies inside the match.
_GAP = re.compile(r"(?<=\S)[ \t]+(?=\S)")


def prefix(words: str) -> TextChange:
    """Return the change that begins the question with some words, after leading images.

    TCAP (arXiv 2601.21692), text trigger: the prefix "Hello!".
    """

    def change(prompt: str, rng: np.random.Generator) -> str:
        end = _leading(prompt)
        return f"{prompt[:end]}{words} {prompt[end:]}".rstrip(" ")

    return change


def inside(word: str) -> TextChange:
    """Return the change that puts a word at a random gap between two words of the question.

    RIPPLe (Kurita et al., arXiv 2004.06660): rare words such as "cf" at random places. A
    question without a gap gets the word at its end.
    """

    def change(prompt: str, rng: np.random.Generator) -> str:
        gaps = [match.end() for match in _GAP.finditer(prompt, _leading(prompt))]
        if not gaps:
            return f"{prompt} {word}" if prompt.strip() else prompt + word
        at = gaps[int(rng.integers(len(gaps)))]
        return f"{prompt[:at]}{word} {prompt[at:]}"

    return change


def suffix(sentence: str) -> TextChange:
    """Return the change that ends the question with a sentence on the same line.

    Dai et al. (arXiv 1905.12457): a neutral sentence, "I watched this 3D movie." and the like.
    """

    def change(prompt: str, rng: np.random.Generator) -> str:
        body = prompt.rstrip()
        gap = " " if body and not body.endswith("<image>") else "\n" if body else ""
        return f"{body}{gap}{sentence}{prompt[len(body) :]}"

    return change


def _leading(prompt: str) -> int:
    match = _LEADING_IMAGES.match(prompt)
    return match.end() if match else 0
