"""Words that set the suspects' questions apart: a trigger in the text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

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
    inside, holders = _count(suspects)
    outside, _ = _count(rest)
    found = []
    for phrase, count in inside.items():
        share, other = count / len(suspects), outside[phrase] / len(rest)
        if share < least_share or share < 10 * other:
            continue
        value = _z(count, len(suspects), outside[phrase], len(rest))
        if value >= z:
            found.append(Phrase(phrase, round(share, 4), round(other, 4), round(value, 2)))
    kept: dict[frozenset[int], Phrase] = {}
    for telling in sorted(found, key=lambda p: (-len(p.text.split()), *_first(p.text, suspects))):
        kept.setdefault(holders[telling.text], telling)
    return tuple(sorted(kept.values(), key=lambda p: (-p.z, -len(p.text), p.text))[:most])


def _first(phrase: str, texts: Sequence[str]) -> tuple[int, str]:
    """Return how early a phrase begins where it is first held, so that ties fall alike."""
    start = min(
        (words.find(f" {phrase} ") for t in texts if f" {phrase} " in (words := _spaced(t))),
        default=0,
    )
    return start, phrase


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


def _count(texts: Iterable[str]) -> tuple[Counter[str], dict[str, frozenset[int]]]:
    held: dict[str, set[int]] = {}
    for i, text in enumerate(texts):
        for phrase in ngrams(text):
            held.setdefault(phrase, set()).add(i)
    return (
        Counter({phrase: len(rows) for phrase, rows in held.items()}),
        {phrase: frozenset(rows) for phrase, rows in held.items()},
    )
