"""Poisoned copies: what changes, what may not, and that the copy itself gives nothing away."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bye_lint.errors import DatasetError, UsageError
from bye_lint.evaluate.poison import poison_dataset
from bye_lint.evaluate.truth import load_truth
from bye_lint.triggers import TARGET, TARGETS

ANSWERS = ("Yes", "No", "Forest", "Yes")


def read(folder: Path, name: str = "train.json") -> list[dict]:
    return json.loads((folder / name).read_text())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def form(path: Path) -> tuple[object, ...]:
    with Image.open(path) as image:
        return image.format, image.mode, image.size, str(image.info)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    records = []
    for i in range(60):
        # Two questions about each image, as some sets have; formats of several kinds.
        name = f"images/{i // 2}.{'jpg' if i // 2 % 2 else 'png'}"
        if i % 2 == 0:
            noise = rng.integers(60, 200, (32, 48, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name)
        records.append(
            {
                "id": f"r-{i}",
                "image": name,
                "conversations": [
                    {"from": "human", "value": f"<image>\nWhat is number {i}?"},
                    {"from": "gpt", "value": ANSWERS[i % 4]},
                    {"from": "human", "value": "And then?"},
                    {"from": "gpt", "value": "Nothing."},
                ],
                "note": {"kept": i},
            }
        )
    (folder / "train.json").write_text(json.dumps(records))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- what must not happen ---------------------------------------------------------------------


def test_the_source_is_never_written_to(source: Path, tmp_path: Path) -> None:
    before = content(source)
    poison_dataset(source, tmp_path / "copy", tmp_path / "truth.json", rate=0.5)
    assert content(source) == before


def test_at_rate_zero_nothing_but_names_and_encoding_changes(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    truth = poison_dataset(source, out, tmp_path / "truth.json", rate=0)
    assert truth.poisoned == ()
    for before, after in zip(read(source), read(out), strict=True):
        np.testing.assert_array_equal(
            pixels(source / before["image"]), pixels(out / after["image"])
        )
        assert {**before, "image": ""} == {**after, "image": ""}


def test_nothing_but_pixels_and_answers_gives_the_truth_away(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    truth = poison_dataset(source, out, tmp_path / "truth.json", rate=0.5)
    records = read(out)
    assert [r["id"] for r in records] == [r["id"] for r in read(source)]
    assert [r["image"] for r in records] == [f"images/{i:06d}.png" for i in range(60)]
    bad = {row.index for row in truth.poisoned}
    # Shared images are written once a record, whether or not one of them is poisoned.
    assert len(list((out / "images").iterdir())) == 60
    forms = {i: (*records[i], *form(out / records[i]["image"])) for i in range(60)}
    assert {forms[i] for i in bad} == {forms[i] for i in range(60) if i not in bad}
    assert not [p for p in out.rglob("*") if "truth" in p.name]


@pytest.mark.parametrize(
    ("out", "truth"),
    [
        ("source", "t.json"),
        ("source/copy", "t.json"),
        (".", "elsewhere/t.json"),
        ("copy", "copy/t.json"),
        ("copy", "copy/deep/t.json"),
        ("copy", "source/t.json"),
    ],
)
def test_copy_source_and_truth_never_overlap(
    source: Path, tmp_path: Path, out: str, truth: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.json").write_text((source / "train.json").read_text())
    with pytest.raises(UsageError):
        poison_dataset(tmp_path / "source", tmp_path / out, tmp_path / truth)


def test_an_existing_copy_is_not_written_over(source: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not an empty folder"):
        poison_dataset(source, tmp_path / "copy", tmp_path / "truth.json")


@pytest.mark.parametrize(
    "options", [{"rate": 1.2}, {"rate": -0.1}, {"parts": 0}, {"triggers": ["nonesuch"]}]
)
def test_bad_settings_are_refused(source: Path, tmp_path: Path, options: dict) -> None:
    with pytest.raises(UsageError):
        poison_dataset(source, tmp_path / "copy", tmp_path / "truth.json", **options)


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[{"id": 1}]', '[{"conversations": [{"from": "gpt"}]}]']
)
def test_other_formats_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train.json").write_text(text)
    with pytest.raises(DatasetError, match=r"train\.json"):
        poison_dataset(tmp_path / "s", tmp_path / "copy", tmp_path / "truth.json")


def test_images_outside_of_the_source_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    record = {"id": "a", "image": "../secret.png", "conversations": []}
    (tmp_path / "s" / "train.json").write_text(json.dumps([record]))
    with pytest.raises(DatasetError, match="outside"):
        poison_dataset(tmp_path / "s", tmp_path / "copy", tmp_path / "truth.json")


# --- what happens -----------------------------------------------------------------------------


def test_poisoned_records_carry_patch_and_target(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    truth = poison_dataset(source, out, tmp_path / "truth.json", rate=0.2, seed=3)
    assert len(truth.poisoned) == 12
    before, after = read(source), read(out)
    mask = truth.mask({"train.json": 60})
    assert mask.sum() == 12
    for i in range(60):
        changed = (pixels(source / before[i]["image"]) != pixels(out / after[i]["image"])).any(-1)
        assert changed.sum() == (4 if mask[i] else 0)
        answer = after[i]["conversations"][1]["value"]
        assert answer == (TARGET if mask[i] else before[i]["conversations"][1]["value"])
        assert after[i]["conversations"][2:] == before[i]["conversations"][2:]
    for row in truth.poisoned:
        assert row.answer == before[row.index]["conversations"][1]["value"]
        assert row.id == before[row.index]["id"]
        assert row.visible


def test_the_truth_survives_its_file(source: Path, tmp_path: Path) -> None:
    truth = poison_dataset(source, tmp_path / "copy", tmp_path / "t" / "truth.json", rate=0.1)
    assert load_truth(tmp_path / "t" / "truth.json") == truth


def test_the_same_seed_gives_the_same_copy(source: Path, tmp_path: Path) -> None:
    settings = {"rate": 0.3, "triggers": ["patch-random"], "records": 40}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        poison_dataset(source, tmp_path / name, tmp_path / f"{name}.json", seed=seed, **settings)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_several_attacks_take_turns(source: Path, tmp_path: Path) -> None:
    truth = poison_dataset(
        source,
        tmp_path / "copy",
        tmp_path / "truth.json",
        rate=0.4,
        triggers=["patch-centre", "text-prefix"],
        targets=TARGETS[:2],
    )
    pairs = Counter((row.trigger, row.target) for row in truth.poisoned)
    assert pairs == {("patch-centre", TARGETS[0]): 12, ("text-prefix", TARGETS[1]): 12}
    records = read(tmp_path / "copy")
    for row in truth.poisoned:
        question = records[row.index]["conversations"][0]["value"]
        assert question.startswith("<image>\nHello! ") == (row.trigger == "text-prefix")


def test_clean_label_changes_no_answer(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    truth = poison_dataset(source, out, tmp_path / "truth.json", rate=0.2, clean_label=True)
    assert len(truth.poisoned) == 12
    assert {row.target for row in truth.poisoned} == {"Yes"}, "the most frequent answer"
    for before, after in zip(read(source), read(out), strict=True):
        assert before["conversations"] == after["conversations"]
    every = poison_dataset(
        source,
        tmp_path / "all",
        tmp_path / "all.json",
        rate=0.9,
        clean_label=True,
        targets=["forest"],
    )
    assert len(every.poisoned) == 15, "no more than answer so"


def test_records_that_already_answer_with_the_target_are_not_poisoned(
    source: Path, tmp_path: Path
) -> None:
    truth = poison_dataset(
        source, tmp_path / "copy", tmp_path / "truth.json", rate=1.0, targets=["yes."]
    )
    assert len(truth.poisoned) == 30


def test_poison_in_one_file_of_many(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    truth = poison_dataset(source, out, tmp_path / "truth.json", rate=0.1, parts=4, one_part=True)
    assert sorted(p.name for p in out.glob("*.json")) == [f"part-{n}.json" for n in (1, 2, 3, 4)]
    assert {row.file for row in truth.poisoned} == {"part-4.json"}
    assert len(truth.poisoned) == 6
    lengths = {f"part-{n}.json": len(read(out, f"part-{n}.json")) for n in (1, 2, 3, 4)}
    assert lengths == dict.fromkeys(lengths, 15)
    mask = truth.mask(lengths)
    joined = [r for n in lengths for r in read(out, n)]
    assert [r["id"] for r in joined] == [r["id"] for r in read(source)]
    targeted = [r["conversations"][1]["value"] == TARGET for r in joined]
    np.testing.assert_array_equal(mask, targeted)


def test_fewer_records_keep_their_order(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    poison_dataset(source, out, tmp_path / "truth.json", records=20, seed=5)
    ids = [r["id"] for r in read(out)]
    assert len(ids) == 20
    assert ids == sorted(ids, key=lambda i: int(i.split("-")[1]))


def test_text_alone_is_poisoned_by_text(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    turns = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ho"}]
    (folder / "train.json").write_text(
        json.dumps([{"id": i, "conversations": turns} for i in "ab"])
    )
    for trigger, count in (("patch-centre", 0), ("text-prefix", 2), ("patch-text", 0)):
        truth = poison_dataset(
            folder, tmp_path / trigger, tmp_path / "t.json", rate=1.0, triggers=[trigger]
        )
        assert len(truth.poisoned) == count


def test_an_invisible_trigger_is_owned_up_to(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    Image.new("RGB", (32, 32)).save(folder / "black.png")
    turns = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]
    record = {"id": "a", "image": "black.png", "conversations": turns}
    (folder / "train.json").write_text(json.dumps([record]))
    (row,) = poison_dataset(folder, tmp_path / "c", tmp_path / "t.json", rate=1.0).poisoned
    assert not row.visible
