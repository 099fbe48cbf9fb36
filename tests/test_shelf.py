"""Images that datasets embed and canaries copy lie on disk, not in memory, and leave nothing."""

from __future__ import annotations

import errno
import pickle
import threading
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from test_canaries import encoded, noise, sample

from bye_lint import scan, shelf
from bye_lint.canaries import plan_canaries, plant
from bye_lint.errors import CacheError
from bye_lint.learning import plant as plant_for_check
from bye_lint.policy import Policy
from bye_lint.progress import SilentProgress
from bye_lint.records import ImageSource
from bye_lint.request import Overrides, plan_request
from bye_lint.shelf import Shelf, Slot


def test_what_is_put_is_read_back(tmp_path: Path) -> None:
    things = [bytes([i]) * (i * 7) for i in range(20)]
    place = Shelf(tmp_path, in_memory=100)
    slots = [place.put(thing) for thing in things]
    assert isinstance(slots[0], bytes)
    assert isinstance(slots[-1], Slot)
    assert len(slots[-1]) == len(things[-1])
    for order in (range(20), range(19, -1, -1)):
        for i in order:
            assert ImageSource("x", data=slots[i]).read() == things[i]


def test_threads_read_while_others_put(tmp_path: Path) -> None:
    place = Shelf(tmp_path, in_memory=0)
    wrong: list[int] = []

    def work(number: int) -> None:
        mine = [bytes([number]) * (1000 + i) for i in range(200)]
        slots = [place.put(thing) for thing in mine]
        wrong.extend(number for a, b in zip(slots, mine, strict=True) if a.read() != b)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_left_and_nothing_is_opened_in_vain(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    place = Shelf(folder, in_memory=10)
    place.put(b"small")
    assert not folder.exists()
    slot = place.put(b"more than is left")
    assert list(folder.iterdir()) == []
    del place
    assert slot.read() == b"more than is left"  # a slot keeps what it stands on


def test_equal_images_are_laid_once_and_are_equal(tmp_path: Path) -> None:
    place = Shelf(tmp_path, in_memory=0)
    one, other, same = (place.put(data) for data in (b"one", b"other", b"one"))
    assert one == same
    assert one != other
    assert other.read() == b"other"
    assert place._end == 8


def test_a_folder_that_takes_nothing_is_stood_in_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    slot = Shelf(tmp_path / "file" / "cache", in_memory=0).put(b"image")
    assert slot.read() == b"image"


def test_another_process_is_sent_the_bytes(tmp_path: Path) -> None:
    image = ImageSource("x.png", data=Shelf(tmp_path, in_memory=0).put(b"image"))
    assert pickle.loads(pickle.dumps(image)) == ImageSource("x.png", data=b"image")


def test_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __getattr__(self, name: str) -> object:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelf.tempfile, "TemporaryFile", lambda **_: Full())
    monkeypatch.setattr(shelf.weakref, "finalize", lambda *_: None)
    monkeypatch.setattr(Full, "close", lambda self: None, raising=False)
    with pytest.raises(CacheError, match="no space left on device") as caught:
        Shelf(tmp_path, in_memory=0).put(b"image")
    assert "BYE_LINT_CACHE" in str(caught.value.remedy)


def test_embedded_images_of_a_check_are_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shelf, "IN_MEMORY", 2**20)
    rows = [
        {
            "image": encoded(noise(i, (300, 300))),
            "messages": [
                {"role": "user", "content": f"<image>What is {i}?"},
                {"role": "assistant", "content": f"{i}"},
            ],
        }
        for i in range(60)
    ]
    size = sum(len(row["image"]) for row in rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    for structural in (True, False):
        request = plan_request([tmp_path], Overrides(structural=structural))
        tracemalloc.start()
        try:
            checked, _ = scan.read(request, SilentProgress())
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < size / 4
        # who has looked at the structure alone has no use for them any more
        assert (tmp_path / "cache").exists() is not structural
    assert [item.sample.images[0].read() for item in checked] == [row["image"] for row in rows]


def test_copies_of_canaries_are_laid_aside_and_are_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path))
    monkeypatch.setattr(shelf, "IN_MEMORY", 0)
    records = [sample(i, encoded(noise(i))) for i in range(200)]
    planned = plan_canaries(records, share=0.3, seed=1)
    _, held = plant(planned, records)
    _, aside = plant(planned, records, shelf=Shelf(tmp_path))
    assert [copy.digest() for copy in aside] == [copy.digest() for copy in held]
    assert all(isinstance(image.data, Slot) for copy in aside for image in copy.images)
    _, copies = plant_for_check(records, Policy(), SilentProgress())
    assert copies
    assert all(isinstance(image.data, Slot) for copy in copies for image in copy.images)
