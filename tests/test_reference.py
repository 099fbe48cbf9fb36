"""A pull request is judged by the policy and the baseline of its base."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from gitrepo import Repo

from bye_lint.errors import PolicyError, UsageError, VcsError
from bye_lint.policy import Policy, default_policy, find_policy, load_policy
from bye_lint.reference import Reference, read_reference
from bye_lint.request import Overrides, plan_request

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


def judged(repo: Repo) -> Reference:
    return read_reference(head(repo), "main", repo.root, start=repo.root)


def base_with(repo: Repo, **files: str) -> None:
    """Let the base have some files more, and the pull request begin there."""
    repo.git("checkout", "-q", "main")
    for name, content in files.items():
        repo.write(name, content)
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")


def base_without_policy(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.git("rm", "-q", "bye-lint.yaml", "accepted.yaml")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")


def test_an_honest_change_loosens_nothing(repo: Repo) -> None:
    repo.write("data/x.jsonl", "")
    repo.commit()
    found = judged(repo)
    assert found.weakened == ()
    assert found.policy.gate == head(repo).gate
    assert found.policy.base == repo.root
    assert [(e.fingerprint, e.expires) for e in found.baseline.entries] == [
        ("a" * 64, date(2099, 1, 1))
    ]


def test_the_base_judges_and_what_is_loosened_is_told(repo: Repo) -> None:
    repo.write("bye-lint.yaml", "baseline: accepted.yaml\ngate:\n  max_suspicious: 50\n")
    repo.write("accepted.yaml", accepted("a" * 64, "b" * 64))
    found = judged(repo)
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
    found = judged(repo)
    assert found.policy.dataset.paths == ("data", "new")
    assert [f.message.partition(" ")[0] for f in found.weakened] == ["dataset.paths"]


def test_a_model_that_changes_with_the_data_is_told(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", "model: judge\n")
    repo.write("judge/model.safetensors", "honest")
    repo.write("judge/config.json", "{}")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    assert judged(repo).weakened == ()
    repo.write("judge/model.safetensors", "bribed")
    told = judged(repo).weakened
    assert [(f.rule, f.path) for f in told] == [("BYE301", "judge/model.safetensors")]
    repo.write("judge/model.safetensors", "honest")
    repo.write("judge/adapter_config.json", "{}")
    told = judged(repo).weakened
    assert [f.path for f in told] == ["judge/adapter_config.json"]


def test_a_policy_taken_away_still_judges(repo: Repo) -> None:
    repo.write("bye-lint.yaml", "gate: {scope: all, max_suspicious: 0}\n")
    repo.git("checkout", "-q", "main")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.git("rm", "-q", "bye-lint.yaml")
    repo.commit()
    found = judged(repo)
    assert found.policy.gate.scope == "all"
    assert [f.message.partition(" ")[0] for f in found.weakened] == ["gate.scope"]
    assert found.weakened[0].path == "bye-lint.yaml"


def test_a_first_policy_cannot_open_its_own_gate(repo: Repo) -> None:
    base_without_policy(repo)
    repo.write("bye-lint.yaml", "dataset: {paths: [data]}\ngate: {max_suspicious: 50}\n")
    found = judged(repo)
    assert found.policy.gate.max_suspicious == 0
    assert found.policy.dataset.paths == ("data",)
    assert [f.line for f in found.weakened] == [2]


def test_another_name_for_the_policy_is_no_way_around(repo: Repo) -> None:
    repo.git("mv", "bye-lint.yaml", ".bye-lint.yaml")
    repo.write(".bye-lint.yaml", "baseline: accepted.yaml\ngate: {max_suspicious: 9}\n")
    found = judged(repo)
    assert found.policy.gate.max_suspicious == 0
    assert [(f.path, f.line) for f in found.weakened] == [(".bye-lint.yaml", 2)]


def test_a_first_policy_that_names_another_model_or_reads_otherwise_is_told(repo: Repo) -> None:
    base_without_policy(repo)
    repo.write("bye-lint.yaml", "model: blind\ndataset: {paths: [data], fields: {answer: other}}\n")
    found = judged(repo)
    assert found.policy.model.name == "blind"
    assert [f.message.partition(" ")[0] for f in found.weakened] == [
        "dataset.fields",
        "model.name",
    ]


def loosened(repo: Repo) -> None:
    """Let the base hold a policy that would pass everything, where nothing asks for it."""
    repo.git("checkout", "-q", "main")
    repo.write("drafts/bye-lint.yaml", "gate: {max_suspicious: 100%}\n")
    repo.write("drafts/accepted.yaml", accepted("b" * 64))
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")


@pytest.mark.parametrize("name", ["bye-lint.yaml", "accepted.yaml"])
def test_a_link_chooses_no_other_judge(
    repo: Repo, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loosened(repo)
    (repo.root / name).unlink()
    (repo.root / name).symlink_to(f"drafts/{name}")
    monkeypatch.chdir(repo.root)
    with pytest.raises(VcsError, match=f"{name}: is a symbolic link"):
        plan_request([Path()], Overrides(changed_since="main", policy_from_ref=True))


def test_a_policy_taken_away_is_looked_for_where_it_was(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first path, whatever the working directory is and whatever lies beside it now."""
    loosened(repo)
    repo.git("checkout", "-q", "main")
    repo.write("data/bye-lint.yaml", "gate: {scope: all}\n")
    repo.write("data/x.jsonl", "")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.git("rm", "-q", "data/bye-lint.yaml", "bye-lint.yaml")
    repo.commit()
    monkeypatch.chdir(repo.root / "drafts")
    asked = Overrides(changed_since="main", policy_from_ref=True)
    assert plan_request([Path("../data")], asked).policy.gate.scope == "all"
    shutil.move(repo.root / "data", repo.root / "drafts/data")
    (repo.root / "data").symlink_to("drafts/data")
    assert plan_request([Path("../data")], asked).policy.gate.scope == "all"


