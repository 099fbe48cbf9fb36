"""``bye-lint doctor``: what it tells, and what it says when something is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bye_lint import cli, doctor
from bye_lint.models.devices import Device
from bye_lint.scout import scout_path

EXAMPLE = Path(__file__).parents[1] / "examples" / "quickstart"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(doctor, "throughput", lambda *_: 5e9)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.run(["doctor", *arguments])
    return status, capsys.readouterr().out


def test_without_data_the_embedded_model_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run(capsys)
    assert status == 0
    lines = dict(line.split(maxsplit=1) for line in text.splitlines() if "  " in line)
    assert "torch" in lines["packages"]
    assert lines["device"].startswith("cpu:")
    assert lines["policy"] == "none found, defaults"
    assert lines["model"].startswith("scout: LLaVA")
    assert "121 tokens an image" in lines["model"]
    assert "5 billion operations" in lines["runs"]
    assert "full, 4 epochs" in lines["fine-tuning"]
    assert "records" not in lines
    assert text.endswith("A full check can run here.\n")


def test_the_json_form_tells_the_plan_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run(capsys, str(EXAMPLE), "--format", "json")
    told = json.loads(text)
    assert status == 0
    assert told["ready"] is True
    assert told["problems"] == []
    assert told["packages"]["torch"]
    assert told["model"]["family"] == "llava"
    assert told["plan"]["records"] == 750
    assert told["plan"]["tuning"] == "none"
    assert told["plan"]["seconds"] > 0
    assert told["cache"]["files"] == 0
    assert told["policy"] == str(EXAMPLE / "bye-lint.yaml")


def test_a_policy_may_be_named_that_names_no_data(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bye-lint.yaml").write_text("seed: 1\n")
    status, text = run(capsys, "bye-lint.yaml")
    assert status == 0
    assert "bye-lint.yaml\n" in text
    assert cli.run(["doctor", "elsewhere/bye-lint.yaml"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_the_device_of_the_command_line_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bye_lint.models.devices._generations", lambda: ())
    status, text = run(capsys, "--device", "cuda:77", "--format", "json")
    told = json.loads(text)
    assert (told["model"]["device"], told["model"]["dtype"]) == ("cuda:77", "bfloat16")
    assert (status, told["ready"]) == (2, False)
    assert told["problems"][0]["what"] == "device cuda:77 is not there"


@pytest.mark.parametrize(
    ("model", "says", "remedy"),
    [
        ("{name: nowhere}", "no such model folder", "hub id"),
        ("{name: org/absent}", "not in the local cache", "hf download org/absent"),
        ("{quantization: 4bit}", "4bit needs bitsandbytes", "bye-lint[quantization]"),
    ],
)
def test_what_stops_a_check_is_a_problem_with_a_remedy(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    says: str,
    remedy: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place))
    known = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda p: None if p == "bitsandbytes" else known(p))
    (place / "bye-lint.yaml").write_text(f"model: {model}\n")
    status, text = run(capsys)
    assert status == 2
    assert says in text
    assert remedy in text
    assert text.endswith("A full check can't run here.\n")


def test_weights_that_lie_quantized_need_what_reads_them(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(scout_path(), place / "model")
    config = json.loads((place / "model" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (place / "model" / "config.json").write_text(json.dumps(config))
    known = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda p: None if p == "bitsandbytes" else known(p))
    (place / "bye-lint.yaml").write_text("model: {name: model}\n")
    status, text = run(capsys)
    assert status == 2
    assert "4bit needs bitsandbytes" in text
    assert "4bit weights" in text


def test_a_check_that_does_not_fit_is_a_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [Device("cpu", "2 cores", free=1000, total=2000)]
    monkeypatch.setattr("bye_lint.planning.devices", lambda: small)
    status, text = run(capsys, str(EXAMPLE))
    assert status == 2
    assert "problem: the check needs about" in text


@pytest.mark.parametrize(
    ("least", "there", "why"),
    [
        (100, True, "9 usable records; the policy asks for at least 100 (gate.min_samples)"),
        (100, False, "0 usable records; the policy asks for at least 100 (gate.min_samples)"),
        (0, False, "none of those to judge can be used"),
    ],
)
def test_data_that_can_only_be_inconclusive_are_a_problem(
    place: Path, capsys: pytest.CaptureFixture[str], least: int, there: bool, why: str
) -> None:
    said = {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "This."}
    records = [{"id": str(i), "image": "a.png", "conversations": said} for i in range(9)]
    (place / "data").mkdir()
    (place / "data" / "train.json").write_text(json.dumps(records))
    if there:
        Image.new("RGB", (8, 8)).save(place / "data" / "a.png")
    (place / "bye-lint.yaml").write_text(f"gate: {{min_samples: {least}}}\n")
    status, text = run(capsys, "data")
    assert status == 2
    assert f"problem: {why}\n  Name more data" in text
    assert text.endswith("A full check can't run here.\n")


def test_a_cache_that_cannot_be_written_is_a_problem(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("BYE_LINT_CACHE", str(place / "file"))
    status, text = run(capsys, str(EXAMPLE))
    assert status == 2
    assert "the cache cannot be written" in text
    assert "Set BYE_LINT_CACHE" in text
    monkeypatch.setenv("BYE_LINT_CACHE", str(place / "deep" / "cache"))
    assert run(capsys)[0] == 0
    assert not (place / "deep").exists()


def test_a_wrong_policy_is_an_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bye-lint.yaml").write_text("model: {nam: x}\n")
    assert cli.run(["doctor"]) == 2
    assert "bye-lint.yaml:1" in capsys.readouterr().err


def test_it_works_without_torch_and_says_what_that_means() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'peft', 'accelerate', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "import importlib.metadata as m\n"
        "known = m.version\n"
        "def version(name):\n"
        "    if name in ('torch', 'transformers', 'scikit-learn'): raise m.PackageNotFoundError\n"
        "    return known(name)\n"
        "m.version = version\n"
        "from bye_lint import cli\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", str(EXAMPLE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "missing      torch, transformers, scikit-learn: structural checks only" in done.stdout
    assert "pip install 'bye-lint[model]'" in done.stdout
    assert "scout" not in done.stderr
    assert "records      750" in done.stdout
    assert "time unknown" in done.stdout
