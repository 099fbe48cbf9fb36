"""The pre-training program on a few tiny images: it learns, it goes on, what it writes loads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from bye_lint.errors import ModelError
from bye_lint.scout import pretrain as pretraining
from bye_lint.scout.answering import TurnEncoder, pack_turns, shared_prefix_mask
from bye_lint.scout.architecture import GRID, IMAGE_TOKENS, build_scout
from bye_lint.scout.card import weights_digest
from bye_lint.scout.dense import (
    DenseBatches,
    dense_accuracy,
    draw_scene,
    finish_scene,
    token_labels,
    token_shares,
    with_mirror_images,
)
from bye_lint.scout.drawing import Mark
from bye_lint.scout.kept import Kept
from bye_lint.scout.loop import Stage, run_stage
from bye_lint.scout.measuring import Accuracy, measure
from bye_lint.scout.overrides import FAMILIES, FAMILY_MARKS, phrase_at
from bye_lint.scout.pretrain import main
from bye_lint.scout.questions import Turn
from bye_lint.scout.sources import Source, read_sources
from bye_lint.scout.tokens import build_processor, train_tokenizer

STEPS = 24


def make_dataset(folder: Path, n: int = 12) -> Path:
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    records = []
    for i in range(n):
        hue = ("dark", "light")[i % 2]
        pixels = rng.integers(0, 60, size=(64, 80, 3)) + 180 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{i}.png")
        talk = [
            {"from": "human", "value": "<image>\nIs the picture dark or light?"},
            {"from": "gpt", "value": f"It is {hue}."},
        ]
        records.append({"id": str(i), "image": f"images/{i}.png", "conversations": talk})
    (folder / "train.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_held_out() -> Iterator[None]:
    """Measure on a few images: what is asked here is no accuracy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "HELD_OUT_SIZES", (16, 16))
        patch.setattr(pretraining, "HELD_OUT_BATCHES", 1)
        yield


