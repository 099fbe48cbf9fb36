"""Finding the policy's model: what is wrong with a folder is said, and nothing is loaded."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bye_lint.errors import ModelError, UnsupportedModelError
from bye_lint.models import FAMILIES, REFUSED, model_digest, resolve_model
from bye_lint.models.resolve import REMOTE_CODE_VARIABLE
from bye_lint.policy import ModelPolicy


@pytest.fixture
def folder(tmp_path):
    """A folder that has everything a model needs, with weights of nothing."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "llava", "vision_config": {}}))
    for name in ("model.safetensors", "tokenizer.json", "processor_config.json"):
        (path / name).write_text("{}")
    return path


def resolve(folder, **policy):
    return resolve_model(ModelPolicy(name=folder.name, **policy), folder.parent)


def test_a_model_folder_resolves(folder):
    resolved = resolve(folder)
    assert resolved.family == "llava"
    assert resolved.path == folder
    assert resolved.warnings == ()
    assert not resolved.allow_remote_code


def test_the_digest_follows_what_the_model_is(folder):
    before = resolve(folder).digest
    (folder / "README.md").write_text("card")
    (folder / "trainer_state.json").write_text("{}")
    assert resolve(folder).digest == before
    (folder / "model.safetensors").write_text("{ }")
    assert resolve(folder).digest != before


def test_the_digest_follows_names(folder):
    before = model_digest(folder)
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert model_digest(folder) != before


def test_the_digest_follows_templates_that_may_be_the_only_ones(folder):
    before = model_digest(folder)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "default.jinja").write_text("{{ messages }}")
    with_template = model_digest(folder)
    assert with_template != before
    (folder / "additional_chat_templates" / "default.jinja").write_text("{{ other }}")
    assert model_digest(folder) not in (before, with_template)


def test_an_adapter_changes_the_whole_digest(folder):
    adapter = folder.parent / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        resolve(folder, adapter="adapter")
    (adapter / "adapter_model.safetensors").write_text("{}")
    resolved = resolve(folder, adapter="adapter")
    assert resolved.digest == resolve(folder).digest
    assert resolved.whole_digest != resolve(folder).whole_digest


def test_keys_tell_how_the_weights_are_quantized(folder):
    plain = resolve(folder)
    assert plain.quantized_as == "none"
    kinds = [("4bit", False), ("8bit", False), ("4bit", True), ("8bit", True), ("gptq", True)]
    told = {replace(plain, quantization=q, stored_quantized=s).quantized_as for q, s in kinds}
    assert len(told) == len(kinds)
    # of models that learned with everything else in float32
    former = {q if s else f"{q} of the decoder's layers" for q, s in kinds}
    assert not told & former


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("config.json", "config.json is missing"),
        ("model.safetensors", "model.safetensors is missing"),
        ("tokenizer.json", "the tokenizer is missing"),
        ("processor_config.json", "the image processor is missing"),
    ],
)
def test_what_is_missing_is_said(folder, missing, says):
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=says):
        resolve(folder)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickles"):
        resolve(folder)


def test_a_missing_part_of_the_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_text("")
    with pytest.raises(ModelError, match=r"1 of 2 weight files are missing \(model-2"):
        resolve(folder)


@pytest.mark.parametrize(
    "part", ["sub/x.safetensors", "../x.safetensors", "..", "/x.safetensors", r"a\x", "x.bin"]
)
def test_weights_from_elsewhere_are_refused_by_name(folder, part):
    parts = ["model-1.safetensors", "a b.safetensors", "model-..-2.safetensors"]
    for name in parts:
        (folder / name).write_text("{}")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(enumerate(parts))}))
    assert resolve(folder).digest
    index.write_text(json.dumps({"weight_map": dict(enumerate([*parts, part]))}))
    with pytest.raises(
        ModelError, match=r"model/model\.safetensors\.index\.json: names "
    ) as caught:
        resolve(folder)
    assert repr(part) in str(caught.value)
    assert "save_pretrained()" in caught.value.remedy


def test_a_configuration_that_names_other_weights_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    path = folder / "config.json"
    path.write_text(json.dumps({**config, "transformers_weights": None}))
    assert resolve(folder).family == "llava"
    path.write_text(json.dumps({**config, "transformers_weights": "sub/real.safetensors"}))
    with pytest.raises(ModelError, match=r"model/config\.json: .*transformers_weights") as caught:
        resolve(folder)
    assert "model.safetensors" in caught.value.remedy


@pytest.mark.parametrize("text", ["{", "[]"], ids=["truncated", "not an object"])
def test_a_damaged_configuration_is_an_error(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve(folder)


def test_no_folder_and_no_hub_id(tmp_path):
    with pytest.raises(ModelError, match="no such model folder"):
        resolve_model(ModelPolicy(name="./nowhere"), tmp_path)


@pytest.mark.parametrize(("name", "meant"), [("modle", "model"), ("scuot", "scout")])
def test_a_name_that_is_nearly_one_is_asked_after(folder, name, meant):
    with pytest.raises(ModelError, match=f"did you mean {meant}\\?"):
        resolve_model(ModelPolicy(name=name), folder.parent)


@pytest.mark.parametrize("name", ["org/na..me", "org/name.git", "org/na--me"])
def test_what_the_hub_cannot_have_is_no_internal_error(tmp_path, name):
    with pytest.raises(ModelError, match="no folder here, and no name that the hub has"):
        resolve_model(ModelPolicy(name=name), tmp_path)


def test_a_folder_does_not_take_the_place_of_a_pinned_model(folder):
    there = folder.rename(folder.parent / "org") / "name"
    there.mkdir()
    for file in there.parent.iterdir():
        if file.is_file():
            (there / file.name).write_bytes(file.read_bytes())
    place = there.parents[1]
    assert resolve_model(ModelPolicy(name="org/name"), place).path == there
    with pytest.raises(ModelError, match="a folder, which has no revision 'abc'"):
        resolve_model(ModelPolicy(name="org/name", revision="abc"), place)


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="a file, not a model folder"):
        resolve_model(ModelPolicy(name="model"), tmp_path)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_a_hub_model_that_is_not_here_is_an_error(tmp_path, monkeypatch, variable):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=f"not in the local cache, and {variable} forbids"):
        resolve_model(ModelPolicy(name="bye-lint-tests/absent"), tmp_path)


