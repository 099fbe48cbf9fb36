"""The store of extracted features: what is kept comes back, and nothing damaged does."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from bye_lint import store as module
from bye_lint.errors import CacheError
from bye_lint.store import FeatureStore, cache_folder, require_writable


def row(seed: int, tokens: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "entropy": rng.normal(size=3).astype(np.float32),
        "map": rng.normal(size=(3, tokens)).astype(np.float16),
        "shape": np.array([tokens, 0, 0]),
    }


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
        assert array.dtype == other[name].dtype


def test_an_empty_store_has_nothing(tmp_path):
    assert FeatureStore(tmp_path / "none").get(["a"]) == {}


def test_rows_of_different_shape_come_back_as_they_were(tmp_path):
    rows = {"a": row(0), "b": row(1, tokens=9), "c": {"entropy": np.zeros(2, np.float32)}}
    FeatureStore(tmp_path).put(rows)
    found = FeatureStore(tmp_path).get(["a", "b", "c", "d"])
    assert found.keys() == rows.keys()
    for key, arrays in rows.items():
        assert_same(found[key], arrays)


def test_a_later_row_of_the_same_key_with_more_in_it_wins(tmp_path):
    store = FeatureStore(tmp_path)
    store.put({"a": {"entropy": np.ones(2)}})
    store.put({"a": {"entropy": np.ones(2), "attention": np.ones((2, 3))}})
    assert set(FeatureStore(tmp_path).get(["a"])["a"]) == {"entropy", "attention"}


def test_namespaces_are_apart(tmp_path):
    FeatureStore(tmp_path, "one").put({"a": row(0)})
    assert FeatureStore(tmp_path, "two").get(["a"]) == {}
    with pytest.raises(ValueError, match="namespace"):
        FeatureStore(tmp_path, "../two")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_thrown_away(tmp_path, damage):
    store = FeatureStore(tmp_path)
    store.put({"a": row(0)})
    store.put({"b": row(1)})
    path = next(p for p in (tmp_path / "features").iterdir())
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(
        {"truncated": content[:-7], "flipped": bytes(flipped), "empty": b"", "foreign": b"x" * 99}[
            damage
        ]
    )
    fresh = FeatureStore(tmp_path)
    assert len(fresh.get(["a", "b"])) == 1
    assert fresh.damaged == 1
    assert not path.exists()


def written(folder, body: bytes):
    """Write a file of the cache whose digest is right, whatever is in it."""
    (folder / "features").mkdir()
    path = folder / "features" / f"bad{module._SUFFIX}"
    path.write_bytes(module._MAGIC + hashlib.sha256(body).digest() + body)
    return path


def zipped(**members: bytes) -> bytes:
    keys, stream = io.BytesIO(), io.BytesIO()
    np.save(keys, np.array(["a"]))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {"keys": keys.getvalue(), **members}.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(64)


def deflate_damaged() -> bytes:
    body = zipped(**{"x.data": os.urandom(64)})
    place = body.index(b"x.data.npy") + len(b"x.data.npy")
    return body[:place] + b"\xff" * 9 + body[place + 9 :]


def saved(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, keys=np.array(["a"]), **arrays)
    return stream.getvalue()


SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(saved(**{"x.data": np.array([{"a": 1}], dtype=object)}), id="pickle"),
        pytest.param(saved(**{"x.data": np.zeros(2)}), id="shapes-missing"),
        pytest.param(saved(**{"x.data": np.zeros(2), "x.shape": np.zeros(())}), id="no-row"),
        pytest.param(saved(**{"x.data": np.zeros(2), "x.shape": np.zeros((1, 0))}), id="no-depth"),
        pytest.param(
            saved(**{"x.data": np.zeros(2), "x.shape": np.array([["a", "b"]])}), id="words"
        ),
        pytest.param(deflate_damaged(), id="deflate"),
        pytest.param(zipped(**{"x.data": header("{'descr': (")}), id="header-open"),
        pytest.param(zipped(**{"x.data": header("(" * 4000)}), id="header-deep"),
        pytest.param(zipped(**{"x.data": header(SHAPE % "(10**15,)")}), id="header-sum"),
        pytest.param(zipped(**{"x.data": header(SHAPE % f"({10**15},)")}), id="header-large"),
        pytest.param(zipped(**{"x.data": b"no array"}), id="no-array"),
    ],
)
def test_a_file_that_is_damaged_beneath_its_digest_is_thrown_away(tmp_path, body):
    path = written(tmp_path, body)
    store = FeatureStore(tmp_path)
    assert store.get(["a"]) == {}
    assert store.damaged == 1
    assert not path.exists()


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fdopen", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path).put({"a": row(0)})
    assert list((tmp_path / "features").iterdir()) == []


def test_writers_beside_each_other_lose_nothing(tmp_path):
    def write(start: int) -> None:
        store = FeatureStore(tmp_path)
        for i in range(start, start + 10):
            store.put({str(i): row(i)})

    threads = [threading.Thread(target=write, args=(n,)) for n in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = FeatureStore(tmp_path).get([str(i) for i in range(20)])
    assert len(found) == 20
    assert_same(found["7"], row(7))


def test_prune_removes_the_least_recently_used(tmp_path):
    store = FeatureStore(tmp_path)
    for i in range(3):
        store.put({str(i): row(i)})
        for path in (tmp_path / "features").iterdir():
            if path.stat().st_mtime > 1e9:
                os.utime(path, (i, i))
    size = sum(p.stat().st_size for p in (tmp_path / "features").iterdir())
    another = FeatureStore(tmp_path)
    another.get(["0"])  # used just now
    assert another.prune(limit=size - 1) > 0
    assert set(FeatureStore(tmp_path).get(["0", "1", "2"])) == {"0", "2"}


def test_prune_leaves_what_this_check_has_made(tmp_path):
    FeatureStore(tmp_path).put({"old": row(0)})
    store = FeatureStore(tmp_path)
    store.put({"a": row(1)})
    store.put({"b": row(2)})
    assert store.prune(limit=0) > 0
    assert set(FeatureStore(tmp_path).get(["old", "a", "b"])) == {"a", "b"}


def test_a_row_does_not_hold_its_whole_file(tmp_path):
    FeatureStore(tmp_path).put({str(i): {"x": np.zeros(10_000)} for i in range(50)})
    tracemalloc.start()
    try:
        found = FeatureStore(tmp_path).get(["7"])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found["7"]["x"].shape == (10_000,)
    assert held < 5 * 80_000


def test_a_file_without_a_wanted_row_is_not_read_further(tmp_path, monkeypatch):
    store = FeatureStore(tmp_path)
    store.put({"a": row(0)})
    store.put({"b": row(1)})
    digested, digest = [], module._digest
    monkeypatch.setattr(
        module, "_digest", lambda file: (digested.append(file.name), digest(file))[1]
    )
    assert FeatureStore(tmp_path).get(["none"]) == {}
    assert digested == []
    assert FeatureStore(tmp_path).get(["b"]).keys() == {"b"}
    assert len(digested) == 1


def test_one_array_is_held_at_a_time_beside_the_rows(tmp_path):
    fields = {name: np.zeros(50_000) for name in "abcdefgh"}
    FeatureStore(tmp_path).put({str(i): fields for i in range(10)})
    tracemalloc.start()
    try:
        FeatureStore(tmp_path).get(["7"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (file,) = (tmp_path / "features").iterdir()
    assert peak < file.stat().st_size / 2


def test_what_is_left_is_named_and_not_loaded(tmp_path):
    small = {"x": np.arange(3.0)}
    FeatureStore(tmp_path).put(
        {str(i): small | {"map": np.ones((10, 1000 + i))} for i in range(50)} | {"none": small}
    )
    keys = ["7", "none"]
    tracemalloc.start()
    try:
        found = FeatureStore(tmp_path).get(keys, leave=["map"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found["7"].keys() == {"x", "map"}
    assert found["7"]["map"].size == 0
    assert found["none"].keys() == {"x"}
    assert FeatureStore(tmp_path).get(keys)["7"]["map"].shape == (10, 1007)
    (file,) = (tmp_path / "features").iterdir()
    assert peak < file.stat().st_size / 2


def test_a_file_that_may_not_be_removed_ends_nothing(tmp_path, monkeypatch):
    FeatureStore(tmp_path).put({"a": row(0)})
    FeatureStore(tmp_path).put({"b": row(1)})
    path = next(p for p in (tmp_path / "features").iterdir())
    path.write_bytes(b"damaged")

    def refuse(self, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(type(path), "unlink", refuse)
    store = FeatureStore(tmp_path)
    assert len(store.get(["a", "b"])) == 1
    assert store.damaged == 1
    assert FeatureStore(tmp_path).prune(limit=0) == 0


def test_the_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("BYE_LINT_CACHE")
    assert cache_folder().name == "bye-lint"


def test_a_cache_that_takes_files_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_cache_that_takes_none_is_an_error_with_a_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"file.cache: the cache cannot be written") as caught:
        require_writable(tmp_path / "file" / "cache")
    assert "BYE_LINT_CACHE" in caught.value.remedy


def test_the_store_and_the_model_table_need_no_torch():
    code = "import sys, bye_lint.store, bye_lint.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
