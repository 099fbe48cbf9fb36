"""The command line as a user meets it: exit status, one message, nothing half-written."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from PIL import Image

from bye_lint import __version__, cli, scan
from bye_lint.__main__ import main as guarded_main
from bye_lint.commands.verify import TRIGGER_NAMES
from bye_lint.progress import RichProgress
from bye_lint.triggers import TRIGGERS


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten good records in a folder of their own; the working directory is its parent."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    records = []
    for i in range(10):
        Image.new("RGB", (16, 16), (i * 20, 80, 120)).save(folder / "images" / f"{i}.png")
        turns = [
            {"from": "human", "value": "<image>\nWhich colour?"},
            {"from": "gpt", "value": f"colour {i}"},
        ]
        records.append({"id": f"r{i}", "image": f"images/{i}.png", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    return folder


def bye_lint(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bye_lint", *arguments],
        capture_output=True, text=True, cwd=cwd, check=False, timeout=120,
    )  # fmt: skip


def test_good_records_pass_the_structural_check(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "--structural", "--no-progress", str(dataset)]) == 0
    assert "pass" in capsys.readouterr().out.lower()


def test_results_go_to_stdout_and_progress_to_stderr(dataset: Path) -> None:
    done = bye_lint("check", "--structural", "--format", "json", str(dataset))
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert "Reading records" in done.stderr


def test_a_long_line_of_progress_is_one_line_of_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    RichProgress(bars=False).say("word " * 60)
    assert capsys.readouterr().err.count("\n") == 1


def test_quiet_says_nothing_on_stderr(dataset: Path) -> None:
    assert bye_lint("check", "--structural", "--quiet", str(dataset)).stderr == ""


@pytest.mark.parametrize("command", [["--help"], ["check", "--help"], ["--version"], ["rule"]])
def test_light_commands_leave_torch_alone(command: Sequence[str]) -> None:
    code = (
        "import sys; from bye_lint import cli; status = cli.run(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'sklearn', 'peft'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_structural_check_leaves_torch_alone(dataset: Path) -> None:
    code = (
        "import sys; from bye_lint import cli; status = cli.run(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'sklearn', 'peft'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    arguments = ["check", "--structural", str(dataset)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *before, name)
        yield (*before, name), command


def test_every_command_is_listed_with_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    told = capsys.readouterr().out
    assert "130 interrupted" in told
    for (name, *inner), command in _commands(cli.cli):
        if not inner:
            assert command.get_short_help_str(200) == command.get_short_help_str(66), name
            assert command.get_short_help_str(66) in " ".join(told.split())


@pytest.mark.parametrize("name", [name for name, _ in _commands(cli.cli)], ids=" ".join)
def test_every_command_that_judges_or_writes_says_its_exit_status(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*name, "--help"]) == 0
    said = capsys.readouterr().out
    quiet = {("init",), ("schema",), ("rule",), ("baseline",), ("baseline", "audit")}
    assert "Exit status" in said or name in quiet
    assert "-o, --" not in said or "-o, --output" in said


@pytest.mark.parametrize(
    ("name", "old"),
    [
        (("tune",), "--out"),
        (("extract",), "--out"),
        (("evaluate",), "--out"),
        (("baseline", "audit"), "--file"),
    ],
)
def test_the_long_form_of_o_is_one_and_the_old_ones_stay(name: tuple[str, ...], old: str) -> None:
    options = dict(_commands(cli.cli))[name].params
    [found] = [option.opts for option in options if "-o" in option.opts]
    assert {"--output", old} <= set(found)


def test_verify_lists_the_triggers() -> None:
    assert TRIGGER_NAMES.split(", ") == list(TRIGGERS)


def test_check_shows_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--help"]) == 0
    assert "\n    bye-lint check data/ --changed-since main" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_ten_records_are_too_few_to_judge(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "--no-progress", "--format", "json", str(dataset)]) == 3
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "inconclusive"
    assert "at least 100" in result["reasons"][0]


def test_records_without_an_image_are_counted_by_themselves(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    rows = [{"conversations": turns}, {"image": "none.png", "conversations": turns}]
    (dataset / "text.json").write_text(json.dumps(rows), encoding="utf-8")
    assert cli.run(["check", "--no-progress", "--format", "json", str(dataset)]) == 3
    result = json.loads(capsys.readouterr().out)
    assert result["counts"] | {"records": 12, "skipped": 1, "without_image": 1} == result["counts"]
    assert [row["rule"] for row in result["skipped"]] == ["BYE103"]
    assert "BYE111" in {f["rule"] for f in result["findings"]}


def test_a_finding_links_to_the_image_under_the_image_root(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "images").rename(dataset.parent / "pictures")
    rows = json.loads((dataset / "train.json").read_text("utf-8"))
    rows = [{**row, "image": row["image"].removeprefix("images/")} for row in rows]
    rows[3]["conversations"][1]["value"] = ""
    (dataset / "train.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    Path("bye-lint.yaml").write_text("dataset: {paths: [data], image_root: pictures}\n", "utf-8")
    cli.run(["check", "--structural", "--no-progress", "--format", "sarif"])
    [found] = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    [related] = found["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "pictures/3.png"


def test_a_link_is_shown_where_it_stands(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are, and what it leads to is no dataset by its name."""
    (dataset / "train.json").rename(dataset.parent / "ab12")
    (dataset / "train.json").symlink_to("../ab12")
    Path("linked").symlink_to("data")
    Path(".git").mkdir()
    Path(".git/HEAD").touch()

    def paths(*named: str) -> list[str]:
        capsys.readouterr()
        cli.run(["check", "--structural", "--no-progress", "--format", "json", *named])
        found: list[str] = json.loads(capsys.readouterr().out)["paths"]
        return found

    assert paths("data/train.json", "linked/train.json") == ["data/train.json"] * 2
    assert paths("data", "linked") == ["data", "data"]
    monkeypatch.chdir("data")
    assert paths("../data/images/../train.json") == ["data/train.json"]
    assert paths(".") == ["data"]
    monkeypatch.chdir("images")
    assert paths("..") == ["data"]


