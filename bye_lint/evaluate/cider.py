"""CIDEr-D, the consensus measure of captions (Vedantam et al., CVPR 2015, arXiv 1411.5726)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

Grams = Counter[tuple[str, ...]]

_SIZES = (1, 2, 3, 4)
_SIGMA = 6.0


def cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean CIDEr-D of captions, on the customary scale (about 1 is good, 10 the most).

    For n-grams of 1 to 4 words: tf-idf vectors of caption and reference (Eq. 1, document
    frequencies counted over the images' references), their cosine with the caption's counts
    clipped to the reference's and a Gaussian penalty of σ = 6 on the difference in length
    (section 6, CIDEr-D); the mean over references and over n, times 10. Words are runs of
    letters and digits in lower case, without stemming, as in the COCO evaluation.

    Parameters
    ----------
    captions : sequence of str
        One an image.
    references : sequence of sequences of str
        At least one reference an image.

    Returns
    -------
    float
        NaN where there are no captions.

    Raises
    ------
    ValueError
        If the lengths differ or an image has no reference.
    """
    if len(captions) != len(references):
        raise ValueError(f"expected equal lengths, got {len(captions)} and {len(references)}")
    if not captions:
        return float("nan")
    if not all(references):
        raise ValueError("every image needs at least one reference")
    described = [[_grams(reference) for reference in group] for group in references]
    frequency: Grams = Counter()
    for group in described:
        frequency.update({gram for counts in group for gram in counts})
    images = math.log(len(described))
    scores = []
    for caption, group in zip(captions, described, strict=True):
        counts = _grams(caption)
        scores.append(sum(_similarity(counts, r, frequency, images) for r in group) / len(group))
    return 10 * sum(scores) / len(scores)


def _grams(text: str) -> Grams:
    words = re.findall(r"\w+", text.lower())
    return Counter(
        tuple(words[at : at + size]) for size in _SIZES for at in range(len(words) - size + 1)
    )


def _similarity(caption: Grams, reference: Grams, frequency: Grams, images: float) -> float:
    # The length is counted in words; the COCO evaluation counts bigrams, which differ by the same.
    length = sum(n for gram, n in caption.items() if len(gram) == 1)
    other = sum(n for gram, n in reference.items() if len(gram) == 1)
    penalty = math.exp(-((length - other) ** 2) / (2 * _SIGMA**2))
    total = 0.0
    for size in _SIZES:
        left = _weights(caption, size, frequency, images)
        right = _weights(reference, size, frequency, images)
        norms = math.hypot(*left.values()) * math.hypot(*right.values())
        if norms:
            common = sum(min(w, right[g]) * right[g] for g, w in left.items() if g in right)
            total += penalty * common / norms
    return total / len(_SIZES)


def _weights(
    counts: Grams, size: int, frequency: Grams, images: float
) -> dict[tuple[str, ...], float]:
    return {
        gram: count * (images - math.log(max(1, frequency[gram])))
        for gram, count in counts.items()
        if len(gram) == size
    }
