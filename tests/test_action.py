"""The composite action: its scripts with bash, its form by schema, its safety by zizmor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from actionrunner import ACTION, Runner, workflow_commands
from gitrepo import Repo, record

from bye_lint.cli import cli

ROOT = ACTION.parent
WORKFLOWS = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
SCRIPTS = Path(sys.executable).parent
SYSTEM = "/usr/bin:/bin"

FAKE = """\
#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
with open(here / "calls", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "--version":
    sys.exit(print("bye-lint, version 0"))
say = json.loads((here / "say.json").read_text())
print("::error::planted")
print("::set-output name=verdict::pass", file=sys.stderr)
if say.get("reports", say["exit"] in (0, 1, 3)):
    for at, option in enumerate(sys.argv):
        if option == "--report":
            form, _, path = sys.argv[at + 1].partition("=")
            Path(path).write_text({
                "json": json.dumps({"verdict": say["verdict"], "gate": {"suspicious": 7}}),
                "sarif": "{}",
                "markdown": say.get("summary", "# summary\\n"),
                "github": "::warning file=data/x.jsonl,line=3::annotation\\n",
            }[form])
sys.exit(say["exit"])
"""


@pytest.fixture
def fake(tmp_path: Path) -> Any:
    """A bye-lint that answers as told, and keeps what it was asked."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "bye-lint").write_text(FAKE)
    (folder / "bye-lint").chmod(0o755)
    (tmp_path / "runner").mkdir()
    (tmp_path / "work").mkdir()

    class Fake:
        workspace = tmp_path / "work"
        runner = Runner(workspace, tmp_path / "runner", f"{folder}:{SYSTEM}")

        def says(self, code: int, verdict: str = "", **more: Any) -> Runner:
            (folder / "say.json").write_text(json.dumps({"exit": code, "verdict": verdict, **more}))
            return self.runner

        def asked(self) -> list[str]:
            rows = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
            return next(row for row in rows if row[0] == "check")

    return Fake()


EXISTING = {"python-version": ""}
PULL = {
    "event_name": "pull_request",
    "event.pull_request.base.sha": "b" * 40,
    "event.pull_request.head.sha": "c" * 40,
    "sha": "d" * 40,
}
QUEUE = {"event_name": "merge_group", "event.merge_group.base_sha": "b" * 40, "sha": "e" * 40}
UPLOAD = "github/codeql-action/upload-sarif"


def test_a_pass_passes_uploads_and_says_so(fake: Any) -> None:
    run = fake.says(0, "pass").run(EXISTING, PULL)
    assert not run.failed
    assert run.outputs["verdict"] == "pass"
    assert run.outputs["suspicious-count"] == "7"
    assert Path(run.outputs["report-json"]).is_file()
    assert Path(run.outputs["sarif-file"]).is_file()
    assert UPLOAD in run.used
    assert run.summary == "# summary\n"


def test_a_fail_uploads_before_it_fails(fake: Any) -> None:
    run = fake.says(1, "fail").run(EXISTING, PULL)
    assert run.failed
    assert {name for name, code in run.exit_codes.items() if code} == {"Gate"}
    assert UPLOAD in run.used
    assert run.outputs["verdict"] == "fail"


def test_an_inconclusive_run_is_never_uploaded(fake: Any) -> None:
    run = fake.says(3, "inconclusive").run(EXISTING, PULL)
    assert run.exit_codes["Gate"] == 3
    assert UPLOAD not in run.used
    assert run.outputs["verdict"] == "inconclusive"
    allowed = fake.says(0, "inconclusive").run(EXISTING, PULL)
    assert not allowed.failed, "the policy lets it pass"
    assert UPLOAD not in allowed.used
    assert allowed.outputs["verdict"] == "inconclusive"


@pytest.mark.parametrize("code", [2, 130, 137])
@pytest.mark.parametrize("fail_on", ["inconclusive", "fail", "never"])
def test_an_error_fails_whatever_the_gate(fake: Any, code: int, fail_on: str) -> None:
    run = fake.says(code).run({**EXISTING, "fail-on": fail_on}, PULL)
    assert run.exit_codes["Gate"] == 2
    assert run.outputs == {
        "verdict": "error", "suspicious-count": "", "sarif-file": "", "report-json": "",
    }  # fmt: skip
    assert UPLOAD not in run.used
    assert "Nothing was judged" in run.summary


def test_reports_of_an_earlier_run_are_not_taken_for_this_one(fake: Any) -> None:
    assert fake.says(0, "pass").run(EXISTING).outputs["verdict"] == "pass"
    assert fake.says(2).run(EXISTING).outputs["report-json"] == ""
    assert fake.says(0, "pass").run(EXISTING).outputs["verdict"] == "pass"
    run = fake.says(0, reports=False).run(EXISTING, PULL)
    assert run.exit_codes["Gate"] == 2, "a status alone is no verdict"
    assert run.outputs["verdict"] == "error"
    assert UPLOAD not in run.used


def test_reports_that_were_written_before_an_error_are_no_verdict(fake: Any) -> None:
    run = fake.says(2, "pass", reports=True).run(EXISTING, PULL)
    assert run.exit_codes["Gate"] == 2
    assert (run.outputs["verdict"], run.outputs["report-json"]) == ("error", "")
    assert UPLOAD not in run.used


@pytest.mark.parametrize(
    ("code", "fail_on", "gate"),
    [
        (0, "never", 0), (1, "never", 0), (3, "never", 0),
        (0, "fail", 0), (1, "fail", 1), (3, "fail", 0),
        (0, "inconclusive", 0), (1, "inconclusive", 1), (3, "inconclusive", 3),
        (0, "nevr", 2),
    ],
)  # fmt: skip
def test_the_gate(fake: Any, code: int, fail_on: str, gate: int) -> None:
    verdict = {0: "pass", 1: "fail", 3: "inconclusive"}[code]
    run = fake.says(code, verdict).run({**EXISTING, "fail-on": fail_on}, PULL)
    assert run.exit_codes["Gate"] == gate


def test_nothing_printed_by_the_check_is_a_command(fake: Any) -> None:
    run = fake.says(1, "fail").run(EXISTING, PULL)
    assert "::error::planted" in run.log
    commands = workflow_commands(run.log)
    assert not any("planted" in c or "set-output" in c for c in commands)
    assert any("annotation" in c for c in commands), "the annotations themselves are"


def test_a_pull_request_is_judged_by_its_base(fake: Any) -> None:
    fake.says(0, "pass").run(EXISTING, PULL)
    asked = fake.asked()
    assert f"--changed-since={'b' * 40}" in asked
    assert "--policy-from-ref" in asked


@pytest.mark.parametrize(
    ("seed", "github", "given"),
    [
        ("auto", PULL, [f"--seed={0xDDDDDDDD}"]),
        ("auto", QUEUE, [f"--seed={0xEEEEEEEE}"]),
        ("auto", PULL | {"event_name": "pull_request_target"}, [f"--seed={0xCCCCCCCC}"]),
        ("auto", {"event_name": "push", "sha": "d" * 40}, []),
        ("policy", PULL, []),
        ("7", PULL, ["--seed=7"]),
    ],
    ids=["merge", "queue", "no merge", "push", "policy", "number"],
)
def test_who_makes_a_pull_request_does_not_choose_its_seed(
    fake: Any, seed: str, github: dict[str, str], given: list[str]
) -> None:
    fake.says(0, "pass").run({**EXISTING, "seed": seed}, github)
    assert [word for word in fake.asked() if word.startswith("--seed")] == given


@pytest.mark.parametrize(
    ("github", "by"), [(PULL, [f"--policy-ref={'b' * 40}"]), ({"event_name": "push"}, [])]
)
def test_everything_is_judged_by_the_base_too(
    fake: Any, github: dict[str, str], by: list[str]
) -> None:
    fake.says(0, "pass").run({**EXISTING, "changed-since": "none"}, github)
    assert [word for word in fake.asked() if word.startswith("--policy")] == by


@pytest.mark.parametrize(
    ("inputs", "github", "since", "uploaded"),
    [
        ({}, {"event_name": "push"}, None, True),
        ({"changed-since": "none"}, PULL, None, True),
        ({"changed-since": "v1"}, PULL, "v1", True),
        ({"changed-since": "HEAD~1"}, {"event_name": "push"}, "HEAD~1", False),
        (
            {}, {"event_name": "merge_group", "event.merge_group.base_sha": "d" * 40}, "d" * 40,
            True,
        ),
        ({"upload-sarif": "false"}, PULL, "b" * 40, False),
        ({}, PULL | {"base_ref": "main"}, "b" * 40, True),
    ],
    ids=["push", "none", "named", "part of a branch", "merge group", "not wanted", "no branch"],
)  # fmt: skip
def test_what_is_compared_and_what_is_uploaded(
    fake: Any, inputs: dict[str, str], github: dict[str, str], since: str | None, uploaded: bool
) -> None:
    run = fake.says(0, "pass").run({**EXISTING, **inputs}, github)
    named = [a.partition("=")[2] for a in fake.asked() if a.startswith("--changed-since")]
    assert named == ([since] if since else [])
    assert (UPLOAD in run.used) == uploaded


def test_inputs_are_words_and_never_code(fake: Any) -> None:
    nasty = "$(touch pwned); `touch pwned`"
    inputs = {
        **EXISTING, "policy": nasty, "paths": f"--exit-zero\n\n{nasty}\ndata with blanks\n",
        "changed-since": f"--exit-zero {nasty}", "extra": "structural",
    }  # fmt: skip
    fake.says(0, "pass").run(inputs)
    asked = fake.asked()
    assert asked[asked.index("--") + 1 :] == ["--exit-zero", nasty, "data with blanks"]
    before = asked[: asked.index("--")]
    assert f"--policy={nasty}" in before
    assert f"--changed-since=--exit-zero {nasty}" in before
    assert "--structural" in before
    assert list(fake.workspace.iterdir()) == []


def test_a_huge_summary_is_cut(fake: Any) -> None:
    run = fake.says(1, "fail", summary="x" * 1_100_000).run(EXISTING)
    assert len(run.summary) < 1000
    assert "too long" in run.summary


def test_nothing_of_the_checkout_is_imported(fake: Any) -> None:
    (fake.workspace / "json.py").write_text("open('pwned', 'w')")
    run = fake.says(0, "pass").run(EXISTING)
    assert run.outputs["verdict"] == "pass"
    assert not (fake.workspace / "pwned").exists()


@pytest.mark.parametrize(
    ("extra", "target"),
    [("model", f"{ROOT}[model]"), ("structural", f"{ROOT}[parquet]"), ("x", None)],
)
def test_installs_the_action_s_own_version(
    fake: Any, tmp_path: Path, extra: str, target: str | None
) -> None:
    python = tmp_path / "fake" / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/installed\n')
    python.chmod(0o755)
    run = fake.says(0, "pass").run({"extra": extra})
    assert run.used[0] == "actions/setup-python"
    if target is None:
        assert run.exit_codes["Install bye-lint"] == 2
        assert run.failed
    else:
        words = (tmp_path / "installed").read_text().splitlines()
        assert words[:3] == ["-I", "-m", "pip"]
        assert words[-2:] == ["--", target]


def test_features_are_kept_for_the_model_only(fake: Any) -> None:
    fake.says(0, "pass")
    assert "actions/cache" in fake.runner.run(EXISTING).used
    assert "actions/cache" not in fake.runner.run({**EXISTING, "extra": "structural"}).used
    assert "actions/cache" not in fake.runner.run({**EXISTING, "cache": "false"}).used


def test_the_key_of_the_cache_is_of_a_policy_that_is_a_plain_file(fake: Any) -> None:
    """A pull request could make it a link to what never ends."""
    fake.says(0, "pass").patience = 20

    def key(**inputs: str) -> str:
        run = fake.runner.run({**EXISTING, **inputs})
        assert not run.failed
        return run.steps["steps.plan.outputs.key"]

    policy = fake.workspace / "bye-lint.yaml"
    absent = key()
    policy.write_text("seed: 1\n")
    assert key() != absent
    policy.rename(fake.workspace / "other.yaml")
    for target in ("/dev/zero", "other.yaml"):
        policy.symlink_to(target)
        assert key() == key(policy="bye-lint.yaml") == absent
        policy.unlink()
    (fake.workspace / "devices").symlink_to("/dev")
    assert key(policy="devices/zero") == absent
    policy.write_bytes(b"a\0b" * 1_000_000)
    assert key() != absent


def test_no_pull_request_reads_features_that_its_earlier_commits_wrote(fake: Any) -> None:
    fake.says(0, "pass")
    for github in (QUEUE, {"event_name": "push"}, {"event_name": "schedule"}):
        assert "actions/cache" in fake.runner.run(EXISTING, github).used
    for name in ("pull_request", "pull_request_target"):
        assert "actions/cache" not in fake.runner.run(EXISTING, PULL | {"event_name": name}).used


# -- the real tool, structural rules alone ---------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> tuple[Repo, Runner]:
    repo = Repo(tmp_path / "data-repository")
    for i in range(3):
        repo.image(f"data/r{i}.png", i)
    repo.records([record(f"r{i}") for i in range(3)])
    repo.write("bye-lint.yaml", "dataset:\n  paths: [data/train.jsonl]\n")
    repo.commit()
    (tmp_path / "runner").mkdir()
    return repo, Runner(repo.root, tmp_path / "runner", f"{SCRIPTS}:{SYSTEM}")


STRUCTURAL = {**EXISTING, "extra": "structural"}


def test_real_pass(real: tuple[Repo, Runner]) -> None:
    run = real[1].run(STRUCTURAL)
    assert run.outputs["verdict"] == "pass", run.log
    assert not run.failed
    assert run.outputs["suspicious-count"] == "0"
    assert json.loads(Path(run.outputs["sarif-file"]).read_text())["version"] == "2.1.0"
    assert "pass" in run.summary.lower()


def test_real_fail_annotates_the_line(real: tuple[Repo, Runner]) -> None:
    repo, runner = real
    (repo.root / "data/r1.png").unlink()
    run = runner.run(STRUCTURAL)
    assert run.outputs["verdict"] == "fail", run.log
    assert run.exit_codes["Gate"] == 1
    annotations = [c for c in workflow_commands(run.log) if "data/train.jsonl" in c]
    assert len(annotations) == 1
    assert "line=2" in annotations[0]
    assert "BYE103" in run.summary


def test_real_inconclusive(real: tuple[Repo, Runner]) -> None:
    repo, runner = real
    repo.write("data/train.jsonl", "")
    repo.write("bye-lint.yaml", "dataset: {paths: [data/train.jsonl], format: llava}\n")
    run = runner.run(STRUCTURAL)
    assert run.outputs["verdict"] == "inconclusive", run.log
    assert run.exit_codes["Gate"] == 3
    assert UPLOAD not in run.used


def test_real_error(real: tuple[Repo, Runner]) -> None:
    repo, runner = real
    repo.write("bye-lint.yaml", "dataset:\n  path: data\n")
    run = runner.run(STRUCTURAL)
    assert run.outputs["verdict"] == "error", run.log
    assert run.exit_codes["Gate"] == 2
    assert "bye-lint.yaml:2:3" in run.log


def test_real_pull_request_cannot_talk_its_judge_down(real: tuple[Repo, Runner]) -> None:
    repo, runner = real
    base = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "-b", "pull-request")
    (repo.root / "data/r1.png").unlink()
    repo.write("bye-lint.yaml", "dataset:\n  paths: [elsewhere]\n")
    repo.image("elsewhere/ok.png", 9)
    repo.records([record("ok")], "elsewhere/train.jsonl")
    repo.commit()
    run = runner.run(
        STRUCTURAL, {"event_name": "pull_request", "event.pull_request.base.sha": base}
    )
    assert run.outputs["verdict"] == "fail", run.log
    assert "BYE301" in run.summary
    assert "BYE103" in run.summary