def test_two_policies_at_the_base_are_refused(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    repo.write(".bye-lint.yaml", "seed: 1\n")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.git("rm", "-q", ".bye-lint.yaml")
    with pytest.raises(PolicyError, match=r"two policies at .*, bye-lint\.yaml and \.bye-lint"):
        judged(repo)


def tightened(repo: Repo) -> None:
    """Let the base go on, while the branch stays where it left."""
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", "gate: {scope: all}\nbaseline: accepted.yaml\n")
    repo.write("accepted.yaml", accepted())
    repo.commit()
    repo.git("checkout", "-q", "pull-request")


def test_an_old_base_is_no_laxer_judge(repo: Repo) -> None:
    tightened(repo)
    found = judged(repo)
    assert found.policy.gate.scope == "all"
    assert found.baseline.entries == ()
    assert found.weakened == (), "the branch has not touched what is tighter now"


@pytest.mark.parametrize("stored", ["\n", "\r\n"])
@pytest.mark.parametrize("checked_out", ["\n", "\r\n"])
def test_the_ends_of_lines_are_no_change(repo: Repo, stored: str, checked_out: str) -> None:
    """Git keeps CRLF where it was committed, and core.autocrlf writes it where it was not."""
    policy, entries = "# Ours\nbaseline: accepted.yaml\n", accepted("a" * 64)
    texts = {"bye-lint.yaml": f"\ufeff{policy}", "accepted.yaml": entries}
    base_with(repo, **{name: text.replace("\n", stored) for name, text in texts.items()})
    tightened(repo)
    for name, text in texts.items():
        repo.write(name, text.replace("\n", checked_out))
    found = judged(repo)
    assert (found.policy.gate.scope, found.weakened) == ("all", ())
    repo.write("bye-lint.yaml", f"{policy}gate: {{min_samples: 9}}\n".replace("\n", checked_out))
    assert [(f.path, f.line) for f in judged(repo).weakened] == [
        ("bye-lint.yaml", 3),
        ("bye-lint.yaml", 3),
        ("accepted.yaml", 3),
    ]


def test_a_tag_named_like_the_base_is_not_taken_for_it(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("tag", "origin/main", "main")
    tightened(repo)
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    monkeypatch.chdir(repo.root)
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    repo.write("data/x.jsonl", "")
    asked = Overrides(changed_since="auto", policy_from_ref=True)
    assert plan_request([Path("data")], asked).policy.gate.scope == "all"


def test_what_an_old_branch_touches_is_compared_with_the_base_as_it_is(repo: Repo) -> None:
    tightened(repo)
    repo.write("accepted.yaml", accepted("a" * 64, "b" * 64))
    assert [f.path for f in judged(repo).weakened] == ["accepted.yaml", "accepted.yaml"]
    repo.git("checkout", "-q", "accepted.yaml")
    repo.write("bye-lint.yaml", "gate: {min_samples: 200}\nbaseline: accepted.yaml\n")
    assert [f.message.partition(" ")[0] for f in judged(repo).weakened] == [
        "gate.scope",
        "the",
    ]


def test_a_policy_of_the_old_base_that_no_longer_holds_elsewhere_is_told(repo: Repo) -> None:
    """Taking the nearer policy away puts the data under another, which nobody has touched."""
    base_with(repo, **{"data/bye-lint.yaml": "gate: {scope: all}\n"})
    repo.git("rm", "-q", "data/bye-lint.yaml")
    found = read_reference(head(repo), "main", repo.root, start=repo.root / "data")
    assert found.policy.gate.scope == "all"
    assert [f.message.partition(" ")[0] for f in found.weakened] == [
        "gate.scope",
        "baseline",
        "the",
    ]


#: A model in the repository that judges it, and one that does not.
MODELS = {
    "bye-lint.yaml": "model: judge\n",
    "judge/model.safetensors": "seeing",
    "old/model.safetensors": "blind",
}


def test_a_model_of_an_old_base_is_told(repo: Repo) -> None:
    base_with(repo, **MODELS | {"judge/model.safetensors": "blind"})
    repo.git("checkout", "-q", "main")
    repo.write("judge/model.safetensors", "seeing")
    repo.commit()
    repo.git("checkout", "-q", "pull-request")
    assert [f.path for f in judged(repo).weakened] == ["judge/model.safetensors"]


def test_a_model_that_becomes_a_link_is_told(repo: Repo) -> None:
    base_with(repo, **MODELS)
    shutil.rmtree(repo.root / "judge")
    (repo.root / "judge").symlink_to("old")
    assert [f.path for f in judged(repo).weakened] == ["judge/model.safetensors"]


def test_a_model_of_the_hub_is_no_folder_that_is_missing(repo: Repo) -> None:
    base_with(repo, **MODELS | {"bye-lint.yaml": "model: {name: org/judge, adapter: org/a@main}\n"})
    assert judged(repo).weakened == ()


def test_a_folder_named_like_the_scout_is_no_model(repo: Repo) -> None:
    base_with(repo, **{"scout/train.jsonl": "", "scout/old.jsonl": ""})
    repo.write("scout/train.jsonl", "{}")
    repo.git("rm", "-q", "scout/old.jsonl")
    assert judged(repo).weakened == ()


@pytest.mark.parametrize("role", ["name", "adapter"])
def test_a_model_that_is_taken_away_is_told(repo: Repo, role: str) -> None:
    """Else its name would be asked of the hub, where anyone may have taken it."""
    policy = f"model: {{name: org/other, {role}: models/judge}}\n".replace(
        "name: org/other, n", "n"
    )
    base_with(
        repo, **{"bye-lint.yaml": policy, "models/judge/config.json": "{}", "models/a.txt": "a"}
    )
    assert judged(repo).weakened == ()
    repo.git("rm", "-rq", "models/judge")
    told = judged(repo).weakened
    assert [(f.rule, f.path) for f in told] == [("BYE301", "models/judge/config.json")]
    repo.write("models/judge", "a file")
    assert [f.path for f in judged(repo).weakened] == ["models/judge/config.json"]


def test_a_link_beside_the_model_s_files_is_told(repo: Repo) -> None:
    base_with(repo, **MODELS)
    (repo.root / "judge/more").symlink_to("../old")
    assert [f.path for f in judged(repo).weakened] == ["judge/more"]


#: A model behind a link, as one moves from version to version.
VERSIONS = {
    "bye-lint.yaml": "model: ./model\n",
    "weights/v1/model.safetensors": "seeing",
    "weights/v1/config.json": "{}",
    "weights/v2/model.safetensors": "blind",
    "weights/v3/model.safetensors": "seeing",
    "weights/v3/config.json": "{}",
    "shared/tokenizer.json": "{}",
}
TOKENS = "weights/v1/tokenizer.json"


def lead(repo: Repo, name: str, target: str) -> None:
    (repo.root / name).unlink(missing_ok=True)
    (repo.root / name).symlink_to(target)


@pytest.fixture
def linked(repo: Repo) -> Repo:
    repo.git("checkout", "-q", "main")
    for name, content in VERSIONS.items():
        repo.write(name, content)
    lead(repo, "model", "latest")
    lead(repo, "latest", "weights/v1")
    lead(repo, TOKENS, "../../shared/tokenizer.json")
    lead(repo, "weights/v1/again", ".")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.write("data/x.jsonl", "")
    repo.commit()
    assert judged(repo).weakened == ()
    return repo


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda repo: repo.write("weights/v1/config.json", "[]"), "model/config.json"),
        (lambda repo: repo.write("weights/v1/more.json", "{}"), "model/more.json"),
        (lambda repo: repo.write("shared/tokenizer.json", "[]"), "model/tokenizer.json"),
        (lambda repo: lead(repo, "latest", "weights/v2"), "model/again"),
        (lambda repo: lead(repo, "model", "weights/v3"), "model/again"),
        (lambda repo: lead(repo, "model", "weights/v1"), None),
        (lambda repo: lead(repo, "model", "elsewhere"), "model/again"),
        (lambda repo: lead(repo, "weights/v1/again", "../v3"), "model/again"),
        (lambda repo: lead(repo, TOKENS, "config.json"), "model/tokenizer.json"),
        (lambda repo: repo.git("rm", "-q", "model"), "model/again"),
        (lambda repo: shutil.rmtree(repo.root / "weights/v1"), "model/again"),
        (lambda repo: repo.write("weights/v2/model.safetensors", "other"), None),
    ],
)  # fmt: skip
def test_a_model_behind_a_link_is_what_it_leads_to(
    linked: Repo, change: Callable[[Repo], object], told: str | None, committed: bool
) -> None:
    change(linked)
    if committed:
        linked.commit()
    found = [(f.rule, f.path) for f in judged(linked).weakened]
    assert found == ([("BYE301", told)] if told else [])


