"""Files that are clean, and files that are not: a file more in ``cases/`` is a test more.

Beside a broken case stands ``NAME.expected``: each finding as ``line:column CODE message``, then
the ids of the records that remain usable. Images that a case names are made here, but for those
whose path holds ``missing``.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from bye_lint.datasets import read_datasets
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Checked
from bye_lint.rules import check_samples

CASES = Path(__file__).parent / "cases"


def cases(kind: str) -> list[Path]:
    found = sorted(p for p in (CASES / kind).iterdir() if p.suffix != ".expected")
    assert found
    return found


def check(case: Path, tmp_path: Path) -> list[Checked]:
    copy = tmp_path / case.name
    if case.is_dir():
        shutil.copytree(case, copy)
        texts = list(copy.rglob("metadata.*"))
    else:
        shutil.copy(case, copy)
        texts = [copy]
    for text in texts:
        for name in re.findall(rb"images/\d+\.png", text.read_bytes()):
            path = text.parent / name.decode()
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 3), "red").save(path)
    items = read_datasets([copy], DatasetPolicy(), tmp_path, display_root=copy.parent)
    return list(check_samples(items, DatasetPolicy()))


@pytest.mark.parametrize("case", cases("clean"), ids=lambda p: p.name)
def test_clean(case: Path, tmp_path: Path) -> None:
    checked = check(case, tmp_path)
    assert checked
    assert [item.findings for item in checked] == [()] * len(checked)
    assert all(item.usable for item in checked)
    samples = [item.sample for item in checked if item.sample is not None]
    assert len({s.id for s in samples}) == len(samples)
    assert [item.digest for item in checked] == [s.digest() for s in samples]
    for sample in samples:
        assert sum(t.text.count("<image>") for t in sample.turns) == len(sample.images) > 0


@pytest.mark.parametrize("case", cases("broken"), ids=lambda p: p.name)
def test_broken(case: Path, tmp_path: Path) -> None:
    checked = check(case, tmp_path)
    lines = [f"{f.line}:{f.column} {f.rule} {f.message}" for c in checked for f in c.findings]
    usable = [c.sample.id for c in checked if c.usable and c.sample is not None]
    expected = case.with_name(case.name + ".expected").read_text()
    assert "\n".join([*lines, "usable: " + " ".join(usable), ""]) == expected
    assert all(f.fingerprint and f.end_column > f.column for c in checked for f in c.findings)