def repeated(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Check, and return the command that the report gives to do it again."""
    cli.run(["check", "--structural", "--no-progress", "--format", "markdown", *options])
    lines = capsys.readouterr().out.splitlines()
    return next(line for line in lines if line.startswith("bye-lint check"))


def test_the_command_that_repeats_a_check_names_its_policy(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "bye-lint.yaml").write_text("seed: 3\n", "utf-8")
    Path("strict rules.yaml").write_text("seed: 4\n", "utf-8")
    assert repeated(capsys, "data") == "bye-lint check --seed 3 --structural -- data"
    named = repeated(capsys, "--policy", str(Path("strict rules.yaml").absolute()), "data")
    assert named == "bye-lint check --seed 4 --structural '--policy=strict rules.yaml' -- data"
    assert repeated(capsys, "--no-baseline", "data").endswith("--structural --no-baseline -- data")


def test_the_command_that_repeats_a_check_leaves_a_policy_its_own_paths(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them may have a policy beside it, which is not the one that judged."""
    (dataset / "bye-lint.yaml").write_text("dataset: {max_pixels: 1}\n", "utf-8")
    Path("bye-lint.yaml").write_text("dataset: {paths: [data]}\n", "utf-8")
    assert repeated(capsys) == "bye-lint check --seed 0 --structural"
    Path("part").mkdir()
    Path("part/bye-lint.yaml").write_text("dataset: {paths: [../data]}\nseed: 5\n", "utf-8")
    Path(".git").mkdir()
    Path(".git/HEAD").touch()
    monkeypatch.chdir("part")
    command = "bye-lint check --seed 5 --structural --policy=part/bye-lint.yaml"
    assert repeated(capsys) == command
    monkeypatch.chdir("..")
    assert repeated(capsys, *shlex.split(command)[2:]) == command


def test_a_file_named_like_an_option_is_a_file(dataset: Path) -> None:
    """As the structure hook hands files over: after its options come -- and names."""
    hook = ["check", "--structural", "--hook", "--quiet", "--no-progress", "--"]
    strict = Path("strict.json")
    strict.write_text('{"dataset": {"max_pixels": 1}}', "utf-8")
    Path("--policy=strict.json").touch()
    assert cli.run([*hook, "data/train.json"]) == 0
    assert cli.run([*hook, "--policy=strict.json", "data/train.json"]) == 0
    assert cli.run([*hook[:-1], "--policy=strict.json", "data/train.json"]) == 1


def test_paths_beyond_twenty_are_not_left_out_without_a_word(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (dataset / "train.json").read_text("utf-8")
    names = [str(dataset / f"train{i}.json") for i in range(21)]
    for name in names:
        Path(name).write_text(rows, "utf-8")
    assert len(shlex.split(repeated(capsys, *names[:20]).partition(" -- ")[2])) == 20
    cli.run(["check", "--structural", "--no-progress", "--format", "markdown", *names[:20]])
    assert "more path" not in capsys.readouterr().out
    cli.run(["check", "--structural", "--no-progress", "--format", "markdown", *names])
    assert "…and 1 more path; the JSON report has them all." in capsys.readouterr().out


def test_exit_zero_hides_a_verdict_but_no_error(dataset: Path) -> None:
    assert cli.run(["check", "--exit-zero", "--no-progress", str(dataset)]) == 0
    assert cli.run(["check", "--exit-zero", "--no-progress", "nowhere"]) == 2


@pytest.mark.parametrize("form", ["terminal", "json", "sarif", "markdown", "junit", "github"])
def test_the_format_never_changes_the_exit_status(dataset: Path, form: str) -> None:
    (dataset / "images" / "3.png").unlink()
    arguments = ["check", "--structural", "--no-progress", "--format", form, str(dataset)]
    assert cli.run(arguments) == 1


def test_missing_image_is_a_finding_at_its_line(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "images" / "3.png").unlink()
    arguments = ["check", "--structural", "--no-progress", "--format", "json", str(dataset)]
    assert cli.run(arguments) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    lines = (dataset / "train.json").read_text().splitlines()
    assert finding["rule"] == "BYE103"
    assert finding["sample_id"] == "r3"
    assert '"id": "r3"' in lines[finding["line"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere"], "nowhere: no such file"),
        (["check", "data", "--policy", "none.yaml"], "none.yaml"),
        (["check", "data", "--report", "sarif"], "FORMAT=PATH"),
        (["check", "data", "--report", "sariff=x"], "Did you mean sarif?"),
        (["check", "data", "--format", "pdf"], "pdf"),
        (["check", "data", "--report", "json=missing/folder/x.json"], "missing/folder"),
        (["check", "data", "--report", "json=-"], "--format json prints to standard output"),
        (["check", "--sed"], "--seed"),
        (["check", "data", "--seed", "4294967296"], "not in the range 0<=x<=4294967295"),
        (["verify", "r.json", "data", "--seed", "4294967296"], "0<=x<=4294967295"),
        (["check", "data", "--device", "gpu"], "Use auto, cpu, cuda, cuda:N, mps or xpu"),
        (["rule", "BYE999"], "BYE999"),
        (["init", "nowhere/bye-lint.yaml"], "its folder does not exist"),
        (["report", "data/train.json"], "train.json"),
        (["report", "nothing.json"], "nothing.json"),
        (["chek"], "chek"),
    ],
)
def test_errors_are_one_message_and_status_2(
    dataset: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("target", ["data/train.json", "link.json", "bye-lint.yaml", "known.yaml"])
def test_a_report_never_takes_the_place_of_what_is_checked(
    dataset: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bye-lint.yaml").write_text("seed: 3\nbaseline: known.yaml\n")
    Path("known.yaml").write_text("version: 1\n")
    Path("link.json").symlink_to("data/train.json")
    kept = (dataset / "train.json", Path("bye-lint.yaml"), Path("known.yaml"))
    before = {path: path.read_bytes() for path in kept}
    arguments = ["check", "--structural", "--no-progress", "data", "--report", f"json={target}"]
    assert cli.run(arguments) == 2
    assert f"error: {target}: the report would overwrite" in capsys.readouterr().err
    assert all(path.read_bytes() == data for path, data in before.items())


@pytest.mark.parametrize(
    "command",
    [
        ["report", "r.json", "--report", "sarif=./r.json"],
        ["report", "r.json", "--report", "sarif=link.json"],
        ["explain", "r.json", "r0", "--png", "link.json"],
        ["clean", "r.json", "--write-review", "r.json"],
        ["verify", "r.json", "data", "-o", "data/../r.json"],
    ],
)
def test_what_is_made_from_a_result_never_takes_its_place(
    dataset: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "--structural", "--quiet", "data", "--report", "json=r.json"]) == 0
    Path("link.json").symlink_to("r.json")
    before = Path("r.json").read_bytes()
    assert cli.run(command) == 2
    assert "would overwrite what it is made from" in capsys.readouterr().err
    assert Path("r.json").read_bytes() == before


def test_what_verify_writes_never_takes_the_place_of_the_data(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "--structural", "--quiet", "data", "--report", "json=r.json"]) == 0
    before = Path("data/train.json").read_bytes()
    command = ["verify", "r.json", "data", "--trigger", "patch-centre", "-o", "data/train.json"]
    assert cli.run(command) == 2
    assert "would overwrite what is checked" in capsys.readouterr().err
    assert Path("data/train.json").read_bytes() == before


def test_an_older_report_is_overwritten(dataset: Path) -> None:
    arguments = ["check", "--structural", "--quiet", "data", "--report", "json=data/result.json"]
    Path("data/result.json").write_text("[]")
    assert cli.run(arguments) == 0
    assert json.loads(Path("data/result.json").read_text())["verdict"] == "pass"


def test_a_report_of_the_policy_stays_in_the_working_directory(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    Path("out").symlink_to(outside)
    Path("bye-lint.yaml").write_text("reports: [{format: json, path: out/x.json}]\n")
    command = ["check", "--structural", "--quiet", "data"]
    assert cli.run(command) == 2
    assert "out/x.json: a report of the policy leaves the working" in capsys.readouterr().err
    assert list(outside.iterdir()) == []
    beside = Path.cwd().with_name(f"{Path.cwd().name}-more")
    beside.mkdir()
    Path("beside").symlink_to(beside)
    Path("bye-lint.yaml").write_text("reports: [{format: json, path: beside/x.json}]\n")
    assert cli.run(command) == 2
    assert list(beside.iterdir()) == []
    Path("bye-lint.yaml").write_text("reports: [{format: json, path: data/../x.json}]\n")
    assert cli.run([*command, "--report", "sarif=out/x.sarif"]) == 0
    assert Path("x.json").exists()
    assert (outside / "x.sarif").exists()


def test_two_reports_in_one_file_are_refused(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("./out", "data/../out"):
        reports = ["--report", "json=out", "--report", f"sarif={other}"]
        assert cli.run(["check", "--structural", "--no-progress", "data", *reports]) == 2
        assert "two reports go to this path, json and sarif" in capsys.readouterr().err
        assert not Path("out").exists()


def test_a_report_may_go_to_standard_output_through_a_pipe(dataset: Path) -> None:
    done = bye_lint("check", "--structural", "-q", "data", "--report", "json=/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert '"verdict": "pass"' in done.stdout


def test_a_typo_in_the_policy_is_shown_where_it_stands(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "bye-lint.yaml").write_text("gate:\n  max_suspicous: 0\n")
    assert cli.run(["check", str(dataset)]) == 2
    error = capsys.readouterr().err
    assert "bye-lint.yaml:2:3" in error
    assert "max_suspicious" in error


HOSTILE = "\x1b[2J\u202e\n::error::[bold]x"


@pytest.mark.parametrize(
    "policy",
    [
        json.dumps({HOSTILE: 1}),
        json.dumps({"seed": HOSTILE}),
        json.dumps({"baseline": HOSTILE}),
        json.dumps({"dataset": {"paths": [HOSTILE]}}),
        f"seed: '{HOSTILE}'",
        f"seed: !{HOSTILE[8:]} 1",
        "model: '" + "word " * 19 + "::error::x'",
    ],
)
@pytest.mark.parametrize("option", ["--structural", "--show-policy", "--show-files"])
def test_what_a_policy_says_does_nothing_where_it_is_shown(
    dataset: Path, policy: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bye-lint.yaml").write_text(policy, encoding="utf-8")
    cli.run(["check", option, *(() if "paths" in policy else ("data",))])
    shown = "".join(capsys.readouterr())
    assert shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "::" not in shown


def test_the_names_of_files_do_nothing_where_they_are_shown(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset / "\x1b[2J\n::error::[bold]x"
    folder.mkdir()
    (dataset / "train.json").rename(folder / "train.json")
    assert cli.run(["check", "--show-files", "data"]) == 0
    assert capsys.readouterr().out == "data/\\x1b[2J\\n:\\x3aerror:\\x3a[bold]x/train.json\n"
    (folder / "train.json").write_text("")
    assert cli.run(["check", "--structural", str(folder / "train.json")]) == 2
    assert "::" not in capsys.readouterr().err


def test_what_went_wrong_does_nothing_where_it_is_shown(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("\x1b[2J::error::x")

    monkeypatch.setattr(scan, "scan", fail)
    assert cli.run(["check", "--structural", "data"]) == 2
    shown = capsys.readouterr().err
    assert "RuntimeError: \\x1b[2J:\\x3aerror:\\x3ax" in shown
    RichProgress(bars=False).say("\x1b[2J::error::x")
    assert capsys.readouterr().err == "\\x1b[2J:\\x3aerror:\\x3ax\n"


def test_a_hook_passes_over_what_holds_no_records(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = ["check", "--structural", "--quiet", "--hook"]
    (dataset / "labels.json").write_text('{"r0": "a field"}')
    assert cli.run([*hook, "data/labels.json"]) == 0
    assert "nothing to check" in capsys.readouterr().err
    Path("bye-lint.yaml").write_text("dataset: {paths: [data]}\n")
    assert cli.run([*hook, "data/labels.json"]) == 0
    assert "nothing to check" in capsys.readouterr().err, "the policy's data were not touched"
    Path("bye-lint.yaml").write_text("dataset: {format: llava}\n")
    assert cli.run([*hook, "bye-lint.yaml", "data/labels.json"]) == 0
    Path("bye-lint.yaml").write_text("gaet: {}\n")
    assert cli.run([*hook, "bye-lint.yaml"]) == 2


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ("seed: 1\n", ["data/labels.json", "data/train.json"]),
        ("seed: 1\n", ["data"]),
        ("dataset: {paths: [data]}\n", ["bye-lint.yaml"]),
        ("dataset: {paths: [data]}\n", ["data/labels.json", "bye-lint.yaml"]),
    ],
)
def test_a_hook_is_no_way_past_what_holds_records(
    dataset: Path, policy: str, named: list[str]
) -> None:
    hook = ["check", "--structural", "--quiet", "--hook", *named]
    (dataset / "labels.json").write_text('{"r0": "a field"}')
    Path("bye-lint.yaml").write_text(policy)
    assert cli.run(hook) == 0
    (dataset / "images" / "3.png").unlink()
    assert cli.run(hook) == 1


def test_a_policy_that_names_no_data_is_nothing_to_check(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bye-lint.yaml").write_text("seed: 1\n")
    for named in ([], ["bye-lint.yaml"]):
        assert cli.run(["check", "--structural", *named]) == 2
        assert "no PATH of data was given and the policy names none" in capsys.readouterr().err
    assert cli.run(["check", "--structural", "--hook", "bye-lint.yaml"]) == 0


def test_a_hook_does_not_pass_over_what_the_policy_names(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bye-lint.yaml").write_text("dataset: {paths: [data/train.json]}\n")
    (dataset / "train.json").write_text('{"r0": "a field"}')
    assert cli.run(["check", "--structural", "--hook", "data/train.json"]) == 2
    assert "not recognised as a dataset" in capsys.readouterr().err
    assert cli.run(["check", "--hook", "data/train.json"]) == 2
    assert "--hook is for --structural alone" in capsys.readouterr().err


def test_the_policy_is_found_upwards_of_the_first_path(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset.parent / "bye-lint.yaml").write_text("seed: 77\n")
    assert cli.run(["check", "--show-policy", str(dataset / "train.json")]) == 0
    assert "seed: 77" in capsys.readouterr().out


def test_init_writes_a_policy_that_checks(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["init"]) == 0
    # it names no data yet, so that a check without a path would have nothing to do
    assert capsys.readouterr().err.endswith("in it and run: bye-lint check\n")
    assert cli.run(["check", "--structural", "--no-progress"]) == 2
    assert cli.run(["check", "--structural", "--no-progress", str(dataset)]) == 0
    capsys.readouterr()
    assert cli.run(["init"]) == 2
    assert "--force" in capsys.readouterr().err


def test_a_policy_is_shown_without_data(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init"]) == 0
    assert cli.run(["check", "--show-policy"]) == 0
    assert "min_samples: 100" in capsys.readouterr().out
    Path("bye-lint.yaml").write_text("seed: 5\ndataset: {paths: [nowhere]}\n")
    assert cli.run(["check", "--show-policy"]) == 0
    assert "seed: 5" in capsys.readouterr().out


def test_a_policy_that_cannot_be_written_is_no_report(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".git").mkdir()
    assert cli.run(["init", ".git/pol.yaml"]) == 2
    assert "pol.yaml: cannot be written: it lies among git's own" in capsys.readouterr().err


def test_judge_names_the_option_that_names_data(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["judge", "features"]) == 2
    assert "features: no complete shard lies here" in capsys.readouterr().err
    monkeypatch.setattr("bye_lint.shards.open_shards", lambda *_, **__: None)
    assert cli.run(["judge", "features"]) == 2
    assert "--data data/" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["pol.yaml", "my policy.yaml", "data/bye-lint.yaml"])
def test_init_says_how_a_check_finds_the_policy(
    dataset: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["init", path]) == 0
    command = shlex.split(capsys.readouterr().err.partition("run: bye-lint ")[2])
    assert command == ["check", "--policy", path]
    Path(path).write_text("dataset: {paths: [nowhere]}\n")
    assert cli.run([*command, "--structural"]) == 2
    assert "nowhere: no such file or folder (dataset.paths in" in capsys.readouterr().err


def test_a_rule_is_wrapped_at_the_width_of_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["rule", "BYE001"]) == 0
    whole = capsys.readouterr().out
    assert len(whole.splitlines()) == 7
    assert max(map(len, whole.splitlines())) > 200
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.run(["rule", "BYE001"]) == 0
    wrapped = capsys.readouterr().out
    assert max(map(len, wrapped.splitlines())) <= 60
    assert [p.split() for p in wrapped.split("\n\n")] == [p.split() for p in whole.split("\n\n")]


def test_show_files_lists_them(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--show-files", str(dataset)]) == 0
    assert capsys.readouterr().out.strip().endswith("data/train.json")


def test_a_file_that_was_not_read_is_in_the_result(dataset: Path, tmp_path: Path) -> None:
    (dataset / "more.jsonl.gz").write_bytes(b"x")
    (dataset / "notes.txt").write_text("nothing")
    report = tmp_path / "result.json"
    done = bye_lint("check", str(dataset), "--structural", f"--report=json={report}", cwd=dataset)
    assert done.returncode == 0
    result = json.loads(report.read_text(encoding="utf-8"))
    (finding,) = result["findings"]
    assert (finding["rule"], finding["level"]) == ("BYE113", "note")
    assert finding["path"].endswith("more.jsonl.gz")
    assert len(finding["fingerprint"]) == 64
    assert result["counts"]["structural"] == 1
    assert "BYE113" in done.stdout


def test_a_file_of_no_known_format_is_told_of(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(5):
        (dataset / f"more{i}.json").write_text('{"data": []}')
    assert cli.run(["check", "--structural", "--no-progress", str(dataset)]) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "data/more0.json, data/more1.json, data/more2.json and 2 more (--show-files" in error
    assert cli.run(["check", "--show-files", str(dataset)]) == 0
    printed = capsys.readouterr()
    assert printed.out == "data/train.json\n"
    assert "data/more4.json" in printed.err
    assert cli.run(["check", "--structural", "--quiet", str(dataset)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("which", ["policy", "result"])
def test_schema_is_json(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema", which]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


def test_a_saved_result_renders_as_the_check_did(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", "--structural", "--no-progress", "--report", "json=r.json", str(dataset)]
    assert cli.run([*arguments, "--format", "sarif"]) == 0
    first = capsys.readouterr().out
    assert cli.run(["report", "r.json", "--format", "sarif"]) == 0
    assert capsys.readouterr().out == first


def test_a_bug_is_one_message_and_a_log(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the sky fell")

    monkeypatch.setattr(scan, "scan", broken)
    assert cli.run(["check", "--no-progress", str(dataset)]) == 2
    error = capsys.readouterr().err
    assert "internal error: RuntimeError: the sky fell" in error
    assert "Traceback" not in error
    log = Path(error.split()[-1])
    assert "the sky fell" in log.read_text()
    log.unlink()

    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(cli.tempfile, "NamedTemporaryFile", nowhere)
    assert cli.run(["check", "--no-progress", str(dataset)]) == 2, "and not 1, which says fail"
    error = capsys.readouterr().err
    assert "internal error: RuntimeError: the sky fell" in error
    assert "no log of it could be written: No usable temporary directory found" in error
    assert "Traceback" not in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_no_bug(dataset: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bye_lint", "check", "--structural", "-q", "data"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written: no space left")


def test_a_folder_of_someone_else_is_no_bug(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/cache/rows")

    monkeypatch.setattr(scan, "scan", refused)
    assert cli.run(["check", "--no-progress", str(dataset)]) == 2
    assert capsys.readouterr().err.startswith("error: /cache/rows: permission denied\n")

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "rows")

    monkeypatch.setattr(scan, "scan", missing)
    assert cli.run(["check", "--no-progress", str(dataset)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("internal error: FileNotFoundError")
    Path(error.split()[-1]).unlink()


def test_interrupt_leaves_nothing_behind(dataset: Path) -> None:
    code = (
        "import sys, signal, os; from bye_lint import cli, scan;"
        # A shell that runs the tests in the background has its children ignore interrupts.
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "slow = lambda *a, **k: (os.kill(os.getpid(), signal.SIGINT), __import__('time').sleep(9));"
        "scan.check_samples = slow; sys.exit(cli.run(sys.argv[1:]))"
    )
    arguments = ["check", "--structural", "--report", "json=out.json", str(dataset)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == cli.EXIT_INTERRUPTED
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(dataset.parent.glob("*out.json*")) == []


def test_interrupt_while_the_command_is_imported_is_one_line_too() -> None:
    code = (
        "import sys, runpy\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'click':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "runpy.run_module('bye_lint', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == cli.EXIT_INTERRUPTED
    assert done.stderr == "interrupted: no report was written\n"


def test_the_installed_command_is_the_guarded_one() -> None:
    (command,) = entry_points(group="console_scripts", name="bye-lint")
    assert command.load() is guarded_main


@pytest.mark.parametrize("which", ["policy", "result"])
def test_the_published_schemas_are_current(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema", which]) == 0
    published = Path(cli.__file__).parent / "schema" / f"{which}.schema.json"
    assert json.loads(capsys.readouterr().out) == json.loads(published.read_text("utf-8")), (
        f"run: bye-lint schema {which} > bye_lint/schema/{which}.schema.json"
    )