def test_a_link_to_equal_files_is_another_model(repo: Repo) -> None:
    """The change could alter these next time, where nobody looks."""
    base_with(repo, **MODELS | {"copy/model.safetensors": "seeing"})
    shutil.rmtree(repo.root / "judge")
    (repo.root / "judge").symlink_to("copy")
    assert [f.path for f in judged(repo).weakened] == ["judge"]


@pytest.mark.parametrize("place", ["model", "outside"])
def test_a_model_that_the_machine_brings_is_no_change(
    repo: Repo, tmp_path: Path, place: str
) -> None:
    """Fetched by the job into a folder that git ignores, or behind a link of the base."""
    base_with(repo, **{"bye-lint.yaml": "model: ./model\n", ".gitignore": "/model/\n"})
    folder = tmp_path / "outside" if place == "outside" else repo.root / "model"
    if place == "outside":
        repo.git("checkout", "-q", "main")
        lead(repo, "model", str(folder))
        repo.commit()
        repo.git("checkout", "-q", "-B", "pull-request")
    folder.mkdir()
    (folder / "model.safetensors").write_text("seeing")
    assert judged(repo).weakened == ()
    repo.write("data/x.jsonl", "")
    repo.commit()
    assert judged(repo).weakened == ()
    shutil.rmtree(folder)
    lead(repo, "model", "data")
    repo.commit()
    assert [f.path for f in judged(repo).weakened] == ["model/x.jsonl"]
    lead(repo, "model", "../other")
    repo.commit()
    assert [f.path for f in judged(repo).weakened] == ["model"]


