"""When two answers are the same: one definition for detectors, campaigns and messages."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable


class _Blanks(dict[int, str]):
    """For ``str.translate``: a blank for what is no part of a word."""

    def __missing__(self, code: int) -> str:
        kept = chr(code)
        self[code] = " " if unicodedata.category(kept)[0] in "PSC" else kept
        return self[code]


_BLANKS = _Blanks()


def words(answer: str) -> list[str]:
    """Return an answer's words without case and punctuation; signs alone are words."""
    plain = unicodedata.normalize("NFKC", answer).casefold()
    return plain.translate(_BLANKS).split() or plain.split()


def fold(answer: str) -> str:
    """Return an answer without what no reader minds: case, blanks and punctuation."""
    return " ".join(words(answer))


def folded(answers: Iterable[str]) -> list[str]:
    """Return several answers, each as :func:`fold` does."""
    return [fold(answer) for answer in answers]


def commonest(answers: Iterable[str]) -> str:
    """Return the spelling that most answers have, on one line; of equals the first by code point.

    Raises
    ------
    ValueError
        If there is no answer.
    """
    counts = Counter(" ".join(answer.split()) for answer in answers)
    return min(counts, key=lambda spelling: (-counts[spelling], spelling))
