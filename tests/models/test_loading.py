"""Loading: what does not fit or is not there is said before or instead of a traceback."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_llava, make_samples
from transformers.utils import logging

from bye_lint.errors import MissingExtraError, ModelError
from bye_lint.models import estimate_memory, load_model, memory, resolve_model
from bye_lint.models.encoding import encode_examples
from bye_lint.policy import ModelPolicy


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    folder = make_llava().save(tmp_path_factory.mktemp("llava"))
    return resolve_model(ModelPolicy(name=folder.name), folder.parent)


def test_memory_is_estimated_from_the_headers(resolved):
    parameters = sum(p.numel() for p in make_llava().model.parameters())
    whole = estimate_memory(resolved, dtype="float32", batch_tokens=0)
    assert whole.weights == 4 * parameters
    assert estimate_memory(resolved, dtype="bfloat16", batch_tokens=0).weights == 2 * parameters
    assert estimate_memory(resolved, batch_tokens=100).total > whole.weights // 2


def test_a_model_too_large_is_refused_before_loading(resolved, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(ModelError, match=r"needs about .* GiB free"):
        load_model(resolved, device="cpu")


def test_memory_that_is_held_for_nothing_does_not_count(resolved, monkeypatch):
    done: list[str] = []
    monkeypatch.setattr(memory.gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("empty"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (done.append("ask"), (2**40, 0))[1])
    memory.check_memory(resolved, torch.device("cuda"), torch.float32, "none")
    assert done == ["collect", "empty", "ask"]


@pytest.mark.parametrize("kept_bytes", [0, 2**30])
def test_a_model_is_let_go_with_the_last_that_needs_it(resolved, kept_bytes):
    """Without a look for cycles: the next model needs its memory at once."""
    loaded = load_model(resolved, device="cpu")
    examples, _ = encode_examples(loaded, make_samples(2), kept_bytes=kept_bytes)
    assert all(dict(example.inputs) or example.images for example in examples)
    model = weakref.ref(loaded.model)
    gc.collect()
    gc.disable()
    try:
        del loaded, examples
        assert model() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "nowhere"}, "no such device"),
        ({"device": "cuda:99"}, "device cuda:99 is not there"),
        ({"device": "xpu:99"}, "device xpu:99 is not there"),
        ({"device": "mps:7"}, "device mps:7 is not there"),
        ({"device": "meta"}, "device meta is not there"),
        ({"device": "cpu", "dtype": "int3"}, "no such dtype"),
    ],
)
def test_an_impossible_place_is_an_error(resolved, options, says):
    with pytest.raises(ModelError, match=says):
        load_model(resolved, **options)


def test_quantization_says_what_to_install(resolved, monkeypatch):
    monkeypatch.setattr("bye_lint.models.loading.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="bitsandbytes"):
        load_model(resolved, device="cpu", quantization="4bit")


def test_quantization_that_a_device_cannot_do_is_told(resolved, monkeypatch):
    monkeypatch.setattr("bye_lint.models.loading.find_spec", lambda name: name)
    with pytest.raises(ModelError, match=r"cannot be loaded: .*bitsandbytes") as caught:
        load_model(resolved, device="cpu", quantization="8bit")
    assert caught.value.remedy == "Set model.quantization: none, if 8bit cannot run on cpu."


def test_a_processor_that_lacks_torchvision_says_what_to_install(resolved, monkeypatch):
    def lacking(_):
        raise ImportError("PixtralProcessor requires the Torchvision library")

    monkeypatch.setattr("bye_lint.models.loading.find_spec", lambda name: None)
    monkeypatch.setattr("bye_lint.models.loading.load_processor", lacking)
    with pytest.raises(ModelError, match="PixtralProcessor") as caught:
        load_model(resolved, device="cpu")
    assert "pip install torchvision" in caught.value.remedy


@pytest.mark.parametrize("kept", [0, 20, -100], ids=["empty", "in the header", "in the weights"])
def test_a_damaged_weight_file_is_an_error(tmp_path, kept):
    folder = make_llava().save(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    broken = resolve_model(ModelPolicy(name="model"), tmp_path)
    with pytest.raises(ModelError, match="damaged weight file"):
        load_model(broken, device="cpu")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", {"text_config": "none"}),
        ("config.json", {"text_config": {"model_type": "llama", "hidden_size": "wide"}}),
        ("config.json", {"dtype": "int99"}),
        ("processor_config.json", []),
        ("processor_config.json", {"processor_class": "Nobody"}),
        ("tokenizer.json", {}),
    ],
)
def test_whatever_a_folder_holds_it_is_no_internal_error(tmp_path, file, text):
    path = make_llava().save(tmp_path / "model") / file
    config = json.loads(path.read_text()) if file == "config.json" else None
    path.write_text(json.dumps(text if config is None else {**config, **text}))
    with pytest.raises(ModelError, match="model: the model cannot be loaded: ") as caught:
        load_model(resolve_model(ModelPolicy(name="model"), tmp_path), device="cpu")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("2 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_a_model_that_fills_the_memory_is_told(resolved, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(ModelError, match="does not fit into the memory of cpu") as caught:
        load_model(resolved, device="cpu")
    assert "4bit" in caught.value.remedy


def test_weights_of_another_shape_are_named(tmp_path):
    folder = make_llava().save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] += 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"9 of its weights have another shape .*, 64\), not "):
        load_model(resolve_model(ModelPolicy(name="model"), tmp_path), device="cpu")


def test_weights_that_git_lfs_did_not_fetch_are_told(tmp_path):
    folder = make_llava().save(tmp_path / "model")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (folder / "model.safetensors").write_text(pointer)
    with pytest.raises(ModelError, match=r"model/model\.safetensors: a Git LFS pointer") as caught:
        load_model(resolve_model(ModelPolicy(name="model"), tmp_path), device="cpu")
    assert "git lfs pull" in caught.value.remedy


def test_weights_that_are_lacking_are_not_drawn_at_random(tmp_path):
    folder = make_llava().save(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "self_attn.q_proj" in name)
    save_file(
        {name: tensor for name, tensor in weights.items() if name != gone},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ModelError, match=r"lack 1 of the model's weights .*q_proj"):
        load_model(resolve_model(ModelPolicy(name="model"), tmp_path), device="cpu")


def test_loading_prints_nothing_of_its_own(resolved, capfd):
    load_model(resolved, device="cpu")
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()