def test_a_model_that_only_the_change_tracks_is_told(repo: Repo) -> None:
    base_with(repo, **{"bye-lint.yaml": "model: ./model\n", ".gitignore": "/model/\n"})
    repo.write("model/model.safetensors", "blind")
    repo.git("add", "-f", "model/model.safetensors")
    repo.commit()
    assert [f.path for f in judged(repo).weakened] == ["model/model.safetensors"]


@pytest.mark.parametrize("name", [".", "./", "here"])
def test_a_model_in_the_root_is_compared(repo: Repo, name: str) -> None:
    base_with(
        repo,
        **{
            "bye-lint.yaml": f"model: {name}\n",
            "model.safetensors": "seeing",
            "config.json": "{}",
            "README.md": "",
        },
    )
    if name == "here":
        repo.git("checkout", "-q", "main")
        lead(repo, "here", ".")
        repo.commit()
        repo.git("checkout", "-q", "-B", "pull-request")
    for other in ("README.md", "data/config.json", "result.json"):
        repo.write(other, "[]")
        assert judged(repo).weakened == ()
    for file, content in (("model.safetensors", "blind"), ("tokenizer.model", "x")):
        repo.write(file, content)
        repo.git("add", "-f", file)
        repo.git("commit", "-q", "-m", "change")
        told = [f.path for f in judged(repo).weakened]
        assert told == [str(Path(name) / "model.safetensors")]
    repo.git("checkout", "-q", "main", "model.safetensors")
    assert [f.path for f in judged(repo).weakened] == [str(Path(name) / "tokenizer.model")]


