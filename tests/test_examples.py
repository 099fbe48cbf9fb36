"""The README's commands on the examples, end to end: data, model, detector, reports, remedy."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bye_lint import cli
from bye_lint.reports import RenderContext, load_result, render

ROOT = Path(__file__).parents[1]
FORMATS = ("json", "sarif", "terminal")
POISONED = set(json.loads((ROOT / "examples/truth/quickstart.json").read_text())["poisoned"])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("BYE_LINT_CACHE", str(folder))
        patch.chdir(ROOT)
        yield folder


def check(example: str, out: Path, *options: str) -> int:
    reports = [f"--report={form}={out / f'{example}.{form}'}" for form in FORMATS]
    return cli.run(["check", f"examples/{example}", "--quiet", *reports, *options])


def printed(result: Path) -> str:
    return render(load_result(result), "terminal", RenderContext(width=100))


@pytest.fixture(scope="module")
def quickstart(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quickstart")
    assert check("quickstart", out) == 1
    return out


def test_clean_passes_as_the_readme_shows(cache: Path, tmp_path: Path) -> None:
    assert check("clean", tmp_path) == 0
    panel = (ROOT / "README.md").read_text("utf-8").partition("```text\n")[2].partition("```")[0]
    assert printed(tmp_path / "clean.json").startswith(panel)
    result = json.loads((tmp_path / "clean.json").read_text())
    assert result["verdict"] == "pass"
    assert result["counts"]["scored"] == 750
    assert not any(sample["suspicious"] for sample in result["samples"])


def test_quickstart_finds_the_poison_where_it_stands(quickstart: Path) -> None:
    result = json.loads((quickstart / "quickstart.json").read_text())
    found = {f["sample_id"] for f in result["findings"] if f["rule"] == "BYE001"}
    assert len(found & POISONED) >= 0.98 * len(found)
    assert len(found & POISONED) >= 0.95 * len(POISONED)
    lines = (ROOT / "examples/quickstart/data.json").read_text("utf-8").splitlines()
    for finding in result["findings"]:
        assert finding["path"] == "examples/quickstart/data.json"
        assert lines[finding["line"] - 1].strip().startswith("{")
        assert f'"id": "{finding["sample_id"]}"' in lines[finding["line"]]


def test_a_saved_result_is_drawn_as_the_check_drew_it(quickstart: Path) -> None:
    drawn = (quickstart / "quickstart.terminal").read_text("utf-8")
    assert drawn == printed(quickstart / "quickstart.json")
    above, line, below = drawn.partition("─ threshold ")
    assert line
    assert "█" not in above
    assert below.partition("suspicious")[0].count("█") > 1


def test_the_picture_in_the_readme_is_what_is_printed(quickstart: Path) -> None:
    """Titles and words; scores may differ in the last digit between machines."""
    svg = (ROOT / "docs/img/terminal.svg").read_text("utf-8")
    picture = html.unescape(re.sub(r"<[^>]*>", "\n", svg)).replace("\xa0", " ")
    text = printed(quickstart / "quickstart.json")
    titles = [line.partition("  ")[0] for line in text.splitlines() if re.match(r"[A-Z]\w", line)]
    shown = [title for title in titles if f"\n{title}" in picture]
    assert shown == titles[: len(shown)]
    assert shown[-1] == "The same attention, judged by each method"
    for words in (
        "FAIL",
        "60 suspicious samples of 750 scored, 0 allowed",
        "sample allowed; 60 found",
    ):
        assert words in text
        assert words in picture


def test_quickstart_shows_the_trigger(quickstart: Path) -> None:
    """A black square of 4 × 4 pixels in the centre of 64 × 64."""
    evidence = json.loads((quickstart / "quickstart.json").read_text())["evidence"]
    assert evidence["trigger"]["kind"] == "patch-fixed"
    box = evidence["trigger"]["box"]
    assert abs(box["left"] + box["width"] / 2 - 0.5) <= 1 / 32
    assert abs(box["top"] + box["height"] / 2 - 0.5) <= 1 / 32
    assert 3 <= evidence["trigger"]["pixels"][0] <= 6


def test_quickstart_heat_lies_on_the_planted_patch(quickstart: Path) -> None:
    """The benchmark fails below 80 % of the true suspects, and a half of the planted box."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evidence", str(quickstart / "quickstart.json"),
         "--truth", "examples/truth/quickstart.json"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"of {len(POISONED)} poisoned records" in done.stdout


def test_quickstart_says_who_shares_what(quickstart: Path) -> None:
    result = json.loads((quickstart / "quickstart.json").read_text())
    assert any(c["kind"] == "answer" and c["value"] == "Backdoor Attack!"
               for c in result["campaigns"])  # fmt: skip


def test_a_second_check_is_the_same_and_needs_no_torch(
    quickstart: Path, cache: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from bye_lint import cli; status = cli.run(sys.argv[1:]);"
        "sys.exit('imported torch' if 'torch' in sys.modules else status)"
    )
    reports = [f"--report={form}={tmp_path / f'quickstart.{form}'}" for form in ("json", "sarif")]
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "examples/quickstart", "--quiet", *reports],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "quickstart.sarif").read_bytes() == (
        quickstart / "quickstart.sarif"
    ).read_bytes()
    first = json.loads((quickstart / "quickstart.json").read_text())
    second = json.loads((tmp_path / "quickstart.json").read_text())
    first.pop("timings")
    second.pop("timings")
    assert json.dumps(first) == json.dumps(second)


def test_the_published_rule_can_be_asked_for(cache: Path, tmp_path: Path) -> None:
    policy = tmp_path / "bye-lint.yaml"
    model = ROOT / "examples/quickstart/model"
    policy.write_text(f"model: {model}\nfine_tune: none\ndetection: bye\n")
    check("quickstart", tmp_path, f"--policy={policy}")
    result = json.loads((tmp_path / "quickstart.json").read_text())
    assert result["detection"]["method"] == "bye"
    assert len(result["detection"]["layers"]) == 6


def test_explain_and_clean(
    quickstart: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(quickstart / "quickstart.json")
    suspect = sorted(POISONED)[0]
    assert cli.run(["explain", saved, suspect]) == 0
    assert "SUSPICIOUS" in capsys.readouterr().out
    picture = tmp_path / "explain.png"
    assert cli.run(["explain", saved, suspect, "--png", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.run(["explain", saved, "nobody"]) == 2

    assert cli.run(["clean", saved, "-o", str(tmp_path / "cleaned")]) == 0
    kept = json.loads((tmp_path / "cleaned/data.json").read_text("utf-8"))
    before = json.loads((ROOT / "examples/quickstart/data.json").read_text("utf-8"))
    gone = {r["id"] for r in before} - {r["id"] for r in kept}
    assert gone == {
        s["sample_id"]
        for s in json.loads((quickstart / "quickstart.json").read_text())["samples"]
        if s["suspicious"]
    }
    removed = (tmp_path / "cleaned.quarantine.jsonl").read_text("utf-8").splitlines()
    assert len(removed) == len(gone)
