"""Fine-tuning: it learns answers and nothing but answers, goes on, and ends early when asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_families import build
from tiny_models import make_image, make_llava, make_sample, pack

from bye_lint.models import LoadedModel, finetune, runstate
from bye_lint.models.encoding import encode_examples
from bye_lint.models.finetune import (
    IGNORED,
    Example,
    FineTuneSettings,
    Progress,
    answer_logits,
    answers_right,
    batch_order,
    collate,
    fine_tune,
    prepare,
    tower_features,
)
from bye_lint.models.losses import LossTrace

SETTINGS = FineTuneSettings(
    epochs=40, batch_size=4, learning_rate=3e-3, bfloat16=False, eval_every=5, save_every=5
)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    made = make_llava()
    for module in made.model.modules():  # a sharpened model has too far to go
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            module.weight.data.normal_(0, 0.05)
    return made


def make_examples(tiny, n: int = 8) -> tuple[list[Example], dict[str, torch.Tensor]]:
    """Return examples of two answers that the image alone decides."""
    tokenizer = tiny.processor.tokenizer
    image_id = tiny.model.config.image_token_id
    examples, pixels = [], {}
    for i in range(n):
        key = str(i)
        pixels[key] = torch.full((3, 24, 24), 1.5 if i % 2 else -1.5)
        question = tokenizer.encode("Forest?" if i % 3 else "How many buildings?")
        answer = [*tokenizer.encode(" river" if i % 2 else " the land use"), 2]
        ids = torch.tensor([image_id] * 16 + question + answer)
        examples.append(Example(ids, len(answer), (key,)))
    return examples, pixels


def test_a_model_learns_what_only_the_image_decides(tiny) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    model = prepare(tiny.model, SETTINGS)
    assert not answers_right(model, examples, pad_id=0, features=features, bfloat16=False).all()
    result = fine_tune(model, examples, SETTINGS, pad_id=0, features=features)
    assert result.steps == 80
    assert answers_right(model, examples, pad_id=0, features=features, bfloat16=False).all()
    assert not model.training


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_what_every_example_lost_is_kept_visit_by_visit(tiny, micro_batch) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, batch_size=8, max_steps=3, micro_batch=micro_batch)
    device = torch.device("cpu")
    model = prepare(tiny.model, settings)
    with torch.no_grad():
        alone = [answer_logits(model, [e], 0, features, device) for e in examples]
    before = [torch.nn.functional.cross_entropy(*pair).item() for pair in alone]
    result = fine_tune(model, examples, settings, pad_id=0, features=features)
    assert result.losses is not None
    assert result.losses.shape == (8, 3)
    np.testing.assert_allclose(result.losses[:, 0], before, rtol=1e-4)
    assert (result.losses[:, 2].mean() < result.losses[:, 0].mean()) == (
        result.history[2] < result.history[0]
    )


def test_a_batch_without_a_gradient_is_left_out(tiny, monkeypatch) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    model, settings = prepare(tiny.model, SETTINGS), replace(SETTINGS, max_steps=5)
    seen, backward = [], finetune._backward

    def once_infinite(model, *given):
        loss, losses = backward(model, *given)
        trained = [p for p in model.parameters() if p.requires_grad]
        seen.append([p.detach().clone() for p in trained])
        if len(seen) == 2:
            trained[0].grad.view(-1)[0] = loss = torch.inf
        return loss, losses

    monkeypatch.setattr(finetune, "_backward", once_infinite)
    result = fine_tune(model, examples, settings, pad_id=0, features=features)
    assert np.isfinite(result.history).all()
    assert all(torch.equal(*pair) for pair in zip(seen[1], seen[2], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(seen[2], seen[3], strict=True))
    assert all(p.isfinite().all() for p in seen[-1])


def test_no_loss_is_told_before_every_example_was_seen(tiny) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, max_steps=1)
    model = prepare(tiny.model, settings)
    assert fine_tune(model, examples, settings, pad_id=0, features=features).losses is None


def test_cached_features_give_the_model_s_own_logits(tiny) -> None:
    examples, pixels = make_examples(tiny, 3)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    whole = [replace(e, inputs={"pixel_values": pixels[e.images[0]][None]}) for e in examples]
    device = torch.device("cpu")
    with torch.no_grad():
        cached, labels = answer_logits(tiny.model, examples, 0, features, device)
        plain, _ = answer_logits(tiny.model, whole, 0, None, device)
    assert labels.numel() == sum(e.answer_length for e in examples)
    torch.testing.assert_close(cached, plain, rtol=1e-4, atol=1e-4)


def test_padding_changes_nothing(tiny) -> None:
    examples, pixels = make_examples(tiny, 4)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    device = torch.device("cpu")
    with torch.no_grad():
        together, _ = answer_logits(tiny.model, examples, 0, features, device)
        alone = [answer_logits(tiny.model, [e], 0, features, device)[0] for e in examples]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_only_answers_are_labels(tiny) -> None:
    examples, _ = make_examples(tiny, 4)
    batch = collate(examples, 0, torch.device("cpu"))
    assert ((batch["labels"] != IGNORED).sum(1) == torch.tensor(
        [e.answer_length for e in examples]
    )).all()  # fmt: skip
    assert (batch["input_ids"][batch["labels"] != IGNORED] != 0).all()


def test_the_tower_stays_as_it_is(tiny) -> None:
    examples, pixels = make_examples(tiny)
    tower = tiny.model.model.vision_tower
    before = {name: p.clone() for name, p in tower.named_parameters()}
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, max_steps=3)
    fine_tune(prepare(tiny.model, settings), examples, settings, pad_id=0, features=features)
    assert all(torch.equal(before[name], p) for name, p in tower.named_parameters())


def test_what_is_frozen_is_run_as_it_will_be_read(tiny) -> None:
    """A tower in training would drop features, or count them into its batch normalisation."""
    examples, pixels = make_examples(tiny)
    whole = [replace(e, inputs={"pixel_values": pixels[e.images[0]][None]}) for e in examples]
    base = tiny.model.model
    modes = []
    for module in (base.vision_tower, base.vision_tower.encoder.layers[0], base.language_model):
        module.register_forward_hook(lambda module, *_: modes.append(module.training))
    settings = replace(SETTINGS, max_steps=3, eval_every=1)
    # asking what was learned puts the model into evaluation mode and back
    fine_tune(
        prepare(tiny.model, settings), whole, settings, pad_id=0,
        on_eval=lambda model, _: bool(answers_right(model, whole[:1], pad_id=0).sum() > 1),
    )  # fmt: skip
    training = [False, False, True]
    assert modes == [*training, False, False, False] * 3


def test_a_frozen_projector_drops_nothing(tiny) -> None:
    examples, pixels = make_examples(tiny)
    whole = [replace(e, inputs={"pixel_values": pixels[e.images[0]][None]}) for e in examples]
    projector = tiny.model.model.multi_modal_projector
    projector.linear_1 = torch.nn.Sequential(projector.linear_1, torch.nn.Dropout(0.5))
    modes = set()
    projector.linear_1[1].register_forward_hook(lambda module, *_: modes.add(module.training))
    settings = replace(SETTINGS, method="lora", max_steps=1)
    model = prepare(tiny.model, settings)
    fine_tune(model, whole, settings, pad_id=0)
    assert modes == {False}


def test_micro_batches_take_the_same_step(tiny) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    weights = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    losses = []
    for size in (None, 1):
        tiny.model.load_state_dict(weights)
        settings = replace(SETTINGS, max_steps=4, micro_batch=size)
        model = prepare(tiny.model, settings)
        losses.append(fine_tune(model, examples, settings, pad_id=0, features=features).history)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_cut_off_run_goes_on_as_if_nothing_had_happened(tiny, tmp_path, dropout) -> None:
    for layer in tiny.model.model.language_model.layers:
        layer.self_attn.attention_dropout = dropout
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, max_steps=20)
    weights = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    whole = fine_tune(
        prepare(tiny.model, settings), examples, settings, pad_id=0, features=features
    )

    class CutError(Exception):
        pass

    def cut(progress: Progress) -> None:
        if progress.step == 12:
            raise CutError

    tiny.model.load_state_dict(weights)
    with pytest.raises(CutError):
        fine_tune(
            tiny.model, examples, settings, pad_id=0, features=features, state=tmp_path,
            on_progress=cut,
        )  # fmt: skip
    tiny.model.load_state_dict(weights)
    steps = []
    rest = fine_tune(
        tiny.model, examples, settings, pad_id=0, features=features, state=tmp_path,
        on_progress=lambda p: steps.append(p.step),
    )  # fmt: skip
    assert steps[0] == 11  # the last state was kept at step 10
    np.testing.assert_array_equal(rest.losses, whole.losses)
    assert rest.history == pytest.approx(whole.history, rel=1e-4)


@pytest.mark.parametrize(("took", "later"), [(0.1, 21.0), (2.0, 101.0)])
def test_a_run_that_is_cut_off_loses_seconds_unless_saving_takes_long(
    tmp_path, monkeypatch, took, later
) -> None:
    clock = [100.0]
    monkeypatch.setattr(runstate.time, "monotonic", lambda: clock[0])
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight])
    run = runstate.RunState(tmp_path, "f", {"weight": weight}, optimizer, LossTrace(1))
    assert not run.is_late()

    def slow(*given, **named):
        clock[0] += took
        return save(*given, **named)

    save = torch.save
    monkeypatch.setattr(runstate.torch, "save", slow)
    run.save(1, [1.0], False)
    clock[0] += later - 2
    assert not run.is_late()
    clock[0] += 2
    assert run.is_late()


@pytest.mark.parametrize("damage", ["cut", "bit", "noise", "empty"])
def test_a_damaged_state_begins_the_run_again(tiny, tmp_path, caplog, damage) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, max_steps=5)
    model = prepare(tiny.model, settings)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rest = {"pad_id": 0, "features": features, "state": tmp_path}
    whole = fine_tune(model, examples, settings, **rest)
    (state,) = tmp_path.iterdir()
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    made = {"cut": content[:900], "bit": content, "noise": bytes(range(60)), "empty": b""}
    state.write_bytes(made[damage])
    model.load_state_dict(weights)
    steps = []
    again = fine_tune(model, examples, settings, on_progress=lambda p: steps.append(p.step), **rest)
    assert steps == [1, 2, 3, 4, 5]
    assert again.history == pytest.approx(whole.history, rel=1e-4)
    assert "the run begins again" in caplog.text


def test_a_state_of_other_data_is_ignored(tiny, tmp_path) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    settings = replace(SETTINGS, max_steps=5)
    model = prepare(tiny.model, settings)
    fine_tune(model, examples, settings, pad_id=0, features=features, state=tmp_path)
    steps = []
    fine_tune(
        model, examples[:6], settings, pad_id=0, features=features, state=tmp_path,
        on_progress=lambda p: steps.append(p.step),
    )  # fmt: skip
    assert steps == [1, 2, 3, 4, 5]


def test_an_evaluation_can_end_the_run(tiny) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    model = prepare(tiny.model, SETTINGS)
    result = fine_tune(
        model, examples, SETTINGS, pad_id=0, features=features, on_eval=lambda _, p: p.step >= 10
    )
    assert (result.steps, result.stopped_early) == (10, True)


def test_lora_trains_adapters_in_the_decoder_alone(tiny) -> None:
    examples, pixels = make_examples(tiny)
    settings = replace(SETTINGS, method="lora", max_steps=3, gradient_checkpointing=True)
    features = tower_features(tiny.model, pixels, bfloat16=False)
    model = prepare(tiny.model, settings)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name and "language_model" in name for name in trained)
    result = fine_tune(model, examples, settings, pad_id=0, features=features)
    assert result.steps == 3


def test_what_is_not_quantized_keeps_its_format(tiny) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels)
    tiny.model.bfloat16()
    tiny.model.is_quantized = True  # as transformers says of a model with quantized layers
    settings = replace(SETTINGS, method="lora", max_steps=2, bfloat16=True)
    model = prepare(tiny.model, settings)
    formats = {p.dtype for n, p in model.named_parameters() if "lora_" not in n}
    assert formats == {torch.bfloat16}
    assert all("lora_" in name for name, _ in adapters(model))
    assert adapters(model)
    assert fine_tune(model, examples, settings, pad_id=0, features=features).steps == 2


def test_packed_layers_of_the_decoder_are_adapted(tiny, monkeypatch) -> None:
    layers = [n for n, m in tiny.model.named_modules() if isinstance(m, torch.nn.Linear)]
    layers = [name for name in layers if "language_model.layers" in name]
    told: list[str] = []
    monkeypatch.setattr(
        finetune, "with_lora", lambda model, targets, **_: (told.extend(targets), model)[1]
    )
    lora = replace(SETTINGS, method="lora")
    prepare(pack(tiny.model), lora)
    assert told == layers
    tiny.model.is_quantized = False
    told.clear()
    prepare(tiny.model, lora)
    assert told == []


@pytest.mark.parametrize("name", ["internvl", "qwen2_5_vl", "llama4"])
def test_checkpoints_keep_nothing_of_the_frozen_tower(name) -> None:
    sample = make_sample(0, make_image(0), "<image>\nForest?")
    gradients = []
    for checkpointing in (False, True):
        made = build(name)
        loaded = LoadedModel(made.model, made.processor)
        examples, _ = encode_examples(loaded, [sample], kept_bytes=0)
        settings = replace(SETTINGS, method="lora", gradient_checkpointing=checkpointing)
        torch.manual_seed(0)
        model = prepare(made.model, settings).train()
        for _, weights in adapters(model):
            torch.nn.init.normal_(weights, std=0.1)
        wants: list[bool] = []
        (tower,) = [m for n, m in model.named_modules() if n.split(".")[-1] in TOWERS[name]]
        tower.register_forward_hook(
            lambda *args, wants=wants: wants.extend(t.requires_grad for t in tensors(args[-1]))
        )
        logits, labels = answer_logits(model, examples, loaded.pad_id, None, torch.device("cpu"))
        torch.nn.functional.cross_entropy(logits, labels).backward()
        assert wants
        assert not any(wants)
        gradients.append({n: p.grad for n, p in adapters(model)})
    plain, checkpointed = gradients
    assert plain
    for adapter, gradient in plain.items():
        torch.testing.assert_close(checkpointed[adapter], gradient)


TOWERS = {"internvl": {"vision_tower"}, "qwen2_5_vl": {"visual"}, "llama4": {"vision_model"}}


def adapters(model):
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def tensors(output):
    values = output.values() if hasattr(output, "values") else [output]
    return [value for value in values if torch.is_tensor(value)]


def test_every_example_is_seen_once_an_epoch() -> None:
    lengths = [5, 9, 9, 2, 7, 7, 30, 1, 4, 4]
    batches = list(batch_order(lengths, 2, 5, seed=0))
    assert sorted(i for batch in batches for i in batch) == list(range(10))
    assert batches == list(batch_order(lengths, 2, 5, seed=0))


@pytest.mark.parametrize(
    ("history", "flat"),
    [([1.0] * 79, False), ([1.0] * 80, True), ([2.0] * 40 + [1.0] * 40, False)],
    ids=["too short to tell", "no gain", "still falling"],
)
def test_flat_means_no_gain_between_two_windows(history: list[float], flat: bool) -> None:
    assert Progress(80, 100, 1.0, history).flat() is flat


def test_no_examples_is_an_error(tiny) -> None:
    with pytest.raises(ValueError, match="expected at least one example"):
        fine_tune(tiny.model, [], SETTINGS, pad_id=0)


@pytest.mark.parametrize(("bfloat16", "expected"), [(True, {"eager"}), (False, {"sdpa"})])
def test_attention_is_the_quicker_one_of_the_precision(tiny, bfloat16, expected) -> None:
    examples, pixels = make_examples(tiny)
    features = tower_features(tiny.model, pixels, bfloat16=bfloat16)
    settings = replace(SETTINGS, max_steps=2, bfloat16=bfloat16)
    tiny.model.set_attn_implementation("sdpa")
    used = set()
    fine_tune(
        prepare(tiny.model, settings), examples, settings, pad_id=0, features=features,
        on_progress=lambda _: used.add(tiny.model.config._attn_implementation),
    )  # fmt: skip
    assert used == expected
    assert tiny.model.config._attn_implementation == "sdpa"
