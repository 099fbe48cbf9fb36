"""The page in a real browser: it renders, sorts, filters, prints, and sends nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_html import failing

from bye_lint.results import to_json

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason="no Chromium is installed"
)


def test_the_page_behaves_in_a_browser(tmp_path: Path) -> None:
    saved, shots = tmp_path / "result.json", tmp_path / "shots"
    saved.write_text(json.dumps(to_json(failing())))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.html_page", str(saved), "-o", str(shots)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing left the page" in done.stdout
    assert "4 suspects" in done.stdout
    for view in ("desktop", "desktop-dark", "phone", "phone-dark"):
        assert (shots / f"report-{view}-top.png").read_bytes().startswith(b"\x89PNG")
    assert (shots / "report.pdf").read_bytes().startswith(b"%PDF")
