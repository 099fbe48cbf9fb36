"""Run ``bye-lint check`` as a user runs it, in a process of its own with an empty cache."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bye_lint import __version__


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


def common(checked: Checked) -> dict[str, Any]:
    """Return what every benchmark keeps of a check."""
    detection = checked.result["detection"] or {}
    return {
        "records": checked.result["counts"]["records"],
        "exit": checked.status,
        "verdict": checked.result["verdict"],
        "reasons": checked.result["reasons"],
        "flagged": len(checked.flagged),
        # With a cache kept from an earlier run (--work) the time is none of a check's.
        "seconds": round(checked.seconds, 1) if "fine-tune" in checked.result["timings"] else None,
        "peak_mib": checked.peak_mib,
        "power": detection.get("power", []),
        "notes": detection.get("notes", []),
        "comparison": detection.get("comparison", {}),
        "warnings": checked.result.get("warnings", []),
        "fine_tuned": checked.result["reproducibility"]["fine_tuned"],
        "version": __version__,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
    }