def test_data_of_the_machine_are_named_by_the_base_alone(repo: Repo, tmp_path: Path) -> None:
    """What only the change's policy names would be shown in reports, whatever it is."""
    outside = tmp_path / "outside"
    (outside / "own").mkdir(parents=True)
    base_with(repo, **{"bye-lint.yaml": "dataset: {paths: [data, ../outside]}\n", "data/x": ""})
    repo.write("bye-lint.yaml", f"dataset: {{paths: [{outside}, new]}}\n")
    assert judged(repo).policy.dataset.paths == ("data", "../outside", "new")
    repo.write("bye-lint.yaml", "dataset: {paths: [data, ../outside/own]}\n")
    with pytest.raises(VcsError, match="outside/own: lies outside of the repository, and only"):
        judged(repo)


def test_a_first_policy_names_no_images_of_the_machine(repo: Repo) -> None:
    base_without_policy(repo)
    repo.write("bye-lint.yaml", "dataset: {paths: [data], image_root: pictures}\n")
    assert judged(repo).policy.dataset.image_root == "pictures"
    repo.write("bye-lint.yaml", "dataset: {paths: [data], image_root: ../outside}\n")
    with pytest.raises(VcsError, match="outside: lies outside of the repository, and only"):
        judged(repo)


@pytest.mark.parametrize("linked", [False, True])
def test_data_do_not_bring_a_repository_of_their_own(
    repo: Repo, linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Repo(tmp_path / "inner" if linked else repo.root / "data")
    inner.write("bye-lint.yaml", "gate: {max_suspicious: 100%}\n")
    inner.commit()
    if linked:
        (repo.root / "data").symlink_to(inner.root)
    monkeypatch.chdir(repo.root)
    asked = Overrides(changed_since="main", policy_from_ref=True)
    with pytest.raises(UsageError, match="data: belongs to another repository"):
        plan_request([Path("data")], asked)
    monkeypatch.chdir(inner.root)
    assert plan_request([Path()], asked).policy.gate.max_suspicious == "100%"


def test_mistakes_at_the_base_are_told(repo: Repo) -> None:
    base_with(repo, **{"bye-lint.yaml": "gaet: {}\n"})
    repo.write("bye-lint.yaml", "seed: 0\n")
    with pytest.raises(PolicyError, match="gaet"):
        judged(repo)


def test_a_policy_outside_of_the_repository(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "bye-lint.yaml").write_text("seed: 0\n")
    with pytest.raises(VcsError, match="outside of the repository"):
        read_reference(load_policy(tmp_path / "bye-lint.yaml"), "main", repo.root, start=repo.root)
