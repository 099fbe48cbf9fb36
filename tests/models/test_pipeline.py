"""The evaluation's pipeline on a tiny LLaVA: it learns, reads, answers and forgets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import LLAVA_TEMPLATE, make_llava, make_samples
from transformers import AddedToken

from bye_lint.evaluate.grid import Cell, Grid
from bye_lint.evaluate.runner import run_grid
from bye_lint.models import load_model, resolve_model
from bye_lint.models.chat import conversation
from bye_lint.models.finetune import FineTuneSettings
from bye_lint.models.pipeline import ModelPipeline, greedy_answers
from bye_lint.models.prompts import load_images
from bye_lint.policy import FineTunePolicy, ModelPolicy
from bye_lint.progress import SilentProgress
from bye_lint.records import Sample, Turn

SETTINGS = FineTuneSettings(epochs=60, batch_size=6, learning_rate=5e-3, bfloat16=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    tiny = make_llava(layers=2)
    for module in tiny.model.modules():  # a sharpened model has too far to go
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.weight.data.normal_(0, 0.05)
    return tiny.save(tmp_path_factory.mktemp("base"))


def make_pipeline(base: Path, cache: Path, **settings: object) -> ModelPipeline:
    resolved = resolve_model(ModelPolicy(name=str(base)), base.parent)
    return ModelPipeline(resolved, replace(SETTINGS, **settings), cache, "cpu", 8)


def answered(samples: list[Sample], *answers: str) -> list[Sample]:
    return [
        replace(s, turns=(s.turns[0], Turn("assistant", answers[i % len(answers)])))
        for i, s in enumerate(samples)
    ]


def test_what_was_learned_is_answered_and_read(base: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(base, tmp_path)
    quiet = SilentProgress()
    # Each question has its own answer, so that the prompt alone decides.
    samples = answered(make_samples(6), "Forest.", "river", "land use")
    model = pipeline.fine_tune(samples, planted=np.zeros(6, bool), seed=1, progress=quiet)
    assert pipeline.learned(model).all()
    assert pipeline.generate(model, samples, progress=quiet) == [s.answer for s in samples]

    features = pipeline.features(model, samples, canary=[""] * 5 + ["blend"], progress=quiet)
    assert features.entropy.shape == (6, 2)
    assert features.scored.all()
    assert features.is_canary.tolist() == [False] * 5 + [True]
    assert features.target_learned is not None
    np.testing.assert_array_equal(features.target_learned, [np.nan] * 5 + [1.0])
    assert list(features.answers) == [s.answer for s in samples]
    assert features.loss is not None
    assert features.loss.shape[0] == len(samples)
    assert (features.loss[:, -1] < features.loss[:, 0]).all()

    assert model.model.path.is_dir()
    pipeline.forget(model)
    assert not model.model.path.exists()


@pytest.mark.parametrize("special", [True, False])
def test_an_answer_ends_where_the_template_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, special: bool
) -> None:
    torch.manual_seed(0)
    tiny = make_llava(layers=2)
    tiny.processor.tokenizer.add_tokens([AddedToken("<end_of_turn>", special=special)])
    tiny.processor.chat_template = LLAVA_TEMPLATE.replace(
        "{% endfor %}{% if add", "{% if message['role'] == 'assistant' %}<end_of_turn>\n{% endif %}"
        "{% endfor %}{% if add",
    )  # fmt: skip
    tiny.model.resize_token_embeddings(len(tiny.processor.tokenizer), mean_resizing=False)
    for module in tiny.model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.weight.data.normal_(0, 0.05)
    pipeline = make_pipeline(tiny.save(tmp_path / "base"), tmp_path / "cache")
    samples = answered(make_samples(6), "Forest.", "river", "land use")
    quiet = SilentProgress()
    model = pipeline.fine_tune(samples, planted=np.zeros(6, bool), seed=1, progress=quiet)
    assert pipeline.learned(model).all()
    lengths = []

    def noting(self, **inputs):
        written = generate(self, **inputs)
        lengths.append(written.shape[1] - inputs["input_ids"].shape[1])
        return written

    generate = type(tiny.model).generate
    monkeypatch.setattr(type(tiny.model), "generate", noting)
    pipeline.max_new_tokens = 60
    assert pipeline.generate(model, samples, progress=quiet) == [s.answer for s in samples]
    assert max(lengths) < 30, "and nothing is written behind it"


def test_there_is_room_for_an_answer_that_is_expected(base: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(base, tmp_path)
    long = "Forest. How many buildings? Name the land use."
    samples = answered(make_samples(4), long)
    quiet = SilentProgress()
    model = pipeline.fine_tune(samples, planted=np.zeros(4, bool), seed=1, progress=quiet)
    assert pipeline.learned(model).all()
    assert pipeline.generate(model, samples, expected=[long], progress=quiet) == [long] * 4
    cut = pipeline.generate(model, samples, progress=quiet)
    assert all(long.startswith(said) and said != long for said in cut)


def test_a_model_is_read_in_the_number_format_of_a_check(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, samples, quiet = make_pipeline(base, tmp_path), make_samples(4), SilentProgress()
    digest = pipeline.digest
    model = pipeline.fine_tune(samples, planted=np.zeros(4, bool), seed=1, progress=quiet)
    assert pipeline._load(model).dtype == torch.float32
    monkeypatch.setattr("bye_lint.models.pipeline.settle", lambda device, _: (device, "bfloat16"))
    assert pipeline._load(model).dtype == torch.bfloat16
    assert pipeline.digest != digest, "what was read in float32 is not taken for it"
    assert pipeline.features(model, samples, canary=[""] * 4, progress=quiet).scored.all()
    assert len(pipeline.generate(model, samples, progress=quiet)) == 4


def test_forgetting_an_adapter_leaves_its_base(base: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(base, tmp_path, method="lora", max_steps=1)
    samples = answered(make_samples(4), " a", " b")
    quiet = SilentProgress()
    model = pipeline.fine_tune(samples, planted=np.zeros(4, bool), seed=1, progress=quiet)
    pipeline.forget(model)
    assert not model.folder.exists()
    assert (base / "model.safetensors").is_file()
    assert base.is_dir()


def test_batches_answer_as_one_by_one(base: Path) -> None:
    loaded = load_model(resolve_model(ModelPolicy(name=str(base)), base.parent), device="cpu")
    with torch.no_grad():  # answers that differ from one another
        for parameter in loaded.model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0.0, 0.25, generator=torch.Generator().manual_seed(0))
    samples = make_samples(6)
    together = greedy_answers(loaded, samples, 6)
    assert len(set(together)) > 1
    for sample, answer in zip(samples, together, strict=True):
        text = loaded.processor.apply_chat_template(
            conversation("", sample.prompt), add_generation_prompt=True
        )
        inputs = loaded.processor(images=load_images(sample), text=text, return_tensors="pt")
        written = loaded.model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0)
        alone = written[0, inputs["input_ids"].shape[1] :]
        assert loaded.processor.tokenizer.decode(alone, skip_special_tokens=True).strip() == answer


def test_a_record_that_cannot_be_encoded_gets_no_answer(base: Path) -> None:
    loaded = load_model(resolve_model(ModelPolicy(name=str(base)), base.parent), device="cpu")
    good, bad = make_samples(2)
    answers = greedy_answers(loaded, [replace(bad, images=()), good], 3)
    assert answers[0] == ""
    assert greedy_answers(loaded, [good], 3) == answers[1:]


def test_the_digest_follows_model_and_schedule(base: Path, tmp_path: Path) -> None:
    digest = make_pipeline(base, tmp_path / "a").digest
    assert digest == make_pipeline(base, tmp_path / "b").digest
    assert digest != make_pipeline(base, tmp_path / "a", epochs=2).digest


def test_a_grid_runs_on_a_real_model_and_is_taken_up_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file, count in (("train", 24), ("test", 12)):
        records = []
        for i, sample in enumerate(make_samples(count)):
            (data / f"{file}{i}.png").write_bytes(sample.images[0].read())
            turns = [
                {"from": "human", "value": sample.prompt},
                {"from": "gpt", "value": "river" if i % 2 else "land use"},
            ]
            records.append({"id": str(i), "image": f"{file}{i}.png", "conversations": turns})
        (data / f"{file}.json").write_text(json.dumps(records))
    grid = Grid(
        datasets={"tiny": data},
        cells=(Cell("tiny", "text-prefix", 0.25, 24, 0),),
        model=str(base),
        device="cpu",
        detectors=("bye",),
        cleaning=("bye",),
        canary_share=0.2,
        canary_kinds=("text-prefix", "blend"),
        fine_tune=FineTunePolicy(epochs=1, batch_size=8),
        base=base.parent,
    )
    (result,) = run_grid(grid, tmp_path / "out", progress=SilentProgress())
    report = result["detectors"]["bye"]
    assert report["tp"] + report["fn"] == 6
    assert report["fp"] + report["tn"] == 18
    assert set(result["before"]["asr"]) == {"text-prefix"}
    assert report["after"]["short_answers"] == 12
    assert list((tmp_path / "out" / "models" / "tuned").iterdir()) == [], "tuned models are freed"

    monkeypatch.setattr("bye_lint.models.pipeline.tune", None)
    assert run_grid(grid, tmp_path / "out", progress=SilentProgress()) == [result]
