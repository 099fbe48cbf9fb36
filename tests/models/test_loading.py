"""Loading: what does not fit or is not there is said before or instead of a traceback."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_families import BUILDERS, build
from tiny_models import make_llava, make_samples
from transformers.quantizers.quantizers_utils import should_convert_module
from transformers.utils import logging

from bye_lint.errors import MissingExtraError, ModelError
from bye_lint.models import (
    FAMILIES,
    estimate_memory,
    load_model,
    loading,
    memory,
    resolve_model,
    schedule,
    tune,
)
from bye_lint.models.encoding import encode_examples
from bye_lint.policy import FineTunePolicy, ModelPolicy


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


@pytest.fixture
def told(monkeypatch):
    """Return what ``from_pretrained`` is told, and whether an adapter is merged; nothing loads."""
    options = {}

    def read(_, given):
        options.update(given)
        raise RuntimeError("enough")

    monkeypatch.setattr(loading, "read_weights", read)
    monkeypatch.setattr(loading, "is_here", lambda _: True)
    monkeypatch.setattr(loading, "check_memory", lambda *_: None)
    return options


@pytest.mark.parametrize(
    ("device", "place"), [("cuda:1", {"": torch.device("cuda:1")}), ("cpu", 0)]
)
def test_weights_for_a_gpu_are_not_read_by_way_of_the_host(resolved, told, device, place):
    with pytest.raises(ModelError, match="enough"):
        load_model(resolved, device=device)
    assert told.get("device_map", 0) == place


class Configuration:
    """Stands for BitsAndBytesConfig, which needs bitsandbytes."""

    def __init__(self, **options):
        self.__dict__.update(options)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_layers_of_the_decoder_alone_are_quantized(resolved, told, monkeypatch, name, bits):
    monkeypatch.setattr(loading, "find_spec", lambda name: name)
    monkeypatch.setattr("transformers.BitsAndBytesConfig", Configuration)
    with pytest.raises(ModelError, match="enough"):
        load_model(resolved, device="cpu", quantization=bits)
    given = told["quantization_config"]
    assert getattr(given, f"load_in_{bits}")
    assert bits == "8bit" or given.bnb_4bit_quant_type == "nf4"
    linear = [n for n, m in build(name).model.named_modules() if isinstance(m, torch.nn.Linear)]
    quantized = [n for n in linear if should_convert_module(n, given.llm_int8_skip_modules)]
    layers = f"{FAMILIES[name].decoder}.layers."
    layers = [n for n in linear if layers in n and not n.endswith(".router")]
    assert layers
    assert quantized == layers


def stored(folder, text=False, **quantization):
    """Save a model whose configuration says that its weights are quantized."""
    path = make_llava().save(folder / "model") / "config.json"
    config = json.loads(path.read_text())
    (config["text_config"] if text else config)["quantization_config"] = quantization
    path.write_text(json.dumps(config))
    return resolve_model(ModelPolicy(name="model"), folder)


@pytest.mark.parametrize(
    ("text", "quantization", "known"),
    [
        (False, {"quant_method": "bitsandbytes", "load_in_4bit": True}, "4bit"),
        (False, {"quant_method": "bitsandbytes", "load_in_8bit": True}, "8bit"),
        (False, {"quant_method": "gptq", "bits": 4}, "gptq"),
        (True, {"quant_method": "fp8"}, "fp8"),
        (False, {"quant_method": "\x1b[2J::a\nb"}, "2Jab"),
        (False, {"quant_method": "::"}, "quantized"),
        (False, {}, "none"),
    ],
)
def test_weights_that_lie_quantized_are_not_taken_for_whole(
    tmp_path, told, monkeypatch, text, quantization, known
):
    monkeypatch.setattr(loading, "find_spec", lambda name: name)
    found = stored(tmp_path, text, **quantization)
    assert found.quantization == known
    with pytest.raises(ModelError, match="enough"):
        load_model(found, device="cpu", quantization="none")
    assert "quantization_config" not in told
    assert ("device_map" in told) == (known != "none")
    chosen = schedule(FineTunePolicy(), found, seed=0)
    assert chosen.method == ("full" if known == "none" else "lora")
    if known != "none":
        assert estimate_memory(found, batch_tokens=0).weights == sum(
            file.stat().st_size for file in found.path.glob("*.safetensors")
        )
        with pytest.raises(ModelError, match=f"{known} weights cannot be trained") as caught:
            tune(found, [], replace(chosen, method="full"), cache=tmp_path)
        assert "before it was quantized" in caught.value.remedy
        with pytest.raises(ModelError, match=f"merged into {known} weights"):
            tune(replace(found, adapter=tmp_path), [], chosen, cache=tmp_path)


def test_what_lies_beside_quantized_weights_is_read_in_one_format(tmp_path, monkeypatch):
    model = make_llava().model
    model.model.vision_tower.bfloat16()
    model.lm_head.weight.requires_grad_(False).data = torch.ones(4, 4, dtype=torch.uint8)
    monkeypatch.setattr(loading, "find_spec", lambda name: name)
    monkeypatch.setattr(loading, "read_weights", lambda *_: model)
    found = stored(tmp_path, load_in_4bit=True)
    load_model(found, device="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32, torch.uint8}


def test_weights_packed_into_plain_numbers_are_not_taken_for_numbers(tmp_path, monkeypatch):
    """``bnb_4bit_quant_storage: bfloat16``: each number holds four weights."""
    model = make_llava().model
    packed = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.bfloat16), requires_grad=False)
    packed.quant_state = object()
    model.lm_head.weight = packed
    monkeypatch.setattr(loading, "find_spec", lambda name: name)
    monkeypatch.setattr(loading, "read_weights", lambda *_: model)
    load_model(stored(tmp_path, load_in_4bit=True), device="cpu")
    assert model.lm_head.weight.dtype == torch.bfloat16


def test_no_adapter_is_merged_into_weights_that_lie_quantized(tmp_path, monkeypatch):
    found = stored(tmp_path, quant_method="gptq", bits=4)
    merged = []

    def adapt(model, folder, *, merge):
        merged.append(merge)
        raise ModelError("enough")

    monkeypatch.setattr(loading, "read_weights", lambda *_: make_llava().model)
    monkeypatch.setattr(loading, "with_adapter", adapt)
    with pytest.raises(ModelError, match="enough"):
        load_model(replace(found, adapter=tmp_path), device="cpu")
    assert merged == [False]


def test_weights_that_lie_quantized_may_need_an_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="bitsandbytes"):
        load_model(stored(tmp_path, load_in_4bit=True), device="cpu")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_model(stored(tmp_path, quant_method="gptq", bits=4), device="cpu")
    assert caught.value.remedy == "Name the model as it was before, if gptq cannot run on cpu."


def test_weights_are_not_quantized_twice(tmp_path):
    stored(tmp_path, quant_method="gptq", bits=4)
    with pytest.raises(ModelError, match="quantized already"):
        resolve_model(ModelPolicy(name="model", quantization="4bit"), tmp_path)


def test_what_stays_unquantized_counts_whole(resolved):
    model = make_llava().model
    parts = {n: p.numel() for n, p in model.named_parameters()}
    layers = sum(n for name, n in parts.items() if "language_model.layers" in name)
    norm = sum(n for name, n in parts.items() if name.endswith("language_model.norm.weight"))
    rest = sum(parts.values()) - layers - norm
    assert estimate_memory(resolved, quantization="8bit", batch_tokens=0).weights == (
        2 * rest + layers + norm
    )


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


@pytest.mark.parametrize(
    ("error", "too_little"),
    [
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_libraries_of_cuda_say_that_memory_ends_in_their_own_words(error, too_little):
    assert memory.out_of_memory(error) is too_little


@pytest.mark.parametrize(
    ("limit", "free"), [("5000", 2200), ("1000", 0), ("max", 2**50), ("none", 2**50)]
)
def test_a_container_has_no_more_memory_than_its_limit(tmp_path, monkeypatch, limit, free):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_free_of_machine", lambda: 2**50)
    assert memory.free_memory() == 2**50
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 1000\ninactive_file 200\nactive_file 1800\n")
    assert memory.free_memory() == free


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
