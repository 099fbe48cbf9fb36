"""``bye-lint baseline`` as it is used: accept what is known, see what is new, notice what rots."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from gitrepo import Repo, record

from bye_lint import cli
from bye_lint.baseline import Baseline, Entry, load_baseline, write_baseline
from bye_lint.results import from_json, to_json

FILE = "bye-lint-baseline.yaml"
ACCEPT = ("--reason", "old scans, see #12", "--author", "Ada")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Two copies of a record without its image, among good ones; the policy names a baseline."""
    made = Repo(tmp_path / "repo")
    for i in range(3):
        made.image(f"data/r{i}.png", i)
    made.records([*(record(f"r{i}") for i in range(3)), record("a", "old.png")])
    made.write("bye-lint.yaml", f"dataset: {{paths: [data]}}\nbaseline: {FILE}\n")
    add(made, record("b", "old.png"))
    monkeypatch.chdir(made.root)
    return made


def add(repo: Repo, row: dict[str, Any]) -> None:
    with (repo.root / "data/train.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def run(*arguments: str) -> int:
    return cli.run(list(arguments))


def check(*options: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    status = run(
        "check", "--structural", "-q", "--report=json=r.json", "--report=sarif=r.sarif", *options
    )
    return status, json.loads(Path("r.json").read_text()), json.loads(Path("r.sarif").read_text())


def test_what_is_accepted_passes_and_keeps_its_justification(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("baseline", "create", *ACCEPT) == 0
    assert "2 findings are accepted" in capsys.readouterr().err
    status, result, sarif = check()
    assert status == 0
    assert [f["suppressed"] for f in result["findings"]] == ["old scans, see #12"] * 2
    assert {f["properties"]["suppressed_by"] for f in result["findings"]} == {"Ada"}
    assert sarif["runs"][0]["results"] == []
    assert check("--no-baseline")[0] == 1


def test_a_copy_more_is_new(repo: Repo) -> None:
    assert run("baseline", "create", *ACCEPT) == 0
    add(repo, record("c", "old.png"))
    status, result, _ = check()
    assert status == 1
    assert [f["suppressed"] is None for f in result["findings"]] == [False, False, True]


def test_audit_tells_what_no_longer_serves(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("baseline", "create", *ACCEPT) == 0
    assert run("baseline", "audit") == 0
    assert f"{FILE}:4: active      BYE103 2/2" in capsys.readouterr().out
    repo.image("data/old.png", 99)
    assert run("baseline", "audit") == 1
    assert "unused      BYE103 0/2" in capsys.readouterr().out
    assert run("baseline", "update", *ACCEPT) == 0
    assert load_baseline(repo.root / FILE).entries == ()


def test_what_the_check_has_no_answer_of_is_kept(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("baseline", "create", *ACCEPT) == 0
    file = repo.root / FILE
    (missing,) = load_baseline(file).entries
    suspect = replace(missing, rule="BYE001", fingerprint="c" * 64)
    write_baseline(Baseline((missing, suspect)), file)
    repo.image("data/old.png", 99)
    check()
    for result in ((), ("--result", "r.json")):  # too few records for a model; structure alone
        assert run("baseline", "audit", *result) == 1
        told = capsys.readouterr().out
        assert "not judged  BYE001 0/2" in told
        assert "unused      BYE103 0/2" in told
        assert run("baseline", "update", *ACCEPT, *result) == 0
        assert "now, 1 kept without a judgement" in capsys.readouterr().out
        assert [e.rule for e in load_baseline(file).entries] == ["BYE001"]
        assert run("baseline", "audit", *result) == 0
        capsys.readouterr()
        write_baseline(Baseline((missing, suspect)), file)


def test_what_an_undecided_detector_did_not_find_is_kept_though_the_check_fails(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    suspect = Entry("BYE001", "c" * 64, "known", "Ada", date(2999, 1, 1))
    file = repo.root / FILE
    write_baseline(Baseline((suspect,)), file)
    _, result, _ = check()
    summary = to_json(from_json(result | {"detection": {"method": "canary"}}))["detection"]
    for doubt, found in (("2 kinds of canary were missed", [suspect]), ("", [])):
        detection = summary | {"inconclusive": doubt}
        told = result | {"verdict": "fail", "structural_only": False, "detection": detection}
        Path("r.json").write_text(json.dumps(told))
        capsys.readouterr()
        assert run("baseline", "audit", "--result", "r.json") == (0 if doubt else 1)
        assert ("not judged" if doubt else "unused") in capsys.readouterr().out
        assert run("baseline", "update", *ACCEPT, "--result", "r.json") == 0
        kept = [e for e in load_baseline(file).entries if e.rule == "BYE001"]
        assert [(e.fingerprint, e.reason) for e in kept] == [
            (e.fingerprint, "known") for e in found
        ]


@pytest.mark.parametrize("command", ["create", "update", "audit"])
def test_a_result_of_less_or_of_other_data_is_refused(
    repo: Repo, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = () if command == "audit" else ACCEPT
    assert run("baseline", "create", *ACCEPT) == 0
    before = (repo.root / FILE).read_bytes()
    more = ("--force",) if command == "create" else ()
    repo.commit()
    repo.image("other/x.png", 3)
    repo.records([record("x")], "other/train.jsonl")
    for options, words in (
        (("--changed-since", "HEAD"), "a check of what changed"),
        (("other",), "a check of other data: other"),
    ):
        check(*options)
        capsys.readouterr()
        assert run("baseline", command, *said, *more, "--result", "r.json") == 2
        assert words in capsys.readouterr().err
        assert (repo.root / FILE).read_bytes() == before
    for options in (("--structural",), ("--device", "cpu")):
        assert run("baseline", command, *said, *more, "--result", "r.json", *options) == 2
        assert f"{options[0]} is for a check that is run now" in capsys.readouterr().err
        assert (repo.root / FILE).read_bytes() == before


def test_a_policy_of_another_name_and_the_structure_alone_can_be_asked_for(
    repo: Repo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo.root / "bye-lint.yaml").rename(repo.root / "pol.yaml")
    policy = repo.root / "pol.yaml"
    policy.write_text(f"{policy.read_text()}gate: {{min_samples: 1}}\n")

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("no model is asked")

    monkeypatch.setattr("bye_lint.scoring.score", loaded)
    told = ("--policy", "pol.yaml", "--structural", "--device", "cpu")
    assert run("baseline", "create", *ACCEPT, *told) == 0
    assert run("baseline", "update", *ACCEPT, *told) == 0
    capsys.readouterr()
    assert run("baseline", "audit", *told) == 0
    assert "active      BYE103 2/2" in capsys.readouterr().out
    assert run("baseline", "audit", *told[:3], "--device", "gpu") == 2
    assert "--device 'gpu': no such device" in capsys.readouterr().err


def test_what_expired_is_open_again_and_told(repo: Repo) -> None:
    assert run("baseline", "create", *ACCEPT, "--expires", "2090-01-31") == 0
    file = repo.root / FILE
    file.write_text(file.read_text().replace("2090-01-31", "2020-01-31"))
    status, result, _ = check()
    assert status == 1
    assert [f["rule"] for f in result["findings"]] == ["BYE103", "BYE103", "BYE302"]
    assert run("baseline", "audit") == 1
    assert "expired on 2020-01-31" in result["findings"][-1]["message"]
    assert result["findings"][-1]["path"] == FILE


def test_update_keeps_words_and_adds_what_is_new(repo: Repo) -> None:
    assert run("baseline", "create", *ACCEPT) == 0
    add(repo, record("n", "new.png"))
    assert run("baseline", "update", "--reason", "see #31", "--author", "Bob") == 0
    entries = load_baseline(repo.root / FILE).entries
    assert {(e.reason, e.author, e.count) for e in entries} == {
        ("old scans, see #12", "Ada", 2),
        ("see #31", "Bob", 1),
    }
    assert check()[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reason", " ", "--author", "Ada"), "the reason is empty"),
        ((*ACCEPT, "--expires", "2001-01-01"), "has passed already"),
        ((*ACCEPT, "--expires", "soon"), "soon"),
        (("--author", "Ada"), "--reason"),
        (("--reason", "x"), "Say who does"),
    ],
)
def test_nothing_is_accepted_without_words_and_a_day(
    options: tuple[str, ...],
    said: str,
    repo: Repo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bye_lint.authorship.committer", lambda _: "")
    assert run("baseline", "create", *options) == 2
    assert said in capsys.readouterr().err
    assert not (repo.root / FILE).exists()


@pytest.mark.parametrize("command", ["create", "update"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reason", " ", "--author", "Ada"), "the reason is empty"),
        (("--reason", "x", "--author", " "), "the author is empty"),
        ((*ACCEPT, "--expires", "2001-01-01"), "2001-01-01 has passed already"),
    ],
)
def test_what_cannot_be_accepted_is_refused_before_the_check(
    command: str,
    options: tuple[str, ...],
    said: str,
    repo: Repo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def checked(*_: object, **__: object) -> None:
        raise AssertionError("the check is run")

    repo.write(FILE, "version: 1\nentries: []\n")
    monkeypatch.setattr("bye_lint.scan.scan", checked)
    forced = ("--force",) if command == "create" else ()
    assert run("baseline", command, *options, *forced) == 2
    assert said in capsys.readouterr().err


def test_create_does_not_overwrite(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write(FILE, "version: 1\nentries: []\n")
    assert run("baseline", "create", *ACCEPT) == 2
    assert "baseline update" in capsys.readouterr().err
    assert run("baseline", "create", *ACCEPT, "--force") == 0
    assert check()[0] == 0


def test_a_result_can_be_accepted_without_another_check(repo: Repo) -> None:
    assert check("--no-baseline")[0] == 1
    (repo.root / "data/train.jsonl").unlink()
    assert run("baseline", "create", *ACCEPT, "--result", "r.json") == 0
    assert sum(e.count for e in load_baseline(repo.root / FILE).entries) == 2
