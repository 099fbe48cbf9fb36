r"""What a scout sees of marks drawn on images, set by set, also on those it was not trained on.

    python -m benchmarks.looking --pretrained eurosat grocery emoji pqdocs \
        --unseen data/stamps data/cifar data/fashion --document docs/scout.md

Held-out images (``test.json``) of the sets that the scout was trained on, and ``train.json`` of
the others, get drawn marks and overlays as in its pre-training, and it answers what is asked of
them. ``--weights`` takes another scout's folder, such as an earlier one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.documents import fill
from bye_lint.scout import scout_path
from bye_lint.scout.answering import AnswerBatches, TurnEncoder, read_turns
from bye_lint.scout.architecture import load_scout, normalise, tower_tokens
from bye_lint.scout.dense import IGNORED
from bye_lint.scout.measuring import Accuracy, measure
from bye_lint.scout.pretrain import HELD_OUT_BATCHES, HELD_OUT_SEED, HELD_OUT_SIZES
from bye_lint.scout.sources import Source, read_sources

#: What the scout should see; records and overriding phrases are no matter of looking.
SHOWN = ("colour", "shape", "place", "presence", "count", "overlay")


def look(folder: Path) -> Callable[[Sequence[Source]], dict[str, Accuracy]]:
    """Load a scout; return what measures its accuracies on drawings on some images."""
    model = load_scout(folder)
    encoder = TurnEncoder(PreTrainedTokenizerFast.from_pretrained(folder))
    prefix = torch.tensor(encoder.prefix)

    @torch.no_grad()
    def answer(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        features = tower_tokens(model, normalise(batch["pixels"]))
        packed = (batch[name] for name in ("ids", "turn", "position"))
        states = read_turns(model, prefix, features, *packed, torch.float32)
        logits: torch.Tensor = model.lm_head(states[batch["target"] != IGNORED])
        return logits

    def of(sources: Sequence[Source]) -> dict[str, Accuracy]:
        batches = AnswerBatches(sources, encoder, HELD_OUT_SIZES[1], HELD_OUT_SEED)
        return measure((batches[i] for i in range(HELD_OUT_BATCHES)), answer)

    return of


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
    accuracies = look(arguments.weights or scout_path())
    rows = [
        (folder.name, known, accuracies(read_sources([folder / name])))
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
