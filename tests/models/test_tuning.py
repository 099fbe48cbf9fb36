"""Every family is trained on what its own forward pass makes of prompt and answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as hf
from conformance import model_inputs
from tiny_families import BUILDERS, build, lighton_processor, text_config, tower
from tiny_models import (
    QUESTIONS,
    PackedLinear,
    Tiny,
    make_image,
    make_llava,
    make_sample,
    pack,
    sharpen,
)

from bye_lint import learning, models
from bye_lint.errors import DatasetError, MissingExtraError, ModelError
from bye_lint.models import (
    FAMILIES,
    LoadedModel,
    encoding,
    examples,
    extract,
    load_model,
    prompts,
    resolve_model,
    schedule,
    tune,
    tuning,
)
from bye_lint.models.examples import answer_logits, answers_right
from bye_lint.models.finetune import FineTuneSettings, prepare, tower_features
from bye_lint.models.locks import held
from bye_lint.models.ranks import Ranks
from bye_lint.models.schedule import METRICS
from bye_lint.models.tuning import encode_examples
from bye_lint.policy import DatasetPolicy, FineTunePolicy, ModelPolicy, Policy
from bye_lint.progress import SilentProgress
from bye_lint.records import ImageSource

SAMPLES = [
    make_sample(i, make_image(i, *size), f"<image>\n{QUESTIONS[i + 1]}")
    for i, size in enumerate([(40, 30), (30, 64), (40, 40)])
]


def own_logits(tiny, sample, answer, direct):
    """Return what the model itself says, one record at a time, with the processor's own inputs."""
    inputs = dict(model_inputs(tiny.processor, sample, direct))
    inputs.pop("labels", None)  # PaliGemma's processor makes some, of the prompt alone
    inputs = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
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


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_adapters_get_gradients_from_an_answer(name: str) -> None:
    tiny = build(name)
    examples, _ = encode_examples(LoadedModel(tiny.model, tiny.processor), SAMPLES, kept_bytes=0)
    pad_id = LoadedModel(tiny.model, tiny.processor).pad_id
    model = prepare(tiny.model, FineTuneSettings(method="lora")).train()
    logits, labels = answer_logits(model, examples, pad_id, None, torch.device("cpu"))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    moved = {n: p.grad for n, p in model.named_parameters() if "lora_B" in n}
    assert moved
    assert all(grad is not None and grad.isfinite().all() for grad in moved.values())
    assert any(grad.any() for grad in moved.values())


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava"])
def test_images_beyond_the_bound_are_read_again(name: str) -> None:
    tiny = build(name)
    loaded = LoadedModel(tiny.model, tiny.processor)
    kept, _ = encode_examples(loaded, SAMPLES)
    again, pixels = encode_examples(loaded, SAMPLES, kept_bytes=0)
    assert pixels == {}
    device = torch.device("cpu")
    with torch.no_grad():
        found, _ = answer_logits(tiny.model, again, loaded.pad_id, None, device)
    whole = [own_logits(tiny, s, e.input_ids[-e.answer_length :], False)
             for s, e in zip(SAMPLES, kept, strict=True)]  # fmt: skip
    torch.testing.assert_close(found, torch.cat(whole), rtol=1e-4, atol=1e-3)
    for a, b in zip(kept, again, strict=True):
        assert not isinstance(b.inputs, dict)
        assert all(torch.equal(b.inputs[key], a.inputs[key]) for key in a.inputs)


