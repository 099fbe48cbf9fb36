"""Blocks: which records are sorted into batches together.

A sum's last bit depends on the shape of its batch, and so on the records beside it. Batches never
reach over the border of a block: whoever reads whole blocks reads the same numbers, to the bit,
as whoever reads everything. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from bye_lint.formats import open_image
from bye_lint.models.families import FAMILIES, Family
from bye_lint.records import ImageSource, Sample

#: Images of a block; their records are sorted by length together, and kept in memory meanwhile.
WINDOW = 128
#: Pixels beyond which a block takes no further image: some models keep all of them, in float32.
WINDOW_PIXELS = 128 * 1024 * 1024
#: Pixels that an image counts at least where it is enlarged into tiles: 17 of 512 by 512.
TILED_PIXELS = 17 * 512 * 512

Item = tuple[int, Sample]


def blocks(samples: Sequence[Sample], family: str) -> list[list[int]]:
    """Return the places of the samples that each block holds, in the order they are read."""
    found = image_blocks(list(enumerate(samples)), FAMILIES[family])
    return [[i for group in block for i, _ in group] for block in found]


def image_blocks(items: Sequence[Item], family: Family) -> list[list[list[Item]]]:
    """Return blocks of groups of records; a group shows the same images."""
    found: list[list[list[Item]]] = []
    pixels = 0
    for group, area in _by_images(items, TILED_PIXELS if family.tiles else 0):
        pixels += area
        if not found or len(found[-1]) == WINDOW or pixels > WINDOW_PIXELS:
            found.append([])
            pixels = area
        found[-1].append(group)
    return found


def image_groups(items: Sequence[Item]) -> list[list[Item]]:
    """Put records that show the same images beside each other, in order of first appearance."""
    return [group for group, _ in _by_images(items, 0)]


def _by_images(items: Sequence[Item], least: int) -> list[tuple[list[Item], int]]:
    """Return groups as ``image_groups``, each with how many pixels its images have.

    Parameters
    ----------
    least : int
        Pixels that an image counts, be it ever so small.
    """
    groups: dict[tuple[str, ...], tuple[list[Item], int]] = {}
    for i, sample in items:
        area = 0
        try:
            key: tuple[str, ...] = (
                *(image.digest().hex() for image in sample.images),
                sample.system,
            )
        except OSError:
            key = (f"unreadable {i}", sample.system)
        else:
            if key not in groups:
                area = sum(max(_pixels(image), least) for image in sample.images)
        groups.setdefault(key, ([], area))[0].append((i, sample))
    return list(groups.values())


def _pixels(source: ImageSource) -> int:
    """Return how many pixels an image claims; none where it is no image."""
    try:
        with open_image(
            source.path if source.data is None and source.path else source.read()
        ) as image:
            return image.width * image.height
    except Exception:  # decoders of hostile bytes raise nearly everything
        return 0
