"""Extraction from LLaVA: equal to eager attention, however records are batched."""

from __future__ import annotations

import dataclasses
import errno
import struct
import sys
import weakref
import zlib
from datetime import datetime

import numpy as np
import pytest
import torch
from conformance import assert_rows_agree, references
from PIL import Image
from tiny_models import LLAVA_TEMPLATE, QUESTIONS, make_image, make_llava, make_sample, make_samples
from transformers.utils import chat_template_utils

from bye_lint.errors import ModelError
from bye_lint.models import (
    FAMILIES,
    LoadedModel,
    batching,
    blocks,
    cached_rows,
    extract,
    feature_keys,
    load_model,
    read_batches,
    resolve_model,
    stored_attention,
)
from bye_lint.models import chat as chat_module
from bye_lint.models import extraction as extraction_module
from bye_lint.models import prompts as prompts_module
from bye_lint.models import running as running_module
from bye_lint.models.encoding import encode_examples
from bye_lint.policy import ModelPolicy
from bye_lint.readings import Readings
from bye_lint.records import Turn
from bye_lint.store import FeatureStore


@pytest.fixture(scope="module")
def llava():
    return make_llava()


@pytest.fixture(scope="module")
def folder(llava, tmp_path_factory):
    return llava.save(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_model(resolve_model(ModelPolicy(name=folder.name), folder.parent), device="cpu")


@pytest.fixture(scope="module")
def expected(llava):
    return references(llava.model, llava.processor, make_samples())


def shared_samples() -> list:
    """Nine records about three images, in mixed order."""
    return [
        make_sample(i, make_image(i % 3), f"<image>\n{QUESTIONS[i % len(QUESTIONS)]}")
        for i in range(9)
    ]


@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("batch_tokens", [1, 10_000], ids=["one at a time", "one batch"])
def test_rows_equal_eager_attention(loaded, expected, padding, batch_tokens):
    rows = extract(loaded, make_samples(), batch_tokens=batch_tokens, padding=padding, maps=True)
    assert_rows_agree(rows, expected, atol=1e-5)
    assert {row.grid for row in rows} == {(4, 4)}


def test_attention_in_the_tests_is_far_from_uniform(expected):
    """Otherwise the comparisons above would hold for a probe that reads nothing."""
    assert np.mean([reference.entropy for reference in expected]) < np.log(16) - 0.2


def test_bfloat16_stays_within_its_precision(llava, expected):
    model = make_llava().model.to(torch.bfloat16)
    rows = extract(LoadedModel(model, llava.processor), make_samples())
    reference = references(model, llava.processor, make_samples())
    assert_rows_agree(rows, reference, atol=0.05, hidden=False)


def test_records_about_one_image_share_their_prefix(llava, loaded, monkeypatch):
    samples = shared_samples()
    tokens = []
    collate = running_module.collate

    def counting(*args, **kwargs):
        batch = collate(*args, **kwargs)
        tokens.append(batch.valid)
        return batch

    monkeypatch.setattr(running_module, "collate", counting)
    # Whether it is worth it depends on the size of the model; here it always is.
    monkeypatch.setattr(batching, "_work", lambda slots, *_: -slots)
    shared = extract(loaded, samples, maps=True)
    together = sum(tokens)
    tokens.clear()
    alone = extract(loaded, samples, sharing=False)
    assert together < 0.65 * sum(tokens)
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_allclose(one.entropy, other.entropy, atol=1e-5)
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-4)
    assert_rows_agree(shared, references(llava.model, llava.processor, samples), atol=1e-5)


def test_a_conversation_shows_its_image_once(loaded, monkeypatch):
    """Ten questions: one decoding, one pass of the tower, and the image's keys and values once."""
    record = make_sample(0, make_image(0), "")
    talk = [(f"Is it {i}? " * (i + 1), f"{i}.") for i in range(10)]
    turns = [turn for q, a in talk for turn in (Turn("user", q), Turn("assistant", a))]
    turns[0] = Turn("user", f"<image>\n{turns[0].text}")
    asked = Readings.of([dataclasses.replace(record, turns=tuple(turns))]).samples
    decoded, seen, lengths = [], [], []
    decode, collate = prompts_module.load_images, running_module.collate

    def collating(*args, **kwargs):
        batch = collate(*args, **kwargs)
        seen.append(len(batch.inputs["pixel_values"]))
        lengths.append(batch.valid)
        return batch

    monkeypatch.setattr(
        prompts_module, "load_images", lambda s, **k: (decoded.append(s), decode(s, **k))[1]
    )
    monkeypatch.setattr(running_module, "collate", collating)
    monkeypatch.setattr(batching, "_work", lambda slots, *_: -slots)
    rows = extract(loaded, asked)
    assert (len(rows), len(decoded), seen) == (10, 1, [1])
    alone = [len(loaded.encoder.encode(sample)) for sample in asked]
    begin = min(alone) - len(loaded.processor.tokenizer.encode("Is it 0? ASSISTANT:"))
    assert begin > 16  # the system prompt, the image, and what stands before a question
    assert lengths[0] <= sum(alone) - 9 * begin


