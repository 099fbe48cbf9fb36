"""What git is asked, in real repositories, and what is said when it has no answer."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from gitrepo import Repo

from bye_lint import authorship, lfs, vcs
from bye_lint.ci import base_ref
from bye_lint.errors import VcsError


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.write("data/a.txt", "one\n")
    made.commit("base")
    return made


def clone(repo: Repo, to: Path, *options: str) -> Path:
    repo.git("clone", "-q", *options, f"file://{repo.root}", str(to))
    return to


def test_the_root_is_found_without_asking_git(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert vcs.repository_root(repo.root / "data/a.txt") == repo.root.resolve()
    assert vcs.repository_root(repo.root / "data/not-yet/there") == repo.root.resolve()
    assert vcs.repository_root(tmp_path) is None


def test_the_root_of_a_worktree_is_the_worktree(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    assert vcs.repository_root(tmp_path / "tree" / "data") == (tmp_path / "tree").resolve()


def test_merge_base_is_where_the_branch_left_not_where_the_base_is_now(repo: Repo) -> None:
    left = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "-b", "pull-request")
    repo.write("data/b.txt", "two\n")
    repo.commit("change")
    repo.git("checkout", "-q", "main")
    ahead = repo.commit("meanwhile")
    repo.git("checkout", "-q", "pull-request")
    assert vcs.resolve(repo.root, "main") == ahead
    assert vcs.merge_base(repo.root, "main") == left
    assert vcs.merge_base(repo.root, ahead[:10]) == left


def test_what_git_tracks_in_a_folder(repo: Repo) -> None:
    repo.write("data/new/b.txt", "two\n")
    (repo.root / "link").symlink_to("data")
    assert vcs.tracked_in(repo.root, "data/new") is None
    assert vcs.tracked_in(repo.root, "link") is None
    assert vcs.tracked_in(repo.root, "d*") is None
    repo.git("add", "-A")
    assert vcs.tracked_in(repo.root, "data") == "data/a.txt"
    assert vcs.tracked_in(repo.root, "data/new") == "data/new/b.txt"
    assert vcs.tracked_in(repo.root, "link") == "link"
    assert vcs.tracked_in(repo.root, ".") == "data/a.txt"


def test_reads_what_a_file_was(repo: Repo) -> None:
    before = repo.git("rev-parse", "HEAD")
    repo.write("data/a.txt", b"two\0\xff\n")
    repo.commit()
    assert vcs.read_at(repo.root, before, "data/a.txt") == b"one\n"
    assert vcs.read_at(repo.root, "HEAD", "data/a.txt") == b"two\0\xff\n"
    assert vcs.read_at(repo.root, before, "data/absent.txt") is None
    assert vcs.read_at(repo.root, before, "data") is None


def test_odd_names_are_only_names(repo: Repo) -> None:
    for name in ("data/*.txt", "data/ä b\t.txt", "-n", ":(top)x"):
        repo.write(name, name)
    head = repo.commit()
    assert set(vcs.list_at(repo.root, head, ["data/*.txt"])) == {"data/*.txt"}
    for name in ("data/*.txt", "data/ä b\t.txt", "-n", ":(top)x"):
        assert vcs.read_at(repo.root, head, name) == name.encode()


def test_lists_folders_and_everything(repo: Repo) -> None:
    repo.write("b.txt", "two\n")
    head = repo.commit()
    assert set(vcs.list_at(repo.root, head)) == {"data/a.txt", "b.txt"}
    assert set(vcs.list_at(repo.root, head, ["."])) == {"data/a.txt", "b.txt"}
    assert set(vcs.list_at(repo.root, head, ["data"])) == {"data/a.txt"}


def test_a_link_is_not_read_as_a_file(repo: Repo) -> None:
    (repo.root / "policy.yaml").symlink_to("data/a.txt")
    repo.commit()
    with pytest.raises(VcsError, match="not a plain file"):
        vcs.read_at(repo.root, "HEAD", "policy.yaml")


def test_many_blobs_come_in_order(repo: Repo) -> None:
    for i in range(300):
        repo.write(f"many/{i:03}", f"{i}\n" * i)
    head = repo.commit()
    entries = vcs.list_at(repo.root, head, ["many"])
    got = list(vcs.read_blobs(repo.root, [e.blob for e in entries.values()]))
    assert [data for _, data in got] == [f"{i}\n".encode() * i for i in range(300)]
    assert [blob for blob, _ in got] == [e.blob for e in entries.values()]


def test_a_rename_is_followed_into_the_working_tree(repo: Repo) -> None:
    repo.write("data/long.txt", "".join(f"line {i}\n" for i in range(50)))
    base = repo.commit()
    repo.git("mv", "data/long.txt", "data/new.txt")
    assert vcs.renamed_from(repo.root, base, "data/new.txt") == "data/long.txt"
    assert vcs.renamed_from(repo.root, base, "data/a.txt") is None


def test_a_hook_s_environment_changes_nothing(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo(tmp_path / "other")
    other.write("data/a.txt", "other\n")
    other.commit()
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    assert vcs.read_at(repo.root, "HEAD", "data/a.txt") == b"one\n"
    assert vcs.renamed_from(repo.root, vcs.resolve(repo.root, "HEAD"), "data/a.txt") is None


@pytest.mark.parametrize(
    ("environ", "ref"),
    [
        ({}, None),
        ({"GITHUB_BASE_REF": "", "GITHUB_REF": "refs/heads/main"}, None),
        ({"PRE_COMMIT_FROM_REF": "abc123", "PRE_COMMIT_TO_REF": "def456"}, "abc123"),
        ({"GITHUB_BASE_REF": "main"}, "refs/remotes/origin/main"),
        (
            {
                "CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc123",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            },
            "refs/remotes/origin/main",
        ),
        ({"CHANGE_TARGET": "develop"}, "refs/remotes/origin/develop"),
    ],
    ids=["nothing", "a push", "pre-push hook", "github", "gitlab", "jenkins"],
)
def test_what_a_change_is_compared_with(environ: dict[str, str], ref: str | None) -> None:
    assert base_ref(environ) == ref


@pytest.mark.parametrize("ref", ["--output=x", "-n", "", "a b", "a\nb", "a\x1b[31m"])
def test_what_git_could_take_for_an_option_is_refused(repo: Repo, ref: str) -> None:
    with pytest.raises(VcsError, match="not a git ref"):
        vcs.merge_base(repo.root, ref)
    assert not (repo.root / "x").exists()


def test_unknown_ref_names_the_remote_branch(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "release")
    copy = clone(repo, tmp_path / "copy")
    with pytest.raises(VcsError, match="unknown ref 'release'") as raised:
        vcs.merge_base(copy, "release")
    assert "did you mean 'origin/release'" in raised.value.remedy
    with pytest.raises(VcsError, match="unknown ref 'nonsense'"):
        vcs.merge_base(copy, "nonsense")


def test_shallow_clone_says_which_depth_to_fetch(repo: Repo, tmp_path: Path) -> None:
    repo.git("checkout", "-q", "-b", "pull-request")
    repo.commit("change")
    repo.git("checkout", "-q", "main")
    repo.commit("meanwhile")
    copy = clone(repo, tmp_path / "copy", "--depth=1", "--no-single-branch", "-b", "pull-request")
    assert vcs.is_shallow(copy)
    assert not vcs.is_shallow(repo.root)
    with pytest.raises(VcsError, match="shallow") as raised:
        vcs.merge_base(copy, "origin/main")
    assert "fetch-depth: 0" in raised.value.remedy
    with pytest.raises(VcsError, match="shallow") as raised:
        vcs.merge_base(copy, repo.git("rev-parse", "main~1"))
    assert "fetch-depth: 0" in raised.value.remedy


def test_unrelated_histories(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "alone")
    repo.commit("alone")
    with pytest.raises(VcsError, match="no commit in common"):
        vcs.merge_base(repo.root, "main")


def test_no_commit_yet(tmp_path: Path) -> None:
    empty = Repo(tmp_path / "empty")
    with pytest.raises(VcsError, match="no commit yet"):
        vcs.merge_base(empty.root, "HEAD")


def test_not_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(VcsError, match="not a git repository"):
        vcs.merge_base(tmp_path, "main")


def test_git_is_missing(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VcsError, match="git is not installed"):
        vcs.merge_base(repo.root, "main")


def test_another_user_s_repository(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        kept = vcs._environment
        monkeypatch.setattr(
            vcs, "_environment", lambda: {**kept(), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
        )
    else:
        for path in (repo.root, repo.root / ".git"):
            os.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with pytest.raises(VcsError, match="belongs to another user") as raised:
        vcs.merge_base(repo.root, "main")
    assert f"safe.directory {repo.root.resolve()}" in raised.value.remedy


def test_a_missing_object_is_named(repo: Repo) -> None:
    entry = vcs.list_at(repo.root, "HEAD")["data/a.txt"]
    (repo.root / ".git/objects" / entry.blob[:2] / entry.blob[2:]).unlink()
    with pytest.raises(VcsError, match=entry.blob):
        vcs.read_at(repo.root, "HEAD", "data/a.txt")


@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_partial_clone_is_told_to_fetch(repo: Repo, tmp_path: Path, left_out: str) -> None:
    """Git then dies where it would fetch, instead of saying which object is missing."""
    repo.write("data/a.txt", "three\n")
    repo.commit()
    repo.git("config", "uploadpack.allowFilter", "true")
    whole = clone(repo, tmp_path / "whole")
    assert vcs.read_at(whole, "HEAD~1", "data/a.txt") is not None
    part = clone(repo, tmp_path / "part", f"--filter={left_out}")
    assert vcs.read_at(part, "HEAD", "data/a.txt") == b"three\n"
    with pytest.raises(VcsError, match="is not in this clone") as raised:
        vcs.read_at(part, "HEAD~1", "data/a.txt")
    assert raised.value.remedy.endswith("git fetch --refetch --no-filter.")
    repo.git("-C", str(part), "fetch", "-q", "--refetch", "--no-filter")
    assert vcs.read_at(part, "HEAD~1", "data/a.txt") is not None


def test_damage_is_told_not_raised_as_a_crash(repo: Repo) -> None:
    shutil.rmtree(repo.root / ".git/objects")
    (repo.root / ".git/objects").mkdir()
    with pytest.raises(VcsError):
        vcs.list_at(repo.root, "0" * 40)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 3\n"


@pytest.mark.parametrize(
    "data",
    [b"", b"version 1", b"\x89PNG", POINTER.format("zz").encode(), b"x" + POINTER.encode()],
    ids=["empty", "text", "image", "no digest", "not at the start"],
)
def test_no_pointer(data: bytes) -> None:
    assert lfs.pointed(data) is None


def test_a_pointer_and_its_object(repo: Repo) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    assert lfs.pointed(POINTER.format(digest).encode()) == digest
    assert lfs.stored(repo.root, digest) is None
    repo.write(f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}", b"abc")
    assert lfs.stored(repo.root, digest) == b"abc"
    repo.write(f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}", b"abd")
    assert lfs.stored(repo.root, digest) is None, "damaged objects are not believed"


def test_the_committer_s_name(repo: Repo) -> None:
    repo.git("config", "user.name", "Ada")
    assert authorship.committer(repo.root) == "Ada"
