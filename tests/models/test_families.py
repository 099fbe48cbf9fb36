"""Every family that is claimed: the probe equals eager attention, loaded from disk by path."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from conformance import assert_rows_agree, image_token, model_inputs, references
from PIL import Image
from tiny_families import BUILDERS, TORCHVISION, build
from tiny_models import QUESTIONS, make_image, make_sample

from bye_lint.exhibits import Box
from bye_lint.models import FAMILIES, LoadedModel, batching, extract, load_model, resolve_model
from bye_lint.models.grids import image_grid
from bye_lint.models.views import image_view
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
    loaded = load_model(resolve_model(ModelPolicy(name=folder.name), folder.parent), device="cpu")
    # where torchvision is there transformers loads image processors that resize by it
    processor = loaded.processor if TORCHVISION else tiny.processor
    expected = references(tiny.model, processor, mixed_samples(), direct)
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
            own = inputs[name].float() if inputs[name].is_floating_point() else inputs[name]
            np.testing.assert_array_equal(array, own.numpy())


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


def conversation() -> list:
    """Ten questions about one image, of one word to ninety, and two about another."""
    words = ["where", "is", "the", "river,", "and", "what", "flows", "in", "it"]
    lengths = [(0, n) for n in (1, 90, 2, 40, 3, 90, 5, 7, 11, 20)] + [(1, 1), (1, 60)]
    return [
        make_sample(
            i,
            make_image(image, *((40, 30), (30, 64))[image]),
            f"<image>\n{' '.join(words[(i + k) % len(words)] for k in range(n))}",
        )
        for i, (image, n) in enumerate(lengths)
    ]


def test_questions_that_differ_much_in_length(case, monkeypatch):
    loaded, _, direct = case
    expected = references(loaded.model, loaded.processor, conversation(), direct)
    for padding in ("right", "left"):
        rows = extract(loaded, conversation(), padding=padding, sharing=False)
        # Padding before a prompt moves it against the chunks in which a linear attention sums.
        moved = padding == "left" and loaded.family.model_type == "qwen3_5"
        assert_rows_agree(rows, expected, atol=2e-5 if moved else 1e-5)
    monkeypatch.setattr(batching, "_work", lambda slots, *_: -slots)
    assert_rows_agree(extract(loaded, conversation()), expected, atol=1e-5)


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


#: Families that lay one grid on an image of any size, and those that cut it into tiles.
WHOLE = ("llava", "vipllava", "fast_vlm", "deepseek_vl", "gemma3", "paligemma", "got_ocr2")
TILED = ("internvl", "aya_vision", "cohere2_vision", "ovis2", "idefics3", "smolvlm")


@pytest.mark.parametrize("name", TILED)
def test_tiles_are_no_grid_however_many_tokens_they_have(name):
    tiny = build(name)
    loaded = LoadedModel(tiny.model, tiny.processor)
    encoded = loaded.encoder.encode(make_sample(0, make_image(0, 30, 90), "<image>\nWhat?"))
    assert np.asarray(encoded.images["pixel_values"]).shape[-4] > 1
    assert image_grid(loaded.family, loaded.whole_config, encoded) is None


@pytest.mark.parametrize("name", ["vipllava", "gemma3"])
def test_two_images_are_no_grid(name):
    tiny = build(name)
    loaded = LoadedModel(tiny.model, tiny.processor)
    one = make_sample(0, make_image(0), "<image>\nWhat?")
    two = make_sample(1, make_image(0), "<image><image>\nWhat?", images=2)
    four = make_sample(2, make_image(0), "<image>" * 4 + "\nWhat?", images=4)
    grids = [
        image_grid(loaded.family, loaded.whole_config, loaded.encoder.encode(sample))
        for sample in (one, two, four)
    ]
    assert grids[0] is not None
    assert grids[1:] == [None, None]


def gradient(width, height):
    """Return a PNG whose red tells the column and whose green tells the row, from 0 to 1."""
    pixels = np.zeros((height, width, 3))
    pixels[..., 0] = (np.arange(width) + 0.5)[None] / width
    pixels[..., 1] = (np.arange(height) + 0.5)[:, None] / height
    buffer = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(96, 64), (50, 120), (64, 64)])
@pytest.mark.parametrize("name", WHOLE)
def test_the_view_is_what_the_tower_is_given(name, size, tmp_path):
    build(name).save(tmp_path / name)
    resolved = resolve_model(ModelPolicy(name=name), tmp_path)
    loaded = load_model(resolved, device="cpu")
    view = image_view(resolved)(*size) or Box(0.0, 0.0, 1.0, 1.0)
    encoded = loaded.encoder.encode(make_sample(0, gradient(*size), "<image>\nWhat?"))
    images = loaded.processor.image_processor
    mean, std = (np.array(v)[:, None, None] for v in (images.image_mean, images.image_std))
    seen = np.asarray(encoded.images["pixel_values"])[0] * std + mean
    rows, columns = seen.shape[1:]
    x = view.left + view.width * (np.arange(columns) + 0.5) / columns
    y = view.top + view.height * (np.arange(rows) + 0.5) / rows
    # a pixel of the border, where padding and interpolation mix, is neither
    inner = [(at > 0.1) & (at < 0.9) for at in (x, y)]
    assert inner[0].sum() > 8 or inner[1].sum() > 8
    middle = seen[:, rows // 2, :], seen[:, :, columns // 2]
    np.testing.assert_allclose(middle[0][0][inner[0]], x[inner[0]], atol=0.03)
    np.testing.assert_allclose(middle[1][1][inner[1]], y[inner[1]], atol=0.03)


def test_a_grid_has_the_image_s_shape_and_tiles_have_none():
    tiny = build("lfm2_vl")
    whole, _, tiled, _ = extract(LoadedModel(tiny.model, tiny.processor), mixed_samples())
    assert (whole.grid, whole.image_tokens) == ((3, 4), 12)
    assert (tiled.grid, tiled.image_tokens) == (None, 2 * 4 + 5 * 2)


def test_images_may_come_in_bfloat16(monkeypatch):
    """Llama 4's processor gives them so; numpy has no such numbers."""
    tiny = build("llava")
    cls, sample = type(tiny.processor), mixed_samples()[0]
    whole = LoadedModel(tiny.model, tiny.processor).encoder.encode(sample).images["pixel_values"]
    call = cls.__call__

    def halved(self, *args, **kwargs):
        output = call(self, *args, **kwargs)
        output["pixel_values"] = output["pixel_values"].bfloat16()
        return output

    monkeypatch.setattr(cls, "__call__", halved)
    half = LoadedModel(tiny.model, tiny.processor).encoder.encode(sample).images["pixel_values"]
    np.testing.assert_array_equal(half, torch.from_numpy(whole).bfloat16().float().numpy())


def test_images_are_read_as_rgb():
    """A grey image with transparency goes the same way as its colour twin."""
    tiny = build("llava")
    grey = Image.open(io.BytesIO(make_image(0))).convert("LA")
    buffer = io.BytesIO()
    grey.save(buffer, format="PNG")
    loaded = LoadedModel(tiny.model, tiny.processor)
    (row,) = extract(loaded, [make_sample(0, buffer.getvalue(), "<image>\nWhat?")])
    assert row.scored
