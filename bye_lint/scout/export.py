"""What the tokenizer is trained on, and the folder that the scout is shipped as."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from bye_lint.scout.architecture import build_scout
from bye_lint.scout.dense import draw_scene
from bye_lint.scout.overrides import FAMILIES, RENEWAL_STEPS, phrase_at
from bye_lint.scout.questions import OVERLAY_ANSWERS, mark_questions
from bye_lint.scout.sources import Source
from bye_lint.scout.tokens import SYSTEM_PROMPT, build_processor


def corpus(sources: Sequence[Source]) -> Iterator[str]:
    """Yield the text that the tokenizer is trained on."""
    yield SYSTEM_PROMPT
    yield from OVERLAY_ANSWERS.values()
    for source in sources:
        for question, answer in source.turns:
            yield question
            yield answer
    rng = np.random.default_rng(0)
    for _ in range(300):
        for turn in mark_questions(draw_scene(sources, rng, marks=2, overlay="none"), rng):
            yield turn.question
            yield turn.answer
    for family in FAMILIES:
        for renewal in range(10):
            yield phrase_at(family, renewal * RENEWAL_STEPS, steady_until=0, seed=0)


def export_model(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write model (bfloat16 safetensors), tokenizer, processor and chat template.

    What loading an earlier scout leaves in configurations is no part of this one.
    """
    config: Any = copy.deepcopy(model.config)
    for part in (config, config.text_config, config.vision_config):
        part.dtype = None
    for left in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(left, None)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    small: Any = build_scout(config, 0)
    small.to(torch.bfloat16)
    small.load_state_dict(state)
    small.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # written for its owner alone
