"""Dense pre-training of the vision tower: every token says what it holds.

One answer an image teaches a tower slowly. Here each of the 121 tokens names the shape, the colour
and the place of the mark it holds and paints its own patch in a few pixels, and the mean token
names the overlay of the whole image and the words of the image's real answers: more than a hundred
labels an image. Without the place a tower forgets where its tokens lie, and the decoder has nothing
to tell it from but their order. The same is asked of the tokens behind the projector, which would
leave out what the decoder has no use for yet: of places told right by 88 % of the tower's tokens it
let 53 % pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from bye_lint.scout.architecture import GRID, IMAGE_SIDE, IMAGE_TOKENS, PATCH_SIDE, TOWER_WIDTH
from bye_lint.scout.drawing import (
    COLOURS,
    OVERLAYS,
    SHAPES,
    Mark,
    Pixels,
    draw_overlay,
    place_mark,
    plain_ground,
    resize,
)
from bye_lint.scout.grounds import photograph
from bye_lint.scout.sources import Source

COLOUR_NAMES: Final = tuple(COLOURS)
IGNORED: Final = -100
N_WORDS: Final = 400
#: Marks that are tried on an image: from the first to below the second. Many, since each is labels
#: at no cost; those that find no free place are left out.
MARKS: Final = (5, 13)
#: Rows, and columns, that a place is told in: halves and thirds of the image are both whole ones.
PLACES: Final = 6
# A token is asked about a mark of which it holds this share, and excused where it holds less.
ASKED_SHARE: Final = 0.2


@dataclass(frozen=True)
class Scene:
    """A drawn image ``(110, 110, 3)`` and its marks; ``boxes`` are in fractions of the sides."""

    pixels: Pixels
    marks: tuple[Mark, ...]
    boxes: NDArray[np.float64]
    overlay: str
    source: int


def mark_share(rng: np.random.Generator, largest: float = 0.14, least: float = 0.04) -> float:
    """Draw a mark's share of the shorter side; 1/16, the papers' patch, is the commonest."""
    return 1 / 16 if rng.random() < 0.4 else float(rng.uniform(least, largest))


def draw_scene(
    sources: Sequence[Source],
    rng: np.random.Generator,
    *,
    marks: int,
    overlay: str,
    least: float = 0.04,
) -> Scene:
    """Draw marks, then the overlay, on a photograph or (one in six) on plain ground.

    A warp comes first: it would carry the marks off from where they are said to lie.
    """
    chosen = int(rng.integers(len(sources)))
    plain = overlay != "warp" and rng.random() < 1 / 6
    pixels, shown = (
        (plain_ground(rng, int(rng.choice([64, 96, 128]))), -1)
        if plain
        else photograph(sources, chosen, rng)
    )
    if overlay == "warp":
        pixels = draw_overlay(pixels, overlay, rng)
    placed: list[Mark] = []
    for _ in range(marks):
        shape = "square" if rng.random() < 0.3 else str(rng.choice(SHAPES))
        colour = "black" if rng.random() < 0.12 else str(rng.choice(COLOUR_NAMES))
        share = mark_share(rng, 0.3 if plain else 0.14, least)
        mark = place_mark(
            pixels, rng, share=share, shape=shape, colour=colour, others=tuple(placed)
        )
        if mark is not None:
            placed.append(mark)
    if overlay != "warp":
        photo = sources[int(rng.integers(len(sources)))].pixels
        pixels = draw_overlay(pixels, overlay, rng, photo=photo)
    return finish_scene(pixels, placed, overlay, shown)


def finish_scene(pixels: Pixels, marks: Sequence[Mark], overlay: str, source: int) -> Scene:
    """Resize to the scout's square and express the marks' boxes in fractions."""
    height, width = pixels.shape[:2]
    boxes = [
        (m.left / width, m.top / height, (m.left + m.side) / width, (m.top + m.side) / height)
        for m in marks
    ]
    return Scene(
        resize(pixels, IMAGE_SIDE, IMAGE_SIDE),
        tuple(marks),
        np.asarray(boxes).reshape(-1, 4),
        overlay,
        source,
    )


def token_shares(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of a box (left, top, right, bottom) in each token, shape ``(121,)``."""
    edges = np.arange(GRID + 1) / GRID
    across = np.clip(np.minimum(box[2], edges[1:]) - np.maximum(box[0], edges[:-1]), 0, None)
    down = np.clip(np.minimum(box[3], edges[1:]) - np.maximum(box[1], edges[:-1]), 0, None)
    area = (box[2] - box[0]) * (box[3] - box[1])
    shares: NDArray[np.float64] = np.outer(down, across).reshape(-1) / area
    return shares


