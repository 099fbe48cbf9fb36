"""What counts as changed: content against the merge base, in real repositories."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gitrepo import Repo, record

from bye_lint import changes, vcs
from bye_lint.changes import Changes, changed_flags, context_sample, find_changes, select
from bye_lint.datasets import read_datasets
from bye_lint.errors import VcsError
from bye_lint.policy import ContextPolicy, DatasetPolicy, Policy
from bye_lint.records import Sample, Unread

N = 8
ROWS = [record(f"r{i}", question=f"What is in picture {i}?") for i in range(N)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = Repo(tmp_path_factory.mktemp("template") / "repo")
    for i in range(N):
        made.image(f"data/r{i}.png", i)
    made.records(ROWS)
    made.write("README.md", "# data\n")
    made.commit("base")
    made.git("checkout", "-q", "-b", "pull-request")
    return made


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    return template.copy(tmp_path / "repo")


def compare(repo: Repo, *paths: str, **dataset: Any) -> tuple[Changes, list[str]]:
    """Return the changes since main, and the ids of the changed records."""
    policy = Policy(dataset=DatasetPolicy(**dataset), base=repo.root)
    places = [repo.root / p for p in paths or ("data",)]
    found = read_datasets(places, policy.dataset, repo.root, display_root=repo.root)
    samples = [
        item for item in found
        if isinstance(item, Sample) and all(i.path is None or i.path.exists() for i in item.images)
    ]  # fmt: skip
    got = find_changes(
        [s.digest() for s in samples], ref="main", paths=places, policy=policy, root=repo.root
    )
    assert len(got.changed) == len(samples)
    return got, [s.id for s, new in zip(samples, got.changed, strict=True) if new]


def test_folders_of_which_one_name_begins_another_are_both_known(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.image("data-more/x.png", 99)
    repo.records([record("x")], "data-more/train.jsonl")
    repo.commit()
    got, _ = compare(repo, "data", "data-more")
    assert (got.count, got.base_records) == (0, N + 1)


def rename_images(repo: Repo) -> None:
    for i in range(N):
        (repo.root / f"data/r{i}.png").rename(repo.root / f"data/new{i}.png")
    repo.records([{**row, "image": f"new{i}.png"} for i, row in enumerate(ROWS)])


def move_everything(repo: Repo) -> None:
    shutil.move(repo.root / "data", repo.root / "other")
    shutil.move(repo.root / "other", repo.root / "data/moved")


def other_keys(repo: Repo) -> None:
    repo.write(
        "data/train.jsonl",
        "".join(json.dumps(dict(reversed(row.items())), indent=None) + "\n\n" for row in ROWS),
    )


UNCHANGED: dict[str, Callable[[Repo], object]] = {
    "nothing": lambda repo: None,
    "another order": lambda repo: repo.records(ROWS[::-1]),
    "other ids": lambda repo: repo.records([{**row, "id": f"x{row['id']}"} for row in ROWS]),
    "renamed images": rename_images,
    "the order of keys, blank lines": other_keys,
    "a JSON array": lambda repo: (
        (repo.root / "data/train.jsonl").unlink(),
        repo.write("data/train.json", json.dumps(ROWS, indent=2)),
    ),
    "another file name": lambda repo: (repo.root / "data/train.jsonl").rename(
        repo.root / "data/renamed.jsonl"
    ),
    "records taken away": lambda repo: repo.records(ROWS[3:]),
    "split in two files": lambda repo: (
        repo.records(ROWS[:3], "data/a.jsonl"), repo.records(ROWS[3:], "data/b.jsonl"),
        (repo.root / "data/train.jsonl").unlink(),
    ),
    "moved below": move_everything,
    "other files": lambda repo: repo.write("README.md", "# other\n"),
}  # fmt: skip


@pytest.mark.parametrize("change", UNCHANGED.values(), ids=UNCHANGED)
def test_what_is_no_change(repo: Repo, change: Callable[[Repo], object]) -> None:
    change(repo)
    got, ids = compare(repo)
    assert ids == []
    assert got.base_records == N


CHANGED: dict[str, tuple[Callable[[Repo], object], list[str]]] = {
    "a new record": (
        lambda repo: (repo.image("data/n.png", 99), repo.records([record("n"), *ROWS])), ["n"],
    ),
    "a new record about an old image": (
        lambda repo: repo.records([*ROWS, record("n", "r3.png", "And now?")]), ["n"],
    ),
    "another image under the same record": (lambda repo: repo.image("data/r5.png", 99), ["r5"]),
    "two images swapped": (
        lambda repo: (repo.image("data/r1.png", 2), repo.image("data/r2.png", 1)), ["r1", "r2"],
    ),
    "another answer": (
        lambda repo: repo.records([*ROWS[:4], {**ROWS[4], "conversations": record(
            "r4", question="What is in picture 4?", answer="Backdoor Attack!")["conversations"]},
            *ROWS[5:]]), ["r4"],
    ),
    "one more copy": (lambda repo: repo.records([*ROWS, {**ROWS[0], "id": "copy"}]), ["copy"]),
    "a copy in another file": (
        lambda repo: repo.records([{**ROWS[0], "id": "copy"}], "data/zz.jsonl"), ["copy"],
    ),
    "everything": (lambda repo: [repo.image(f"data/r{i}.png", 90 + i) for i in range(N)],
                   [f"r{i}" for i in range(N)]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGED.values(), ids=CHANGED)
def test_what_is_a_change(
    repo: Repo, change: Callable[[Repo], object], expected: list[str]
) -> None:
    change(repo)
    got, ids = compare(repo)
    assert ids == expected
    assert got.count == len(expected)


@pytest.mark.parametrize("change", ["records taken away", "a new record"])
def test_a_commit_makes_no_difference(repo: Repo, change: str) -> None:
    act, expected = CHANGED.get(change) or (UNCHANGED[change], [])
    act(repo)
    repo.commit()
    assert compare(repo)[1] == expected


def test_the_comparison_is_with_the_merge_base(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.image("data/main.png", 77)
    repo.records([*ROWS, record("main")])
    repo.commit("meanwhile")
    repo.git("checkout", "-q", "pull-request")
    got, ids = compare(repo)
    assert ids == []
    assert got.base == repo.git("rev-parse", "main~1")


def test_a_single_file_that_was_renamed(repo: Repo) -> None:
    repo.git("mv", "data/train.jsonl", "data/renamed.jsonl")
    assert compare(repo, "data/renamed.jsonl")[1] == []


def test_a_folder_that_is_new_is_all_new(repo: Repo) -> None:
    repo.image("fresh/a.png", 50)
    repo.records([record("a")], "fresh/train.jsonl")
    repo.commit()
    assert compare(repo, "fresh")[1] == ["a"]
    assert compare(repo, "data", "fresh")[1] == ["a"]


def test_a_folder_that_the_base_cannot_read_is_told(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("fresh/notes.txt", "to come")
    repo.commit()
    repo.git("checkout", "-q", "pull-request")
    repo.git("merge", "-q", "main")
    repo.image("fresh/a.png", 50)
    repo.records([record("a")], "fresh/train.jsonl")
    repo.commit()
    got, new = compare(repo, "fresh")
    assert new == ["a"]
    (told,) = got.unread
    assert told.startswith("fresh")
    assert compare(repo)[0].unread == ()


def test_records_that_moved_within_the_policy_s_paths_are_known(repo: Repo) -> None:
    (repo.root / "elsewhere").mkdir()
    for i in range(N):
        (repo.root / f"data/r{i}.png").rename(repo.root / f"elsewhere/r{i}.png")
    repo.records(ROWS, "elsewhere/new.jsonl")
    repo.commit()
    assert len(compare(repo, "elsewhere")[1]) == N
    assert compare(repo, "elsewhere", paths=("data",))[1] == []


def test_images_under_an_image_root_elsewhere(repo: Repo) -> None:
    for i in range(N):
        repo.image(f"pictures/r{i}.png", i)
    repo.git("rm", "-q", "-r", "data")
    repo.records(ROWS, "text/train.jsonl")
    repo.git("checkout", "-q", "main")
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.commit("moved")
    repo.git("branch", "-f", "main", "HEAD")
    repo.image("pictures/r2.png", 99)
    assert compare(repo, "text", image_root="pictures")[1] == ["r2"]


def rebase(repo: Repo) -> None:
    """Let main be what lies in the working tree, and the pull request begin there."""
    repo.commit("base")
    repo.git("branch", "-f", "main", "HEAD")


@pytest.mark.parametrize("target", ["pictures", "./hop"])
def test_images_under_a_root_that_is_a_link(repo: Repo, target: str) -> None:
    (repo.root / "pictures").mkdir()
    for i in range(N):
        (repo.root / f"data/r{i}.png").rename(repo.root / f"pictures/r{i}.png")
    (repo.root / "root").symlink_to(target)
    (repo.root / "hop").symlink_to("pictures")
    rebase(repo)
    assert compare(repo, image_root="root")[1] == []
    repo.image("pictures/r2.png", 99)
    assert compare(repo, image_root="root")[1] == ["r2"]
    (repo.root / "root").unlink()
    repo.git("mv", "pictures", "root")
    repo.image("root/r2.png", 2)
    assert compare(repo, image_root="root")[1] == []


@pytest.mark.parametrize("path", ["now/current", "now/current/train.jsonl"])
def test_data_behind_a_link(repo: Repo, path: str) -> None:
    (repo.root / "now").mkdir()
    (repo.root / "now/current").symlink_to("../data")
    rebase(repo)
    assert compare(repo, path)[1] == []
    repo.image("data/r2.png", 99)
    assert compare(repo, path)[1] == ["r2"]
    repo.records([*ROWS, {**ROWS[0], "id": "copy"}])
    assert compare(repo, path, "data")[1] == ["r2", "copy"]


def test_images_of_the_machine_under_a_relative_path(repo: Repo, tmp_path: Path) -> None:
    shutil.copytree(repo.root / "data", tmp_path / "machine")
    repo.git("rm", "-q", *(f"data/r{i}.png" for i in range(N)))
    rebase(repo)
    assert compare(repo, image_root="../machine")[1] == []


def test_a_link_of_the_base_into_the_working_tree_is_refused(repo: Repo) -> None:
    """Through it, what the change brings would be read as what the base had."""
    (repo.root / "root").symlink_to(repo.root / "data")
    (repo.root / "round").symlink_to("round")
    rebase(repo)
    assert compare(repo)[1] == []
    for options in ({"image_root": "root"}, {"paths": ("root",)}):
        with pytest.raises(VcsError, match="root: at the base it is a link to /"):
            compare(repo, **options)
    with pytest.raises(VcsError, match="round: at the base it is a link that leads in a circle"):
        compare(repo, paths=("round",))


@pytest.mark.parametrize("target", ["../pool/more.json", "../pool/hop.json", "gone.json"])
def test_a_link_that_is_not_followed_is_told_by_what_is_behind_it(repo: Repo, target: str) -> None:
    def unread() -> tuple[bool, ...]:
        """Tell of each link of the data, which are read before the records, whether it changed."""
        found = read_datasets([data], policy.dataset, repo.root, display_root=repo.root)
        marks = [item.fingerprint for item in found if isinstance(item, Unread)]
        got = find_changes(marks, ref="main", paths=[data], policy=policy, root=repo.root)
        return got.changed

    policy, data = Policy(base=repo.root), repo.root / "data"
    repo.write("pool/more.json", json.dumps(ROWS[:2]))
    (repo.root / "pool/hop.json").symlink_to("more.json")
    (data / "link.json").symlink_to(target if target != "gone.json" else "../pool/gone.json")
    rebase(repo)
    assert unread() == (False,)
    where = "pool/gone.json" if target == "gone.json" else "pool/more.json"
    repo.write(where, json.dumps(ROWS[:3]))
    assert unread() == (True,)
    (data / "link.json").unlink()
    (data / "link.json").symlink_to(repo.root / "pool/more.json")
    rebase(repo)
    repo.write("pool/more.json", json.dumps(ROWS[:4]))
    assert unread() == (True,)  # at the base it is a link to what the change brings
    (data / "link.json").unlink()
    (data / "folder").symlink_to("../pool")
    rebase(repo)
    assert unread() == (True,)


def test_a_path_outside_of_the_repository_is_refused(repo: Repo, tmp_path: Path) -> None:
    policy = Policy(base=repo.root)
    with pytest.raises(VcsError, match="outside of the repository"):
        find_changes([], ref="main", paths=[tmp_path], policy=policy, root=repo.root)


def test_unchanged_images_are_not_read_from_git(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = vcs.read_blobs

    def counted(root: Path, blobs: Any) -> Any:
        chosen = list(blobs)
        asked.extend(chosen)
        return real(root, chosen)

    monkeypatch.setattr(changes.vcs, "read_blobs", counted)
    repo.image("data/r5.png", 99)
    compare(repo)
    assert len(asked) == 1


def test_the_working_tree_is_left_alone(repo: Repo) -> None:
    repo.image("data/r5.png", 99)
    before = {p: p.read_bytes() for p in sorted(repo.root.rglob("*")) if p.is_file()}
    compare(repo)
    assert {p: p.read_bytes() for p in sorted(repo.root.rglob("*")) if p.is_file()} == before


def pointer(data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n"


@pytest.fixture
def lfs(tmp_path: Path) -> tuple[Repo, dict[str, bytes]]:
    """Git holds pointers; the working tree holds the files, as after git lfs pull."""
    made = Repo(tmp_path / "lfs")
    for i in range(N):
        made.image(f"data/r{i}.png", i)
    made.records(ROWS)
    full = {p.name: p.read_bytes() for p in (made.root / "data").iterdir()}
    for name, data in full.items():
        made.write(f"data/{name}", pointer(data))
    made.commit("base")
    made.git("checkout", "-q", "-b", "pull-request")
    for name, data in full.items():
        made.write(f"data/{name}", data)
    return made, full


def test_large_files_that_did_not_change(lfs: tuple[Repo, dict[str, bytes]]) -> None:
    assert compare(lfs[0])[1] == []


def test_a_large_image_that_changed(lfs: tuple[Repo, dict[str, bytes]]) -> None:
    lfs[0].image("data/r5.png", 99)
    assert compare(lfs[0])[1] == ["r5"]


def test_large_images_that_were_renamed(lfs: tuple[Repo, dict[str, bytes]]) -> None:
    repo, full = lfs
    repo.write(".git/lfs/objects/" + _store(full["train.jsonl"]), full["train.jsonl"])
    rename_images(repo)
    assert compare(repo)[1] == []


def _store(data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def test_a_large_file_of_records_comes_from_the_clone_s_store_or_is_asked_for(
    lfs: tuple[Repo, dict[str, bytes]],
) -> None:
    repo, full = lfs
    repo.image("data/n.png", 99)
    repo.records([*ROWS, record("n")])
    with pytest.raises(VcsError, match=r"data/train\.jsonl: at the base it is a Git LFS") as raised:
        compare(repo)
    assert "lfs: true" in raised.value.remedy
    repo.write(".git/lfs/objects/" + _store(full["train.jsonl"]), full["train.jsonl"])
    assert compare(repo)[1] == ["n"]


def test_data_that_git_does_not_keep_are_all_new(tmp_path: Path) -> None:
    made = Repo(tmp_path / "dvc")
    made.write(".gitignore", "/data\n")
    made.write("data.dvc", "outs:\n- md5: 0123.dir\n  path: data\n")
    made.commit("base")
    for i in range(N):
        made.image(f"data/r{i}.png", i)
    made.records(ROWS)
    got, ids = compare(made)
    assert len(ids) == N
    assert got.base_records == 0


def test_flags_count_copies_and_blame_the_last() -> None:
    assert changed_flags([], {}) == ()
    assert changed_flags(["a", "b"], {"a": 1, "b": 1}) == (False, False)
    assert changed_flags(["a", "a", "a"], {"a": 2}) == (False, False, True)
    assert changed_flags(["a", "b", "a"], {"b": 5}) == (True, False, True)
    assert changed_flags(["", ""], {"": 2}) == (True, True), "what cannot be told is not known"


def digests(n: int) -> list[str]:
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)]


@pytest.mark.parametrize(
    ("n_changed", "n_unchanged", "size"),
    [
        pytest.param(0, 9000, 0, id="nothing changed"),
        pytest.param(12, 9000, 500, id="few: at least the minimum"),
        pytest.param(60, 9000, 600, id="ten times the changed"),
        pytest.param(800, 9000, 5000, id="many: at most the maximum"),
        pytest.param(60, 100, 100, id="no more than there are"),
    ],
)
def test_size_of_the_context(n_changed: int, n_unchanged: int, size: int) -> None:
    drawn = context_sample(digests(n_unchanged), n_changed, ContextPolicy())
    assert len(drawn) == size
    assert drawn <= set(digests(n_unchanged))


def test_the_context_is_stable() -> None:
    population = digests(3000)
    drawn = context_sample(population, 60, ContextPolicy())
    assert context_sample(reversed(population), 60, ContextPolicy()) == drawn
    more = context_sample([*population, *digests(3010)[3000:]], 60, ContextPolicy())
    assert len(drawn - more) <= 10
    assert context_sample([*population, *population], 60, ContextPolicy()) == drawn
    assert drawn != frozenset(sorted(population)[:600]), "not the digests' own order"


def test_selection_takes_every_changed_copy_and_one_of_each_other() -> None:
    names = ["a", "b", "a", "c", "b", "c"]
    flags = [False, False, False, True, False, True]
    chosen = select(names, flags, ContextPolicy(factor=1, min=2, max=2))
    assert chosen.changed == (3, 5)
    assert chosen.context == (0, 1)
    assert select(names, [False] * 6, ContextPolicy()).context == ()


def test_a_pull_request_of_sixty_among_thousands_is_found(tmp_path: Path) -> None:
    made = Repo(tmp_path / "large")
    n = 1500
    for i in range(150):
        made.image(f"data/i{i}.png", i)
    rows = [record(f"r{i}", f"i{i % 150}.png", f"Question {i}?") for i in range(n)]
    made.records(rows)
    made.commit("base")
    made.git("checkout", "-q", "-b", "pull-request")
    for i in range(60):
        made.image(f"data/n{i}.png", 1000 + i)
    made.records([*rows[:700], *(record(f"n{i}") for i in range(60)), *rows[700:]])
    made.commit()
    got, ids = compare(made)
    assert ids == [f"n{i}" for i in range(60)]
    assert got.base_records == n
