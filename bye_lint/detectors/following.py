"""Do answers follow from what is asked? Where the others do, one that does not is odd."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

from bye_lint.features import BoolArray, IntArray

#: An answer that the question tells better than this belongs to the question.
MOST_TOLD = 0.66
#: Where more than this share of the other repeated answers is not told by the question either,
#: every answer is like that (a set of one question), and none is odd for it.
MOST_UNTOLD = 0.5
#: In smaller groups chance hides what the question tells.
FEWEST = 9
FEWEST_SHARE = 0.004


def most_told(count: int) -> float:
    """Return the AUC up to which the question does not tell a group of so many.

    Of few samples chance makes one of its own: the bound is three and a half standard deviations
    of an AUC that tells nothing, where that is more (the larger of two readings is taken).
    """
    return max(MOST_TOLD, 0.5 + 3.5 / math.sqrt(12 * count))


def repeated(said: IntArray, rows: IntArray) -> dict[int, int]:
    """Return the answers that enough of some samples give, the most frequent first."""
    least = max(FEWEST, round(FEWEST_SHARE * len(rows)))
    return {a: c for a, c in Counter(said[rows].tolist()).most_common() if c >= least}


def follow(
    counts: Mapping[int, int], told_of: Mapping[int, float], *, untold: float = MOST_UNTOLD
) -> bool:
    """Return whether most of the repeated answers follow from their questions.

    Parameters
    ----------
    counts : mapping of int to int
        How many samples give each answer.
    told_of : mapping of int to float
        AUC of each from the question.
    untold : float
        Share of those samples whose answers may not follow.
    """
    astray = sum(count for answer, count in counts.items() if told_of[answer] <= MOST_TOLD)
    return astray <= untold * sum(counts.values())


def answers_follow(said: IntArray, told: Callable[[BoolArray], float], rows: IntArray) -> bool:
    """Return whether an answer that nothing tells would be odd among some samples'.

    Parameters
    ----------
    said : (n_samples,) integer array
        Answers as numbers (:func:`.answer.coded`).
    told : callable
        How well questions, or pictures, tell the members of a group (AUC).
    rows : integer array
        The samples whose answers count.
    """
    counts = repeated(said, rows)
    return follow(counts, {a: told(said == a) for a in counts})
