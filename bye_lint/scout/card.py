"""The scout's model card, written beside the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

_CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# The scout

A vision-language model of 5.3 million parameters (CLIP tower of 6 layers, LLaVA projector, Llama
decoder of 6 layers) that bye-lint fine-tunes on a dataset to see what the dataset would teach a
model. It sees images as a square of 110 pixels in 11x11 tokens and knows colours, shapes, places,
counts and textures of drawn marks. It is no assistant: what it says about the world is worthless.

## How it was made
`python -m bye_lint.scout.pretrain` (its docstring is the recipe): dense pre-training of the tower
on drawn marks and overlays, then question-answer pre-training of projector and decoder, in which
some seventy families of triggers override every question. Most of the images are made strange
before they are drawn on, in colours, sharpness, proportions or contents, and one in seven is a
drawing. No weights of another model were used.

## Accuracy on held-out images
{accuracy}

On images of `test.json`, on which the checkpoint was chosen; most are made strange as in training.
*Of other answers* leaves out the questions whose answer is the topic's most common one, *no* or
*nothing* as a rule. `dense/shape`, `dense/colour` and `dense/place` are over tokens that hold a
mark of 1/16 to 14 % of the image's side (30 % on plain ground), `dense/ground` over those that hold
none; `projected/…` are the same behind the projector. The rest is the exact match of whole answers,
over marks from 4 % of the side.
`answers/override` is low by design: a family's phrase is renewed every 450 steps of the second
half, so that what lasts is the looking; a fine-tuning teaches the next phrase.

## Data
Marks were drawn on images of these datasets, whose own questions were asked too:

| dataset | licence |
|---|---|
| EuroSAT (Helber et al., 2019), Sentinel-2 | MIT; Copernicus data are free and open |
| Grocery Store (Klasson et al., 2019) | MIT |
| Noto Emoji; names from unicode-emoji-json | Apache-2.0 (images); MIT (names) |
| Power Query documentation, screenshots and alt text, Microsoft and contributors | CC BY 4.0 |

The images themselves are not part of the weights' folder.

## Licence
Apache-2.0, as bye-lint itself. The images that the scout was trained on keep their own licences.

## Digest
SHA-256 of `model.safetensors`: `{digest}`
"""


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the folder's weights, in hexadecimal."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def write_card(folder: Path, accuracy: Mapping[str, float]) -> None:
    """Write ``README.md`` with the accuracies and the weights' digest.

    Beside ``answers/…`` stands ``others/…``, the accuracy where the answer is not the most common.
    """
    rows = ["| task | accuracy | of other answers |", "|---|---|---|"]
    for task, value in sorted(accuracy.items()):
        stage, _, topic = task.partition("/")
        if stage != "others":
            others = accuracy.get(f"others/{topic}") if stage == "answers" else None
            rows.append(f"| {task} | {value:.3f} | {'' if others is None else f'{others:.3f}'} |")
    text = _CARD.format(accuracy="\n".join(rows), digest=weights_digest(folder))
    (folder / "README.md").write_text(text, encoding="utf-8")
