"""Costs: the shape that is read off the files is that of the model itself."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tiny_families import BUILDERS, build

from bye_lint.models import cost, estimate_memory, is_small, resolve_model
from bye_lint.models.devices import _generations as cards
from bye_lint.models.devices import devices, settle, throughput
from bye_lint.models.schedule import LARGE, SMALL
from bye_lint.policy import ModelPolicy


def shape_of(name, folder):
    tiny = build(name)
    tiny.save(folder / "model")
    return tiny.model, cost.model_shape(resolve_model(ModelPolicy(name="model"), folder))


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "smolvlm", "gemma3", "internvl"])
def test_parameters_are_counted_by_their_place(name, tmp_path):
    model, shape = shape_of(name, tmp_path)
    stored = {id(p): p for p in model.parameters()}.values()  # tied ones are stored once
    assert shape.whole == sum(p.numel() for p in stored)
    assert 0 < shape.tower < shape.whole
    assert shape.layers == model.config.get_text_config().num_hidden_layers
    assert shape.width == model.config.get_text_config().hidden_size


@pytest.mark.parametrize("sharded", [False, True])
def test_what_lies_beside_the_weights_is_not_counted(sharded, tmp_path, monkeypatch):
    build("llava").save(tmp_path / "plain")
    folder = tmp_path / "model"
    tiny = build("llava")
    tiny.processor.save_pretrained(folder)
    tiny.model.save_pretrained(folder, max_shard_size="40KB" if sharded else "5GB")
    assert (len(list(folder.glob("*.safetensors"))) > 1) == sharded
    plain = resolve_model(ModelPolicy(name="plain"), tmp_path)
    for name in ("consolidated.safetensors", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "plain" / "model.safetensors", folder / name)
    model = resolve_model(ModelPolicy(name="model"), tmp_path)
    assert cost.model_shape(model) == cost.model_shape(plain)
    assert estimate_memory(model) == estimate_memory(plain)
    size = (tmp_path / "plain" / "model.safetensors").stat().st_size
    monkeypatch.setattr("bye_lint.models.resolve.SMALL_BYTES", 1.5 * size)
    assert is_small(model)


@pytest.mark.parametrize(
    ("name", "tokens", "fixed"),
    [
        ("llava", 16, True),
        ("gemma3", 4, True),
        ("paligemma", 16, True),
        ("internvl", 4, False),
        ("qwen2_5_vl", cost.USUAL_IMAGE_TOKENS, False),
        ("granite4_vision", 576, False),
        ("lfm2_vl", cost.USUAL_IMAGE_TOKENS, False),
    ],
)
def test_image_tokens_are_those_of_the_configuration(name, tokens, fixed, tmp_path):
    _, shape = shape_of(name, tmp_path)
    assert (shape.image_tokens, shape.fixed) == (tokens, fixed)


def test_every_family_has_a_cost(tmp_path):
    for name in BUILDERS:
        _, shape = shape_of(name, tmp_path / name)
        assert shape.decoder > 0, name
        assert shape.forward(10, 10) > 20 * shape.decoder
        assert shape.look(2) == 2 * shape.look(1) > 0, name


def test_training_costs_three_readings_and_the_last_question(tmp_path):
    _, shape = shape_of("llava", tmp_path)
    read = cost.reading_operations(shape, records=100, images=0, length=50)
    train = cost.training_operations(shape, SMALL, steps=100, records=100, images=0, length=50)
    assert train == pytest.approx(3 * read * 16 + read)


def test_adapters_take_less_memory_than_everything():
    big = {"decoder": 7 * 10**9, "tower": 3 * 10**8, "tables": 3 * 10**8}
    large = cost.Shape(**big, layers=32, width=4096, inner=11008, image_tokens=576, fixed=True,
                       tower_tokens=576)  # fmt: skip
    for settings in (SMALL, LARGE):
        wide = replace(settings, bfloat16=False)
        narrow = cost.training_memory(large, settings, images=1000, length=700)
        assert cost.training_memory(large, wide, images=1000, length=700) > narrow
    adapters = cost.training_memory(large, LARGE, images=1000, length=700)
    assert adapters < cost.training_memory(large, SMALL, images=1000, length=700) / 2
    assert adapters > 4 * large.whole
    on_a_card = cost.training_memory(large, LARGE, images=1000, length=700, frozen_bytes=2.0)
    assert on_a_card == pytest.approx(adapters - 2 * large.whole, abs=2)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 0, 0), ("what is this", 3, 6), ("这是什么?" * 10, 20, 50)],
    ids=["nothing", "words", "no spaces"],
)
def test_prompt_tokens_follow_words_and_bytes(text, least, most):
    assert least <= cost.prompt_tokens(text) <= most


def test_the_processor_is_always_a_device():
    first = devices()[0]
    assert first.name == "cpu"
    assert 0 < first.free <= first.total
    assert throughput("cpu", "float32", seconds=0.01) > 1e8
    assert throughput("cpu", "no_such_dtype", seconds=0.01) is None


@pytest.mark.parametrize(
    ("torch", "driver", "expected"),
    [
        ("2.13.0+cpu", True, ("cpu", "float32")),
        ("2.13.0", True, ("cuda", "bfloat16")),
        ("2.13.0+cu130", True, ("cuda", "bfloat16")),
        ("2.13.0+cu130", False, ("cpu", "float32")),
    ],
)
def test_auto_is_the_gpu_that_torch_can_use(monkeypatch, torch, driver, expected):
    monkeypatch.setattr("bye_lint.models.devices.version", lambda _: torch)
    monkeypatch.setattr("bye_lint.models.devices.Path.exists", lambda _: driver)
    monkeypatch.setattr("bye_lint.models.devices._generations", lambda: (9,))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert settle("auto", "auto") == expected
    assert settle("cpu", "bfloat16") == ("cpu", "bfloat16")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("", "cpu"),
        (" ", "cpu"),
        ("-1", "cpu"),
        ("-1,0", "cpu"),
        ("NoDevFiles", "cpu"),
        ("0", "cuda"),
        ("2,-1", "cuda"),
        ("GPU-5b1c", "cuda"),
    ],
)
def test_auto_is_no_gpu_that_the_environment_hides(monkeypatch, visible, expected):
    monkeypatch.setattr("bye_lint.models.devices.version", lambda _: "2.13.0")
    monkeypatch.setattr("bye_lint.models.devices.Path.exists", lambda _: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert settle("auto", "auto")[0] == expected


@pytest.mark.parametrize(
    ("generations", "expected"),
    [((), "bfloat16"), ((8, 9), "bfloat16"), ((7,), "float16"), ((9, 7), "float16")],
)
def test_a_gpu_without_bfloat16_is_not_asked_for_it(monkeypatch, generations, expected):
    monkeypatch.setattr("bye_lint.models.devices._generations", lambda: generations)
    assert settle("cuda:1", "auto") == ("cuda:1", expected)
    assert settle("cuda:1", "bfloat16") == ("cuda:1", "bfloat16")
    assert settle("cpu", "auto") == ("cpu", "float32")
    assert settle("xpu", "auto") == ("xpu", "bfloat16")


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
@pytest.mark.parametrize(
    ("generations", "told", "expected"),
    [
        ((7, 9), {}, "bfloat16"),
        ((7, 6), {}, "float16"),
        ((), {}, "bfloat16"),
        ((7, 9), {"CUDA_VISIBLE_DEVICES": "0"}, "float16"),
        ((7, 9), {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "float16"),
    ],
)
def test_an_old_card_beside_the_first_does_not_count(
    monkeypatch, device, generations, told, expected
):
    monkeypatch.setattr("bye_lint.models.devices._generations", lambda: generations)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert settle(device, "auto") == (device, expected)


def nvml(*majors, status=0):
    """Return the driver's library, on a machine with some cards."""

    def tell(number, value):
        number._obj.value = value
        return 0

    return SimpleNamespace(
        nvmlInit_v2=lambda: status,
        nvmlShutdown=lambda: 0,
        nvmlDeviceGetCount_v2=lambda count: tell(count, len(majors)),
        nvmlDeviceGetHandleByIndex_v2=lambda index, card: tell(card, index + 1),
        nvmlDeviceGetCudaComputeCapability=lambda card, major, _: tell(
            major, majors[card.value - 1]
        ),
    )


@pytest.mark.parametrize(
    ("library", "expected"),
    [(nvml(7, 9), (7, 9)), (nvml(), ()), (nvml(7, status=9), ()), (object(), ()), (None, ())],
)
def test_the_driver_tells_how_old_the_cards_are(monkeypatch, library, expected):
    def load(_):
        if library is None:
            raise OSError("libnvidia-ml.so.1: cannot open shared object file")
        return library

    monkeypatch.setattr("ctypes.CDLL", load)
    assert cards.__wrapped__() == expected