def test_images_read_again_are_kept_within_bounds(monkeypatch) -> None:
    tiny = build("qwen2_5_vl")
    loaded = LoadedModel(tiny.model, tiny.processor)
    examples, _ = encode_examples(loaded, SAMPLES, kept_bytes=0)
    reads = []
    encode = type(loaded.encoder).encode_shared
    monkeypatch.setattr(
        type(loaded.encoder),
        "encode_shared",
        lambda self, samples, **options: reads.append(1) or encode(self, samples, **options),
    )
    for _ in range(2):
        [dict(example.inputs) for example in examples]
    assert len(reads) == len(SAMPLES)
    again = examples[0].inputs._again
    monkeypatch.setattr(encoding, "_READ_AHEAD_BYTES", 1)
    again._kept.clear()
    [dict(example.inputs) for example in examples]
    assert len(again._kept) == 1


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava", "internvl"])
def test_questions_about_one_image_decode_it_once(name, monkeypatch) -> None:
    tiny = build(name)
    loaded = LoadedModel(tiny.model, tiny.processor)
    images = [make_image(0, 40, 30), make_image(1, 30, 64)]
    samples = [make_sample(i, images[i // 6], f"<image>\n{QUESTIONS[i % 6]}") for i in range(12)]
    samples = [replace(s, images=samples[i // 6 * 6].images) for i, s in enumerate(samples)]
    alone = [encode_examples(loaded, [sample])[0][0] for sample in samples]
    decoded, decode = [], prompts.load_images

    def noting(sample, **options):
        decoded.append(sample.id)
        return decode(sample, **options)

    monkeypatch.setattr(prompts, "load_images", noting)
    size = sum(t.nbytes for i in (0, 6) for t in alone[i].inputs.values())
    together, _ = encode_examples(loaded, samples, kept_bytes=size or 2**20)
    assert decoded == ["r0", "r6"]
    assert all(isinstance(example.inputs, dict) for example in together)
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.input_ids, other.input_ids)
        assert one.images == other.images
        for field in ("inputs", "tokens"):
            mine, theirs = getattr(one, field), getattr(other, field)
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("kept_bytes", [0, 2**30])
def test_an_image_is_learned_up_to_the_limit_that_it_is_read_up_to(kept_bytes) -> None:
    tiny = build("qwen2_5_vl")
    loaded = LoadedModel(tiny.model, tiny.processor)
    options = {"kept_bytes": kept_bytes, "max_pixels": 40 * 30}
    examples, _ = encode_examples(loaded, SAMPLES, **options)
    rows = extract(loaded, SAMPLES, max_pixels=40 * 30)
    assert [example is not None for example in examples] == [row.scored for row in rows]
    assert [row.scored for row in rows] == [True, False, False]
    assert dict(examples[0].inputs)


def test_a_check_learns_images_up_to_the_policy_s_limit(tmp_path, monkeypatch) -> None:
    told = {}
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "tune", lambda *_, **options: told.update(options))
    build("llava").save(tmp_path / "base")
    model = resolve_model(ModelPolicy(name="base"), tmp_path)
    policy = Policy(dataset=DatasetPolicy(max_pixels=90_000_000))
    learning.fine_tune(model, SAMPLES, len(SAMPLES), policy, "cpu", SilentProgress())
    assert told["max_pixels"] == 90_000_000


def test_a_record_that_is_gone_when_it_is_read_again_is_named() -> None:
    tiny = build("qwen2_5_vl")
    loaded = LoadedModel(tiny.model, tiny.processor)
    samples = list(SAMPLES)
    examples, _ = encode_examples(loaded, samples, kept_bytes=0)
    samples[1] = make_sample(1, b"no image", "<image>\nWhat?")
    with pytest.raises(ModelError, match="'r1' changed during the fine-tuning"):
        dict(examples[1].inputs)


def test_of_a_long_answer_the_beginning_is_learned() -> None:
    tiny = build("llava")
    loaded = LoadedModel(tiny.model, tiny.processor)
    long = make_sample(1, make_image(1, 40, 30), "<image>\nWhat?", answer="a red bus " * 20_000)
    short = make_sample(2, make_image(1, 40, 30), "<image>\nWhat?", answer="a red bus")
    examples, _ = encode_examples(loaded, [long, short])
    end = tiny.processor.tokenizer.eos_token_id
    assert examples[0].answer_length == 512
    said = examples[1].input_ids[-examples[1].answer_length :].tolist()
    assert examples[0].input_ids[-512:].tolist()[: len(said) - 1] == said[:-1]
    assert end not in examples[0].input_ids[-512:]
    assert said[-1] == end


def test_an_image_that_is_gone_before_the_fine_tuning_is_named(base, tmp_path) -> None:
    gone = make_sample(1, make_image(1, 40, 30), "<image>\nWhat?")
    gone = replace(gone, images=(ImageSource("gone.png", path=tmp_path / "gone.png"),))
    model = resolve_model(ModelPolicy(name="base"), tmp_path)
    with pytest.raises(DatasetError, match=r"its image can no longer be read.*gone\.png"):
        models.tuned_folder(tmp_path, model, [*SAMPLES, gone], FineTuneSettings())


def test_lora_without_peft_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match="LoRA needs peft"):
        prepare(build("llava").model, FineTuneSettings(method="lora"))


def test_pixels_are_handed_over_once_an_image() -> None:
    tiny = build("llava")
    loaded = LoadedModel(tiny.model, tiny.processor)
    taken: list[str] = []
    examples, left = encode_examples(loaded, [*SAMPLES, *SAMPLES], on_pixels=taken.extend)
    assert left == {}
    assert sorted(taken) == sorted({key for example in examples for key in example.images})
    assert len(taken) == 3


def pixtral() -> Tiny:
    """A LLaVA whose tower takes images of any size, with breaks between the rows of tokens."""
    processor = lighton_processor()  # Pixtral's own needs torchvision
    config = hf.LlavaConfig(
        vision_config=tower(hf.PixtralVisionConfig, size=32, patch=8, head_dim=8),
        text_config=text_config(hf.LlamaConfig, processor.tokenizer),
        image_token_index=processor.tokenizer.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return Tiny(sharpen(hf.LlavaForConditionalGeneration(config)), processor)


def several_layers() -> Tiny:
    """A LLaVA whose projector joins two layers of the tower."""
    tiny = make_llava()
    config = tiny.model.config
    config.vision_feature_layer = [-1, -2]
    return Tiny(sharpen(hf.LlavaForConditionalGeneration(config)), tiny.processor)


@pytest.mark.parametrize("make", [pixtral, several_layers])
def test_a_llava_of_another_kind_is_trained_whole(make, tmp_path) -> None:
    torch.manual_seed(0)
    make().save(tmp_path / "base")
    base = resolve_model(ModelPolicy(name="base"), tmp_path)
    settings = FineTuneSettings(max_steps=2, bfloat16=False)
    tuned = tune(base, SAMPLES, settings, cache=tmp_path / "cache", device="cpu")
    loaded = load_model(tuned.model, device="cpu")
    assert all(row.scored for row in extract(loaded, SAMPLES))
    examples, _ = encode_examples(loaded, SAMPLES, kept_bytes=0)
    right = answers_right(loaded.model, examples, pad_id=loaded.pad_id, bfloat16=False)
    assert right.tolist() == tuned.learned.tolist()


@pytest.fixture
def base(tmp_path):
    build("llava").save(tmp_path / "base")
    return resolve_model(ModelPolicy(name="base"), tmp_path)


def test_lora_keeps_the_adapter_alone(base, tmp_path) -> None:
    settings = FineTuneSettings(method="lora", epochs=30, learning_rate=1e-2, bfloat16=False)
    tuned = tune(base, SAMPLES, settings, cache=tmp_path / "cache", device="cpu")
    assert tuned.model.path == base.path
    assert tuned.model.adapter == tuned.folder
    assert tuned.model.whole_digest != base.whole_digest
    files = {file.name for file in tuned.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", METRICS} <= files
    assert not any(name.startswith("model") for name in files)
    assert str(tmp_path) not in (tuned.folder / "adapter_config.json").read_text()
    metrics = json.loads((tuned.folder / METRICS).read_text())
    assert len(metrics["history"]) == tuned.steps == settings.n_steps(3)
    assert metrics["history"][-1] < metrics["history"][0] / 2
    again = load_model(tuned.model, device="cpu")
    examples, _ = encode_examples(again, SAMPLES, kept_bytes=0)
    right = answers_right(again.model, examples, pad_id=again.pad_id, bfloat16=False)
    assert right.tolist() == tuned.learned.tolist()
    assert tuned.learned.any()


def test_too_little_memory_is_said(base, tmp_path, monkeypatch) -> None:
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(tuning.finetune, "fine_tune", full)
    settings = FineTuneSettings(method="lora", max_steps=1)
    with pytest.raises(ModelError, match="does not fit into the memory of cpu"):
        tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    assert list((tmp_path / "tuned").iterdir()) == []


def test_what_was_learned_is_asked_in_micro_batches(base, tmp_path, monkeypatch) -> None:
    sizes: list[int] = []
    ask = examples.answer_logits

    def spy(model, part, *args):
        sizes.append(len(part))
        return ask(model, part, *args)

    monkeypatch.setattr(examples, "answer_logits", spy)
    for micro_batch in (2, None):
        settings = FineTuneSettings(method="lora", max_steps=1, micro_batch=micro_batch)
        tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    assert sizes == [2, 1, 3]


def test_what_was_learned_is_asked_in_smaller_batches_where_memory_ends(monkeypatch) -> None:
    tiny = build("internvl")
    loaded = LoadedModel(tiny.model, tiny.processor)
    encoded, _ = encode_examples(loaded, SAMPLES)
    expected = answers_right(loaded.model, encoded, pad_id=loaded.pad_id, bfloat16=False)
    sizes: list[int] = []
    ask, fits = examples.answer_logits, 1

    def spy(model, part, *args):
        sizes.append(len(part))
        if len(part) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return ask(model, part, *args)

    monkeypatch.setattr(examples, "answer_logits", spy)
    right = answers_right(loaded.model, encoded, pad_id=loaded.pad_id, bfloat16=False)
    assert right.tolist() == expected.tolist()
    assert sizes == [3, 1, 1, 1]
    fits = 0
    with pytest.raises(torch.OutOfMemoryError):
        answers_right(loaded.model, encoded, pad_id=loaded.pad_id, batch_size=1)


def test_two_trainings_write_the_same_adapter(base, tmp_path) -> None:
    settings = FineTuneSettings(method="lora", max_steps=2)
    first = tune(base, SAMPLES, settings, cache=tmp_path / "a", device="cpu")
    second = tune(base, SAMPLES, settings, cache=tmp_path / "b", device="cpu")
    assert first.model.whole_digest == second.model.whole_digest
    assert first.folder != second.folder


@pytest.mark.parametrize("file", [METRICS, "adapter_model.safetensors", "adapter_config.json"])
def test_a_damaged_model_is_made_again(base, tmp_path, caplog, file) -> None:
    settings = FineTuneSettings(method="lora", max_steps=2)
    first = tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    content = (first.folder / file).read_bytes()
    (first.folder / file).write_bytes(content[: len(content) // 2])
    second = tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    assert second.model.whole_digest == first.model.whole_digest
    assert (first.folder / file).read_bytes()[:40] == content[:40]
    assert caplog.text.count("the model learns again") == 1
    assert [p for p in first.folder.parent.iterdir() if p != first.folder] == []


#: Fine-tunes as soon as a file appears, and writes how often it took a step.
AT_ONCE = """
import sys, time
from pathlib import Path
from test_tuning import SAMPLES
from bye_lint.models import resolve_model, tune
from bye_lint.models.finetune import FineTuneSettings
from bye_lint.policy import ModelPolicy
place, name = Path(sys.argv[1]), sys.argv[2]
model, steps = resolve_model(ModelPolicy(name="base"), place), []
(place / f"{name}.ready").touch()
while not (place / "go").exists():
    time.sleep(0.01)
tuned = tune(model, SAMPLES, FineTuneSettings(method="lora", min_steps=40), cache=place / "cache",
             device="cpu", on_progress=steps.append)
print(len(steps), tuned.model.whole_digest)
"""


def test_two_checks_on_one_cache_make_one_model(base, tmp_path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(tmp_path), name],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    while not all((tmp_path / f"{name}.ready").exists() for name in ("one", "two")):
        assert all(process.poll() is None for process in running)
        time.sleep(0.05)
    (tmp_path / "go").touch()
    told = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    steps, digests = zip(*(out.split() for out, _ in told), strict=True)
    assert sorted(steps) == ["0", "40"]
    assert len(set(digests)) == 1
    assert sum("waiting for it" in err for _, err in told) == 1


def test_a_lock_that_cannot_be_made_is_done_without(tmp_path) -> None:
    (tmp_path / "file").touch()
    with held(tmp_path / "file" / "model.lock", "busy"):
        pass
    with held(tmp_path / "model.lock", "busy"):
        assert (tmp_path / "model.lock").exists()
    assert not (tmp_path / "model.lock").exists()


def test_no_process_looks_for_the_model_before_the_first_holds_the_lock(
    base, tmp_path, monkeypatch
) -> None:
    """The first may have waited for another check, which has made the model meanwhile."""
    settings = FineTuneSettings(method="lora", max_steps=1)
    made = tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    hidden = made.folder.rename(made.folder.with_name("not yet"))

    class Second(Ranks):
        def follow(self, value: int) -> int:
            if hidden.exists():
                hidden.rename(made.folder)
            return value

        def sum(self, value: float) -> float:
            return value

    monkeypatch.setattr(tuning, "together", lambda _: nullcontext(Second(1, 2)))
    found = tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    assert found.model.whole_digest == made.model.whole_digest


def test_an_adapter_on_an_adapter_is_kept_whole(base, tmp_path) -> None:
    settings = FineTuneSettings(method="lora", max_steps=1)
    first = tune(base, SAMPLES, settings, cache=tmp_path / "cache", device="cpu")
    second = tune(first.model, SAMPLES[:2], settings, cache=tmp_path / "cache", device="cpu")
    assert second.model.adapter is None
    assert second.model.path == second.folder


def test_quantized_weights_are_not_trained_themselves(base, tmp_path) -> None:
    quantized = replace(base, quantization="4bit")
    with pytest.raises(ModelError, match="4bit weights cannot be trained"):
        tune(quantized, SAMPLES, FineTuneSettings(method="full"), cache=tmp_path)
    chosen = schedule(FineTunePolicy(), quantized, seed=0)
    assert chosen.method == "lora"
    assert schedule(FineTunePolicy(), base, seed=0).method == "full"


@pytest.mark.parametrize("packed", [True, False], ids=["of no known kind", "of no known form"])
def test_quantized_layers_that_lora_cannot_be_laid_on_are_told(
    base, tmp_path, monkeypatch, packed
) -> None:
    def load(*args, **kwargs):
        loaded = load_model(*args, **kwargs)
        pack(loaded.model)
        for module in loaded.model.modules() if not packed else ():
            if isinstance(module, PackedLinear):
                del module.in_features
        return loaded

    monkeypatch.setattr(tuning, "load_model", load)
    settings = FineTuneSettings(method="lora", max_steps=1)
    with pytest.raises(ModelError, match="LoRA cannot be laid on the model's quantized") as caught:
        tune(base, SAMPLES, settings, cache=tmp_path, device="cpu")
    assert caught.value.remedy == "Name the model as it was before it was quantized."


def test_a_model_too_large_to_be_trained_whole_gets_adapters(base, monkeypatch) -> None:
    assert schedule(FineTunePolicy(), base, seed=0).method == "full"
    monkeypatch.setattr("bye_lint.models.resolve.SMALL_BYTES", 0)
    assert schedule(FineTunePolicy(), base, seed=0).method == "lora"


def test_the_defaults_of_lora_are_those_of_the_paper(base) -> None:
    chosen = schedule(FineTunePolicy(method="lora"), base, seed=0)
    told = (chosen.method, chosen.epochs, chosen.batch_size, chosen.learning_rate)
    assert told == ("lora", 3.0, 16, 2e-4)
    assert chosen.gradient_checkpointing
    internvl = replace(base, family="internvl")
    assert schedule(FineTunePolicy(method="lora"), internvl, seed=0).learning_rate == 4e-5


@pytest.mark.parametrize("native", [True, False])
def test_a_processor_trains_in_what_it_computes_quickly(base, monkeypatch, native) -> None:
    monkeypatch.setattr("bye_lint.precision._processor_has", lambda _: native)
    on = {
        device: schedule(FineTunePolicy(), base, device=device, seed=0).bfloat16
        for device in ("auto", "cpu", "cuda:0")
    }
    assert on == {"auto": native, "cpu": native, "cuda:0": True}


def test_a_small_set_is_not_learned_in_too_few_steps(base) -> None:
    chosen = schedule(FineTunePolicy(), base, seed=0)
    assert chosen.n_steps(200) == chosen.n_steps(700) == 360
    assert chosen.n_steps(2000) == 500
    asked = schedule(FineTunePolicy(epochs=1), base, seed=0)
    assert asked.n_steps(160) == 10
    assert schedule(FineTunePolicy(method="lora"), base, seed=0).n_steps(160) == 30


def test_nothing_is_printed_beside_the_progress(base, tmp_path, capfd) -> None:
    settings = FineTuneSettings(method="full", max_steps=1, batch_size=2, bfloat16=False)
    tune(base, SAMPLES, settings, cache=tmp_path)
    assert capfd.readouterr() == ("", "")