def test_without_the_hidden_state_nothing_else_changes(loaded, expected):
    rows = extract(loaded, make_samples(), hidden=False)
    assert all(row.hidden is None for row in rows)
    assert_rows_agree(rows, expected, atol=1e-5)


def test_component_masses_follow_the_prompt(loaded):
    sample = make_sample(0, make_image(0), "<image>\nName the land use.", system="Be brief.")
    encoded = loaded.encoder.encode(sample)
    decode = loaded.processor.tokenizer.decode
    assert decode(encoded.ids[encoded.component == 2]) == "Name the land use."
    assert (encoded.component == 1).sum() == 16
    assert decode(encoded.ids[encoded.component == 0]) == "Be brief. USER: \n ASSISTANT:"


def test_a_model_in_memory_is_left_as_it_was(llava):
    model = make_llava().model.train()
    extract(LoadedModel(model, llava.processor), make_samples(2))
    assert model.training
    assert model.config.text_config._attn_implementation == "sdpa"
    inputs = torch.arange(3, 9)[None]
    a = model(input_ids=inputs).logits
    model.set_attn_implementation("eager")
    torch.testing.assert_close(a, model(input_ids=inputs).logits, atol=1e-3, rtol=1e-4)


def test_a_record_that_cannot_be_read_is_not_scored(loaded):
    samples = make_samples(4)
    samples[1] = make_sample(1, b"no image at all", "<image>\nWhat?")
    samples[2] = make_sample(2, make_image(2), "<image>\nWhat <image> is it?")
    samples[3] = make_sample(3, make_image(3), "<image>\nSay </s> now")
    rows = extract(loaded, samples)
    assert [row.scored for row in rows] == [True, False, False, False]
    assert np.isnan(rows[1].entropy).all()
    assert "decoded" in rows[1].error
    assert "2 image marks for 1 images" in rows[2].error
    assert "control token '</s>'" in rows[3].error


@pytest.mark.parametrize(
    "error", [struct.error("unpack requires a buffer"), IndexError(), zlib.error("Error -3")]
)
def test_whatever_a_decoder_raises_it_costs_one_record(loaded, monkeypatch, error):
    """The rules may have looked at no more than the header."""
    convert = Image.Image.convert

    def breaking(image, *args, **kwargs):
        if image.size == (41, 30):
            raise error
        return convert(image, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "convert", breaking)
    samples = make_samples(3)
    samples[1] = make_sample(1, make_image(1, 41, 30), "<image>\nWhat?")
    rows = extract(loaded, samples)
    assert [row.scored for row in rows] == [True, False, True]
    assert rows[1].error == f"the image cannot be decoded: {str(error) or 'IndexError'}"
    assert encode_examples(loaded, samples)[0][1] is None


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        pytest.param(OSError("image file is truncated"), True, id="damaged"),
        pytest.param(OSError(errno.EIO, "Input/output error"), False, id="disk"),
        pytest.param(MemoryError(), False, id="memory"),
    ],
)
def test_a_failure_that_may_pass_is_tried_again(loaded, tmp_path, monkeypatch, error, kept):
    samples = make_samples(3)
    samples[1] = make_sample(1, make_image(1, 41, 30), "<image>\nWhat?")
    keys = feature_keys(samples, loaded.resolved)
    convert = Image.Image.convert

    def breaking(image, *args, **kwargs):
        if image.size == (41, 30):
            raise error
        return convert(image, *args, **kwargs)

    store = FeatureStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "convert", breaking)
        rows = extract(loaded, samples, store=store, keys=keys)
        if not kept:  # it would be learned without the record, and then kept
            with pytest.raises(ModelError, match=r"'r1'.*the image cannot be decoded"):
                encode_examples(loaded, samples)
    assert [row.scored for row in rows] == [True, False, True]
    again = extract(loaded, samples, store=store, keys=keys)
    assert [row.scored for row in again] == [True, not kept, True]


def test_a_prompt_beyond_the_models_positions_is_not_scored(loaded):
    samples = make_samples(2)
    samples[1] = make_sample(1, make_image(1), "<image>\n" + "What is it? " * 200)
    rows = extract(loaded, samples)
    assert [row.scored for row in rows] == [True, False]
    assert "tokens long, the model reads 512" in rows[1].error


