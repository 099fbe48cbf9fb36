"""An adapter is laid on whole, or the reason is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from tiny_families import build
from tiny_models import make_llava, make_samples

from bye_lint.errors import ModelError
from bye_lint.models import LoadedModel, extract, load_model, resolve_model
from bye_lint.models.adapters import _OF_ONE_FOLDER, _PROMPTS
from bye_lint.policy import ModelPolicy

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold models and an adapter that was trained on one of them, as peft writes it."""
    folder: Path = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(0)
    make_llava().save(folder / "model")
    make_llava(layers=4).save(folder / "deeper")
    make_llava(layers=2).save(folder / "shallower")
    build("smolvlm").save(folder / "other")
    adapted().save_pretrained(folder / "adapter")
    return folder


def adapted() -> peft.PeftModel:
    config = peft.LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)")
    torch.manual_seed(0)
    model = peft.get_peft_model(make_llava().model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def load(place: Path, model: str = "model") -> LoadedModel:
    resolved = resolve_model(ModelPolicy(name=model, adapter="adapter"), place)
    return load_model(resolved, device="cpu")


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    """A place of its own, whose adapter may be changed."""
    (tmp_path / "model").symlink_to(place / "model")
    (tmp_path / "adapter").mkdir()
    for file in (place / "adapter").iterdir():
        (tmp_path / "adapter" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_model_reads_as_its_adapter_makes_it(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    processor = make_llava().processor
    whole = adapted().merge_and_unload().eval()
    capfd.readouterr()
    rows = extract(load(place), make_samples(3))
    assert capfd.readouterr() == ("", "")
    expected = extract(LoadedModel(whole, processor), make_samples(3))
    plain = extract(LoadedModel(make_llava().model, processor), make_samples(3))
    for row, one, other in zip(rows, expected, plain, strict=True):
        np.testing.assert_allclose(row.entropy, one.entropy, atol=1e-5)
        assert np.abs(row.entropy - other.entropy).max() > 1e-2


def test_an_adapter_is_read_on_the_processor_whatever_the_model_is_on(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    load_weights = peft.peft_model.load_peft_weights

    def spy(folder, device=None, **options):
        read.append(device)
        return load_weights(folder, device=device, **options)

    monkeypatch.setattr(peft.peft_model, "load_peft_weights", spy)
    load(place)
    assert read == ["cpu", "cpu"]


def test_an_adapter_that_does_not_fit_into_memory_is_not_called_damaged(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(peft.peft_model, "load_peft_weights", full)
    with pytest.raises(ModelError, match="does not fit into the memory of cpu"):
        load(place)


@pytest.mark.parametrize("model", ["deeper", "shallower", "other"])
def test_an_adapter_of_another_model_is_not_laid_on_in_part(place: Path, model: str) -> None:
    with pytest.raises(ModelError, match="adapter: the adapter does not fit the model: ") as caught:
        load(place, model)
    assert "base model that the adapter was trained on" in caught.value.remedy


@pytest.mark.parametrize("kept", [0, 100, -10])
def test_a_damaged_adapter_is_an_error(copy: Path, kept: int) -> None:
    weights = copy / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: a damaged weight file"):
        load(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"r": 8}, "size mismatch"),
        ({"target_modules": ["nothing"]}, "nothing"),
        ({"peft_type": "NONE"}, "NONE"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2}, "changes the prompt"),
    ],
)
def test_a_configuration_that_does_not_fit_is_an_error(
    copy: Path, change: dict[str, object], says: str
) -> None:
    path = copy / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=says):
        load(copy)


@pytest.mark.parametrize("kind", ["LORA", "IA3", "VERA", "PROMPT_TUNING", None])
def test_what_kind_an_adapter_is_ends_nothing_early(copy: Path, kind: str | None) -> None:
    path = copy / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({"peft_type": kind}))
    assert resolve_model(ModelPolicy(name="model", adapter="adapter"), copy).adapter


@pytest.mark.parametrize("kind", ["XLORA", "SHADOW", "OF_TOMORROW", ["LORA"]])
def test_an_adapter_that_may_load_from_elsewhere_is_refused_unseen(
    copy: Path, kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    for module in (peft.config, peft.utils.save_and_load):
        monkeypatch.setattr(module, "hf_hub_download", lambda *args, **_: asked.append(args))
    config = {"peft_type": kind, "adapters": {"0": "org/elsewhere"}, "hidden_size": 8}
    (copy / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="may load weights from elsewhere") as caught:
        load(copy)
    assert "such as LoRA" in caught.value.remedy
    assert not asked


def test_an_adapter_in_the_models_own_folder_is_looked_at_as_well(copy: Path) -> None:
    folder = copy / "whole"
    folder.mkdir()
    for file in (copy / "model").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "XLORA"}))
    with pytest.raises(ModelError, match=r"whole: an adapter of the kind 'XLORA'"):
        resolve_model(ModelPolicy(name="whole"), copy)


def test_every_kind_that_peft_knows_was_looked_at() -> None:
    known = {kind.value for kind in peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING}
    assert known - _OF_ONE_FOLDER - _PROMPTS == {"XLORA", "SHADOW"}


@pytest.mark.parametrize("text", ["{", "[]"], ids=["truncated", "not an object"])
def test_a_damaged_configuration_is_told_before_loading(copy: Path, text: str) -> None:
    (copy / "adapter" / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"adapter/adapter_config\.json: "):
        resolve_model(ModelPolicy(name="model", adapter="adapter"), copy)


@pytest.mark.parametrize(
    ("base", "warns"),
    [
        ("org/other", True),
        ("/home/me/model", False),
        ("/hub/models--org--model/snapshots/0123abcd", False),
    ],
)
def test_an_adapter_that_names_another_base_is_a_warning(
    copy: Path, base: str, warns: bool
) -> None:
    path = copy / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": base}))
    resolved = resolve_model(ModelPolicy(name="model", adapter="adapter"), copy)
    said = "adapter adapter says that it was trained on org/other, not on model"
    assert resolved.warnings == ((said,) if warns else ())
    assert isinstance(load_model(resolved, device="cpu"), LoadedModel)