def test_a_hub_model_in_the_local_cache_is_found_and_should_be_pinned(folder, monkeypatch):
    calls = []

    def snapshot(name, **options):
        calls.append(options["local_files_only"])
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    resolved = resolve_model(ModelPolicy(name="org/name"), folder.parent)
    assert calls == [True]
    assert resolved.revision == folder.name
    assert "not pinned" in resolved.warnings[0]
    pinned = ModelPolicy(name="org/name", revision=folder.name)
    assert resolve_model(pinned, folder.parent).warnings == ()


def hub_with(monkeypatch, folder, *, raises=None, cached=False):
    """Stand in for the hub: a cache that holds the folder or nothing, a network that answers."""
    asked = []

    def snapshot(name, *, revision, allow_patterns, local_files_only=False):
        asked.append("cache" if local_files_only else "network")
        if local_files_only and not cached:
            raise LocalEntryNotFoundError("not here")
        if not local_files_only and raises is not None:
            raise raises
        return str(folder)

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    return asked


def test_a_hub_model_is_fetched_once(folder, monkeypatch):
    asked = hub_with(monkeypatch, folder)
    assert resolve_model(ModelPolicy(name="org/name"), folder.parent).path == folder
    assert asked == ["cache", "network"]


def test_a_download_that_was_cut_off_goes_on(folder, monkeypatch):
    asked = hub_with(monkeypatch, folder, cached=True)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="1 of 2 weight files"):
        resolve_model(ModelPolicy(name="org/name"), folder.parent)
    assert asked == ["cache", "network"]


def test_looking_ahead_fetches_nothing(folder, monkeypatch):
    asked = hub_with(monkeypatch, folder)
    with pytest.raises(ModelError, match="not fetched yet") as caught:
        resolve_model(ModelPolicy(name="org/name"), folder.parent, fetch=False)
    assert asked == ["cache"]
    assert "hf download org/name" in caught.value.remedy


def bare(kind):
    """Return an error without the response that its constructor wants."""
    return kind.__new__(kind)


def caused(error):
    """Return what the hub raises where the network fails and the cache holds nothing."""
    raised = LocalEntryNotFoundError("cannot find the requested files in the local cache")
    raised.__cause__ = error
    return raised


@pytest.mark.parametrize(
    ("error", "says", "remedy"),
    [
        (bare(GatedRepoError), "gated", "hf auth login"),
        (bare(RepositoryNotFoundError), "not on the hub", "spelling"),
        (bare(RevisionNotFoundError), "no revision 'v9'", "commit"),
        (ConnectionError("no\nroute"), "no folder here, .* ConnectionError: no route", "folder"),
        (caused(ConnectionError("no route")), "reached: ConnectionError: no route", "network"),
    ],
    ids=["gated", "absent", "revision", "network", "network, behind the cache"],
)
def test_what_the_hub_refuses_is_said(folder, monkeypatch, error, says, remedy):
    hub_with(monkeypatch, folder, raises=error)
    with pytest.raises(ModelError, match=says) as caught:
        resolve_model(ModelPolicy(name="org/name", revision="v9"), folder.parent)
    assert remedy in caught.value.remedy


def test_an_adapter_from_the_hub(folder, tmp_path, monkeypatch):
    adapter = tmp_path / "hub-adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"1")
    hub_with(monkeypatch, adapter, cached=True)
    found = resolve(folder, adapter="org/adapter")
    assert found.adapter == adapter
    (warning,) = found.warnings
    assert "adapter org/adapter is not pinned: write `org/adapter@hub-adapter`" in warning
    pinned = resolve(folder, adapter="org/adapter@hub-adapter")
    assert (pinned.adapter, pinned.warnings) == (adapter, ())
    assert found.whole_digest != resolve(folder).whole_digest


def test_an_adapter_that_is_nowhere(folder, monkeypatch):
    hub_with(monkeypatch, folder)
    with pytest.raises(ModelError, match="not an adapter, adapter_config"):
        resolve(folder, adapter="./nowhere")


def test_the_operator_alone_trusts_code(folder, monkeypatch):
    monkeypatch.delenv(REMOTE_CODE_VARIABLE, raising=False)
    assert not resolve(folder).allow_remote_code
    monkeypatch.setenv(REMOTE_CODE_VARIABLE, "1")
    trusting = resolve(folder)
    assert trusting.allow_remote_code
    assert "may run" in trusting.warnings[0]
    assert not any("code" in field.name for field in fields(ModelPolicy))


@pytest.mark.parametrize("model_type", sorted(REFUSED))
def test_what_cannot_be_read_is_refused_by_name(folder, model_type):
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(UnsupportedModelError, match=model_type) as caught:
        resolve(folder)
    assert REFUSED[model_type] in caught.value.message
    assert "llava" in caught.value.remedy


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "llama"}, "no vision tower"),
        ({"model_type": "brand_new", "vision_config": {}}, "has not been verified"),
        ({}, "names no model_type"),
    ],
)
def test_an_unknown_family_is_never_guessed(folder, config, says):
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=says) as caught:
        resolve(folder)
    assert all(name in caught.value.remedy for name in FAMILIES)
