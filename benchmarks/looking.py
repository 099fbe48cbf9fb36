r"""What a scout sees of marks drawn on images, set by set, also on those it was not trained on.

    python -m benchmarks.looking --pretrained eurosat grocery emoji pqdocs \
        --unseen data/stamps data/cifar data/fashion --document docs/scout.md

Held-out images (``test.json``) of the sets that the scout was trained on, and ``train.json`` of
the others, get drawn marks and overlays as in its pre-training, and it answers what is asked of
them. ``--weights`` takes another scout's folder, such as an earlier one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.documents import fill
from bye_lint.scout import scout_path
from bye_lint.scout.answering import (
    AnswerBatches,
    TurnEncoder,
    embed,
    sequence_positions,
    shared_prefix_mask,
    topic_accuracy,
)
from bye_lint.scout.architecture import IMAGE_TOKENS, load_scout, normalise
from bye_lint.scout.dense import IGNORED
from bye_lint.scout.pretrain import HELD_OUT_BATCHES, HELD_OUT_SEED, HELD_OUT_SIZES
from bye_lint.scout.sources import Source, read_sources

#: What the scout should see; records and overriding phrases are no matter of looking.
SHOWN = ("colour", "shape", "place", "presence", "count", "overlay")


class Looker:
    """A scout that answers packed questions."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = load_scout(folder)
        self.encoder = TurnEncoder(PreTrainedTokenizerFast.from_pretrained(folder))
        self.prefix = torch.tensor(self.encoder.prefix)

    @torch.no_grad()
    def accuracy(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the share of right answers by topic."""
        before = len(self.prefix) + IMAGE_TOKENS
        seen = self.model.model.vision_tower(
            pixel_values=normalise(batch["pixels"]), output_hidden_states=True
        )
        states = self.model.model.language_model(
            inputs_embeds=embed(
                self.model, self.prefix, seen.hidden_states[-1][:, 1:], batch["ids"]
            ),
            attention_mask=shared_prefix_mask(batch["turn"], before, torch.float32),
            position_ids=sequence_positions(batch["position"], before),
            use_cache=False,
        ).last_hidden_state[:, before:]
        answered = self.model.lm_head(states[batch["target"] != IGNORED])
        return topic_accuracy(answered, batch)


def look(looker: Looker, sources: Sequence[Source]) -> dict[str, float]:
    """Return the accuracies on drawings on some images."""
    batches = AnswerBatches(sources, looker.encoder, HELD_OUT_SIZES[1], HELD_OUT_SEED)
    found: dict[str, list[float]] = {}
    for number in range(HELD_OUT_BATCHES):
        for topic, value in looker.accuracy(batches[number]).items():
            found.setdefault(topic, []).append(value)
    return {topic: float(np.mean(values)) for topic, values in found.items()}


def table(rows: Sequence[tuple[str, bool, dict[str, float]]]) -> str:
    """Render the accuracies as Markdown."""
    lines = [f"| data | pre-trained on | {' | '.join(SHOWN)} |", "|---" * (2 + len(SHOWN)) + "|"]
    for name, known, found in rows:
        shown = " | ".join(f"{found[topic]:.3f}" for topic in SHOWN)
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
    rows = [
        (folder.name, known, look(looker, read_sources([folder / name])))
        for known, folders, name in (
            (True, arguments.pretrained, "test.json"),
            (False, arguments.unseen, "train.json"),
        )
        for folder in folders
    ]
    text = table(rows)
    print(text)
    if arguments.document is not None:
        fill(arguments.document, "looking", text)


if __name__ == "__main__":
    main()