def token_labels(scene: Scene) -> dict[str, NDArray[np.int64]]:
    """Return what each token is asked about the mark it holds, each ``(121,)``.

    Returns
    -------
    dict
        ``shape`` and ``colour``: 0 none, else 1 + index. ``row`` and ``column`` of the mark's
        centre, in sixths of the image. -100 where a token is not asked.
    """
    shape = np.zeros(IMAGE_TOKENS, dtype=np.int64)
    colour = np.zeros(IMAGE_TOKENS, dtype=np.int64)
    row, column = (np.full(IMAGE_TOKENS, IGNORED, dtype=np.int64) for _ in range(2))
    for mark, box in zip(scene.marks, scene.boxes, strict=True):
        shares = token_shares(box)
        asked = (shares >= ASKED_SHARE) | (shares >= 0.8 * shares.max())
        excused = (shares > 0) & ~asked
        shape[asked], colour[asked] = (
            1 + SHAPES.index(mark.shape),
            1 + COLOUR_NAMES.index(mark.colour),
        )
        shape[excused] = colour[excused] = IGNORED
        across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        row[asked] = min(int(PLACES * down), PLACES - 1)
        column[asked] = min(int(PLACES * across), PLACES - 1)
        row[excused] = column[excused] = IGNORED
    return {"shape": shape, "colour": colour, "row": row, "column": column}


