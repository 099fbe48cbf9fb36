"""Files written in one move."""

from __future__ import annotations

from pathlib import Path

import pytest

from bye_lint.atomic import in_one_move, write_whole
from bye_lint.baseline import Baseline, write_baseline


def test_what_was_there_stays_where_the_writing_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with in_one_move(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def test_nothing_half_written_is_under_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with in_one_move(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "new")]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "bye-lint-baseline.yaml"
    path.touch()
    path.chmod(0o640)
    write_baseline(Baseline(), path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text()


@pytest.mark.parametrize("name", ["a" * 255, "\N{BUG}" * 63], ids=["latin", "four bytes each"])
def test_the_longest_names_can_be_written(name: str, tmp_path: Path) -> None:
    write_whole(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"
