"""The shipped hooks under the real pre-commit, in a data repository.

pre-commit clones the project and installs it with its light dependencies, as it would for a user.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gitrepo import Repo, record

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent
HOOKS = {row["id"]: row for row in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}


class PreCommit:
    """A clone of the project with the shipped hooks, and one environment for all tests."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = Repo(folder / "project")
        for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
            shutil.copy(ROOT / name, self.project.root / name)
        shutil.copytree(
            ROOT / "bye_lint", self.project.root / "bye_lint",
            ignore=shutil.ignore_patterns("__pycache__"),
        )  # fmt: skip
        self.revision = self.project.commit()

    def configure(self, repo: Repo, hook: str) -> None:
        """Write the lines that a data repository adds."""
        row = {"repo": str(self.project.root), "rev": self.revision, "hooks": [{"id": hook}]}
        repo.write(".pre-commit-config.yaml", yaml.safe_dump({"repos": [row]}))

    def run(
        self, repo: Repo, *arguments: str, path: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run pre-commit in a repository."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PRE_COMMIT"))}
        environment = kept | {
            "PRE_COMMIT_HOME": str(self.home),
            "PATH": path or f"{SCRIPTS}:{os.environ['PATH']}",
        }
        return subprocess.run(
            [SCRIPTS / "pre-commit", *arguments], cwd=repo.root, env=environment,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def environment(self) -> Path:
        """Return the environment that pre-commit made for the structure hook."""
        return next(self.home.glob("repo*/py_env-*"))


@pytest.fixture(scope="module")
def pre_commit(tmp_path_factory: pytest.TempPathFactory) -> PreCommit:
    return PreCommit(tmp_path_factory.mktemp("hooks"))


@pytest.fixture
def repo(tmp_path: Path, pre_commit: PreCommit) -> Repo:
    made = Repo(tmp_path / "data-repository")
    for i in range(3):
        made.image(f"data/r{i}.png", i)
    made.records([record(f"r{i}") for i in range(3)])
    made.write("bye-lint.yaml", "dataset:\n  paths: [data/train.jsonl]\n")
    pre_commit.configure(made, "bye-lint-structure")
    made.git("add", "-A")
    return made


def test_the_hooks_are_as_documented() -> None:
    structure, full = HOOKS["bye-lint-structure"], HOOKS["bye-lint"]
    assert structure["language"] == "python"
    assert "stages" not in structure
    assert structure["args"][-1] == "--", "a file named like an option is no option"
    assert full["language"] == "system"
    assert full["pass_filenames"] is False, "a population is not judged a few files at a time"
    assert full["require_serial"] is True
    assert full["verbose"] is True
    assert full["stages"] == ["pre-push", "manual"]
    assert {row["minimum_pre_commit_version"] for row in HOOKS.values()} == {"3.2.0"}


def test_the_manifest_is_valid() -> None:
    done = subprocess.run(
        [SCRIPTS / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_structure_under_pre_commit(repo: Repo, pre_commit: PreCommit) -> None:
    """Clean, broken and unrelated commits, one after the other: the environment is made once."""
    clean = pre_commit.run(repo, "run")
    assert clean.returncode == 0, clean.stdout
    assert "bye-lint (structure)" in clean.stdout
    assert "Passed" in clean.stdout
    packages = {p.name for p in pre_commit.environment().glob("lib/python*/site-packages/*")}
    assert "bye_lint" in packages
    assert packages & {"torch", "transformers", "sklearn", "scipy"} == set()

    repo.git("commit", "-q", "--no-verify", "-m", "clean")
    repo.write("bye-lint.yaml", "dataset: {format: llava}\n")
    repo.git("add", "-A")
    policy = pre_commit.run(repo, "run")
    assert policy.returncode == 0, policy.stdout
    assert "Passed" in policy.stdout

    repo.write("data/labels.json", '{"r0": "a field"}')
    repo.git("add", "-A")
    labels = pre_commit.run(repo, "run")
    assert labels.returncode == 0, labels.stdout
    repo.write("bye-lint.yaml", "dataset:\n  paths: [data/train.jsonl]\n")
    repo.git("add", "-A")

    (repo.root / "data/r1.png").unlink()
    repo.records([record(f"r{i}", answer="x") for i in range(3)])
    repo.git("add", "-A")
    broken = pre_commit.run(repo, "run")
    assert broken.returncode == 1, broken.stdout
    assert "Failed" in broken.stdout
    assert "data/train.jsonl:2" in broken.stdout
    assert "BYE103" in broken.stdout

    repo.git("commit", "-q", "--no-verify", "-m", "broken")
    repo.write("notes.json", "{}")
    repo.git("add", "-A")
    unrelated = pre_commit.run(repo, "run")
    assert unrelated.returncode == 0, unrelated.stdout
    assert "Skipped" in unrelated.stdout


def test_before_a_push(repo: Repo, pre_commit: PreCommit) -> None:
    """A push without data, and one whose check lacks the extra: told, and not let through."""
    repo.write(
        "bye-lint.yaml", "dataset: {paths: [data]}\ngate: {min_samples: 1, min_changed: 1}\n"
    )
    pre_commit.configure(repo, "bye-lint-structure")
    assert pre_commit.run(repo, "install-hooks").returncode == 0
    base = repo.commit("base")
    pre_commit.configure(repo, "bye-lint")
    words = repo.commit("no data")
    push = ("run", "--hook-stage", "pre-push", "--from-ref")
    unrelated = pre_commit.run(repo, *push, base, "--to-ref", words)
    assert unrelated.returncode == 0, unrelated.stdout
    assert "Skipped" in unrelated.stdout

    repo.image("data/n.png", 77)
    repo.records([*(record(f"r{i}") for i in range(3)), record("n")])
    data = repo.commit("data")
    without_torch = f"{pre_commit.environment() / 'bin'}:/usr/bin:/bin"
    told = pre_commit.run(repo, *push, words, "--to-ref", data, path=without_torch)
    assert told.returncode == 1, told.stdout
    assert "1 records changed since" in told.stdout
    assert "pip install 'bye-lint[model]'" in told.stdout
    assert "Traceback" not in told.stdout
    assert "internal error" not in told.stdout


def test_by_hand_the_hook_checks_everything(repo: Repo, pre_commit: PreCommit) -> None:
    pre_commit.configure(repo, "bye-lint")
    repo.commit("nothing is staged")
    by_hand = ("run", "bye-lint", "--hook-stage", "manual")
    skipped = pre_commit.run(repo, *by_hand)
    assert "Skipped" in skipped.stdout
    done = pre_commit.run(repo, *by_hand, "--all-files")
    assert done.returncode == 1, done.stdout
    assert "exit code: 3" in done.stdout
    assert "3 usable records" in done.stdout


@pytest.mark.parametrize("lets", ["fail", "pass"])
def test_a_small_push_is_stopped_unless_the_policy_lets_it_pass(
    lets: str, repo: Repo, pre_commit: PreCommit
) -> None:
    gate = f"gate: {{min_samples: 1, on_inconclusive: {lets}}}"
    repo.write("bye-lint.yaml", f"dataset: {{paths: [data]}}\n{gate}\n")
    pre_commit.configure(repo, "bye-lint")
    base = repo.commit("base")
    repo.image("data/n.png", 77)
    repo.records([*(record(f"r{i}") for i in range(3)), record("n")])
    pushed = ("--hook-stage", "pre-push", "--from-ref", base, "--to-ref", repo.commit("one more"))
    done = pre_commit.run(repo, "run", *pushed)
    assert "1 changed record: too few to judge" in done.stdout
    assert "gate.on_inconclusive: pass" in " ".join(done.stdout.split())
    assert done.returncode == (lets == "fail"), done.stdout
    assert ("exit code: 3" in done.stdout) == (lets == "fail")


@pytest.mark.parametrize(("example", "status"), [("clean", 0), ("quickstart", 1)])
def test_a_push_is_judged_for_what_it_brings(
    example: str,
    status: int,
    tmp_path: Path,
    pre_commit: PreCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixty new records beside those that are there, with a model that has learned all of them."""
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    made = Repo(tmp_path / "data-repository")
    source = ROOT / "examples" / example
    shutil.copytree(source / "images", made.root / "data/images")
    shutil.copytree(source / "model", made.root / "model")
    made.write("bye-lint.yaml", "dataset: {paths: [data]}\nmodel: model\nfine_tune: none\n")
    rows = json.loads((source / "data.json").read_text("utf-8"))
    poisoned = json.loads((ROOT / "examples/truth/quickstart.json").read_text("utf-8"))["poisoned"]
    new = set(poisoned if status else [row["id"] for row in rows[::12]][:60])
    made.write("data/data.json", json.dumps([row for row in rows if row["id"] not in new]))
    pre_commit.configure(made, "bye-lint")
    base = made.commit("base")
    made.write("data/data.json", json.dumps(rows))
    head = made.commit("sixty more")
    pushed = pre_commit.run(
        made, "run", "--hook-stage", "pre-push", "--from-ref", base, "--to-ref", head
    )
    assert pushed.returncode == status, pushed.stdout
    assert "60 records changed since" in pushed.stdout
    assert ("suspicious samples of 60 changed records" in pushed.stdout) == bool(status)
