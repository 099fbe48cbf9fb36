"""Writes docs/models.md from the table of families: ``python -m bye_lint.models.reference``."""

from __future__ import annotations

import sys
from pathlib import Path

from bye_lint.models.families import FAMILIES, REFUSED

_HEAD = """# Model families

<!-- Written by `python -m bye_lint.models.reference` from bye_lint/models/families.py. -->

A family is listed here only if `tests/models/test_families.py` compares it with transformers' own
eager attention (`output_attentions=True`): a tiny random model of the real class, with its
processor built offline, is saved to disk and loaded by path. For every row below the tests compare

- token ids, image tensors and image-token spans with those of the processor's own public call;
- per-head masses, per-head entropies, entropies of the head average and the last hidden state,
  in float32 to 1e-5, one record at a time, in batches of mixed lengths padded right and left, and
  with records that share an image, ten questions of one word to ninety among them (Qwen3.5 padded
  left: 2e-5, as its linear attention sums in chunks that begin elsewhere);
- the same in bfloat16 against bfloat16 eager attention, to 0.08 (single heads: 0.16).

*Shares* says whether records about one image compute its keys and values only once. *Tokens* says
how image tokens are arranged: with a grid, evidence can be drawn on the image.

"""

_TAIL = """
## Limits of this evidence

- The weights are random and tiny; full-size checkpoints were not downloaded.
- Processors that use torchvision for videos (Qwen, GLM, InternVL, LLaVA-OneVision, SmolVLM,
  VideoLLaMA 3) are loaded without their video part. If torchvision is not installed, the image
  processors are the ones that work on PIL.
- The processors of Mistral 3, Command A Vision, Llama 4 and LFM2-VL need torchvision for images.
  Where it is installed the tests use these. Elsewhere they use those of LightOnOCR, Aya Vision and
  InternVL, whose image tokens the models accept just as well, and for LFM2-VL an image processor on
  PIL that gives the same tiles and sizes. With their own processors the spans are still checked
  record by record, and a record whose spans cannot be determined is not scored.
- FastVLM's tower needs timm; a ConvNeXt stood in for it.
- Llama 4 scales queries beyond the 8,192nd place of a row, so its records share nothing and each
  goes through every layer whole.
- GOT-OCR 2 refuses images nested by prompt, so the reference run passes them flat.
- If attention slides over a window that leaves out every image token, a layer has no image
  attention; such records are reported as not scored.
- Layers of linear attention and convolutions have no attention weights: hybrid models are read only
  in their full-attention layers, and their records share nothing.
- With `conv_bias` the convolutions of LFM2 pick up padding before the first token. Reading pads
  after the last token; fine-tuning pads before the first, as transformers does.
- If the number T of image tokens varies between records, entropies are divided by log T before
  they are compared, both in the detectors and in the result's samples, and the result says so
  (`detection.entropy_unit` names log T); with a fixed count they stay in nats.

"""


def models_page() -> str:
    """Return docs/models.md."""
    lines = ["| `model_type` | family | tokens | shares | special |", "|---|---|---|---|---|"]
    for family in sorted(FAMILIES.values(), key=lambda row: row.model_type):
        tiled = dict.fromkeys(("square", "spatial_shapes"), "grid where one tile")
        grid = {"none": "no grid", **tiled}.get(family.grid, "grid")
        hybrid = family.note.startswith("only its full-attention")
        shares = "yes" if family.causal and not hybrid else "no"
        lines.append(
            f"| `{family.model_type}` | {family.title} | {grid} | {shares} | {family.note} |"
        )
    refused = ["## Refused by name", ""]
    refused += [f"- `{name}`: {reason}." for name, reason in sorted(REFUSED.items())]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL + "\n".join(refused) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/models.md").write_text(
        models_page(), encoding="utf-8"
    )
