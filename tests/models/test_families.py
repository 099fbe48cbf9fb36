"""Every family that is claimed: the probe equals eager attention, loaded from disk by path."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from conformance import assert_rows_agree, image_token, model_inputs, references
from PIL import Image
from tiny_families import BUILDERS, build
from tiny_models import QUESTIONS, make_image, make_sample

from bye_lint.models import FAMILIES, LoadedModel, batching, extract, load_model, resolve_model
from bye_lint.policy import ModelPolicy

#: bfloat16 keeps eight bits of a score: entropies (nats) and masses differ by some hundredths
#: from bfloat16 eager, single heads by up to twice that.
BFLOAT16_TOLERANCE = 0.08


def mixed_samples() -> list:
    """Records of mixed lengths about images of two shapes, two of them about one image."""
    sizes = [(40, 30), (40, 30), (30, 64), (30, 64)]
    seeds = [0, 1, 2, 2]
    return [
        make_sample(i, make_image(seed, *size), f"<image>\n{QUESTIONS[i + 1]}")
        for i, (seed, size) in enumerate(zip(seeds, sizes, strict=True))
    ]


def test_every_family_is_built_here():
    assert set(BUILDERS) == set(FAMILIES)
    assert len(FAMILIES) >= 20


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def case(request, tmp_path_factory):
    """Yield a family's model as loaded from disk, and what eager attention says of the records."""
    tiny = build(request.param)
    folder = tiny.save(tmp_path_factory.mktemp(request.param))
    direct = bool(FAMILIES[request.param].plain_prompt)
    expected = references(tiny.model, tiny.processor, mixed_samples(), direct)
    loaded = load_model(resolve_model(ModelPolicy(name=folder.name), folder.parent), device="cpu")
    return loaded, expected, direct


def test_prompts_are_those_of_the_processor(case):
    loaded, expected, direct = case
    for sample, reference in zip(mixed_samples(), expected, strict=True):
        encoded = loaded.encoder.encode(sample)
        assert encoded.ids.tolist() == reference.ids
        vision = np.array(reference.ids) == image_token(loaded.whole_config)
        np.testing.assert_array_equal(encoded.component == 1, vision)
        text = loaded.processor.tokenizer.decode(encoded.ids[encoded.component == 2])
        assert text.strip() == sample.prompt.replace("<image>", "").strip()
        inputs = model_inputs(loaded.processor, sample, direct)
        for name, array in encoded.images.items():
            np.testing.assert_array_equal(array, inputs[name].numpy())


def test_one_record_at_a_time(case):
    loaded, expected, _ = case
    rows = extract(loaded, mixed_samples(), batch_tokens=1, sharing=False, maps=True)
    assert_rows_agree(rows, expected, atol=1e-5)


@pytest.mark.parametrize("padding", ["right", "left"])
def test_a_padded_batch(case, padding):
    loaded, expected, _ = case
    rows = extract(loaded, mixed_samples(), padding=padding, sharing=False)
    assert_rows_agree(rows, expected, atol=1e-5)


def test_records_that_share_an_image(case, monkeypatch):
    loaded, expected, _ = case
    # Whether it is worth it depends on the size of the model; here it always is.
    monkeypatch.setattr(batching, "_work", lambda slots, *_: -slots)
    assert_rows_agree(extract(loaded, mixed_samples()), expected, atol=1e-5)


def test_bfloat16(case):
    loaded, _, direct = case
    model = loaded.model.to(torch.bfloat16)
    try:
        half = LoadedModel(model, loaded.processor)
        reference = references(model, loaded.processor, mixed_samples()[:2], direct)
        rows = extract(half, mixed_samples()[:2])
        assert_rows_agree(rows, reference, atol=BFLOAT16_TOLERANCE, hidden=False)
    finally:
        model.to(torch.float32)


def test_attention_here_is_far_from_uniform(case):
    _, expected, _ = case
    spread = [np.log(r.image_tokens) - r.head_entropy.min() for r in expected]
    assert np.mean(spread) > 0.1


def test_grids_match_the_image_tokens(case):
    loaded, _, _ = case
    for row in extract(loaded, mixed_samples()[:1], maps=True):
        assert row.attention.shape == (len(loaded.layers), row.image_tokens)
        if row.grid is not None:
            assert row.grid[0] * row.grid[1] == row.image_tokens


def test_images_are_read_as_rgb():
    """A grey image with transparency goes the same way as its colour twin."""
    tiny = build("llava")
    grey = Image.open(io.BytesIO(make_image(0))).convert("LA")
    buffer = io.BytesIO()
    grey.save(buffer, format="PNG")
    loaded = LoadedModel(tiny.model, tiny.processor)
    (row,) = extract(loaded, [make_sample(0, buffer.getvalue(), "<image>\nWhat?")])
    assert row.scored
