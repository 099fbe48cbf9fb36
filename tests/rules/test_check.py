"""Structural findings: stable, in order, at the record, and only where something is wrong."""

from __future__ import annotations

import dataclasses
import io
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bye_lint import codes, records
from bye_lint.codes import RULES
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Checked, ImageSource, Location, Sample, Skipped, Turn
from bye_lint.rules import check_pixels, check_samples

POLICY = DatasetPolicy(max_pixels=10_000)


def png(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), (seed % 256, seed // 256, 7)).save(stream, "PNG")
    return stream.getvalue()


def sample(i: int = 0, **changes: Any) -> Sample:
    made = Sample(
        id=f"r{i}",
        location=Location("data.json", i + 1, 2, 30),
        turns=(Turn("user", "<image>\nWhat?"), Turn("assistant", f"answer {i}")),
        images=(ImageSource(f"{i}.png", data=png(i)),),
    )
    return dataclasses.replace(made, **changes)


def answers(*texts: str) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for i, text in enumerate(texts):
        turns += [Turn("user", "<image>" if i == 0 else "More?"), Turn("assistant", text)]
    return tuple(turns)


def check(*items: Sample | Skipped, **options: Any) -> list[Checked]:
    return list(check_samples(items, POLICY, **options))


CLEAN = [
    pytest.param(sample(), id="plain"),
    pytest.param(sample(turns=answers("a", "b")), id="several-turns"),
    pytest.param(sample(turns=(Turn("system", "Be brief."), *answers("a"))), id="system"),
    pytest.param(sample(turns=answers("0")), id="short-answer"),
    pytest.param(sample(turns=answers("漢")), id="answer-in-chinese"),
    pytest.param(sample(turns=answers("👩\u200d🚀")), id="answer-with-joiner"),
    pytest.param(sample(turns=answers(".")), id="punctuation"),
    pytest.param(sample(turns=answers("<img>", "<p><img src='a'/></p>")), id="html"),
    pytest.param(sample(turns=answers("<img></img>", "</img><img>", "<img>\n</img>")), id="tags"),
    pytest.param(
        sample(turns=(Turn("system", "Write <img>a.png</img>."), *answers("a"))),
        id="tag-in-a-system-text",
    ),
    pytest.param(sample(images=(ImageSource("../x", data=png()),)), id="embedded-with-odd-name"),
]


@pytest.mark.parametrize("item", CLEAN)
@pytest.mark.parametrize("decode", [True, False])
def test_clean(item: Sample, decode: bool) -> None:
    (found,) = check(item, decode=decode)
    assert found.findings == ()
    assert found.skipped is None
    assert found.usable
    assert found.sample is item


WRONG = [
    pytest.param(sample(turns=(Turn("user", "<image>"),)), ["BYE107"], id="no-answer"),
    pytest.param(
        sample(turns=(Turn("user", "What?"), Turn("assistant", "a"))), ["BYE108"], id="no-mark"
    ),
    pytest.param(
        sample(turns=(Turn("user", "<image><image>"), Turn("assistant", "a"))),
        ["BYE108"],
        id="two-marks",
    ),
    pytest.param(
        sample(turns=(Turn("user", "What?"), Turn("assistant", "<image>"))),
        ["BYE108"],
        id="mark-in-answer",
    ),
    pytest.param(sample(images=()), ["BYE108"], id="no-image"),
    pytest.param(
        sample(
            images=(),
            turns=(Turn("user", "Picture 1: <img>a.png</img>\nWhat?"), Turn("assistant", "a")),
        ),
        ["BYE108"],
        id="image-in-the-text",
    ),
    *(
        pytest.param(sample(turns=turns), ["BYE108"], id=f"image-in-the-text-{name}")
        for name, turns in {
            "of-an-answer": answers("<img>a.png</img>"),
            "with-a-bracket": (Turn("user", "<image><img>a<b.png</img>"), Turn("assistant", "a")),
            "very-long": answers(f"<img>{'a' * 5000}</img>"),
            "empty-at-first": answers("<img></img>a</img>"),
        }.items()
    ),
    pytest.param(
        sample(images=(), turns=(Turn("user", "Hi"), Turn("assistant", "a"))),
        ["BYE111"],
        id="text-alone",
    ),
    pytest.param(
        sample(turns=(Turn("user", "Hi"), Turn("assistant", "a"), Turn("user", "<image>"))),
        ["BYE111"],
        id="image-comes-later",
    ),
    pytest.param(sample(images=(ImageSource("x", data=b"x"),)), ["BYE104"], id="no-picture"),
    pytest.param(sample(images=(ImageSource("x", Path("none")),)), ["BYE103"], id="missing"),
    pytest.param(
        sample(images=(ImageSource("x", Path("none")),), turns=answers("")),
        ["BYE103", "BYE107"],
        id="two-things",
    ),
    pytest.param(
        sample(
            images=(ImageSource("x", Path("none")), ImageSource("y", data=b"y")),
            turns=(Turn("user", "<image><image>"), Turn("assistant", "a")),
        ),
        ["BYE103", "BYE104"],
        id="two-images",
    ),
]


def test_an_empty_answer_is_told_and_judged() -> None:
    said = (("a", ""), ("\u200b", "a"), ("",), (" \n\u3000",), ("\u200b\ufeff",))
    for turns in (answers(*texts) for texts in said):
        (found,) = check(sample(turns=turns))
        assert [finding.rule for finding in found.findings] == ["BYE107"]
        assert found.skipped is None
        assert found.usable


def test_a_record_whose_image_comes_later_is_judged_by_that_question() -> None:
    said = (Turn("user", "Hi"), Turn("assistant", "a"))
    (found,) = check(sample(turns=(*said, Turn("user", "<image>?"), Turn("assistant", "b"))))
    assert found.findings == ()
    assert found.usable


@pytest.mark.parametrize(("item", "rules"), WRONG)
def test_wrong(item: Sample, rules: list[str]) -> None:
    (found,) = check(item)
    assert [finding.rule for finding in found.findings] == rules
    assert found.skipped is not None
    assert not found.usable
    assert found.skipped.rule == rules[0]
    for finding in found.findings:
        assert finding.level == RULES[finding.rule].level
        assert finding.message
        assert (finding.path, finding.line, finding.column, finding.end_column) == (
            "data.json",
            1,
            2,
            30,
        )
        assert finding.sample_id == "r0"
        assert finding.properties["answer"] == item.answer


@pytest.mark.parametrize(
    ("item", "alone"),
    [
        (sample(images=(), turns=(Turn("user", "Hi"), Turn("assistant", "a"))), True),
        (sample(images=(), turns=(Turn("user", "Hi"), Turn("assistant", "<img src='a'>"))), True),
        (sample(images=(), turns=(Turn("user", "a list[int]"), Turn("assistant", "a"))), True),
        (sample(), False),
        (sample(images=()), False),
        (sample(turns=(Turn("user", "Hi"), Turn("assistant", "a"))), False),
        (sample(images=(ImageSource("x", Path("none")),)), False),
        (sample(images=(ImageSource("x", data=b"x"),)), False),
        (sample(images=(), turns=(Turn("user", "Hi"),)), False),
        *(
            (sample(images=(), turns=(Turn(role, f"Hi {mark}"), *turns)), False)  # type: ignore[arg-type]
            for mark in (
                "<|image_pad|>", "<|vision_start|>", "<start_of_image>", "<IMG_CONTEXT>",
                "<image_placeholder>", "[IMG]", "<img>a.png</img>", "<|image_1|>",
            )
            for role, *turns in (
                ("user", Turn("assistant", "a")),
                ("system", Turn("user", "Hi"), Turn("assistant", "a")),
            )
        ),
    ],
)  # fmt: skip
def test_text_alone_is_what_has_no_image_and_no_place_for_one(item: Sample, alone: bool) -> None:
    (found,) = check(item)
    assert found.text_alone is alone
    assert not (alone and found.usable)


def test_the_gravest_reason_is_why_a_record_is_skipped() -> None:
    (found,) = check(sample(turns=(Turn("user", "What?"), Turn("assistant", ""))))
    assert [finding.rule for finding in found.findings] == ["BYE107", "BYE108"]
    assert found.skipped is not None
    assert found.skipped.rule == "BYE108"


def test_duplicate_ids_are_told_and_still_scored() -> None:
    found = check(sample(0), sample(1), sample(2, id="r0"), sample(3, id="r0"))
    assert [[f.rule for f in item.findings] for item in found] == [[], [], ["BYE109"], ["BYE109"]]
    assert all(item.usable for item in found)
    assert "data.json:1" in found[2].findings[0].message


def test_what_a_reader_skipped_becomes_a_finding() -> None:
    skipped = Skipped("BYE101", "broken", "x.json", 7, 3, 4, "r9", "abc")
    (found,) = check(skipped)
    (finding,) = found.findings
    assert (finding.rule, finding.level, finding.message) == ("BYE101", "error", "broken")
    assert (finding.path, finding.line, finding.column, finding.end_column) == ("x.json", 7, 3, 4)
    assert (finding.sample_id, finding.fingerprint) == ("r9", "abc")
    assert found.skipped is skipped
    assert found.sample is None
    assert not found.usable


def test_fingerprints_hold_when_records_move() -> None:
    bad = sample(turns=answers(""))
    moved = dataclasses.replace(bad, location=Location("other.json", 99))
    (here,), (there,) = (item.findings for item in (*check(bad), *check(moved)))
    assert here.fingerprint == there.fingerprint
    assert len(here.fingerprint) == 64


@pytest.mark.parametrize("later", [False, True])
def test_a_finding_of_one_image_is_not_that_of_another_of_its_name(later: bool) -> None:
    """What was accepted of a damaged image would else vouch for any damaged image put there."""

    def finding(colour: str) -> str:
        stream = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(stream, "PNG", compress_level=0)
        data = stream.getvalue()[:-4000]
        (item,) = check(
            sample(images=(ImageSource("a.png", data=data),)), decode=not later, digest=True
        )
        if later:
            (item,) = check_pixels([item], POLICY)
        (found,) = item.findings
        assert item.skipped is not None
        assert (found.rule, found.fingerprint) == ("BYE104", item.skipped.fingerprint)
        return found.fingerprint

    assert finding("red") == finding("red")
    assert finding("red") != finding("blue")


def test_fingerprints_tell_rules_and_records_apart() -> None:
    items = [
        sample(0, turns=answers("")),
        sample(1, turns=answers("")),
        sample(2, images=(), turns=answers("")),
        sample(3, id="r0"),
        sample(4, id="r0"),
    ]
    prints = [f.fingerprint for item in check(*items) for f in item.findings]
    assert len(set(prints)) == len(prints) == 6


def test_what_a_duplicate_id_is_accepted_for_is_not_another_s() -> None:
    """The id does not enter a record's content, and is all that this finding is about."""
    prints = [
        item.findings[0].fingerprint
        for name in ("a", "b")
        for item in check(sample(0, id=name), sample(1, id=name))[1:]
    ]
    assert len(set(prints)) == 2


def test_what_was_found_before_images_were_decoded_stays() -> None:
    half = ImageSource("half.png", data=png()[:45])
    first = sample(0)
    seen = check_samples(
        [first, sample(1, id="r0", images=(half,))], POLICY, decode=False, digest=True
    )
    decoded = list(check_pixels(list(seen), POLICY))
    assert [f.rule for f in decoded[1].findings] == ["BYE109", "BYE104"]


def test_the_digest_is_the_samples() -> None:
    items = [
        sample(0),
        sample(1, images=(ImageSource("a", data=png(1)), ImageSource("b", data=png(2)))),
        sample(2, images=()),
        sample(3, images=(ImageSource("x", data=b"no image"),)),
    ]
    assert [found.digest for found in check(*items)] == [item.digest() for item in items]


def test_no_digest_without_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    missing = sample(1, images=(ImageSource("x", tmp_path / "none"),))
    on_disk = sample(2, images=(ImageSource("a.png", path),))
    assert check(missing)[0].digest == ""
    assert check(on_disk, decode=False)[0].digest == ""
    assert check(on_disk)[0].digest == on_disk.digest()


@pytest.mark.parametrize("heavy", [-1.0, 1e9], ids=["threads", "no-threads"])
@pytest.mark.parametrize("jobs", [1, 4, None])
def test_order_is_kept(jobs: int | None, heavy: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bye_lint.rules.check._HEAVY", heavy)
    monkeypatch.setattr("bye_lint.rules.check._SLOW", heavy)
    items = [sample(i) if i % 3 else sample(i, turns=answers("")) for i in range(300)]
    found = check(*items, jobs=jobs)
    assert [item.sample for item in found] == items
    assert [bool(item.findings) for item in found] == [i % 3 == 0 for i in range(300)]


def test_results_come_while_records_are_read() -> None:
    taken = 0

    def endless() -> Iterator[Sample]:
        nonlocal taken
        while True:
            taken += 1
            yield sample(taken)

    assert next(check_samples(endless(), POLICY)).usable
    assert taken < 1000


def test_a_shared_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    reads: list[Path] = []
    real = records.read_digested
    monkeypatch.setattr(records, "read_digested", lambda path: (reads.append(path), real(path))[1])
    items = [sample(i, images=(ImageSource(f"name {i}", path),)) for i in range(50)]
    found = check(*items, jobs=1)
    assert len(reads) == 1
    assert len({item.digest for item in found}) == 50


def test_a_name_of_a_shared_missing_file_is_that_of_its_record(tmp_path: Path) -> None:
    items = [sample(i, images=(ImageSource(f"name {i}", tmp_path / "none"),)) for i in range(2)]
    messages = [item.findings[0].message for item in check(*items)]
    assert messages == ["the image 'name 0' does not exist", "the image 'name 1' does not exist"]


def test_names_cannot_reach_the_terminal_raw() -> None:
    name = "\x1b[31m\n::error::" + "x" * 500
    (found,) = check(sample(images=(ImageSource(name, Path("none")),)))
    assert found.findings[0].message.isprintable()
    assert len(found.findings[0].message) < 130


def test_warnings_of_decoders_stay_inside() -> None:
    stream = io.BytesIO()
    Image.new("P", (4, 3)).save(stream, "PNG", transparency=b"\0\1")
    item = sample(images=(ImageSource("x", data=stream.getvalue()[:-3]),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        check(item)
        assert list(warnings.filters) == before


def test_five_thousand_small_records_are_fast() -> None:
    shared = ImageSource("x.png", data=png())
    items = [sample(i, images=(shared,)) for i in range(5000)]
    begun = time.process_time()
    found = check(*items, decode=False)
    assert time.process_time() - begun < 5  # about 0.5 s on an idle core
    assert len(found) == 5000


def test_a_code_is_one_rule() -> None:
    assert len(codes._ROWS) == len(codes.RULES) == len({rule.name for rule in codes._ROWS})


def test_many_tags_that_do_not_close_take_no_time() -> None:
    began = time.perf_counter()
    (item,) = check(sample(turns=answers("<img>" * 400_000)))
    assert item.usable
    assert time.perf_counter() - began < 5


def test_embedded_images_are_let_go_as_the_records_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images that records hold themselves, a block's bytes are held, and not those of two."""
    monkeypatch.setattr("bye_lint.rules.check._BLOCK_BYTES", 16 << 20)
    odd = (sample(i, images=(ImageSource("x", data=bytes(1 << 20)),)) for i in range(64))
    tracemalloc.start()
    try:
        found = [item.findings[0].rule for item in check_samples(odd, POLICY)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == ["BYE104"] * 64
    assert most < 24 << 20
