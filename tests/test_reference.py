"""A pull request is judged by the policy and the baseline of its base."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from gitrepo import Repo

from bye_lint.errors import PolicyError, VcsError
from bye_lint.policy import Policy, default_policy, find_policy, load_policy
from bye_lint.reference import read_reference

DAY = "2099-01-01"


def accepted(*fingerprints: str) -> str:
    rows = "".join(
        f"- {{rule: BYE001, fingerprint: {f}, reason: known, author: A, expires: {DAY}}}\n"
        for f in fingerprints
    )
    return f"version: 1\nentries:\n{rows}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = Repo(tmp_path_factory.mktemp("template") / "repo")
    made.write("bye-lint.yaml", "gate: {max_suspicious: 0}\nbaseline: accepted.yaml\n")
    made.write("accepted.yaml", accepted("a" * 64))
    made.commit("base")
    made.git("checkout", "-q", "-b", "pull-request")
    return made


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    return template.copy(tmp_path / "repo")


def head(repo: Repo) -> Policy:
    found = find_policy(repo.root)
    return load_policy(found) if found else default_policy(repo.root)


def test_an_honest_change_loosens_nothing(repo: Repo) -> None:
    repo.write("data/x.jsonl", "")
    repo.commit()
    found = read_reference(head(repo), "main", repo.root)
    assert found.weakened == ()
    assert found.policy.gate == head(repo).gate
    assert found.policy.base == repo.root
    assert [(e.fingerprint, e.expires) for e in found.baseline.entries] == [
        ("a" * 64, date(2099, 1, 1))
    ]


def test_the_base_judges_and_what_is_loosened_is_told(repo: Repo) -> None:
    repo.write("bye-lint.yaml", "baseline: accepted.yaml\ngate:\n  max_suspicious: 50\n")
    repo.write("accepted.yaml", accepted("a" * 64, "b" * 64))
    found = read_reference(head(repo), "main", repo.root)
    assert found.policy.gate.max_suspicious == 0
    assert len(found.baseline.entries) == 1
    assert [(f.rule, f.path, f.line) for f in found.weakened] == [
        ("BYE301", "bye-lint.yaml", 3),
        ("BYE301", "accepted.yaml", 4),
    ]


def test_no_data_are_dropped_and_new_ones_are_not_missed(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", "dataset: {paths: [data, gone]}\n")
    repo.write("data/x.jsonl", "")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.write("bye-lint.yaml", "dataset: {paths: [new]}\n")
    found = read_reference(head(repo), "main", repo.root)
    assert found.policy.dataset.paths == ("data", "new")
    assert [f.message.partition(" ")[0] for f in found.weakened] == ["dataset.paths"]


def test_a_model_that_changes_with_the_data_is_told(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", "model: judge\n")
    repo.write("judge/model.safetensors", "honest")
    repo.write("judge/config.json", "{}")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    assert read_reference(head(repo), "main", repo.root).weakened == ()
    repo.write("judge/model.safetensors", "bribed")
    told = read_reference(head(repo), "main", repo.root).weakened
    assert [(f.rule, f.path) for f in told] == [("BYE301", "judge/model.safetensors")]
    repo.write("judge/model.safetensors", "honest")
    repo.write("judge/adapter_config.json", "{}")
    told = read_reference(head(repo), "main", repo.root).weakened
    assert [f.path for f in told] == ["judge/adapter_config.json"]


def test_a_policy_taken_away_still_judges(repo: Repo) -> None:
    repo.write("bye-lint.yaml", "gate: {scope: all, max_suspicious: 0}\n")
    repo.git("checkout", "-q", "main")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.git("rm", "-q", "bye-lint.yaml")
    repo.commit()
    found = read_reference(head(repo), "main", repo.root)
    assert found.policy.gate.scope == "all"
    assert [f.message.partition(" ")[0] for f in found.weakened] == ["gate.scope"]
    assert found.weakened[0].path == "bye-lint.yaml"


def test_a_first_policy_cannot_open_its_own_gate(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.git("rm", "-q", "bye-lint.yaml", "accepted.yaml")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.write("bye-lint.yaml", "dataset: {paths: [data]}\ngate: {max_suspicious: 50}\n")
    found = read_reference(head(repo), "main", repo.root)
    assert found.policy.gate.max_suspicious == 0
    assert found.policy.dataset.paths == ("data",)
    assert [f.line for f in found.weakened] == [2]


def test_another_name_for_the_policy_is_no_way_around(repo: Repo) -> None:
    repo.git("mv", "bye-lint.yaml", ".bye-lint.yaml")
    repo.write(".bye-lint.yaml", "baseline: accepted.yaml\ngate: {max_suspicious: 9}\n")
    found = read_reference(head(repo), "main", repo.root)
    assert found.policy.gate.max_suspicious == 0
    assert [(f.path, f.line) for f in found.weakened] == [(".bye-lint.yaml", 2)]


def test_mistakes_at_the_base_are_told(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", "gaet: {}\n")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.write("bye-lint.yaml", "seed: 0\n")
    with pytest.raises(PolicyError, match="gaet"):
        read_reference(head(repo), "main", repo.root)


def test_a_policy_outside_of_the_repository(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "bye-lint.yaml").write_text("seed: 0\n")
    with pytest.raises(VcsError, match="outside of the repository"):
        read_reference(load_policy(tmp_path / "bye-lint.yaml"), "main", repo.root)
