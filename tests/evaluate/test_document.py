"""docs/detection.md and its former page: their generated parts are not out of date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bye_lint.canaries import CANARY_KINDS
from bye_lint.errors import UsageError
from bye_lint.evaluate.document import main, render_document
from bye_lint.triggers import TRIGGERS

ROOT = Path(__file__).parents[2]


def test_what_is_written_by_hand_stays() -> None:
    text = "# Mine\n\n<!-- begin cells -->\nold\n<!-- end cells -->\n\nMine too.\n"
    after = render_document(text, [])
    assert after.startswith("# Mine\n\n<!-- begin cells -->\n\nNo cell has been run yet.\n")
    assert after.endswith("<!-- end cells -->\n\nMine too.\n")
    assert render_document(after, []) == after


def test_another_experiment_is_no_further_seed() -> None:
    plain = json.loads(next((ROOT / "docs/data/detection/results").glob("*.json")).read_text())
    other = {**plain, "cell": {**plain["cell"], "clean_label": True}}
    text = "<!-- begin cells -->\n<!-- end cells -->\n"
    rows = [
        line for line in render_document(text, [plain, other, plain]).splitlines() if "|" in line
    ]
    assert [row.split("|")[-2].strip() for row in rows[2:]] == ["2", "1"]
    assert "(clean label)" in rows[3]


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(UsageError, match="tables"):
        render_document("<!-- begin nonesuch -->\n<!-- end nonesuch -->", [])


def test_the_document_names_every_trigger_and_canary() -> None:
    text = (ROOT / "docs" / "detection.md").read_text()
    for name in (*TRIGGERS, *CANARY_KINDS):
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("name", ["detection", "detection-former"])
def test_the_documents_are_up_to_date(name: str) -> None:
    document, results = ROOT / "docs" / f"{name}.md", ROOT / "docs" / "data" / name
    assert main(["--check", str(document), str(results)]) == 0


def test_check_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d.md"
    path.write_text("<!-- begin cells -->\nold\n<!-- end cells -->\n")
    assert main(["--check", str(path), str(tmp_path)]) == 1
    assert "old" in path.read_text()
    assert main([str(path), str(tmp_path)]) == 0
    assert "old" not in path.read_text()
    assert main(["--check", str(path), str(tmp_path)]) == 0


def test_results_of_several_models_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = tmp_path / "d.md", tmp_path / "results"
    path.write_text("<!-- begin cells -->\nold\n<!-- end cells -->\n")
    results.mkdir()
    some = sorted((ROOT / "docs/data/detection/results").glob("*.json"))[:2]
    for number, file in enumerate(some):
        other = {**json.loads(file.read_text()), "pipeline": str(number)}
        (results / file.name).write_text(json.dumps(other))
    assert main([str(path), str(tmp_path)]) == 2
    assert "several models" in capsys.readouterr().err
    assert "old" in path.read_text()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
