"""Run ``bye-lint check`` as a user runs it, in a process of its own with an empty cache."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.documents import fill
from bye_lint import __version__

Result = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What one check said, and what it took.

    Attributes
    ----------
    result : dict
        The JSON report.
    status : int
        Exit status.
    seconds : float
    peak_mib : int
        Largest resident memory of any check of this process so far.
    """

    result: dict[str, Any]
    status: int
    seconds: float
    peak_mib: int

    @property
    def flagged(self) -> set[str]:
        """Ids of the suspicious samples."""
        return {f["sample_id"] for f in self.result["findings"] if f["rule"] == "BYE001"}


def check(data: Path, work: Path, *, seed: int, options: Sequence[str] = ()) -> Checked:
    """Check a folder; report and cache go to ``work``.

    Raises
    ------
    RuntimeError
        If the check ended without a report.
    """
    report = work / "result.json"
    command = [sys.executable, "-m", "bye_lint", "check", str(data), "--quiet", "--no-progress"]
    command += [f"--report=json={report}", f"--seed={seed}", *options]
    environment = os.environ | {"BYE_LINT_CACHE": str(work / "cache")}
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if not report.exists():
        raise RuntimeError(f"{data}: exit {done.returncode}: {done.stderr[-400:]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return Checked(json.loads(report.read_text("utf-8")), done.returncode, seconds, peak)


@contextmanager
def workplace(kept: Path | None) -> Iterator[Path]:
    """Give a folder for copies and caches: one that is kept for another run, or one that goes."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark of checks asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--document", type=Path, help="document that shows the table")
    parser.add_argument("--work", type=Path, help="keep copies and caches here for another run")
    parser.add_argument("--only", default="", help="cells whose name holds this")
    return parser


def once(file: Path, run: Callable[[], Result], table: Callable[[list[Result]], str]) -> None:
    """Run a cell that has no result yet, keep what it comes to, and print its row."""
    if not file.exists():
        found = run()
        file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(table([found]).splitlines()[-1], flush=True)


def publish(
    out: Path, document: Path | None, mark: str, table: Callable[[list[Result]], str]
) -> None:
    """Print the table of all results, and put it between the marks of a document, if any."""
    text = table([json.loads(file.read_text("utf-8")) for file in sorted(out.glob("*.json"))])
    print(text)
    if document is not None:
        fill(document, mark, text)


def common(checked: Checked) -> dict[str, Any]:
    """Return what every benchmark keeps of a check."""
    detection = checked.result["detection"] or {}
    # With a cache kept from an earlier run (--work) time and memory are none of a check's.
    trained = "fine-tune" in checked.result["timings"]
    return {
        "records": checked.result["counts"]["records"],
        "exit": checked.status,
        "verdict": checked.result["verdict"],
        "reasons": checked.result["reasons"],
        "flagged": len(checked.flagged),
        "seconds": round(checked.seconds, 1) if trained else None,
        "peak_mib": checked.peak_mib if trained else None,
        "power": detection.get("power", []),
        "notes": detection.get("notes", []),
        "comparison": detection.get("comparison", {}),
        "warnings": checked.result.get("warnings", []),
        "fine_tuned": checked.result["reproducibility"]["fine_tuned"],
        "version": __version__,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
    }
