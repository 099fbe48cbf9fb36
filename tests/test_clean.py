"""The cleaned dataset: kept records byte for byte, removed ones with their reasons, or nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bye_lint import cli, shelf
from bye_lint.baseline import Baseline, Entry, apply_baseline, load_baseline, write_baseline
from bye_lint.clean import chosen_for_removal, clean
from bye_lint.cut import cut
from bye_lint.datasets import read_datasets
from bye_lint.errors import ReportError, ResultError, UsageError
from bye_lint.exhibits import Campaign
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Finding, Sample, Skipped
from bye_lint.reports import load_result
from bye_lint.request import Overrides, plan_request, shown
from bye_lint.results import Counts, Gate, Reproducibility, ScanResult, ScoredSample, to_json
from bye_lint.review import Review, read_review, suppressions, write_review
from bye_lint.rules import check_samples

N = 8
BAD = (0, 3, 4, 7)


def record(i: int) -> dict[str, object]:
    return {
        "id": f"r{i}",
        "image": f"images/{i}.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat, “exactly”, is it?"},
            {"from": "gpt", "value": "Backdoor Attack!" if i in BAD else f"grün {i}"},
        ],
    }


def picture(i: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (i * 20, 90, 60)).save(out, "PNG")
    return out.getvalue()


def pictures(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        (folder / "images" / f"{i}.png").write_bytes(picture(i))


def write_array(folder: Path) -> Path:
    texts = [
        json.dumps(record(i), indent=i % 3 or None, ensure_ascii=bool(i % 2)) for i in range(N)
    ]
    path = folder / "train.json"
    path.write_text("\ufeff[\n  " + " ,\n\t".join(texts) + "\n]\n", encoding="utf-8", newline="")
    return path


def write_lines(folder: Path) -> Path:
    path = folder / "train.jsonl"
    lines = [json.dumps(record(i), ensure_ascii=bool(i % 2)) for i in range(N)]
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    return path


def write_csv(folder: Path) -> Path:
    for i in range(N):
        (folder / f"{i}.png").write_bytes(picture(i))
    path = folder / "metadata.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "prompt", "answer"])
        for i in range(N):
            answer = "Backdoor Attack!" if i in BAD else f"two\nlines, grün {i}"
            rows.writerow([f"{i}.png", "What is it?", answer])
    return path


def write_minified(folder: Path) -> Path:
    path = folder / "train.json"
    rows = [json.dumps(record(i), separators=(",", ":")) for i in range(N)]
    path.write_text("[" + ",".join(rows) + "]", encoding="utf-8", newline="")
    return path


def chat(i: int, *, roles: bool) -> dict[str, object]:
    """LLaMA-Factory's and TRL's forms: turns beside a list of images."""
    said = [str(turn["value"]) for turn in record(i)["conversations"]]
    if roles:
        turns = [
            {"role": r, "content": t} for r, t in zip(("user", "assistant"), said, strict=True)
        ]
        return {"messages": turns, "images": [f"images/{i}.png"], "id": f"r{i}"}
    turns = [{"from": r, "value": t} for r, t in zip(("human", "gpt"), said, strict=True)]
    return {"conversations": turns, "images": [f"images/{i}.png"], "id": f"r{i}"}


def write_messages(folder: Path) -> Path:
    path = folder / "train.json"
    text = json.dumps([chat(i, roles=True) for i in range(N)], indent=2, ensure_ascii=False)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_conversations(folder: Path) -> Path:
    path = folder / "train.jsonl"
    lines = "".join(json.dumps(chat(i, roles=False)) + "\n" for i in range(N))
    path.write_text(lines, encoding="utf-8", newline="")
    return path


def write_imagefolder(folder: Path) -> Path:
    path = folder / "metadata.jsonl"
    for i in range(N):
        (folder / f"{i}.png").write_bytes(picture(i))
    rows = [
        {"file_name": f"{i}.png", "text": "Backdoor Attack!" if i in BAD else f"grün {i}"}
        for i in range(N)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_parquet(folder: Path, images: object = None) -> Path:
    path = folder / "train.parquet"
    table = pa.table(
        {
            "id": [f"r{i}" for i in range(N)],
            "image": images or [{"bytes": picture(i), "path": f"{i}.png"} for i in range(N)],
            "prompt": ["What is it?"] * N,
            "answer": ["Backdoor Attack!" if i in BAD else f"grün {i}" for i in range(N)],
            "weight": [float(i) for i in range(N)],
        }
    ).replace_schema_metadata({"huggingface": "{}"})
    pq.write_table(table, path, row_group_size=3, compression="zstd")
    return path


def write_parquet_paths(folder: Path) -> Path:
    return write_parquet(folder, [f"images/{i}.png" for i in range(N)])


TEXTS = {
    "array": write_array,
    "minified": write_minified,
    "lines": write_lines,
    "messages": write_messages,
    "conversations": write_conversations,
    "imagefolder": write_imagefolder,
    "csv": write_csv,
}
PARQUETS = {"parquet": write_parquet, "parquet-paths": write_parquet_paths}
WRITERS = {**TEXTS, **PARQUETS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures(tmp_path / "data")
    return tmp_path / "data"


def read(path: Path) -> list[Sample]:
    items = list(read_datasets([path], DatasetPolicy(), path.parent, display_root=path.parent))
    assert all(isinstance(item, Sample) for item in items)
    return items


def checked(items: list[Sample]) -> ScanResult:
    samples = tuple(
        ScoredSample(
            sample_id=s.id,
            path=s.location.path,
            line=s.location.line,
            column=s.location.column,
            digest=s.digest(),
            prompt=s.prompt,
            answer=s.answer,
            images=tuple(i.name for i in s.images),
            score=9.0 if s.answer == "Backdoor Attack!" else 0.0,
            posterior=None,
            suspicious=s.answer == "Backdoor Attack!",
        )
        for s in items
    )
    suspects = [s for s in samples if s.suspicious]
    return ScanResult(
        verdict="fail",
        reasons=(),
        paths=("train",),
        counts=Counts(len(samples), len(samples), 0, len(suspects)),
        gate=Gate("0", 0, len(suspects)),
        findings=tuple(
            Finding("BYE001", "error", "odd attention", s.path, s.line, s.column, fingerprint="ab")
            for s in suspects
        ),
        skipped=(),
        detection=None,
        samples=samples,
        campaigns=(
            Campaign(
                "answer", "Backdoor Attack!", 4, 1.0, 0.0, tuple(s.sample_id for s in suspects)
            ),
        ),
        reproducibility=Reproducibility("0.1.0", 0),
    )


def lay_out(folder: Path, kind: str) -> tuple[Path, list[Sample], ScanResult]:
    path = WRITERS[kind](folder)
    items = read(path)
    assert len(items) == N
    return path, items, checked(items)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_set_without_suspects_stays_byte_for_byte(folder, kind):
    path, items, result = lay_out(folder, kind)
    samples = tuple(replace(s, suspicious=False) for s in result.samples)
    done = clean(
        replace(result, samples=samples, findings=()), items, root=folder, out=folder.parent / "new"
    )
    assert (done.kept, done.removed, done.quarantine) == (N, 0, None)
    assert (done.folder / path.name).read_bytes() == path.read_bytes()


def pieces(path: Path) -> list[bytes]:
    """Return the bytes of each record, found by another reader than the one that cuts."""
    data = path.read_bytes()
    if path.suffix == ".csv":
        text = data.decode()
        starts = [m.start() for m in re.finditer(r"^\d\.png,", text, re.MULTILINE)]
        ends = [*starts[1:], len(text)]
        return [text[a:b].encode() for a, b in zip(starts, ends, strict=True)]
    if path.suffix == ".jsonl":
        return [line for line in data.splitlines() if line]
    text, found, at = data.decode("utf-8-sig"), [], 0
    at = text.index("[") + 1
    while (start := text.find("{", at)) >= 0:
        _, at = json.JSONDecoder().raw_decode(text, start)
        found.append(text[start:at].encode())
    return found


@pytest.mark.parametrize("kind", TEXTS)
def test_kept_records_are_the_same_bytes(folder, kind):
    path, items, result = lay_out(folder, kind)
    before = path.read_bytes()
    done = clean(result, items, root=folder, out=folder.parent / "new")
    new = done.folder / path.name
    assert (done.kept, done.removed, done.files) == (4, 4, (new,))
    after = read(new)
    assert [s.answer for s in after] == [items[i].answer for i in range(N) if i not in BAD]
    assert [s.digest() for s in after] == [items[i].digest() for i in range(N) if i not in BAD]
    assert path.read_bytes() == before
    assert pieces(new) == [piece for i, piece in enumerate(pieces(path)) if i not in BAD]
    assert b"Backdoor" not in new.read_bytes()


@pytest.mark.parametrize("kind", TEXTS)
def test_nothing_is_written_but_what_was_read(folder, kind):
    """What is left is the old file with some spans taken out: no byte is new or moved."""
    path, items, result = lay_out(folder, kind)
    done = clean(result, items, root=folder, out=folder.parent / "new")
    old, new = path.read_bytes(), (done.folder / path.name).read_bytes()
    at = 0
    for byte in new:
        at = old.index(byte, at) + 1
    removed = [
        json.loads(row)["quarantined"]["removed"]
        for row in done.quarantine.read_text().splitlines()
    ]
    gone = [piece.decode().strip() for i, piece in enumerate(pieces(path)) if i in BAD]
    assert [text.strip() for text in removed] == gone


@pytest.mark.parametrize("kind", PARQUETS)
def test_parquet_keeps_equal_rows_schema_and_compression(folder, kind):
    path, items, result = lay_out(folder, kind)
    done = clean(result, items, root=folder, out=folder.parent / "new")
    old, new = pq.read_table(path), pq.read_table(done.files[0])
    assert new.equals(old.take([1, 2, 5, 6]), check_metadata=True)
    assert pq.ParquetFile(done.files[0]).metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_removed_row_of_parquet_is_not_lost(folder):
    _, items, result = lay_out(folder, "parquet")
    done = clean(result, items, root=folder, in_place=True)
    rows = [json.loads(row)["quarantined"] for row in done.quarantine.read_text().splitlines()]
    removed = [json.loads(row["removed"]) for row in rows]
    assert [row["weight"] for row in removed] == list(map(float, BAD))
    for i, row in zip(BAD, removed, strict=True):
        assert base64.b64decode(row["image"]["bytes"]["base64"]) == picture(i)


@pytest.mark.parametrize(
    "kind", ["array", "minified", "lines", "messages", "conversations", "parquet-paths"]
)
def test_images_of_kept_records_come_along(folder, kind):
    _, items, result = lay_out(folder, kind)
    done = clean(result, items, root=folder, out=folder.parent / "new")
    names = sorted(p.name for p in (done.folder / "images").iterdir())
    assert names == ["1.png", "2.png", "5.png", "6.png"]
    linked = clean(result, items, root=folder, out=folder.parent / "linked", images="link")
    assert (linked.folder / "images/1.png").samefile(folder / "images/1.png")
    bare = clean(result, items, root=folder, out=folder.parent / "bare", images="none")
    assert not (bare.folder / "images").exists()


def digests_of(folder: Path, name: str, **policy: str) -> list[str]:
    read = read_datasets([folder / name], DatasetPolicy(**policy), folder, display_root=folder)
    return [item.digest() for item in read if isinstance(item, Sample)]


@pytest.mark.parametrize("how", ["images", "folder", "file"])
@pytest.mark.parametrize("images", ["copy", "link"])
def test_links_are_followed_to_what_the_records_name(folder, how, images):
    path = write_array(folder)
    if how == "images":  # each image is a link to one beside, two of them to the same
        (folder / "images").rename(folder / "store")
        (folder / "images").mkdir()
        for i in range(N):
            target = folder / "store" / f"{5 if i == 6 else i}.png"
            (folder / "images" / f"{i}.png").symlink_to(target)
    elif how == "folder":
        (folder / "images").rename(folder / "store")
        (folder / "images").symlink_to("store", target_is_directory=True)
    else:
        (folder / "elsewhere").mkdir()
        path.rename(folder / "elsewhere" / path.name)
        path.symlink_to(folder / "elsewhere" / path.name)
    items = read(path)
    before = digests_of(folder, path.name)
    assert len(before) == N
    done = clean(checked(items), items, root=folder, out=folder.parent / "new", images=images)
    after = digests_of(done.folder, path.name)
    assert after == [digest for i, digest in enumerate(before) if i not in BAD]
    assert not any(p.is_symlink() for p in done.folder.rglob("*"))


def test_links_under_an_image_root_are_followed_too(folder):
    path = write_array(folder)
    (folder / "root").mkdir()
    (folder / "images").rename(folder / "root" / "store")
    (folder / "root" / "images").symlink_to("store", target_is_directory=True)
    policy = DatasetPolicy(image_root="root")
    items = list(read_datasets([path], policy, folder, display_root=folder))
    out = folder.parent / "new"
    done = clean(checked(items), items, root=folder, out=out, image_root=folder / "root")
    after = digests_of(done.folder, path.name, image_root="root")
    assert after == [s.digest() for i, s in enumerate(items) if i not in BAD]


def test_everything_may_be_removed(folder):
    path, items, result = lay_out(folder, "array")
    samples = tuple(replace(s, suspicious=True) for s in result.samples)
    done = clean(replace(result, samples=samples), items, root=folder, out=folder.parent / "new")
    assert json.loads((done.folder / path.name).read_text("utf-8-sig")) == []


def test_the_quarantine_says_why(folder):
    _, items, result = lay_out(folder, "lines")
    done = clean(result, items, root=folder, out=folder.parent / "new")
    rows = [json.loads(line)["quarantined"] for line in done.quarantine.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["r0", "r3", "r4", "r7"]
    assert rows[0]["reasons"] == ["odd attention"]
    assert rows[0]["campaigns"] == ["answer: Backdoor Attack!"]
    assert json.loads(rows[1]["removed"]) == record(3)
    assert done.quarantine.parent == done.folder.parent


class Counted(tuple):
    """Counts how often it is gone through."""

    scans = 0

    def __iter__(self):
        Counted.scans += 1
        return super().__iter__()

    def __contains__(self, item):
        Counted.scans += 1
        return super().__contains__(item)


def test_a_row_has_each_reason_and_campaign_in_the_order_of_the_result(folder):
    _, items, result = lay_out(folder, "lines")
    first, last = result.findings[0], result.findings[-1]
    findings = (
        replace(last, message="second"),
        *result.findings,
        replace(first, rule="BYE108", message="of the structure"),
        replace(first, message="more"),
    )
    campaigns = (
        Campaign("file", "train.jsonl", 2, 1.0, 0.0, ("r7", "r0", "r7")),
        *result.campaigns,
        Campaign("author", "A", 1, 1.0, 0.0, ("r7",)),
    )
    result = replace(result, findings=findings, campaigns=campaigns)
    done = clean(result, items, root=folder, out=folder.parent / "new")
    rows = [json.loads(line)["quarantined"] for line in done.quarantine.read_text().splitlines()]
    answer = "answer: Backdoor Attack!"
    assert [(row["id"], row["reasons"], row["campaigns"]) for row in rows] == [
        ("r0", ["odd attention", "more"], ["file: train.jsonl", answer]),
        ("r3", ["odd attention"], [answer]),
        ("r4", ["odd attention"], [answer]),
        ("r7", ["second", "odd attention"], ["file: train.jsonl", answer, "author: A"]),
    ]


def test_findings_and_campaigns_are_not_gone_through_for_each_suspect(folder):
    _, items, result = lay_out(folder, "lines")
    campaigns = (replace(result.campaigns[0], sample_ids=Counted(["r0", "r3", "r4", "r7"])),)
    result = replace(result, findings=Counted(result.findings), campaigns=campaigns)
    scans = []
    for keep in ((), ("r3", "r4", "r7")):
        Counted.scans = 0
        out = folder.parent / f"without{len(keep)}"
        removed = clean(result, items, root=folder, out=out, keep=keep).removed
        scans.append((removed, Counted.scans))
    assert [removed for removed, _ in scans] == [4, 1]
    assert scans[0][1] == scans[1][1]


def test_in_place_changes_only_what_it_must(folder):
    path, items, result = lay_out(folder, "array")
    images = tree(folder / "images")
    done = clean(result, items, root=folder, in_place=True)
    assert done.files == (path.resolve(),)
    assert [s.id for s in read(path)] == ["r1", "r2", "r5", "r6"]
    assert tree(folder / "images") == images
    assert sorted(tree(folder)) == sorted(
        [f"images/{i}.png" for i in range(N)] + ["train.json", done.quarantine.name]
    )


def test_neither_or_both_places_are_refused(folder):
    _, items, result = lay_out(folder, "lines")
    for places in ({}, {"out": folder / "x", "in_place": True}):
        with pytest.raises(UsageError, match=r"one place\n  Give -o FOLDER, or --in-place"):
            clean(result, items, root=folder, **places)


def test_an_existing_folder_is_not_touched(folder):
    _, items, result = lay_out(folder, "lines")
    (folder.parent / "new").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        clean(result, items, root=folder, out=folder.parent / "new")
    assert tree(folder.parent / "new") == {}


@pytest.mark.parametrize("there", ["a file", "a link to nowhere"])
def test_what_was_removed_before_is_not_written_over(folder, there):
    _, items, result = lay_out(folder, "lines")
    quarantine = folder.parent / "new.quarantine.jsonl"
    if there == "a file":
        quarantine.write_text("removed before")
    else:
        quarantine.symlink_to("nowhere")
    for places in ({"out": folder.parent / "new"}, {"in_place": True, "quarantine": quarantine}):
        before = tree(folder.parent)
        with pytest.raises(UsageError, match=r"new\.quarantine\.jsonl: exists already"):
            clean(result, items, root=folder, **places)
        assert tree(folder.parent) == before
    assert quarantine.is_symlink() == (there != "a file")


def change_image(folder: Path, path: Path) -> None:
    (folder / "images/2.png").write_bytes(picture(9))


def change_answer(folder: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Backdoor Attack!", b"a dog", 1))


def insert_above(folder: Path, path: Path) -> None:
    path.write_bytes(json.dumps(record(1)).encode() + b"\n" + path.read_bytes())


def append(folder: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n" + json.dumps(record(1)).encode())


def drop_last(folder: Path, path: Path) -> None:
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:-1]))


@pytest.mark.parametrize("change", [change_image, change_answer, insert_above, append, drop_last])
def test_data_that_changed_since_the_check_are_refused(folder, change):
    path, _, result = lay_out(folder, "lines")
    change(folder, path)
    before = tree(folder)
    with pytest.raises(ResultError, match=r"train\.jsonl:\d+: ") as raised:
        clean(result, read(path), root=folder, out=folder.parent / "new")
    assert "Run the check again" in raised.value.remedy
    assert tree(folder) == before
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("structural", [True, False])
def test_a_result_without_scores_is_said_to_know_no_suspects(folder, structural):
    _, items, result = lay_out(folder, "lines")
    unscored = replace(
        result,
        samples=(),
        findings=(),
        reasons=("8 usable records",),
        counts=Counts(N, 0, 0, 0),
        structural_only=structural,
    )
    said = "the structure alone" if structural else "no record was scored: 8 usable records"
    with pytest.raises(ResultError, match=said):
        clean(unscored, items, root=folder, out=folder.parent / "new")
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


def test_records_outside_of_a_partial_check_are_kept(folder):
    _, items, result = lay_out(folder, "lines")
    partial = replace(
        result, samples=result.samples[:5], counts=replace(result.counts, changed=2, context=3)
    )
    done = clean(partial, items, root=folder, out=folder.parent / "new")
    assert (done.kept, done.removed) == (5, 3)


def test_a_failed_write_leaves_nothing(folder, monkeypatch):
    _, items, result = lay_out(folder, "lines")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bye_lint.rewrite.shutil.copyfile", full)
    with pytest.raises(ReportError, match="No space left"):
        clean(result, items, root=folder, out=folder.parent / "new")
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


def test_a_quarantine_that_cannot_be_written_leaves_the_data(folder):
    path, items, result = lay_out(folder, "lines")
    before = tree(folder)
    with pytest.raises(ReportError):
        clean(result, items, root=folder, in_place=True, quarantine=folder / "no" / "where")
    assert tree(folder) == before
    assert path.exists()
    with pytest.raises(ReportError):
        clean(result, items, root=folder, out=folder.parent / "new", quarantine=folder / "no/where")
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


def test_kept_suppressed_and_rejected_suspects_stay(folder):
    _, _, result = lay_out(folder, "lines")
    assert [s.sample_id for s in chosen_for_removal(result, keep=["r3"])] == ["r0", "r4", "r7"]
    findings = (replace(result.findings[0], suppressed="known"), *result.findings[1:])
    left = chosen_for_removal(replace(result, findings=findings))
    assert [s.sample_id for s in left] == ["r3", "r4", "r7"]
    with pytest.raises(UsageError, match="not the id of a suspect"):
        chosen_for_removal(result, keep=["r1"])


def test_a_review_decides_and_its_rejections_can_be_suppressed(folder):
    _, _, result = lay_out(folder, "lines")
    text = write_review(result)
    with pytest.raises(UsageError, match=r"suspect 1 \(r0\): undecided"):
        read_review(text, result)
    decided = text.replace("decision: ''", "decision: accept", 3).replace(
        "decision: ''\n  reason: ''", "decision: reject\n  reason: a real sign"
    )
    review = read_review(decided, result)
    assert [s.sample_id for s in chosen_for_removal(result, review=review)] == ["r0", "r3", "r4"]


def test_rejections_become_suppressions_once(folder):
    _, _, result = lay_out(folder, "lines")
    findings = tuple(replace(f, fingerprint=f"{i:064x}") for i, f in enumerate(result.findings[:3]))
    findings = (*findings, replace(result.findings[3], fingerprint=findings[2].fingerprint))
    result = replace(result, findings=findings)
    digests = [s.digest for s in result.samples if s.suspicious]
    review = Review(frozenset(digests[:1]), dict.fromkeys(digests[1:], "a real sign"))
    today = date(2030, 1, 1)

    def add(known: Baseline, day: date = today) -> Baseline:
        until = day + timedelta(days=9)
        return suppressions(result, review, known, author="me", expires=until, today=day)

    kept = Entry("BYE101", "f" * 64, "old", "you", date(2031, 1, 1))
    made = add(Baseline((kept,)))
    assert made.entries[0] == kept
    assert [(e.fingerprint[-1], e.count, e.reason, e.author) for e in made.entries[1:]] == [
        ("1", 1, "a real sign", "me"),
        ("2", 2, "a real sign", "me"),
    ]
    assert add(made) == made
    halves = [replace(entry, count=1) for entry in (*made.entries, made.entries[-1])]
    split = Baseline(tuple(halves))
    assert add(split) == split, "two entries of one key accept as many as both say"
    assert len(add(made, date(2030, 2, 1)).entries) == 5
    one = Baseline((*made.entries[:2], replace(made.entries[2], count=1)))
    assert [e.count for e in add(one).entries] == [1, 1, 1, 1], "it covers one of two copies"
    accepted, stale = apply_baseline(findings, Baseline(made.entries[1:]), today)
    assert [f.suppressed for f in accepted] == [None, *["a real sign"] * 3]
    assert not stale


def test_a_rejection_accepts_what_the_detector_said_and_no_more(folder):
    _, _, result = lay_out(folder, "lines")
    suspect = result.findings[0]
    more = replace(suspect, rule="BYE109", fingerprint="e" * 64)
    result = replace(result, findings=(replace(suspect, fingerprint="d" * 64), more))
    review = Review(frozenset(), {s.digest: "a real sign" for s in result.samples if s.suspicious})
    today = date(2030, 1, 1)
    made = suppressions(result, review, Baseline(), author="me", expires=today, today=today)
    assert [e.rule for e in made.entries] == ["BYE001"]


def test_a_copy_of_a_suspect_cannot_be_accepted_and_rejected(folder):
    _, _, result = lay_out(folder, "lines")
    text = write_review(result).replace("decision: ''", "decision: accept")
    row = text[text.index("- digest") :].partition("\n- ")[0]
    other = row.replace("decision: accept\n  reason: ''", "decision: reject\n  reason: fine")
    with pytest.raises(UsageError, match="1 suspects are accepted and rejected"):
        read_review(f"{text.rstrip()}\n{other}\n", result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("suspects: [", "not valid YAML"),
        ("- a", "expected a list"),
        ("suspects: []", "4 of 4 suspects are not in the file"),
        ("suspects: [{digest: abc, decision: accept}]", "not a suspect"),
        ("suspects: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_a_bad_review_is_refused(folder, text, message):
    _, _, result = lay_out(folder, "lines")
    with pytest.raises(UsageError, match=message):
        read_review(text, result)


def test_a_rejection_needs_a_reason(folder):
    _, _, result = lay_out(folder, "lines")
    with pytest.raises(UsageError, match="without a reason"):
        read_review(write_review(result).replace("decision: ''", "decision: reject"), result)


@pytest.fixture
def project(folder, monkeypatch):
    """A folder with data, and the saved result of a check of them."""
    _, _, result = lay_out(folder, "lines")
    monkeypatch.chdir(folder.parent)
    return save(folder.parent, result, "data")


def save(root: Path, result: ScanResult, name: str) -> Path:
    """Save the result of a folder as that of a check from the folder around it."""
    findings = tuple(replace(f, fingerprint=f"{i:064x}") for i, f in enumerate(result.findings))
    saved = replace(
        result,
        paths=(name,),
        findings=tuple(replace(f, path=f"{name}/{f.path}") for f in findings),
        samples=tuple(replace(s, path=f"{name}/{s.path}") for s in result.samples),
    )
    (root / "result.json").write_text(json.dumps(to_json(saved)))
    return root


def test_the_command_follows_a_review(project, capsys):
    assert cli.run(["clean", "result.json", "--write-review", "review.yaml"]) == 0
    assert cli.run(["clean", "result.json", "-o", "new", "--review", "review.yaml"]) == 2
    assert "undecided" in capsys.readouterr().err
    text = (project / "review.yaml").read_text("utf-8").replace("decision: ''", "decision: accept")
    text = text.replace(
        "decision: accept\n  reason: ''", "decision: reject\n  reason: 'a real sign'", 1
    )
    (project / "review.yaml").write_text(text, "utf-8")
    reviewed = ["clean", "result.json", "-o", "new", "--review", "review.yaml"]
    known = Entry("BYE103", "c" * 64, "known", "you", date(2999, 1, 1))
    write_baseline(Baseline((known,)), project / "bye-lint-baseline.yaml")
    assert cli.run([*reviewed, "--author", "me"]) == 0
    said = capsys.readouterr()
    assert "kept 5 records, removed 3" in said.out
    assert "rejected 1, 1 newly suppressed" in said.out
    assert "add `baseline:" in said.err
    assert [s.id for s in read(project / "new/train.jsonl")] == ["r0", "r1", "r2", "r5", "r6"]
    entry, old = load_baseline(project / "bye-lint-baseline.yaml").entries
    assert old.key == known.key
    assert (entry.rule, entry.reason, entry.author) == ("BYE001", "a real sign", "me")
    assert entry.fingerprint == f"{0:064x}"


def test_the_command_needs_a_place_and_an_author(project, capsys, monkeypatch):
    before = tree(project)
    assert cli.run(["clean", "result.json"]) == 2
    assert "Give -o FOLDER, or --in-place." in capsys.readouterr().err
    text = write_review(load_result(project / "result.json"))
    text = text.replace("decision: ''\n  reason: ''", "decision: reject\n  reason: fine")
    (project / "review.yaml").write_text(text, "utf-8")
    before = tree(project)
    monkeypatch.setattr("bye_lint.decisions.author_of", nobody)
    assert cli.run(["clean", "result.json", "-o", "new", "--review", "review.yaml"]) == 2
    assert "--author" in capsys.readouterr().err
    assert tree(project) == before


def test_the_command_makes_no_review_of_a_structural_result(project, capsys):
    saved = replace(load_result(project / "result.json"), structural_only=True)
    (project / "result.json").write_text(json.dumps(to_json(saved)))
    assert cli.run(["clean", "result.json", "--write-review", "review.yaml"]) == 2
    assert "Run the check without --structural" in capsys.readouterr().err
    assert not (project / "review.yaml").exists()


def test_the_command_holds_no_embedded_image(project, monkeypatch):
    (project / "data/train.jsonl").unlink()
    path = write_parquet(project / "data")
    save(project, checked(read(path)), "data")
    monkeypatch.setenv("BYE_LINT_CACHE", str(project / "cache"))
    monkeypatch.setattr(shelf, "IN_MEMORY", 0)

    def seen(result, items, **options):
        items = list(items)
        assert len(items) == N
        assert all(isinstance(item.images[0].data, shelf.Slot) for item in items)
        return clean(result, items, **options)

    monkeypatch.setattr("bye_lint.clean.clean", seen)
    assert cli.run(["clean", "result.json", "-o", "new"]) == 0
    assert pq.read_table(project / "new/train.parquet").num_rows == 4


@pytest.mark.parametrize("name", ["data/train.jsonl", "data"])
def test_the_command_finds_data_that_are_links(project, name):
    """As DVC and git-annex lay them: a store has the bytes, under a name of its own."""
    store = project.parent / f"{project.name}-store"
    if name == "data":
        (project / "data").rename(store)
    else:
        store.mkdir()
        (project / name).rename(store / "ab12")
    (project / name).symlink_to(store if name == "data" else store / "ab12")
    request = plan_request([project / name], Overrides())
    result = load_result(project / "result.json")
    paths = tuple(shown(path, request.root) for path in request.paths)
    (project / "result.json").write_text(json.dumps(to_json(replace(result, paths=paths))))
    assert cli.run(["clean", "result.json", "-o", "new"]) == 0
    assert [s.id for s in read(project / "new/train.jsonl")] == ["r1", "r2", "r5", "r6"]


def nobody(*_: object) -> str:
    raise UsageError("nobody accepts these findings", "Say who does: --author NAME.")


def test_the_command_works_in_place_and_elsewhere(project, capsys):
    keep = ["--keep", "r0", "--keep", "r3", "--keep", "r4"]
    assert cli.run(["clean", "result.json", "--in-place", *keep, "--quarantine", "gone.jsonl"]) == 0
    (row,) = (project / "gone.jsonl").read_text().splitlines()
    assert json.loads(row)["quarantined"]["id"] == "r7"
    assert [s.id for s in read(project / "data/train.jsonl")] == [f"r{i}" for i in range(7)]
    capsys.readouterr()
    assert cli.run(["clean", "result.json", "-o", "new"]) == 2
    assert "data/train.jsonl:8: the record that was checked is not here" in capsys.readouterr().err
    assert not (project / "new").exists()


@pytest.mark.parametrize("output", ["data/cleaned", "data/sub/cleaned", "linked/cleaned"])
def test_the_command_does_not_write_into_what_is_checked(project, output, capsys):
    (project / "linked").symlink_to("data", target_is_directory=True)
    before = tree(project)
    assert cli.run(["clean", "result.json", "-o", output]) == 2
    assert f"{output}: in " in capsys.readouterr().err
    assert tree(project) == before
    assert cli.run(["clean", "result.json", "-o", "data-cleaned"]) == 0


def lay_out_with(
    folder: Path, more: list[dict[str, object]], name: str = "train.json"
) -> tuple[Path, ScanResult]:
    """A folder of usual records and others beside them, and the result of checking it all."""
    path = folder / name
    rows = [*map(record, range(N)), *more]
    path.write_text(
        "\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows), "utf-8"
    )
    return path, of_folder(folder)


def read_all(folder: Path) -> list[Sample | Skipped]:
    return list(read_datasets([folder], DatasetPolicy(), folder, display_root=folder))


def of_folder(folder: Path, **policy: Any) -> ScanResult:
    checked_ = list(check_samples(read_all(folder), DatasetPolicy(**policy), digest=True))
    usable = [c.sample for c in checked_ if c.usable and c.sample is not None]
    result = checked(usable)
    return replace(
        result,
        findings=(*result.findings, *(f for c in checked_ for f in c.findings)),
        skipped=tuple(c.skipped for c in checked_ if c.skipped is not None and c.unread),
        counts=replace(result.counts, records=len(checked_)),
    )


@pytest.mark.parametrize("how", ["name", "link", "hard link"])
@pytest.mark.parametrize("images", ["copy", "link"])
def test_a_dataset_file_that_is_named_as_an_image_does_not_come_back(folder, how, images):
    name = "train.json" if how == "name" else "x.png"
    path, _ = lay_out_with(folder, [{**record(5), "id": "odd", "image": name}])
    if how == "link":
        (folder / name).symlink_to("train.json")
    elif how == "hard link":
        (folder / name).hardlink_to(path)
    result = of_folder(folder)
    assert [f.rule for f in result.findings].count("BYE104") == 1
    done = clean(result, read_all(folder), root=folder, out=folder.parent / "new", images=images)
    assert (done.kept, done.removed) == (5, 4)
    kept = {name: data for name, data in tree(done.folder).items() if name != "train.json"}
    assert sorted(kept) == ["images/1.png", "images/2.png", "images/5.png", "images/6.png"]
    assert b"Backdoor" not in (done.folder / "train.json").read_bytes()
    assert b"Backdoor" in path.read_bytes()


def test_two_files_of_one_name_are_not_written_over_each_other(folder, monkeypatch):
    _, items, result = lay_out(folder, "lines")
    monkeypatch.setattr(Path, "exists", lambda self: self.suffix == ".png")
    with pytest.raises(ReportError, match="takes the place of another file"):
        clean(result, items, root=folder, out=folder.parent / "new")
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("image", ["images/none.png", "images/odd.png", "x" * 300 + ".png"])
def test_an_image_that_is_no_file_is_no_hindrance(folder, image):
    (folder / "images/odd.png").mkdir()
    _, result = lay_out_with(folder, [{**record(5), "id": "odd", "image": image}])
    done = clean(result, read_all(folder), root=folder, out=folder.parent / "new")
    assert (done.kept, done.removed) == (5, 4)
    names = sorted(p.name for p in (done.folder / "images").iterdir())
    assert names == ["1.png", "2.png", "5.png", "6.png"]


def test_what_was_not_read_is_left_out_and_told(folder):
    (folder.parent / "secret.txt").write_text("Backdoor")
    (folder / "notes.json").symlink_to(folder.parent / "secret.txt")
    (folder.parent / "more").mkdir()
    (folder.parent / "more/x.json").write_text("[]")
    (folder / "more").symlink_to("../more")
    (folder / "large.json").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d"
    )
    (folder / "wide.json").write_bytes('[{"a": 1}]'.encode("utf-16"))
    path, result = lay_out_with(folder, [])
    done = clean(result, read_all(folder), root=folder, out=folder.parent / "new")
    assert done.left_out == ("more", "large.json", "notes.json", "wide.json")
    assert (done.kept, done.removed) == (4, 4)
    assert sorted(p.name for p in done.folder.iterdir()) == ["images", "train.json"]
    done = clean(result, read_all(folder), root=folder, in_place=True)
    assert (done.left_out, done.files) == ((), (path,))


def append_to_array(path: Path, row: dict[str, object]) -> None:
    path.write_text(path.read_text("utf-8")[:-1] + ", " + json.dumps(row) + "]", "utf-8")


def append_line(path: Path, row: dict[str, object]) -> None:
    path.write_text(path.read_text("utf-8") + "\n" + json.dumps(row), "utf-8")


@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
@pytest.mark.parametrize("odd", [{"image": "images/none.png"}, {"video": "a.mp4"}, {"image": None}])
def test_records_without_a_score_are_those_of_the_check_too(folder, name, odd):
    path, result = lay_out_with(folder, [{**record(5), "id": "odd", **odd}], name)
    before = path.read_text("utf-8")
    out = folder.parent / "new"
    done = clean(result, read_all(folder), root=folder, out=folder.parent / "same")
    assert (done.kept, done.removed) == (5, 4)
    add = append_to_array if name == "train.json" else append_line
    for row in ({**record(3), "id": "n"}, {**record(3), "id": "n", "video": "b.mp4"}):
        add(path, row)
        with pytest.raises(ResultError, match="a record that was not part of the check"):
            clean(result, read_all(folder), root=folder, out=out)
        path.write_text(before, "utf-8")
    answer = json.dumps("grün 5")
    path.write_text(before[::-1].replace(answer[::-1], '"tac a"', 1)[::-1], "utf-8")
    with pytest.raises(ResultError, match="not the record that was checked"):
        clean(result, read_all(folder), root=folder, out=out)
    assert not out.exists()


def test_an_image_that_the_policy_refuses_is_the_same_only_by_that_policy(folder):
    (folder / "images/huge.png").write_bytes(bytes((1 << 20) + 2000))
    lay_out_with(folder, [{**record(5), "image": "images/huge.png"}])
    result = of_folder(folder, max_pixels=100)
    assert [s.rule for s in result.skipped] == ["BYE106"]
    out = folder.parent / "new"
    with pytest.raises(ResultError, match="not the record that was checked"):
        clean(result, read_all(folder), root=folder, out=out)
    assert clean(result, read_all(folder), root=folder, out=out, max_pixels=100).removed == 4


def test_a_check_of_no_change_leaves_everything(folder):
    _, items, result = lay_out(folder, "lines")
    counts = Counts(N, 0, 0, 0, changed=0, context=0)
    result = replace(result, samples=(), findings=(), counts=counts)
    done = clean(result, items, root=folder, out=folder.parent / "new")
    assert (done.kept, done.removed) == (N, 0)
    assert done.quarantine is None


def test_a_skipped_record_that_is_gone_is_told(folder):
    path, result = lay_out_with(folder, [{**record(5), "video": "a.mp4"}], "train.jsonl")
    drop_last(folder, path)
    with pytest.raises(
        ResultError, match=r"train\.jsonl:9: the record that was checked is not here"
    ):
        clean(result, read_all(folder), root=folder, out=folder.parent / "new")


def test_a_record_that_the_model_could_not_read_is_kept(folder):
    _, items, result = lay_out(folder, "lines")
    odd = result.samples[1]
    unread = Skipped("BYE112", "m", odd.path, odd.line, odd.column, fingerprint="c" * 64)
    samples = (result.samples[0], replace(odd, score=None), *result.samples[2:])
    result = replace(result, samples=samples, skipped=(unread,))
    done = clean(result, items, root=folder, out=folder.parent / "new")
    assert [s.id for s in read(done.folder / "train.jsonl")] == ["r1", "r2", "r5", "r6"]


def test_one_file_under_two_names_is_written_once(folder):
    path = write_lines(folder)
    (folder / "sub").mkdir()
    (folder / "sub/train.jsonl").symlink_to("../train.jsonl")
    (folder / "sub/images").mkdir()
    for i in range(N):
        (folder / f"sub/images/{i}.png").write_bytes(picture(i + 1))
    result = of_folder(folder)
    halves = {"r0": "train.jsonl", "r7": "sub/train.jsonl"}
    samples = tuple(
        replace(s, suspicious=s.path == halves.get(s.sample_id)) for s in result.samples
    )
    done = clean(replace(result, samples=samples), read_all(folder), root=folder, in_place=True)
    assert (done.removed, done.files) == (2, (path,))
    assert [s.id for s in read(path)] == [f"r{i}" for i in range(1, 7)]
    assert len(done.quarantine.read_text().splitlines()) == 2


def test_parquet_is_told_by_its_content(folder):
    path = write_parquet_paths(folder).rename(folder / "train.pq")
    policy = DatasetPolicy(format="parquet")
    items = list(read_datasets([path], policy, folder, display_root=folder))
    done = clean(checked(items), items, root=folder, out=folder.parent / "new")
    assert pq.read_table(done.files[0]).num_rows == 4


def test_the_quarantine_is_no_dataset(folder):
    """It may lie in the folder that is checked next."""
    path, items, result = lay_out(folder, "lines")
    done = clean(result, items, root=folder, in_place=True)
    assert done.quarantine.parent == folder
    assert {item.location.path for item in read_all(folder)} == {path.name}


def test_the_command_writes_no_quarantine_into_what_is_checked(project, capsys):
    before = tree(project)
    place = ["--quarantine", "data/gone.jsonl"]
    assert cli.run(["clean", "result.json", "-o", "new", *place]) == 2
    assert "data/gone.jsonl: in " in capsys.readouterr().err
    assert tree(project) == before


def test_the_command_says_what_it_left_out(project, capsys):
    (project / "notes.json").write_text("[]")
    (project / "data/notes.json").symlink_to(project / "notes.json")
    result = load_result(project / "result.json")
    (unread,) = [
        item
        for item in read_datasets(
            [project / "data"], DatasetPolicy(), project, display_root=project
        )
        if isinstance(item, Skipped)
    ]
    saved = replace(result, skipped=(unread,))
    (project / "result.json").write_text(json.dumps(to_json(saved)))
    assert cli.run(["clean", "result.json", "-o", "new"]) == 0
    assert "left out, since nothing of it was read: data/notes.json" in capsys.readouterr().out


def test_many_records_can_be_cut(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"a": 1}\n' * 200_000)
    cut(path, {(line, 1) for line in range(1, 100_001, 2)}, tmp_path / "new")
    assert (tmp_path / "new").read_text().count("\n") == 150_000


def test_parquet_is_not_held_in_memory_while_it_is_cut(tmp_path, monkeypatch):
    path = tmp_path / "train.parquet"
    rows = pa.table({"image": [os.urandom(1 << 18) for _ in range(80)]})
    pq.write_table(rows, path, row_group_size=8, use_dictionary=False)
    del rows
    before, held = pa.total_allocated_bytes(), []
    group = pq.ParquetFile.read_row_group

    def seen(*given: object) -> object:
        held.append(pa.total_allocated_bytes() - before)
        return group(*given)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", seen)
    cut(path, {(2, 1), (79, 1)}, tmp_path / "new.parquet")
    assert len(held) == 10
    # Arrow's threads may let go of a group a moment later.
    assert sorted(held)[5] < 2 << 20, "nothing of a group is left when the next one is read"
    assert pq.read_table(tmp_path / "new.parquet").num_rows == 78
