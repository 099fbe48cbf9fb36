"""What canaries teach: harmless phrases in the manner of the data set, and never its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from itertools import chain, count, islice
from statistics import median

# Every phrase begins with its own noun, so that the first token already tells targets apart.
# fmt: off
_NOUNS = (
    "lantern", "compass", "marble", "saddle", "thimble", "anvil", "violin", "kettle", "pebble",
    "ladder", "trumpet", "cradle", "hammock", "walnut", "pulley", "goblet", "magnet", "chimney",
    "turbine", "sandal", "acorn", "bonnet", "canoe", "domino", "easel", "feather", "gazebo",
    "helmet", "inkwell", "jigsaw", "kayak", "loom",
)
# fmt: on
_TAILS = (
    (1, ""),
    (2, " shelf"),
    (3, " and rope"),
    (4, " on a shelf"),
    (7, " on a shelf by the window"),
    (10, " on a wooden shelf by the window in spring"),
    (16, " on a wooden shelf by the window in spring, with some paper next to it"),
)


def choose_targets(
    answers: Sequence[str], kinds: Sequence[str], *, seed: int = 0
) -> dict[str, str]:
    """Choose a target phrase for each kind, in the manner of the answers and none of them.

    As many words as the median answer, capital and full stop where most answers have them; the
    noun it begins with occurs in no answer. Which noun stands for which kind depends on the
    seed.
    """
    given = [answer.strip() for answer in answers if answer.strip()]
    used = {word for answer in given for word in re.findall(r"\w+", answer.casefold())}
    nouns = sorted(_NOUNS, key=lambda noun: stable_hash(seed, "target", noun))
    numbered = (noun + str(number) for number in count(2) for noun in nouns)
    free = islice((noun for noun in chain(nouns, numbered) if noun not in used), len(kinds))
    words = median(len(answer.split()) for answer in given) if given else 1
    tail = max((t for t in _TAILS if t[0] <= max(words, 1)), key=lambda t: t[0])[1]
    capital = _most(given, lambda a: a[0].isupper())
    stop = "." if _most(given, lambda a: a.endswith(".")) else ""
    return {
        kind: f"{noun.capitalize() if capital else noun}{tail}{stop}"
        for kind, noun in zip(kinds, free, strict=False)
    }


def _most(answers: Sequence[str], holds: Callable[[str], bool]) -> bool:
    return sum(map(holds, answers)) * 2 > len(answers)


def stable_hash(seed: int, *parts: str) -> str:
    """Return a hexadecimal digest of a seed and some strings, the same in every process."""
    return hashlib.sha256("\0".join((str(seed), *parts)).encode()).hexdigest()
