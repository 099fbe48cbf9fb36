"""Several image sets in one, for sets of more records than any of them has."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Two sets of images with the same names, and other bytes in them."""
    folders = [tmp_path / "birds", tmp_path / "fish"]
    for folder in folders:
        (folder / "images").mkdir(parents=True)
        (folder / "images" / "0.png").write_bytes(folder.name.encode())
        for part, length in (("train.json", 30), ("test.json", 5)):
            records = [
                {
                    "id": f"{folder.name}-{part}-{i}",
                    "image": "images/0.png",
                    "conversations": [{"from": "human", "value": "<image>\nWhat?"}],
                }
                for i in range(length)
            ]
            (folder / part).write_text(json.dumps(records))
    return folders


def test_a_mixed_set_has_every_record_with_its_own_image(
    import_benchmark: Any, sources: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "mixed"
    lengths = import_benchmark("mixed").mix(sources, out)
    assert lengths == {"train.json": 60, "test.json": 10}
    for part in lengths:
        records = {r["id"]: r for r in json.loads((out / part).read_text())}
        for folder in sources:
            for record in json.loads((folder / part).read_text()):
                mixed = records.pop(record["id"])
                assert (out / mixed["image"]).read_bytes() == folder.name.encode()
                assert mixed["conversations"] == record["conversations"]
        assert not records


def test_the_sets_of_a_mixed_set_do_not_follow_each_other(
    import_benchmark: Any, sources: list[Path], tmp_path: Path
) -> None:
    mix = import_benchmark("mixed").mix
    texts = []
    for name in ("a", "b"):
        mix(sources, tmp_path / name)
        texts.append((tmp_path / name / "train.json").read_text())
    ids = [record["id"].split("-")[0] for record in json.loads(texts[0])]
    assert sum(a != b for a, b in pairwise(ids)) > 10
    assert texts[0] == texts[1]


def test_a_folder_that_is_there_is_left_alone(
    import_benchmark: Any, sources: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(FileExistsError):
        import_benchmark("mixed").mix(sources, sources[0])
    assert len(json.loads((sources[0] / "train.json").read_text())) == 30
