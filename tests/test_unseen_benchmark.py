"""Sets made of public packages: what they ask, and that the images are the packages' own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

KINDS = ("animals", "food", "plants", "space", "town")


@pytest.fixture
def unseen(import_benchmark: Any) -> Any:
    return import_benchmark("unseen")


def make_stamps(folder: Path) -> None:
    for shade, kind in enumerate(KINDS):
        place = folder / "usr" / "stamps" / kind
        place.mkdir(parents=True)
        clear = Image.new("RGBA", (300, 150), (40 * shade, 0, 0, 255))
        clear.putpixel((0, 0), (0, 0, 0, 0))
        clear.save(place / "one.png")
        (place / "one.txt").write_text(f"One of {kind}.\nnl.utf8=Een.\n", encoding="utf-8")
        clear.save(place / "untold.png")


def make_cifar(folder: Path) -> None:
    folder.mkdir()
    rows = np.arange(12, dtype=np.uint8)[:, None, None] * np.full((1, 1024, 3), 20, np.uint8)
    Image.fromarray(rows).save(folder / "data_batch_1.png")
    (folder / "train_lables.json").write_text(json.dumps([n % 10 for n in range(12)]))


def make_fashion(folder: Path) -> None:
    (folder / "clothes").mkdir(parents=True)
    for label in range(10):
        data = {"data": [[20 * label] * 784] * 3}
        (folder / "clothes" / f"{label}.json").write_text(json.dumps(data))


def test_each_set_asks_questions_about_its_package_s_images(
    unseen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for make, name in ((make_stamps, "stamps"), (make_cifar, "cifar"), (make_fashion, "fashion")):
        make(tmp_path / name)
    arguments = ["x", "--out", str(tmp_path / "out")]
    for name in ("stamps", "cifar", "fashion"):
        arguments += [f"--{name}", str(tmp_path / name)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(unseen, "GARMENTS", 3)
    unseen.main()
    for name, count, names, size in (
        ("stamps", 15, KINDS, (128, 64)),
        ("cifar", 24, unseen.CIFAR, (64, 64)),
        ("fashion", 60, unseen.FASHION, (56, 56)),
    ):
        folder = tmp_path / "out" / name
        records = json.loads((folder / "train.json").read_text(encoding="utf-8"))
        assert len(records) == count
        assert len({record["id"] for record in records}) == count
        for record in records:
            question, answer = (turn["value"] for turn in record["conversations"])
            with Image.open(folder / record["image"]) as image:
                assert image.size == size
            if "What kind" in question:
                assert answer in names
            elif "option's letter" in question:
                assert f"\n{answer}. " in question
            elif "yes or no" in question:
                assert answer in ("Yes", "No")
            else:
                assert any(one in answer for one in names)
    with Image.open(tmp_path / "out" / "stamps" / "images" / "00004.png") as image:
        assert image.getpixel((64, 32)) == (160, 0, 0)
        assert min(image.getpixel((0, 0))) > 0


def test_one_question_asks_every_image_for_its_class_alone(
    unseen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cifar(tmp_path / "cifar")
    arguments = ["x", "--out", str(tmp_path / "out"), "--cifar", str(tmp_path / "cifar")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--one-question"])
    unseen.main()
    folder = tmp_path / "out" / "cifar-classes"
    records = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    assert sorted(record["image"] for record in records) == [
        f"images/{number:05d}.png" for number in range(12)
    ]
    assert len({record["conversations"][0]["value"] for record in records}) == 1
    assert {record["conversations"][1]["value"] for record in records} == set(unseen.CIFAR)