@pytest.mark.parametrize(
    ("rope", "positions"),
    [
        ({}, 512),
        ({"factor": 4.0}, 2048),
        ({"factor": 4.0, "original_max_position_embeddings": 128}, 512),
        ({"factor": 8.0, "original_max_position_embeddings": 512}, 4096),
    ],
)
def test_scaled_positions_count(loaded, monkeypatch, rope, positions):
    monkeypatch.setattr(loaded.config, "rope_parameters", {"rope_type": "default", **rope})
    assert loaded.positions == positions


def test_the_store_serves_what_was_read(loaded, tmp_path):
    samples = make_samples()
    keys = feature_keys(samples, loaded.resolved)
    seen: list[int] = []
    store = FeatureStore(tmp_path)
    first = extract(loaded, samples[:4], store=store, keys=keys[:4])
    again = FeatureStore(tmp_path)
    calls = []
    original = loaded.base.forward
    loaded.base.forward = lambda **kwargs: (
        calls.append(len(kwargs["input_ids"])) or original(**kwargs)
    )
    try:
        second = extract(loaded, samples, store=again, keys=keys, progress=seen.append)
    finally:
        del loaded.base.forward
    assert sum(calls) == 2
    assert seen[0] == 4
    assert sum(seen) == 6
    for one, other in zip(first, second, strict=False):
        np.testing.assert_array_equal(one.entropy, other.entropy)
        np.testing.assert_array_equal(one.hidden, other.hidden)
        assert one.grid == other.grid


def test_keys_follow_record_model_and_settings(loaded):
    one, other = make_samples(2)
    key = feature_keys([one, other], loaded.resolved)
    assert key[0] != key[1]
    moved = dataclasses.replace(one, id="else", location=dataclasses.replace(one.location, line=9))
    assert feature_keys([moved], loaded.resolved) == key[:1]
    changed = dataclasses.replace(loaded.resolved, digest="0")
    assert feature_keys([one], changed) != key[:1]
    assert feature_keys([one], loaded.resolved, dtype="bfloat16") != key[:1]
    here = feature_keys([one], loaded.resolved, device="cuda:0")
    assert here == feature_keys([one], loaded.resolved, device="cuda:1")
    assert len({*here, *key[:1], *feature_keys([one], loaded.resolved, device="cpu")}) == 3


DATED = """{% macro said(day) %}[{{ strftime_now(day) }}]{% endmacro %}
{{ said("%Y-%m-%d, %d %B %y") }}"""


def test_a_template_that_tells_the_date_reads_the_same_tomorrow(monkeypatch):
    llava = make_llava()
    llava.processor.chat_template = DATED + llava.processor.chat_template
    encoder = LoadedModel(llava.model, llava.processor).encoder
    (sample,) = make_samples(1)
    seen = []
    for day in (5, 6):
        now = type(
            "Now", (datetime,), {"now": classmethod(lambda cls, *_, day=day: cls(2031, 7, day))}
        )
        monkeypatch.setattr(chat_template_utils, "datetime", now)
        seen.append(encoder.encode(sample).ids.tolist())
    assert seen[0] == seen[1]
    text = chat_module.render(llava.processor, FAMILIES["llava"], "", "<image>\nWhat?").text
    assert text.startswith("[2025-01-01, 01 January 25]")
    now = f"[{datetime.now():%Y-%m-%d, %d %B %y}]"
    monkeypatch.setattr(chat_template_utils, "datetime", datetime)
    plain = llava.processor.apply_chat_template(
        chat_module.conversation("", "<image>\nWhat?"), add_generation_prompt=True
    )
    assert text.replace("[2025-01-01, 01 January 25]", now) == plain


@pytest.mark.parametrize("head", ["", "    ", "\n", "\n  ", "  said:\n"])
@pytest.mark.parametrize(
    "first",
    [
        "{{ strftime_now('%Y') }}",
        "{% if messages %}{{ strftime_now('%Y') }}{% endif %}",
        "{% set year = strftime_now('%Y') %}\n  {{ year }}",
        "{%- if messages %}\n  in {{ strftime_now('%Y') }}\n{%- endif %}",
        "{%+ if messages %}{{ strftime_now('%Y') }}{% endif %}",
    ],
)
def test_a_fixed_date_changes_nothing_but_the_date(head, first):
    llava = make_llava()
    texts = {}
    for dated in (True, False):
        said = first if dated else first.replace("strftime_now('%Y')", "'2025'")
        llava.processor.chat_template = head + said + LLAVA_TEMPLATE
        texts[dated] = chat_module.render(
            llava.processor, FAMILIES["llava"], "", "<image>\nWhat?"
        ).text
    assert texts[True] == texts[False]


