"""Reports on disk: whole or not at all; saved results read back, or a message that says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gitrepo import Repo

from bye_lint.errors import ReportError, ResultError, UsageError
from bye_lint.reports import (
    REPORTS,
    RenderContext,
    check_writable,
    load_result,
    render,
    write_report,
)
from bye_lint.results import ScanResult


def test_writes_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    check_writable(path)
    assert list(tmp_path.iterdir()) == []
    write_report("één\n", path)
    assert path.read_bytes() == "één\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["report.txt"]


def test_the_mode_is_the_usual_one_and_an_old_files_mode_stays(tmp_path: Path) -> None:
    reference, path = tmp_path / "reference", tmp_path / "report"
    reference.touch()
    write_report("a", path)
    assert path.stat().st_mode == reference.stat().st_mode
    path.chmod(0o640)
    write_report("b", path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_report("new", link)
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("act", [check_writable, lambda path: write_report("x", path)])
def test_a_link_in_a_repository_is_not_written_through(
    tmp_path: Path, act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could have come with the change that is checked."""
    repo, elsewhere = Repo(tmp_path / "repo").root, tmp_path / "elsewhere"
    for folder in (repo / "real", repo / "deep", elsewhere):
        folder.mkdir()
    (elsewhere / "victim").write_text("precious")
    (tmp_path / "in").symlink_to(repo)
    monkeypatch.chdir(repo)
    for path in (
        Path("out.xml"), repo / "real/out.xml", tmp_path / "in/out.xml", elsewhere / "out.xml",
    ):  # fmt: skip
        act(path)
    (repo / "out").symlink_to(elsewhere)
    (repo / "file").symlink_to(elsewhere / "victim")
    (repo / "inside").symlink_to("real/out.xml")
    (repo / "round").symlink_to("round")
    (repo / "null").symlink_to(os.devnull)
    (tmp_path / "hop").symlink_to(repo / "file")
    (repo / "deep/file").symlink_to(elsewhere / "victim")
    for path in (
        Path("out/victim"), Path("deep/../file"), repo / "file", tmp_path / "in/file",
        tmp_path / "hop", Path("inside"), Path("round"), Path("null"), Path("deep/file"),
    ):  # fmt: skip
        with pytest.raises(ReportError, match="a link in a repository stands on the way") as caught:
            act(path)
        assert caught.value.remedy
    assert (elsewhere / "victim").read_text() == "precious"
    (elsewhere / "link").symlink_to("out.xml")
    act(Path("../elsewhere/link"))  # no link of the repository, though the way leads through it


@pytest.mark.parametrize("act", [check_writable, lambda path: write_report("x", path)])
def test_git_s_own_files_are_no_reports(tmp_path: Path, act: Any) -> None:
    repo = Repo(tmp_path / "repo").root
    act(repo / ".gitignore")
    (repo / ".GIT").mkdir(exist_ok=True)  # one folder where the case of letters says nothing
    for path in (repo / ".git/config", repo / ".git/new", repo / ".GIT/config"):
        with pytest.raises(ReportError, match="among git's own files"):
            act(path)
    (tmp_path / "hop").symlink_to(repo / ".git/config")
    with pytest.raises(ReportError, match="among git's own files"):
        act(tmp_path / "hop")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(pipe)
        write_report("through", pipe)
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)


def test_an_interrupted_write_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report"
    write_report("old", path)

    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report("new", path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("act", [check_writable, lambda path: write_report("x", path)])
def test_an_unwritable_path_is_refused(tmp_path: Path, act: object) -> None:
    (tmp_path / "file").touch()
    cases = {
        tmp_path: "is a folder",
        tmp_path / "missing" / "report": "its folder does not exist",
        tmp_path / "file" / "report": "its folder does not exist",
    }
    for path, reason in cases.items():
        with pytest.raises(ReportError, match=reason) as caught:
            act(path)  # type: ignore[operator]
        assert caught.value.message.startswith(str(path))
        assert caught.value.remedy


def test_a_full_or_forbidden_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    for act in (check_writable, lambda path: write_report("x", path)):
        with pytest.raises(ReportError, match="permission denied"):
            act(tmp_path / "report")


def test_a_write_protected_report_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report").write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to any file
    with pytest.raises(ReportError, match="the file is write-protected"):
        check_writable(tmp_path / "report")


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(UsageError, match="unknown report format 'word'") as caught:
        render(None, "word")  # type: ignore[arg-type]
    for name in REPORTS:
        assert name in caught.value.remedy


def test_every_row_of_the_table(each: ScanResult) -> None:
    for name, report in REPORTS.items():
        assert report.name == name
        assert report.description
        assert report.extension.startswith(".")
        text = render(each, name, RenderContext())
        assert text.endswith("\n")
        assert text == render(each, name, RenderContext())
        assert render(each, name, RenderContext(ascii=True)).isascii()


def test_no_format_changes_the_exit_code(each: ScanResult) -> None:
    before = each.exit_code
    for name in REPORTS:
        render(each, name)
    assert each.exit_code == before


def test_a_result_comes_back(tmp_path: Path, each: ScanResult) -> None:
    path = tmp_path / "result.json"
    write_report(render(each, "json"), path)
    again = load_result(path)
    assert again.verdict == each.verdict
    assert again.campaigns == each.campaigns
    assert again.skipped == each.skipped
    for name in REPORTS:
        assert render(again, name) == render(each, name)


BROKEN = {
    "not there": (None, "cannot be read: No such file"),
    "not text": (b"\xff\xfe\x00{", "not UTF-8"),
    "empty": (b"", ":1:1: not valid JSON"),
    "truncated": (b'{"verdict": "pass",\n "reasons": [', ":2:14: not valid JSON"),
    "no numbers": (b'{"version": NaN}', "NaN is not a JSON number"),
    "deep": (b"[" * 100_000, "not valid JSON"),
    "a list": (b"[]", "not a bye-lint result"),
    "something else": (b'{"runs": []}', "not a bye-lint result"),
    "of the future": (b'{"version": 99, "verdict": "pass"}', "found version 99"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_result_says_what_is_wrong(tmp_path: Path, name: str) -> None:
    data, message = BROKEN[name]
    path = tmp_path / "result.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ResultError) as caught:
        load_result(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(str(path))
    assert caught.value.remedy


def test_a_folder_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="cannot be read"):
        load_result(tmp_path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"verdict": "fine"}, r"\$\.verdict"),
        ({"findings": [{"rule": "BYE001"}]}, r"\$\.findings\[0\]"),
        ({"counts": {"records": "many"}}, r"\$\.counts"),
        ({"\x1b[31m": 1}, r"\\x1b"),
    ],
)
def test_a_damaged_result_says_where(
    tmp_path: Path, failed: ScanResult, change: dict[str, object], place: str
) -> None:
    path = tmp_path / "result.json"
    data = json.loads(render(failed, "json")) | change
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ResultError, match=place) as caught:
        load_result(path)
    assert "\x1b" not in str(caught.value)
