"""Loading: what does not fit or is not there is said before or instead of a traceback."""

from __future__ import annotations

import pytest
from tiny_models import make_llava

from bye_lint.errors import MissingExtraError, ModelError
from bye_lint.models import estimate_memory, load_model, memory, resolve_model
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "nowhere"}, "no such device"),
        ({"device": "cuda:99"}, "is not there"),
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


def test_a_damaged_weight_file_is_an_error(tmp_path):
    folder = make_llava().save(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:20])
    broken = resolve_model(ModelPolicy(name="model"), tmp_path)
    with pytest.raises(ModelError, match="damaged weight file"):
        load_model(broken, device="cpu")
