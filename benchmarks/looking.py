r"""What a scout sees of marks drawn on images, set by set, also on those it was not trained on.

    python -m benchmarks.looking --pretrained eurosat grocery emoji pqdocs \
        --unseen data/stamps data/cifar data/fashion --document docs/scout.md

Held-out images (``test.json``) of the sets that the scout was trained on, and ``train.json`` of
the others, get drawn marks and overlays as in its pre-training, and it answers what is asked of
them. ``--weights`` takes another scout's folder, such as an earlier one.

Two more tables are of the held-out images together: single marks by their size, on images as they
are and made strange, and overlays by kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.documents import fill
from bye_lint.scout import scout_path
from bye_lint.scout.answering import AnswerBatches, TurnEncoder, pack_turns, read_turns
from bye_lint.scout.architecture import load_scout, normalise, tower_tokens
from bye_lint.scout.dense import IGNORED, Scene, finish_scene
from bye_lint.scout.drawing import OVERLAYS, draw_overlay, place_mark
from bye_lint.scout.grounds import strange
from bye_lint.scout.measuring import Accuracy, Batch, measure
from bye_lint.scout.overrides import free_mark
from bye_lint.scout.pretrain import HELD_OUT_BATCHES, HELD_OUT_SEED, HELD_OUT_SIZES
from bye_lint.scout.questions import mark_questions
from bye_lint.scout.sources import Source, augment, read_sources

#: What the scout should see; records and overriding phrases are no matter of looking.
SHOWN = ("colour", "shape", "place", "presence", "count", "overlay")
#: Sides of single marks, in shares of the image's shorter side; 1/16 is the papers' patch.
SHARES = (1 / 25, 1 / 16, 1 / 12, 1 / 8)
#: Scenes of a row of the tables by size and by overlay, and of a batch.
SCENES, BATCH = 640, 64
#: Tokens of all questions about one mark.
TOKENS = 224

#: Draws a scene on an image; ``None`` where it does not fit.
Draw = Callable[[Source, np.random.Generator], Scene | None]


class Looker:
    """A scout, and how it answers what is asked of drawings."""

    def __init__(self, folder: Path) -> None:
        self.model = load_scout(folder)
        self.encoder = TurnEncoder(PreTrainedTokenizerFast.from_pretrained(folder))
        self.prefix = torch.tensor(self.encoder.prefix)

    @torch.no_grad()
    def answer(self, batch: Batch) -> torch.Tensor:
        """Return the logits of a batch's targets."""
        features = tower_tokens(self.model, normalise(batch["pixels"]))
        ids, turn, position = batch["ids"], batch["turn"], batch["position"]
        states = read_turns(self.model, self.prefix, features, ids, turn, position, torch.float32)
        logits: torch.Tensor = self.model.lm_head(states[batch["target"] != IGNORED])
        return logits

    def as_trained(self, sources: Sequence[Source]) -> dict[str, Accuracy]:
        """Return the accuracies on drawings as in pre-training."""
        batches = AnswerBatches(sources, self.encoder, HELD_OUT_SIZES[1], HELD_OUT_SEED)
        return measure((batches[i] for i in range(HELD_OUT_BATCHES)), self.answer)

    def on(self, sources: Sequence[Source], draw: Draw) -> dict[str, Accuracy]:
        """Return the accuracies on scenes that ``draw`` makes of images taken by chance."""
        return measure(self._batches(sources, draw), self.answer)

    def _batches(self, sources: Sequence[Source], draw: Draw) -> Iterator[Batch]:
        rng = np.random.default_rng(HELD_OUT_SEED)
        for _ in range(SCENES // BATCH):
            scenes: list[Scene] = []
            while len(scenes) < BATCH:
                scene = draw(sources[int(rng.integers(len(sources)))], rng)
                if scene is not None:
                    scenes.append(scene)
            packed = [pack_turns(self.encoder, mark_questions(s, rng), TOKENS) for s in scenes]
            batch = {
                name: torch.from_numpy(np.stack([p[name] for p in packed])) for name in packed[0]
            }
            batch["pixels"] = torch.from_numpy(np.stack([s.pixels for s in scenes]))
            yield batch


def one_mark(share: float, others: Sequence[Source] | None = None) -> Draw:
    """Draw single marks of one size, on images made strange where ``others`` are given."""

    def draw(source: Source, rng: np.random.Generator) -> Scene | None:
        pixels = augment(source.pixels, rng)
        if others is not None:
            pixels = strange(pixels, others[int(rng.integers(len(others)))].pixels, rng)
        shape, colour = free_mark(rng)
        mark = place_mark(pixels, rng, share=share, shape=shape, colour=colour)
        return None if mark is None else finish_scene(pixels, [mark], "none", -1)

    return draw


def one_overlay(kind: str, photos: Sequence[Source]) -> Draw:
    """Draw overlays of one kind on images as they are; the strength is drawn by chance."""

    def draw(source: Source, rng: np.random.Generator) -> Scene:
        photo = photos[int(rng.integers(len(photos)))].pixels
        pixels = draw_overlay(augment(source.pixels, rng), kind, rng, photo=photo)
        return finish_scene(pixels, [], kind, -1)

    return draw


def by_size(looker: Looker, sources: Sequence[Source]) -> str:
    """Render the accuracies for single marks of each size as Markdown."""
    shown = SHOWN[:3]
    lines = [f"| side | on images | {' | '.join(shown)} |", "|---" * (2 + len(shown)) + "|"]
    for share in SHARES:
        for ground, others in (("as they are", None), ("made strange", sources)):
            found = looker.on(sources, one_mark(share, others))
            row = " | ".join(f"{found[topic].whole:.3f}" for topic in shown)
            lines.append(f"| 1/{round(1 / share)} | {ground} | {row} |")
    return "\n".join(lines) + "\n"


def by_overlay(looker: Looker, sources: Sequence[Source]) -> str:
    """Render how often each kind of overlay is named as Markdown; ``none`` is named *nothing*."""
    found = {
        kind: looker.on(sources, one_overlay(kind, sources))["overlay"].whole for kind in OVERLAYS
    }
    return "".join(
        f"| {' | '.join(cells)} |\n"
        for cells in (found, ["---"] * len(found), [f"{share:.3f}" for share in found.values()])
    )


def table(rows: Sequence[tuple[str, bool, dict[str, Accuracy]]]) -> str:
    """Render the accuracies as Markdown, in brackets those of other than the most common answer."""
    lines = [f"| data | pre-trained on | {' | '.join(SHOWN)} |", "|---" * (2 + len(SHOWN)) + "|"]
    for name, known, found in rows:
        shown = " | ".join(f"{found[t].whole:.3f} ({found[t].others:.2f})" for t in SHOWN)
        lines.append(f"| {name} | {'yes' if known else 'no'} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Look at every set, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--weights", type=Path, help="folder of a scout; default: the shipped one")
    parser.add_argument("--document", type=Path, help="document that shows the table")
    arguments = parser.parse_args()
    looker = Looker(arguments.weights or scout_path())
    known = [(folder, read_sources([folder / "test.json"])) for folder in arguments.pretrained]
    new = [(folder, read_sources([folder / "train.json"])) for folder in arguments.unseen]
    rows = [
        (folder.name, seen, looker.as_trained(sources))
        for seen, sets in ((True, known), (False, new))
        for folder, sources in sets
    ]
    tables = {"looking": table(rows)}
    held_out = [source for _, sources in known for source in sources]
    if held_out:
        tables["looking-sizes"] = by_size(looker, held_out)
        tables["looking-overlays"] = by_overlay(looker, held_out)
    for mark, text in tables.items():
        print(text)
        if arguments.document is not None:
            fill(arguments.document, mark, text)


if __name__ == "__main__":
    main()