def pretrain(data: Path, out: Path, *more: str, steps: int = STEPS) -> None:
    argv = ["--data", str(data), "-o", str(out), "--no-compile", "--workers", "0"]
    argv += ["--dense-batch", "4", "--answer-batch", "4"]
    argv += ["--dense-steps", str(steps), "--answer-steps", str(steps)]
    assert main([*argv, *more]) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scout")
    make_dataset(folder / "data")
    pretrain(folder / "data", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("stage", ["dense", "answers"])
def test_both_stages_lower_their_loss(run: Path, stage: str) -> None:
    history = torch.load(run / f"{stage}.pt", weights_only=True)["history"]
    assert len(history) == STEPS
    assert np.mean(history[-4:]) < np.mean(history[:4])


def test_the_projector_learns_to_pass_on_what_the_tower_tells(run: Path) -> None:
    def projector(of: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        return of[f"{name}linear_1.weight"]

    trained = torch.load(run / "dense.pt", weights_only=True)["modules"]
    fresh = build_scout(LlavaForConditionalGeneration.from_pretrained(run / "model").config, 0)
    before = fresh.model.multi_modal_projector.state_dict()
    assert not torch.equal(projector(trained, "projector."), projector(before, ""))
    accuracy = json.loads((run / "accuracy.json").read_text("utf-8"))
    for name in ("shape", "colour", "place"):
        assert 0 <= accuracy[f"projected/{name}"] <= 1


def test_the_model_loads_and_answers(run: Path) -> None:
    processor = AutoProcessor.from_pretrained(run / "model")
    model = LlavaForConditionalGeneration.from_pretrained(run / "model")
    image = Image.new("RGB", (90, 40), "white")
    talk = [{"role": "user", "content": "<image>\nIs the picture dark or light?"}]
    prompt = processor.apply_chat_template(talk, add_generation_prompt=True)
    inputs = processor(images=[image], text=[prompt], return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == IMAGE_TOKENS
    assert inputs["pixel_values"].shape == (1, 3, 110, 110)
    answer = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert answer.shape[1] > inputs["input_ids"].shape[1]


def test_the_card_states_the_digest_and_the_accuracies(run: Path) -> None:
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert weights_digest(run / "model") in card
    assert re.search(r"\| answers/record \| 0\.\d{3} \| [01]\.\d{3} \|", card)
    assert "common/" not in card


@pytest.mark.parametrize(("native", "attention"), [(True, "eager"), (False, "sdpa")])
def test_a_processor_pretrains_in_what_it_computes_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, attention: str
) -> None:
    monkeypatch.setattr(pretraining, "gains_from_bfloat16", lambda _: native)
    data = make_dataset(tmp_path / "data")
    pre = pretraining.Pretraining(pretraining.Recipe((data,), tmp_path / "out"))
    assert pre.model.config._attn_implementation == attention
    with pre._autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_two_minutes_from_scratch_lower_both_losses(tmp_path: Path) -> None:
    argv = ["--data", str(make_dataset(tmp_path / "data")), "-o", str(tmp_path / "out")]
    argv += ["--no-compile", "--workers", "0", "--dense-batch", "4", "--answer-batch", "4"]
    assert main([*argv, "--minutes", "2"]) == 0
    for stage in ("dense", "answers"):
        losses = torch.load(tmp_path / "out" / f"{stage}.pt", weights_only=True)["history"]
        tenth = max(len(losses) // 10, 1)
        assert len(losses) > 20
        assert np.mean(losses[-tenth:]) < np.mean(losses[:tenth])
    model = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out" / "model")
    assert sum(p.numel() for p in model.parameters()) > 1e6


def test_a_scout_made_from_an_earlier_one_differs_from_it_in_its_weights_alone(
    run: Path, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "data")
    pretrain(data, tmp_path / "out", "--start", str(run / "model"), steps=2)
    assert weights_digest(tmp_path / "out" / "model") != weights_digest(run / "model")
    for path in sorted((run / "model").iterdir()):
        if path.name not in {"model.safetensors", "README.md"}:
            assert (tmp_path / "out" / "model" / path.name).read_bytes() == path.read_bytes()


def test_a_resumed_run_goes_on_where_it_stopped(run: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    pretrain(data, tmp_path / "out", steps=4)
    checkpoint = torch.load(tmp_path / "out" / "dense.pt", weights_only=True)
    checkpoint["total"] = 6
    torch.save(checkpoint, tmp_path / "out" / "dense.pt")
    pretrain(data, tmp_path / "out", "--resume", steps=4)
    assert len(torch.load(tmp_path / "out" / "dense.pt", weights_only=True)["history"]) == 6
    assert len(torch.load(tmp_path / "out" / "answers.pt", weights_only=True)["history"]) == 4


def test_a_new_run_takes_up_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    data, out = make_dataset(tmp_path / "data"), tmp_path / "out"
    pretrain(data, out, steps=2)
    before = weights_digest(out / "model")
    told = (out / "recipe.json").read_text(encoding="utf-8")
    (out / "recipe.json").unlink()
    (out / "mine.pt").write_bytes(b"of another program")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining.Pretraining, "train_answers", lambda _: None)  # cut off here
        pretrain(data, out, "--seed", "5", steps=2)
    pretrain(data, out, "--seed", "5", "--resume", steps=2)
    assert weights_digest(out / "model") != before
    assert (out / "mine.pt").read_bytes() == b"of another program"
    assert (out / "recipe.json").read_text(encoding="utf-8") == told.replace(
        '"seed": 0', '"seed": 5'
    )


def test_a_run_of_another_recipe_is_not_gone_on_with(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path / "data")
    pretrain(data, tmp_path / "out", steps=1)
    kept = (tmp_path / "out" / "dense.pt").read_bytes()
    with pytest.raises(SystemExit):
        pretrain(data, tmp_path / "out", "--resume", "--seed", "5", steps=1)
    assert "holds a run with another seed" in capsys.readouterr().err
    assert (tmp_path / "out" / "dense.pt").read_bytes() == kept


def test_a_run_from_an_earlier_scout_is_seeded(run: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    losses = []
    for name in ("one", "two"):
        pretrain(data, tmp_path / name, "--start", str(run / "model"), steps=1)
        state = torch.load(tmp_path / name / "dense.pt", weights_only=True)
        losses.append(state["history"])
    assert losses[0] == losses[1]


def test_a_checkpoint_that_was_not_measured_is_measured_by_the_resumed_run(
    tmp_path: Path,
) -> None:
    data, out = make_dataset(tmp_path / "data"), tmp_path / "out"
    pretrain(data, out, steps=1)
    (out / "best.json").unlink()
    for folder in ("model", "model.old"):
        shutil.rmtree(out / folder, ignore_errors=True)
    checkpoint = torch.load(out / "answers.pt", weights_only=True)
    checkpoint["total"] = 2
    torch.save(checkpoint, out / "answers.pt")
    measured = []
    with pytest.MonkeyPatch.context() as patch:
        offer = Kept.offer
        patch.setattr(Kept, "offer", lambda *given: (measured.append(given[-1]), offer(*given))[1])
        pretrain(data, out, "--resume", steps=2)
    assert measured == [1, 2]


def test_a_file_that_is_cut_short_is_never_seen(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kept = Kept(tmp_path, {}, stages=(), resume=False)
        kept.report("dense", 1, {"colour": 0.5})
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            kept.report("dense", 2, {"colour": 0.6})
    assert json.loads((tmp_path / "accuracy.json").read_text("utf-8")) == {"dense/colour": 0.5}


def test_a_resumed_run_keeps_the_better_model(tmp_path: Path) -> None:
    data, out = make_dataset(tmp_path / "data"), tmp_path / "out"
    pretrain(data, out, steps=2)
    told = json.loads((out / "best.json").read_text(encoding="utf-8"))
    assert (0 <= told["accuracy"] <= 1, told["step"]) == (True, 2)
    before = weights_digest(out / "model")
    for best, same in ((2.0, True), (-1.0, False)):
        (out / "best.json").write_text(json.dumps({**told, "accuracy": best}), encoding="utf-8")
        checkpoint = torch.load(out / "answers.pt", weights_only=True)
        checkpoint["total"] += 1
        torch.save(checkpoint, out / "answers.pt")
        pretrain(data, out, "--resume", steps=2)
        assert (weights_digest(out / "model") == before) is same
    (out / "best.json").write_text(json.dumps({**told, "accuracy": 2.0}), encoding="utf-8")
    pretrain(data, out, steps=2)
    assert json.loads((out / "best.json").read_text(encoding="utf-8")) == told


def test_a_step_s_batch_depends_on_the_seed_and_the_step_alone(tmp_path: Path) -> None:
    sources = read_sources([make_dataset(tmp_path / "data") / "train.json"])
    first, again = (DenseBatches(sources, [], 2, seed=1) for _ in range(2))
    assert all(torch.equal(first[3][name], again[3][name]) for name in first[3])
    assert not torch.equal(first[3]["pixels"], first[4]["pixels"])


def test_an_image_holds_many_marks_to_learn_from(tmp_path: Path) -> None:
    sources = read_sources([make_dataset(tmp_path) / "train.json"])
    labelled = (DenseBatches(sources, ["dark"], 64, seed=3)[0]["shape"] > 0).sum(1)
    assert 8 < labelled.float().mean() < 40


def test_a_warp_carries_no_mark_away(tmp_path: Path) -> None:
    sources = read_sources([make_dataset(tmp_path) / "train.json"])
    marked = 0
    for seed in range(20):
        scenes = [
            draw_scene(sources, np.random.default_rng(seed), marks=n, overlay="warp", least=0.1)
            for n in (0, 1)
        ]
        changed = np.abs(np.subtract(*(scene.pixels.astype(int) for scene in scenes))).max(2) > 20
        if not len(scenes[1].boxes):
            continue
        left, top, right, bottom = (110 * scenes[1].boxes[0]).round().astype(int)
        marked += 1
        assert changed[top:bottom, left:right].any()
        changed[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3] = False
        assert not changed.any()
    assert marked > 5


def test_mirror_images_show_the_same_marks_elsewhere(tmp_path: Path) -> None:
    sources = read_sources([make_dataset(tmp_path) / "train.json"])
    batch = DenseBatches(sources, ["dark"], 4, seed=3)[0]
    both = with_mirror_images(batch)
    for name, tensor in batch.items():
        assert torch.equal(both[name][:4], tensor)
    for name in ("overlay", "words", "known"):
        assert torch.equal(both[name][4:], batch[name])
    assert torch.equal(both["pixels"][4:].flip(2), batch["pixels"])
    for name in ("shape", "colour", "row"):
        grid, mirrored = (both[name][part].view(4, GRID, GRID) for part in (slice(4), slice(4, 8)))
        assert torch.equal(mirrored.flip(2), grid)
        assert not torch.equal(mirrored, grid)
    column = both["column"].view(8, GRID, GRID)
    asked = column[:4] >= 0
    assert torch.equal(column[4:].flip(2)[asked], 5 - column[:4][asked])
    assert (column[4:].flip(2)[~asked] < 0).all()
    # A mark in the mirror image's first column of tokens is told to lie on the left.
    assert (column[:, :, 0][column[:, :, 0] >= 0] <= 1).all()


def test_mirror_images_are_learned_from_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = pretraining.normalise
    monkeypatch.setattr(
        pretraining, "normalise", lambda pixels: (seen.append(len(pixels)), original(pixels))[1]
    )
    data = make_dataset(tmp_path / "data")
    for more, images in ((), 4), (("--mirror",), 8):
        seen.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pretraining.Pretraining, "train_answers", lambda _: None)
            pretrain(data, tmp_path / f"out{images}", *more, steps=1)
        assert seen[0] == images


def test_an_earlier_scout_s_tower_is_left_alone_for_no_dense_steps(
    run: Path, tmp_path: Path
) -> None:
    data, out = make_dataset(tmp_path / "data"), tmp_path / "out"
    pretrain(data, out, "--start", str(run / "model"), "--dense-steps", "0", steps=2)
    before, after = (
        LlavaForConditionalGeneration.from_pretrained(folder / "model").state_dict()
        for folder in (run, out)
    )
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(kept for name, kept in same.items() if "vision_tower" in name)
    assert not all(same.values())
    assert not any(
        name.startswith("dense/") for name in json.loads((out / "accuracy.json").read_text("utf-8"))
    )


def one_weight(losses: list[float]) -> tuple[Stage, torch.nn.Linear]:
    """A stage whose loss at a step is the weight times that step's number."""

    class Numbers(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
        def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
            return {"times": torch.tensor(losses[step])}

    weight = torch.nn.Linear(1, 1, bias=False)
    return Stage(
        "one", torch.nn.ModuleDict({"weight": weight}), Numbers(),
        lambda batch: {"loss": (weight.weight * batch["times"]).sum()}, 0.1, torch.device("cpu"),
    ), weight  # fmt: skip


def test_a_step_without_a_gradient_is_left_out(tmp_path: Path) -> None:
    stage, weight = one_weight([1.0, float("nan"), 1.0])
    before = weight.weight.item()
    logged: list[str] = []
    assert run_stage(stage, tmp_path, steps=3, workers=0, log=logged.append) == 3
    assert np.isfinite(weight.weight.item())
    assert weight.weight.item() < before


def test_a_run_that_has_lost_its_gradient_ends_and_keeps_its_last_checkpoint(
    tmp_path: Path,
) -> None:
    stage, _ = one_weight([1.0] * 5 + [float("nan")] * 60)
    with pytest.raises(ModelError, match=r"one: the gradient is no number at step 24 and the 19"):
        run_stage(stage, tmp_path, steps=60, workers=0, save_every=5)
    kept = torch.load(tmp_path / "one.pt", weights_only=True)
    assert all(p.isfinite().all() for p in kept["modules"].values())


def test_a_token_with_a_mark_is_asked_for_its_place_too() -> None:
    pixels = np.zeros((110, 110, 3), np.uint8)
    # Its centre lies in the fifth sixth across and the second down, as does all of its token.
    scene = finish_scene(pixels, [Mark("disc", "red", 81, 21, 8)], "none", -1)
    labels = token_labels(scene)
    asked = np.flatnonzero(labels["shape"])
    assert asked.tolist() == [2 * 11 + 8]
    told = {name: tokens[asked[0]] for name, tokens in labels.items()}
    assert told == {"shape": 2, "colour": 4, "row": 1, "column": 4}
    assert set(np.delete(labels["row"], asked)) == {-100}


def test_a_place_is_right_where_row_and_column_are() -> None:
    def answer(*chosen: int, of: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([chosen]), of).float()

    batch = {
        "shape": torch.tensor([[1, 1, 1, 0]]),
        "colour": torch.tensor([[1, 1, 1, 0]]),
        "row": torch.tensor([[0, 2, 5, -100]]),
        "column": torch.tensor([[0, 2, 5, -100]]),
        "overlay": torch.tensor([0]),
    }
    answers = {
        "shape": answer(1, 1, 2, 0, of=9),
        "colour": answer(1, 1, 1, 0, of=11),
        # sixths of the same third; the same; another third
        "row": answer(1, 2, 5, 0, of=6),
        "column": answer(0, 2, 3, 0, of=6),
        "overlay": answer(0, of=7)[:, 0],
    }
    found = dense_accuracy(answers, batch)
    expected = {"shape": 2 / 3, "colour": 1, "place": 2 / 3, "ground": 1, "overlay": 1}
    assert found == pytest.approx(expected)


def test_token_shares_of_a_box_add_up_to_one() -> None:
    shares = token_shares(np.array([0.31, 0.62, 0.37, 0.68]))
    assert shares.shape == (IMAGE_TOKENS,)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares > 0).sum() <= 4


def encoder() -> TurnEncoder:
    return TurnEncoder(train_tokenizer(["What is it? A cat. A dog."] * 4, vocab_size=300))


def test_packed_turns_are_the_chat_template_s_tokens() -> None:
    tokenizer = train_tokenizer(["What is it? A cat."] * 4, vocab_size=300)
    turns = TurnEncoder(tokenizer)
    ids, answer_length = turns.turn("What is it?", "A cat.")
    processor = build_processor(tokenizer)
    talk = [{"role": "user", "content": "<image>\nWhat is it?"}]
    prompt = processor.apply_chat_template(talk, add_generation_prompt=True)
    image = Image.new("RGB", (20, 20))
    expected = processor(images=[image], text=[prompt], return_tensors="pt")["input_ids"][0]
    got = turns.prefix + [turns.image_id] * IMAGE_TOKENS + ids[:-answer_length]
    assert got == expected.tolist()


def test_turns_do_not_see_each_other() -> None:
    turn = torch.tensor([[0, 0, 1, 1, -1]])
    seen = shared_prefix_mask(turn, prefix_length=2, dtype=torch.float32)[0, 0] == 0
    assert seen[4].tolist() == [True, True, False, False, True, False, False]
    assert seen[3].tolist() == [True, True, True, True, False, False, False]


def test_only_answers_are_targets() -> None:
    turns = encoder()
    packed = pack_turns(turns, [Turn("What is it?", "A dog.", "record")] * 2, length=80)
    _, answer_length = turns.turn("What is it?", "A dog.")
    assert (packed["target"] >= 0).sum() == 2 * answer_length
    first = packed["target"] >= 0
    assert (packed["ids"][1:][first[:-1]] == packed["target"][first]).all()


def test_the_most_common_answer_stands_beside_the_others() -> None:
    turns = encoder()
    asked = [
        [Turn("How many?", "No dog.", "count"), Turn("What is it?", "A dog.", "record")],
        [Turn("How many?", "No dog.", "count"), Turn("Which?", "A picture.", "record")],
        [Turn("How many?", "A dog.", "count")],
    ]
    packed = [pack_turns(turns, some, length=80) for some in asked]
    batches = [
        {name: torch.as_tensor(np.stack([one[name] for one in part])) for name in packed[0]}
        for part in (packed[:2], packed[2:])
    ]

    def right_at_first(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        target = batch["target"][batch["target"] >= 0]
        wrong = batch is not batches[0]
        return torch.nn.functional.one_hot(target + wrong, 8192)

    asked_of: list[int] = []

    def counted(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        asked_of.append(len(batch["target"]))
        return right_at_first(batch)

    found = measure(iter(batches), counted)
    assert asked_of == [2, 1]  # the model is asked once
    assert found["count"] == Accuracy(whole=0.5, others=0.0)
    assert found["record"] == Accuracy(whole=1.0, others=1.0)


def test_some_marks_belong_to_no_family() -> None:
    assert 20 < len(FAMILY_MARKS) < 60
    assert "black square" in FAMILY_MARKS


def test_phrases_are_steady_first_and_renewed_later() -> None:
    family = FAMILIES[0]
    early = {phrase_at(family, step, steady_until=1000, seed=0) for step in (0, 500, 1000)}
    assert len(early) == 1
    assert phrase_at(family, 3000, steady_until=1000, seed=0) not in early


def test_yes_and_letters_are_no_content(tmp_path: Path) -> None:
    sources = read_sources([make_dataset(tmp_path / "data") / "train.json"])
    assert {word for s in sources for word in s.words} == {"dark", "light"}
    assert all(isinstance(s, Source) for s in sources)
