"""Runs the ``run:`` steps of a composite action as the platform's runner would.

Nested actions (``uses:``) are recorded and not run. Expressions are the few that action.yml
uses: dotted names, ``||``, and conditions made of ``==``, ``!=``, ``&&`` and ``always()``.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACTION = Path(__file__).parents[1] / "action.yml"


@dataclass
class Run:
    """What one run of the action left behind."""

    failed: bool = False
    exit_codes: dict[str, int] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)


class Runner:
    """One job in a temporary folder."""

    def __init__(self, workspace: Path, temporary: Path, path: str) -> None:
        self.workspace = workspace
        self.temporary = temporary
        self.path = path
        self.patience = 300.0  # seconds for a step

    def run(self, inputs: Mapping[str, str], github: Mapping[str, str] | None = None) -> Run:
        """Run the action with the given inputs over its defaults."""
        action = yaml.safe_load(ACTION.read_text())
        values = {
            f"inputs.{name}": str(inputs.get(name, row.get("default", "")))
            for name, row in action["inputs"].items()
        }
        assert not set(inputs) - set(action["inputs"]), "unknown input"
        values |= {f"github.{k}": v for k, v in (github or {}).items()}
        values |= {"runner.os": "Linux"}
        done = Run()
        for step in action["runs"]["steps"]:
            condition = step.get("if", "success()")
            if (done.failed and "always()" not in condition) or not _holds(condition, values):
                continue
            if "uses" in step:
                done.used.append(step["uses"].partition("@")[0])
                continue
            code = self._step(step, values, done)
            done.exit_codes[step["name"]] = code
            done.failed = done.failed or code != 0
        done.steps = {name: text for name, text in values.items() if name.startswith("steps.")}
        for name, row in action["outputs"].items():
            done.outputs[name] = _expand(row["value"], values)
        return done

    def _step(self, step: Mapping[str, Any], values: dict[str, str], done: Run) -> int:
        files = {name: self.temporary / name for name in ("output", "env", "summary", "script")}
        for file in files.values():
            file.write_text("")
        files["script"].write_text(step["run"])
        kept = ("HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        environment = {k: os.environ[k] for k in kept if k in os.environ} | {
            "PATH": self.path,
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_ACTION_PATH": str(ACTION.parent),
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_ENV": str(files["env"]),
            "GITHUB_STEP_SUMMARY": str(files["summary"]),
        }
        environment |= {k: _expand(str(v), values) for k, v in step.get("env", {}).items()}
        finished = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(files["script"])],
            cwd=self.workspace, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=self.patience,
        )  # fmt: skip
        done.log += finished.stdout
        done.summary += files["summary"].read_text()
        assert files["env"].read_text() == "", "no step leaks into the environment of later ones"
        for line in files["output"].read_text().splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = value
        return finished.returncode


def _expand(text: str, values: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        names = [name.strip() for name in match.group(1).split("||")]
        return next((values[n] for n in names if values.get(n)), "")

    return re.sub(r"\$\{\{(.*?)\}\}", one, text)


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    for part in condition.split("&&"):
        name, operator, literal = [*re.split("(==|!=)", part.strip()), "", ""][:3]
        if not operator:
            assert name in ("always()", "success()"), f"unknown condition {name}"
            continue
        equal = values.get(name.strip(), "") == literal.strip().strip("'")
        if equal != (operator == "=="):
            return False
    return True


def workflow_commands(log: str) -> list[str]:
    """Return the commands in a log that the platform would act on."""
    found, stopped = [], None
    for line in log.splitlines():
        if stopped is not None:
            stopped = None if line.strip() == f"::{stopped}::" else stopped
        elif line.startswith("::stop-commands::"):
            stopped = line.rpartition("::")[2].strip()
        elif re.match(r"\s*::[a-z-]+.*::", line):
            found.append(line.strip())
    return found
