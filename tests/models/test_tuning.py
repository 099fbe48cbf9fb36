"""Every family is trained on what its own forward pass makes of prompt and answer."""

from __future__ import annotations

import pytest
import torch
from conformance import model_inputs
from tiny_families import BUILDERS, build
from tiny_models import QUESTIONS, make_image, make_sample

from bye_lint.models import FAMILIES, LoadedModel
from bye_lint.models.examples import answer_logits
from bye_lint.models.finetune import FineTuneSettings, prepare, tower_features
from bye_lint.models.tuning import encode_examples

SAMPLES = [
    make_sample(i, make_image(i, *size), f"<image>\n{QUESTIONS[i + 1]}")
    for i, size in enumerate([(40, 30), (30, 64), (40, 40)])
]


def own_logits(tiny, sample, answer, direct):
    """Return what the model itself says, one record at a time, with the processor's own inputs."""
    inputs = dict(model_inputs(tiny.processor, sample, direct))
    inputs.pop("labels", None)  # PaliGemma's processor makes some, of the prompt alone
    n = len(answer)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer[None]], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in inputs:  # PaliGemma: 1 is what does not see both ways
            of_answer = torch.full((1, n), int(direct), dtype=inputs[name].dtype)
            inputs[name] = torch.cat([inputs[name], of_answer], dim=1)
    with torch.no_grad():
        return tiny.model(**inputs, use_cache=False).logits[0, -n - 1 : -1]


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_padded_batch_gives_the_model_s_own_logits(name: str) -> None:
    tiny = build(name)
    loaded = LoadedModel(tiny.model, tiny.processor)
    examples, pixels = encode_examples(loaded, SAMPLES)
    assert all(example is not None for example in examples)
    features = None
    if pixels:  # LLaVA's are run once; test_finetune.py holds them against the whole model
        features = tower_features(tiny.model, pixels, bfloat16=False)
    direct = bool(FAMILIES[name].plain_prompt)
    expected = [
        own_logits(tiny, sample, example.input_ids[-example.answer_length :], direct)
        for sample, example in zip(SAMPLES, examples, strict=True)
    ]
    with torch.no_grad():
        found, labels = answer_logits(
            tiny.model, examples, loaded.pad_id, features, torch.device("cpu")
        )
    assert labels.tolist() == [
        int(token) for e in examples for token in e.input_ids[-e.answer_length :]
    ]
    expected = torch.cat(expected).float()
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4 * scale)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_adapters_are_in_the_decoder_alone(name: str) -> None:
    tiny = build(name)
    model = prepare(tiny.model, FineTuneSettings(method="lora"))
    adapted = [n for n, p in model.named_parameters() if p.requires_grad]
    decoder = f"model.{FAMILIES[name].decoder}."
    assert adapted
    assert all("lora_" in n and decoder in n for n in adapted)