@pytest.mark.parametrize("since", ["auto", "none"])
def test_real_pull_request_is_judged_by_the_base_as_it_is_now(
    real: tuple[Repo, Runner], since: str
) -> None:
    repo, runner = real
    old = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "-b", "pull-request")
    repo.write("elsewhere/readme", "x")
    repo.commit()
    repo.git("checkout", "-q", "-")
    repo.write("bye-lint.yaml", "dataset: {paths: [data]}\ngate: {max_suspicious: 9}\nseed: 77\n")
    repo.git("update-ref", "refs/remotes/origin/main", repo.commit())
    repo.git("checkout", "-q", "pull-request")
    run = runner.run(
        {**STRUCTURAL, "changed-since": since},
        {
            "event_name": "pull_request",
            "event.pull_request.base.sha": old,
            "base_ref": "main",
        },
    )
    assert run.outputs["verdict"] == "pass", run.log
    assert "--seed 77" in run.summary


# -- form and safety -------------------------------------------------------------------------


def test_no_expression_inside_a_script() -> None:
    documents = [yaml.safe_load(p.read_text()) for p in (ACTION, *WORKFLOWS)]
    scripts = [s for d in documents for s in _scripts(d)]
    assert len(scripts) >= 5
    assert not [s for s in scripts if "${{" in s]


