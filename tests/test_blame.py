"""Which commit and author brought a line in, by the real git."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitrepo import Repo

from bye_lint import authorship
from bye_lint.authorship import blame
from bye_lint.errors import VcsError


def test_an_untracked_file_has_no_authors(tmp_path: Path):
    repo = Repo(tmp_path / "r")
    repo.write("a.json", "x\n")
    repo.git("commit", "-q", "--allow-empty", "-m", "empty")
    repo.write("b.json", "y\n")
    assert blame(repo.root, "b.json") == {}
    assert blame(repo.root, "none.json") == {}


def test_outside_of_a_repository_is_an_error(tmp_path: Path):
    with pytest.raises(VcsError):
        blame(tmp_path, "a.json")


def test_lines_are_told_apart_and_uncommitted_ones_left_out(tmp_path: Path):
    repo = Repo(tmp_path / "r")
    repo.write("a.jsonl", "author mallory\n2\x0c\u2028 still 2\n")
    first = repo.commit()
    repo.write("a.jsonl", "author mallory\n2\x0c\u2028 still 2\n3\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "two", "--author", "Eve <eve@example.org>")
    second = repo.git("rev-parse", "HEAD")
    repo.write("a.jsonl", "author mallory\n2\x0c\u2028 still 2\n3\nnot yet\n")
    found = blame(repo.root, "a.jsonl")
    assert {n: (commit, author) for n, (commit, author, _) in found.items()} == {
        1: (first, "A <a@example.org>"),
        2: (first, "A <a@example.org>"),
        3: (second, "Eve <eve@example.org>"),
    }
    times = [int(repo.git("show", "-s", "--format=%ct", c)) for c in (first, second)]
    assert [when for _, _, when in found.values()] == [times[0], times[0], times[1]]


def test_brackets_alone_say_nothing(tmp_path: Path):
    repo = Repo(tmp_path / "r")
    repo.write("a.json", '[\n {\n  "id": 1\n },\n {\n  "id": 2\n }\n]\n')
    repo.commit()
    assert sorted(blame(repo.root, "a.json")) == [3, 6]


def test_where_git_cannot_tell_who_wrote_a_file_the_reader_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(tmp_path / "r")

    def broken(*_: object) -> None:
        raise VcsError("git blame: out of memory")

    said: list[str] = []
    monkeypatch.setattr(authorship, "blame", broken)
    ask = authorship.blamer(repo.root, said.append)
    assert ask is not None
    assert ask("a.json") == {}
    assert said == ["who brought in the records of a.json is not known: git blame: out of memory"]