def test_a_block_of_large_images_holds_fewer(monkeypatch):
    samples = [make_sample(i, make_image(i, 20 + i, 10), "<image>\nWhat?") for i in range(8)]
    twice = [samples[0], *samples]
    assert blocks(twice, "llava") == [list(range(9))]
    monkeypatch.setattr(sys.modules["bye_lint.models.blocks"], "WINDOW_PIXELS", 450)
    assert blocks(twice, "llava") == [[0, 1, 2], [3, 4], [5], [6], [7], [8]]
    broken = [make_sample(9, b"no image", "<image>\nWhat?")] * 3
    assert blocks(broken, "llava") == [[0, 1, 2]]


def test_an_image_that_is_enlarged_into_tiles_counts_as_all_of_them():
    samples = [make_sample(i, make_image(i, 20, 10), "<image>\nWhat?") for i in range(61)]
    assert [len(block) for block in blocks(samples, "llava")] == [61]
    assert [len(block) for block in blocks(samples, "smolvlm")] == [30, 30, 1]


def test_blocks_that_were_divided_before_are_read_as_they_are(loaded, monkeypatch):
    """Alone, records of the last block would fit into the first."""
    monkeypatch.setattr(sys.modules["bye_lint.models.blocks"], "WINDOW_PIXELS", 2500)
    sizes = [(40, 30), (60, 40), (20, 30), (50, 30)]
    samples = [make_sample(i, make_image(i, *size), "<image>\nA?") for i, size in enumerate(sizes)]
    assert blocks(samples, "llava") == [[0], [1], [2, 3]]
    part = [samples[0], samples[2], samples[3]]
    assert blocks(part, "llava") == [[0, 1], [2]]
    read = list(read_batches(loaded, part, division=[[0], [1, 2]]))
    assert [sorted(i for places, _ in batch for i in places) for batch in read] == [[0], [1, 2]]


def test_out_of_memory_halves_the_batch_and_goes_on(loaded, expected, monkeypatch):
    run, sizes = extraction_module.launch, []

    def small(model, units, **kwargs):
        sizes.append(len(units))
        if len(units) > 2:
            raise torch.OutOfMemoryError("not enough")
        return run(model, units, **kwargs)

    monkeypatch.setattr(extraction_module, "launch", small)
    rows = extract(loaded, make_samples(), batch_tokens=10_000)
    assert sizes[0] == 6
    assert max(sizes[-2:]) <= 2
    assert_rows_agree(rows, expected, atol=1e-5)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("not enough"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["gpu", "cpu"],
)
def test_nothing_is_left_of_a_try_that_did_not_fit(loaded, expected, monkeypatch, error):
    """Not its tensors, which the next try needs the room of, and not the half of its readings."""
    layer = loaded.decoder.layers[1]
    forward = type(layer).forward
    made, freed = [], []

    def full(self, hidden_states, *args, **kwargs):
        output = forward(self, hidden_states, *args, **kwargs)
        if self is layer and len(hidden_states) > 2:
            made.append(weakref.ref(output))
            raise type(error)(str(error))
        return output

    monkeypatch.setattr(type(layer), "forward", full)
    monkeypatch.setattr(
        torch.cuda,
        "empty_cache",
        lambda: freed.append((made[-1]() is None, loaded.probe.readings, loaded.probe.layout)),
    )
    rows = extract(loaded, make_samples(), batch_tokens=10_000)
    assert freed
    assert freed == [(True, {}, None)] * len(made)
    assert loaded.config._attn_implementation == "sdpa"
    assert_rows_agree(rows, expected, atol=1e-5)


