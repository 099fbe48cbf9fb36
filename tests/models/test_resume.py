"""Killed with SIGKILL and run again, or run by several processes: the result is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_end_to_end import N_RECORDS, save_model, write_data

POLICY = """\
model: {name: model, device: cpu, batch_tokens: 400}
fine_tune: {method: lora, epochs: 2, batch_size: 16, canary_share: 0.2}
gate: {min_samples: 60}
"""

#: Runs the command line in a process that may kill itself: at the n-th state of a fine-tuning or
#: the n-th batch that the store keeps; notes the steps and the rows of the store as they come.
DRIVER = """
import os, signal, sys
from dataclasses import replace
from bye_lint import cli, store
from bye_lint.models import finetune, runstate

schedule = sys.modules["bye_lint.models.schedule"]  # the package has a function of that name
notes, kill_step, kill_batch = open(sys.argv[1], "w", buffering=1), *map(int, sys.argv[2:4])
schedule.LARGE = replace(schedule.LARGE, save_every=2, bfloat16=False)
save, put, total = runstate.RunState.save, store.FeatureStore.put, [0]

def saving(self, step, history, ended):
    save(self, step, history, ended)
    if step == kill_step:
        os.kill(os.getpid(), signal.SIGKILL)

def putting(self, rows):
    put(self, rows)
    notes.writelines(f"row {key}\\n" for key in rows)
    total[0] += 1
    if total[0] == kill_batch:
        os.kill(os.getpid(), signal.SIGKILL)

class Noting(finetune.Progress):
    def __init__(self, step, *rest):
        super().__init__(step, *rest)
        notes.write(f"step {step}\\n")

runstate.RunState.save, store.FeatureStore.put = saving, putting
finetune.Progress = Noting
sys.exit(cli.run(sys.argv[4:]))
"""


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "BYE_LINT_CACHE": str(folder), "OMP_NUM_THREADS": "1"}


def run(place: Path, cache: str, *, step: int = 0, batch: int = 0) -> tuple[int, list[str]]:
    """Run a check in a process of its own; return its status and what it did."""
    notes = place / "notes"
    command = [sys.executable, "-c", DRIVER, str(notes), str(step), str(batch)]
    command += ["check", "data", "--quiet", f"--report=json={place / cache}.json"]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment(place / cache),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 3, -signal.SIGKILL), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, notes.read_text().split("\n")[:-1]


def result(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    told.pop("timings")
    return told


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_data(tmp_path)
    save_model("llava", tmp_path)
    (tmp_path / "bye-lint.yaml").write_text(POLICY, encoding="utf-8")
    return tmp_path


def test_a_check_that_is_killed_goes_on_and_ends_the_same(place: Path) -> None:
    status, whole = run(place, "whole")
    steps = [note for note in whole if note.startswith("step")]
    rows = {note for note in whole if note.startswith("row")}
    assert len(rows) > N_RECORDS  # records and canaries

    killed, first = run(place, "cut", step=4)
    assert killed == -signal.SIGKILL
    assert first == steps[:4]
    killed, second = run(place, "cut", batch=3)
    assert killed == -signal.SIGKILL
    read = {note for note in second if note.startswith("row")}
    assert [note for note in second if note.startswith("step")] == steps[4:]
    assert 0 < len(read) < len(rows)
    again, third = run(place, "cut")
    assert again == status
    assert set(third) == rows - read  # no step, and no row twice
    assert result(place / "cut.json") == result(place / "whole.json")
    assert run(place, "cut")[1] == []  # all from the cache


#: Fine-tunes as a check would, and keeps the model in a folder of its own.
TRAINER = """
import sys
from dataclasses import replace
from pathlib import Path
from bye_lint import learning, scan
from bye_lint.progress import SilentProgress
from bye_lint.request import Overrides, plan_request

schedule = sys.modules["bye_lint.models.schedule"]
schedule.LARGE = replace(schedule.LARGE, bfloat16=False)
request, progress = plan_request((Path("data"),), Overrides()), SilentProgress()
samples = scan.read(request, progress)[1].samples
copies = learning.plant(samples, request.policy, progress)[1]
model = learning.resolve(request.policy.model, request.policy.base)
tuned = learning.fine_tune(
    model, [*samples, *copies], len(samples), request.policy, "cpu", progress, Path(sys.argv[1])
)
print(tuned.steps)
"""


#: The first process takes longer than a step is given; the others wait for it.
WAITER = """
import sys, time
from datetime import timedelta
from pathlib import Path
import torch
from torch import distributed
from bye_lint.models.ranks import together

init = distributed.init_process_group
distributed.init_process_group = lambda *a, **k: init(*a, **k, timeout=timedelta(seconds=3))
with together(torch.device("cpu")) as ranks:
    if ranks.first:
        time.sleep(8)
    told = ranks.follow(7 if ranks.first else 0)
    ranks.must_agree(5, "numbers")
    Path(sys.argv[1], f"{ranks.rank}").write_text(f"{told} {ranks.sum(1.5)}")
"""


def launch(script: Path, *arguments: str, n: int) -> subprocess.CompletedProcess[str]:
    """Run a program in ``n`` processes that know of each other, as docs/running.md says."""
    together = ["-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={n}"]
    together += ["--main_process_port=0"]  # any that is free
    return subprocess.run(
        [sys.executable, *(together if n > 1 else []), str(script), *arguments],
        cwd=script.parent,
        env=environment(script.parent / "cache"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_process_may_take_longer_than_a_step(tmp_path: Path) -> None:
    script = tmp_path / "waiter.py"
    script.write_text(WAITER, encoding="utf-8")
    done = launch(script, str(tmp_path), n=2)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / name).read_text() for name in "01"] == ["7 3.0", "7 3.0"]


def tune(place: Path, out: str, n: int) -> dict[str, Any]:
    """Fine-tune in ``n`` processes, and return the adapter's weights and the metrics."""
    from safetensors.numpy import load_file

    script = place / "driver.py"
    script.write_text(TRAINER, encoding="utf-8")
    done = launch(script, out, n=n)
    assert done.returncode == 0, done.stderr
    (folder,) = (place / out / "tuned").iterdir()
    metrics = json.loads((folder / "fine-tuning.metrics").read_text())
    weights: dict[str, Any] = load_file(folder / "adapter_model.safetensors")
    return {"weights": weights, "metrics": metrics, "told": done.stdout}


def test_two_processes_take_the_steps_of_one(place: Path) -> None:
    import numpy as np

    one, two = tune(place, "one", 1), tune(place, "two", 2)
    assert two["metrics"]["history"] == pytest.approx(one["metrics"]["history"], abs=2e-4)
    assert two["metrics"]["learned"] == one["metrics"]["learned"]
    moved = 0.0
    for name, weights in one["weights"].items():
        np.testing.assert_allclose(two["weights"][name], weights, atol=2e-4, err_msg=name)
        moved = max(moved, float(np.abs(weights).max()) if "lora_B" in name else 0.0)
    assert moved > 1e-3  # it began at zero


def test_a_check_is_no_work_for_several_processes(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bye_lint import cli

    monkeypatch.chdir(place)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.run(["check", "data", "--quiet"]) == 2
    assert "accelerate launch" in capsys.readouterr().err
