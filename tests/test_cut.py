"""Records taken out of one file: what is left is what was there, or nothing is written."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bye_lint.cut import cut
from bye_lint.errors import ResultError
from bye_lint.rewrite import rewrite_in_place

N = 4
SUBSETS = [chosen for n in range(1, N + 1) for chosen in combinations(range(N), n)]


@pytest.mark.parametrize("gone", SUBSETS)
def test_any_records_of_an_array_can_go(gone: tuple[int, ...], tmp_path: Path) -> None:
    rows = [json.dumps({"id": i}) for i in range(N)]
    path = tmp_path / "a.json"
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n")
    texts = cut(path, {(i + 2, 1) for i in gone}, tmp_path / "new")
    left = json.loads((tmp_path / "new").read_text())
    assert [row["id"] for row in left] == [i for i in range(N) if i not in gone]
    assert texts == {(i + 2, 1): rows[i] for i in gone}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param('[{"a": 1} {"a": 2}, {"a": 3}]', (1, 2), id="no comma"),
        pytest.param('[{"a": 1},]', (1, 2), id="a comma too many"),
        pytest.param('[{"a": 1}, {"a": }, {"a": 3}]', (1, 18), id="a broken record"),
        pytest.param('[{"a": 1}, {"a": 2}]', (1, 3), id="no record begins there"),
    ],
)
def test_what_cannot_be_cut_out_is_refused(
    text: str, place: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ResultError):
        cut(path, {place}, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_parquet_keeps_its_compression(codec: str, tmp_path: Path) -> None:
    path, new = tmp_path / "a.parquet", tmp_path / "new"
    pq.write_table(pa.table({"a": ["x", "y", "z"]}), path, compression=codec)
    assert cut(path, {(2, 1)}, new) == {(2, 1): '{"a": "y"}'}
    assert pq.read_table(new).to_pydict() == {"a": ["x", "z"]}
    before, after = (pq.ParquetFile(p).metadata.row_group(0).column(0) for p in (path, new))
    assert before.compression == after.compression


def test_a_row_that_does_not_exist_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"]}), path)
    with pytest.raises(ResultError, match="row 2 does not exist, the file has 1"):
        cut(path, {(2, 1)}, tmp_path / "new")


def test_a_file_that_is_rewritten_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    path.chmod(0o640)
    rewrite_in_place(["a.jsonl"], {"a.jsonl": {(1, 1)}}, tmp_path, lambda _: None)
    assert path.read_text().strip() == '{"a": 2}'
    assert path.stat().st_mode & 0o777 == 0o640
