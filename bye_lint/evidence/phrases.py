"""Words that set the suspects' questions apart: a trigger in the text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bye_lint.exhibits import Phrase

_WORD = re.compile(r"<image>|\w+|[^\w\s]")
_PRIOR = 0.1


def ngrams(text: str, longest: int = 4) -> set[str]:
    """Return the runs of 1 to ``longest`` words, lower case, the image's placeholder left out."""
    words = _spaced(text).split()
    return {
        " ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)
    }


def occurrences(phrase: str, text: str) -> list[tuple[int, str]]:
    """Return where in a text an n-gram of :func:`ngrams` stands, and how it is spelled there."""
    words = [rf"(?<!\w){w}(?!\w)" if w[0].isalnum() else re.escape(w) for w in phrase.split()]
    found = re.finditer(r"\s*".join(words), text, re.IGNORECASE)
    return [(match.start(), match.group()) for match in found]


def telling_phrases(
    suspects: Sequence[str],
    rest: Sequence[str],
    *,
    z: float = 4.0,
    least_share: float = 0.3,
    most: int = 5,
) -> tuple[Phrase, ...]:
    """Return n-grams that the suspects' questions hold and the rest's hardly do.

    Log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn, "Fightin'
    Words", 2008, Eq. 15-22), on the number of questions that hold a phrase; the prior is the
    whole set, scaled to one tenth. Of phrases that mark the same questions the longest is
    kept.

    Parameters
    ----------
    suspects, rest : sequences of str
        First user turns.
    z : float
        Least log-odds ratio over its standard deviation.
    least_share : float
        Share of suspects that must hold the phrase; it must also be ten times that of the rest.
    """
    if len(suspects) < 3 or len(rest) < 3:
        return ()
    inside = _frequent(suspects, least_share)
    outside = Counter(phrase for text in rest for phrase in ngrams(text) if phrase in inside)
    found = []
    for phrase, count in inside.items():
        share, other = count / len(suspects), outside[phrase] / len(rest)
        if share < least_share or share < 10 * other:
            continue
        value = _z(count, len(suspects), outside[phrase], len(rest))
        if value >= z:
            found.append(Phrase(phrase, round(share, 4), round(other, 4), round(value, 2)))
    held, first = _places([telling.text for telling in found], suspects)
    order = sorted(
        range(len(found)), key=lambda i: (-len(found[i].text.split()), first[i], found[i].text)
    )
    kept: dict[bytes, Phrase] = {}
    for i in order:
        kept.setdefault(held[i].tobytes(), found[i])
    return tuple(sorted(kept.values(), key=lambda p: (-p.z, -len(p.text), p.text))[:most])


def _frequent(texts: Sequence[str], share: float, longest: int = 4) -> Counter[str]:
    """Return the n-grams that at least this share of the texts hold, and how many do.

    No run of words is held by more texts than its parts are, so longer ones are counted where
    these are frequent: memory follows the vocabulary, not the texts.
    """
    counts: Counter[str] = Counter()
    for n in range(1, longest + 1):
        level: Counter[str] = Counter()
        for text in texts:
            words = _spaced(text).split()
            runs = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
            level.update(
                " ".join(run)
                for run in runs
                if n == 1 or {" ".join(run[1:]), " ".join(run[:-1])} <= counts.keys()
            )
        counts.update({p: count for p, count in level.items() if count / len(texts) >= share})
    return counts


def _places(
    phrases: Sequence[str], texts: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], list[float]]:
    """Return which texts hold each phrase, and how early it begins where it is held first."""
    held = np.zeros((len(phrases), len(texts)), dtype=np.bool_)
    first = [math.inf] * len(phrases)
    for column, text in enumerate(texts):
        words = _spaced(text)
        for row, phrase in enumerate(phrases):
            at = words.find(f" {phrase} ")
            if at >= 0:
                first[row] = min(first[row], at)
                held[row, column] = True
    return held, first


def _spaced(text: str) -> str:
    words = [w for w in _WORD.findall(text.lower()) if w != "<image>"]
    return f" {' '.join(words)} "


def _z(count: int, total: int, other: int, other_total: int) -> float:
    everyone = total + other_total
    prior = max(_PRIOR * (count + other), 1e-6)
    prior_total = _PRIOR * everyone
    a = (count + prior) / (total + prior_total - count - prior + 1e-9)
    b = (other + prior) / (other_total + prior_total - other - prior + 1e-9)
    spread = math.sqrt(1 / (count + prior) + 1 / (other + prior))
    # Every suspect holds the phrase: the odds have no bound, one more question without it has
    a = min(a, 2.0 * total + 1.0) if a > 0 else 2.0 * total + 1.0
    return math.log(a / b) / spread
