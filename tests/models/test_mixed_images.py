"""Records with one image, with two and with none, side by side in one dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_end_to_end import check, save_model, write_data
from tiny_families import build
from tiny_models import QUESTIONS, make_image, make_sample

from bye_lint.models import LoadedModel, extract, load_model, resolve_model, tune
from bye_lint.models.examples import answer_logits, tower_features
from bye_lint.models.finetune import FineTuneSettings
from bye_lint.models.pipeline import greedy_answers
from bye_lint.models.tuning import encode_examples
from bye_lint.policy import ModelPolicy
from bye_lint.records import ImageSource, Sample, Turn


def mixed(first: int = 0) -> list[Sample]:
    """Return records of two, one and two images, and one without any."""
    made = []
    for i in range(first, first + 3):
        n = 1 + (i % 2 == 0)
        sample = make_sample(i, b"", "<image>" * n + f"\n{QUESTIONS[i + 1]}")
        images = tuple(ImageSource(f"{i}-{k}", data=make_image(7 * i + k)) for k in range(n))
        made.append(replace(sample, images=images))
    return [*made, replace(make_sample(9, b"", QUESTIONS[0]), images=())]


@pytest.mark.parametrize("first", [0, 1])
def test_features_of_every_image_are_put_where_it_stands(first: int) -> None:
    tiny = build("llava")
    loaded = LoadedModel(tiny.model, tiny.processor)
    samples = mixed(first)
    examples, pixels = encode_examples(loaded, samples)
    assert [e and len(e.images) for e in examples] == [len(s.images) or None for s in samples]
    kept = [e for e in examples if e is not None]
    features = tower_features(tiny.model, pixels, bfloat16=False)
    whole = [
        replace(e, inputs={"pixel_values": torch.stack([pixels[k] for k in e.images])})
        for e in kept
    ]
    device = torch.device("cpu")
    with torch.no_grad():
        found, labels = answer_logits(tiny.model, kept, loaded.pad_id, features, device)
        expected, same = answer_logits(tiny.model, whole, loaded.pad_id, None, device)
    assert labels.tolist() == same.tolist()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "smolvlm"])
def test_a_mixed_set_is_trained_on_read_and_asked(name: str, tmp_path: Path) -> None:
    build(name).save(tmp_path / "base")
    base = resolve_model(ModelPolicy(name="base"), tmp_path)
    settings = FineTuneSettings(max_steps=3, batch_size=4, bfloat16=False)
    samples = mixed()
    tuned = tune(base, samples, settings, cache=tmp_path / "cache", device="cpu")
    assert tuned.losses is not None
    assert np.isfinite(tuned.losses[:3]).all()
    assert np.isnan(tuned.losses[3]).all()
    loaded = load_model(tuned.model, device="cpu")
    rows = extract(loaded, samples)
    assert [row.scored for row in rows] == [True, True, True, False]
    assert len(greedy_answers(loaded, samples, 2)) == 4


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "gemma3"])
def test_an_answer_that_spells_the_image_token_is_not_scored(name: str, tmp_path: Path) -> None:
    build(name).save(tmp_path / "base")
    base = resolve_model(ModelPolicy(name="base"), tmp_path)
    sample = make_sample(3, make_image(3), f"<image>\n{QUESTIONS[1]}")
    loaded = load_model(base, device="cpu")
    token = loaded.processor.tokenizer.convert_ids_to_tokens(loaded.encoder.image_token_id)
    spelled = replace(sample, turns=(sample.turns[0], Turn("assistant", f"A {token}.")))
    settings = FineTuneSettings(max_steps=2, batch_size=4, bfloat16=False)
    samples = [*mixed()[:3], spelled]
    tuned = tune(base, samples, settings, cache=tmp_path / "cache", device="cpu")
    assert not tuned.learned[3]
    rows = extract(load_model(tuned.model, device="cpu"), samples)
    assert [row.scored for row in rows] == [True, True, True, False]
    assert "answer spells the model's own image token" in rows[3].error


def test_such_a_record_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data = write_data(tmp_path) / "train.json"
    save_model("qwen2_5_vl", tmp_path)
    text = data.read_text(encoding="utf-8")
    token = "<|image_pad|>"
    data.write_text(text.replace('"Forest."', f'"Forest {token}."', 1), encoding="utf-8")
    _, result = check(tmp_path)
    (skipped,) = result["skipped"]
    assert "image token" in skipped["message"]
    assert skipped["line"] == 2