def test_the_workflows_commands_are_known() -> None:
    scripts = [s for p in WORKFLOWS for s in _scripts(yaml.safe_load(p.read_text()))]
    lines = [line for s in scripts for line in s.replace("\\\n", " ").splitlines()]
    commands = [line.partition("||")[0].split()[1:] for line in lines if "bye-lint " in line]
    assert {command[0] for command in commands} == {"tune", "extract", "judge"}
    for name, *arguments in commands:
        words = [word.strip('"').replace("$SHARD", "3") for word in arguments]
        cli.commands[name].make_context(name, words)


def test_the_workflows_take_up_nothing_that_the_checkout_may_hold() -> None:
    """A change to the data could have brought a model, or features, that find it clean."""
    document = yaml.safe_load((ROOT / "examples/workflows/shards.yml").read_text())
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    given = [step["with"] for step in steps if "with" in step]
    paths = [value for own in given for key, value in own.items() if key in ("path", "sarif_file")]
    assert len(paths) == 6
    assert [path for path in paths if not path.startswith("${{ runner.temp }}/")] == []
    words = [word.strip('"') for script in _scripts(document) for word in script.split()]
    named = [word for word in words if re.search(r"tuned|features|bye-lint\.", word)]
    assert len(named) > 6
    assert [w for w in named if "$RUNNER_TEMP/" not in w and not w.startswith("--tuned")] == []


def _scripts(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["run"]] if isinstance(node.get("run"), str) else []
        return own + [s for value in node.values() for s in _scripts(value)]
    if isinstance(node, list):
        return [s for value in node for s in _scripts(value)]
    return []


def test_nested_actions_are_pinned_by_commit() -> None:
    uses = re.findall(r"uses: (\S+)", "\n".join(p.read_text() for p in (ACTION, *WORKFLOWS)))
    assert len(uses) >= 3
    assert [u for u in uses if not re.search(r"@[0-9a-f]{40}$", u)] == []


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [SCRIPTS / "zizmor", "--offline", "--no-progress", "--no-config", "--format=json",
         ACTION, *WORKFLOWS],
        capture_output=True, text=True, check=False, env={"PATH": SYSTEM, "HOME": os.devnull},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-actions", [ACTION]), ("vendor.github-workflows", WORKFLOWS)],
    ids=["action", "workflows"],
)
def test_schema(schema: str, files: list[Path]) -> None:
    assert files
    done = subprocess.run(
        [SCRIPTS / "check-jsonschema", "--builtin-schema", schema, *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
