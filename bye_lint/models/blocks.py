"""Blocks: which records are sorted into batches together.

A sum's last bit depends on the shape of its batch, and so on the records beside it. Batches never
reach over the border of a block: whoever reads whole blocks reads the same numbers, to the bit,
as whoever reads everything. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bye_lint.records import Sample

#: Images of a block; their records are sorted by length together, and kept in memory meanwhile.
WINDOW = 128

Item = tuple[int, Sample]


def blocks(samples: Sequence[Sample]) -> list[list[int]]:
    """Return the places of the samples that each block holds, in the order they are read."""
    return [
        [i for group in block for i, _ in group] for block in image_blocks(list(enumerate(samples)))
    ]


def image_blocks(items: Sequence[Item]) -> list[list[list[Item]]]:
    """Return blocks of groups of records; a group shows the same images."""
    groups = _by_images(items)
    return [groups[start : start + WINDOW] for start in range(0, len(groups), WINDOW)]


def _by_images(items: Sequence[Item]) -> list[list[Item]]:
    """Put records that show the same images beside each other, in order of first appearance."""
    groups: dict[tuple[str, ...], list[Item]] = {}
    for i, sample in items:
        try:
            key = tuple(hashlib.sha256(image.read()).hexdigest() for image in sample.images)
        except OSError:
            key = (f"unreadable {i}",)
        groups.setdefault((*key, sample.system), []).append((i, sample))
    return list(groups.values())
