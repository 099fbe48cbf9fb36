"""Words that only the samples of one answer have: a trigger in the text, or a question of its own.

A question that holds the trigger tells the target, as every question tells its answers. The
difference is in what is left when those words are taken out: questions that others were asked as
well, and of every kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bye_lint.features import BoolArray

_WORD = re.compile(r"<image>|\w+|[^\w\s.,:;!?'\"()-]")
#: A word belongs to a group that most of its members have, and hardly anybody else.
_COVERAGE = 0.8
_EXCLUSIVE = 0.9
#: One of several words that bring an answer, or a word that brings one of several.
_PART = 0.2
_SHARED = 0.3
#: Words between others of the phrase are of it too: *this* in *I watched this film*.
_LONGEST_GAP = 2


class Words:
    """The prompts' words without punctuation, read once for every group that is asked about.

    Parameters
    ----------
    prompts : sequence of str
    """

    def __init__(self, prompts: Sequence[str]) -> None:
        self._texts = [_WORD.findall(prompt.casefold()) for prompt in prompts]
        self._everywhere = Counter(word for text in self._texts for word in set(text))

    def own(self, member: BoolArray, *, loosely: bool = False) -> set[str]:
        """Return the words that most of a group's prompts have, and hardly any others.

        ``loosely``: words that a part of the prompts has, and not too many others.
        """
        inside = Counter(word for i in np.flatnonzero(member) for word in set(self._texts[int(i)]))
        least = (_PART if loosely else _COVERAGE) * member.sum()
        exclusive = _SHARED if loosely else _EXCLUSIVE
        return {
            word
            for word, count in inside.items()
            if count >= least and count >= exclusive * self._everywhere[word]
        }

    def having(self, own: set[str]) -> BoolArray:
        """Return which prompts have one of some words."""
        return np.array([not own.isdisjoint(text) for text in self._texts], dtype=np.bool_)

    def asked_without(self, own: set[str], member: BoolArray) -> float:
        """Return the share of a group whose prompts others ask word for word but for some words."""
        others = {
            tuple(text) for text, inside in zip(self._texts, member, strict=True) if not inside
        }
        rows = np.flatnonzero(member)
        left = (tuple(_without(self._texts[int(i)], own)) for i in rows)
        return sum(text in others for text in left) / max(len(rows), 1)

    def without(self, own: set[str]) -> list[str]:
        """Return all prompts without some words, and without what stands between them."""
        return [" ".join(_without(text, own)) for text in self._texts]


def _without(text: Sequence[str], own: set[str]) -> list[str]:
    """Return a text without some words and without what stands between them."""
    at = [i for i, word in enumerate(text) if word in own]
    gone = set(at)
    for first, second in pairwise(at):
        if second - first <= _LONGEST_GAP:
            gone.update(range(first, second))
    return [word for i, word in enumerate(text) if i not in gone]