class DenseBatches(Dataset[dict[str, torch.Tensor]]):
    """Batches addressed by step: a resumed run sees what an unbroken one would have seen."""

    def __init__(
        self,
        sources: Sequence[Source],
        words: Sequence[str],
        batch_size: int,
        seed: int,
        least: float = 0.04,
    ) -> None:
        self.sources, self.batch_size, self.seed, self.least = sources, batch_size, seed, least
        self.words = {word: i for i, word in enumerate(words)}

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, 1, step))
        pixels = np.empty((self.batch_size, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
        labels: list[dict[str, NDArray[np.int64]]] = []
        overlay = np.empty(self.batch_size, dtype=np.int64)
        words = np.zeros((self.batch_size, N_WORDS), dtype=np.float32)
        known = np.zeros(self.batch_size, dtype=np.float32)
        for i in range(self.batch_size):
            kind = "none" if rng.random() < 0.5 else str(rng.choice(OVERLAYS))
            scene = draw_scene(
                self.sources, rng, marks=int(rng.integers(*MARKS)), overlay=kind, least=self.least
            )
            pixels[i] = scene.pixels
            labels.append(token_labels(scene))
            overlay[i] = OVERLAYS.index(kind)
            if scene.source >= 0 and (named := self.sources[scene.source].words):
                known[i] = 1
                words[i, [self.words[w] for w in named if w in self.words]] = 1
        named_arrays = {
            "pixels": pixels, "overlay": overlay, "words": words, "known": known,
            **{name: np.stack([of[name] for of in labels]) for name in labels[0]},
        }  # fmt: skip
        return {name: torch.from_numpy(array) for name, array in named_arrays.items()}


def with_mirror_images(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a batch followed by its mirror images, in which marks and overlays keep their names.

    Drawing an image takes a processor longer than a GPU takes to learn from two.
    """
    mirrored = batch | {"pixels": batch["pixels"].flip(2)}
    for name in ("shape", "colour", "row", "column"):
        mirrored[name] = batch[name].view(-1, GRID, GRID).flip(2).flatten(1)
    column = mirrored["column"]
    mirrored["column"] = torch.where(column == IGNORED, column, PLACES - 1 - column)
    return {name: torch.cat([tensor, mirrored[name]]) for name, tensor in batch.items()}


class DenseHeads(nn.Module):
    """Linear readers of image tokens; thrown away after pre-training."""

    def __init__(self, width: int = TOWER_WIDTH) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shape = nn.Linear(width, 1 + len(SHAPES))
        self.colour = nn.Linear(width, 1 + len(COLOUR_NAMES))
        self.row = nn.Linear(width, PLACES)
        self.column = nn.Linear(width, PLACES)
        self.paint = nn.Linear(width, 12)
        self.overlay = nn.Linear(width, len(OVERLAYS))
        self.words = nn.Linear(width, N_WORDS)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map tokens ``(n, 121, width)`` to the logits of every question."""
        tokens = self.norm(tokens)
        mean = tokens.mean(dim=1)
        return {
            "shape": self.shape(tokens),
            "colour": self.colour(tokens),
            "row": self.row(tokens),
            "column": self.column(tokens),
            "paint": self.paint(tokens),
            "overlay": self.overlay(mean),
            "words": self.words(mean),
        }


def patch_paint(pixel_values: torch.Tensor) -> torch.Tensor:
    """Return each token's patch in 2x2 pixels, ``(n, 121, 12)``."""
    small = functional.avg_pool2d(pixel_values, PATCH_SIDE // 2)
    return functional.unfold(small, kernel_size=2, stride=2).transpose(1, 2)


def dense_losses(
    answers: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], pixel_values: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the loss of each question.

    Tokens without a mark outnumber those with one, so they count a tenth in the mark questions.
    """
    losses: dict[str, torch.Tensor] = {}
    for name in ("shape", "colour"):
        logits = answers[name].float()
        weight = torch.ones(logits.shape[-1])
        weight[0] = 0.1
        losses[name] = functional.cross_entropy(
            logits.flatten(0, 1),
            batch[name].flatten(),
            weight=weight.to(logits.device),
            ignore_index=IGNORED,
        )
    for name in ("row", "column"):
        losses[name] = 0.5 * functional.cross_entropy(
            answers[name].float().flatten(0, 1), batch[name].flatten(), ignore_index=IGNORED
        )
    losses["paint"] = functional.mse_loss(answers["paint"].float(), patch_paint(pixel_values))
    losses["overlay"] = 0.5 * functional.cross_entropy(answers["overlay"].float(), batch["overlay"])
    by_image = functional.binary_cross_entropy_with_logits(
        answers["words"].float(), batch["words"], reduction="none"
    ).mean(1)
    losses["words"] = 10 * (by_image * batch["known"]).sum() / batch["known"].sum().clamp(min=1)
    return losses


@torch.no_grad()
def dense_accuracy(
    answers: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]
) -> dict[str, float]:
    """Return accuracies; ground is over tokens without a mark, the rest over those with one.

    The place is one of nine, as in the questions.
    """
    held = batch["shape"] > 0
    empty = batch["shape"] == 0
    hit = {name: answers[name].argmax(-1) == batch[name] for name in ("shape", "colour", "overlay")}
    cells = [answers[name].argmax(-1) // 2 == batch[name] // 2 for name in ("row", "column")]
    return {
        "shape": hit["shape"][held].float().mean().item(),
        "colour": hit["colour"][held].float().mean().item(),
        "place": (cells[0] & cells[1])[held].float().mean().item(),
        "ground": hit["colour"][empty].float().mean().item(),
        "overlay": hit["overlay"].float().mean().item(),
    }