def test_an_error_that_is_not_about_memory_ends_the_reading(loaded, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(extraction_module, "launch", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        extract(loaded, make_samples(2))


def test_a_row_of_records_that_share_an_image_is_cut_where_it_does_not_fit(loaded, monkeypatch):
    monkeypatch.setattr(batching, "_work", lambda slots, *_: -slots)
    samples = [make_sample(i, make_image(0), f"<image>\n{q}") for i, q in enumerate(QUESTIONS)]
    whole = extract(loaded, samples)
    run, shapes = extraction_module.launch, []

    def small(model, units, **kwargs):
        shapes.append([len(unit.records) for unit in units])
        if any(len(unit.records) > 2 for unit in units):
            raise torch.OutOfMemoryError("not enough")
        return run(model, units, **kwargs)

    monkeypatch.setattr(extraction_module, "launch", small)
    rows = extract(loaded, samples)
    assert shapes[:2] == [[6], [3]]
    assert sorted(n for shape in shapes for n in shape if n < 3) == [1, 1, 2, 2]
    for row, other in zip(rows, whole, strict=True):
        np.testing.assert_allclose(row.head_entropy, other.head_entropy, atol=1e-5)
        np.testing.assert_allclose(row.hidden, other.hidden, atol=1e-3)


def test_a_record_too_large_for_the_memory_says_so(loaded, monkeypatch):
    def none(*args, **kwargs):
        raise torch.OutOfMemoryError("not enough")

    monkeypatch.setattr(extraction_module, "launch", none)
    with pytest.raises(ModelError, match="does not fit into memory"):
        extract(loaded, make_samples(1))


def test_what_was_looked_up_before_is_not_looked_up_again(loaded, tmp_path, monkeypatch):
    samples = make_samples(4)
    keys = feature_keys(samples, loaded.resolved)
    store = FeatureStore(tmp_path)
    extract(loaded, samples[:2], store=store, keys=keys[:2])
    known = cached_rows(store, keys)
    assert [row is None for row in known] == [False, False, True, True]
    monkeypatch.setattr(FeatureStore, "get", None)
    rows = extract(loaded, samples, store=store, keys=keys, known=known)
    assert rows[:2] == known[:2]
    assert [row.scored for row in rows] == [True] * 4


def test_maps_that_the_store_keeps_need_not_be_held(loaded, tmp_path):
    samples = make_samples(5)
    keys = [*feature_keys(samples, loaded.resolved)[:4], ""]
    held = extract(loaded, samples, maps=True)
    store = FeatureStore(tmp_path)
    options = {"maps": True, "keys": keys, "leave": True}
    extract(loaded, samples[:2], store=store, **options | {"keys": keys[:2]})
    rows = extract(loaded, samples, store=store, **options)
    assert [row.attention is None for row in rows] == [True] * 4 + [False]
    found = stored_attention([FeatureStore(tmp_path / "none"), store], keys)
    assert found[4] is None
    for one, other in zip(held[:4], found[:4], strict=True):
        np.testing.assert_allclose(one.attention, other, atol=2e-3)
    again = cached_rows(store, keys, attention=True, leave=True)
    assert [row is None for row in again] == [False] * 4 + [True]
    assert all(row.attention is None for row in again[:4])
    unkept = extract(loaded, samples, **options)
    assert not any(row.attention is None for row in unkept)


class Cut(Exception):  # noqa: N818
    """What ends a run in the middle."""


class CutStore:
    """A store that takes so many batches."""

    def __init__(self, store, batches):
        self.store, self.left = store, batches

    def get(self, keys, *, leave=()):
        return self.store.get(keys, leave=leave)

    def put(self, rows):
        if self.left == 0:
            raise Cut
        self.left -= 1
        self.store.put(rows)


@pytest.mark.parametrize("batches", [1, 2, 4, 7])
def test_a_run_that_was_cut_off_goes_on_in_the_same_batches(loaded, tmp_path, monkeypatch, batches):
    """Equal to the bit, which another batch's shape would not give; no batch is run twice."""
    # by its name: the package has a function that is called as the module is
    monkeypatch.setattr(sys.modules["bye_lint.models.blocks"], "WINDOW", 3)
    samples = [
        make_sample(i, make_image(i // 2, 40 + i % 3), f"<image>\n{QUESTIONS[i * 5 % 6]}")
        for i in range(20)
    ]
    keys = feature_keys(samples, loaded.resolved)
    options = {"keys": keys, "batch_tokens": 130}
    ran = []
    launch = extraction_module.launch

    def noting(model, units, **kwargs):
        ran.append(sorted(i for unit in units for i in unit.index))
        return launch(model, units, **kwargs)

    monkeypatch.setattr(extraction_module, "launch", noting)
    whole = extract(loaded, samples, store=FeatureStore(tmp_path / "whole"), **options)
    straight, ran[:] = list(ran), []
    store = FeatureStore(tmp_path / "cut")
    with pytest.raises(Cut):
        extract(loaded, samples, store=CutStore(store, batches), **options)
    ran.clear()
    done = set(store.get(keys))
    rest = extract(loaded, samples, store=store, **options)
    assert ran == straight[batches:]
    assert {keys[i] for batch in ran for i in batch} == set(keys) - done
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a.head_entropy, b.head_entropy)
        np.testing.assert_array_equal(a.hidden, b.hidden)
