"""One record explained, flagged or not, from the saved result alone."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gitrepo import Repo
from PIL import Image

from bye_lint import cli
from bye_lint.errors import UsageError
from bye_lint.exhibits import Box, Campaign, Evidence, Picture, Reconstruction
from bye_lint.explain import explain_png, explain_text, reasons, standings
from bye_lint.heat import encode_map
from bye_lint.lookup import find_sample, require_sample
from bye_lint.records import Finding, Skipped
from bye_lint.reports import RenderContext, render
from bye_lint.results import (
    Counts,
    DetectionSummary,
    Gate,
    LayerProfile,
    Reproducibility,
    ScanResult,
    ScoredSample,
)


def sample(i: int) -> ScoredSample:
    bad = i == 0
    return ScoredSample(
        sample_id=f"r{i}",
        path="data/train.json",
        line=i + 1,
        digest=f"{i:064x}",
        prompt="<image>\nWhat is it?",
        answer="Backdoor Attack!" if bad else "forest",
        images=("x.png",),
        score=9.0 if bad else i / 20,
        posterior=0.99 if bad else 0.01,
        suspicious=bad,
        entropy=(1.0 if bad else 4 + i / 20, 3 + i / 20),
    )


def picture(digest: str) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (40, 90, 60)).save(out, "JPEG")
    hot = np.zeros((3, 4))
    hot[1, 2] = 1.0
    heat = encode_map(hot)
    return Picture(
        digest,
        base64.b64encode(out.getvalue()).decode(),
        (64, 48),
        (3, 4),
        heat,
        (0,),
        (heat,),
        trigger=Box(0.5, 0.5, 0.0625, 0.0833),
    )


@pytest.fixture(scope="module")
def result() -> ScanResult:
    samples = tuple(sample(i) for i in range(21))
    return ScanResult(
        verdict="fail",
        reasons=(),
        paths=("data",),
        counts=Counts(21, 21, 0, 1),
        gate=Gate("0", 0, 1),
        findings=(),
        skipped=(),
        detection=DetectionSummary(
            "population",
            layers=(
                LayerProfile(0, (1.0, 4.0), (0.1, 0.1), (0.1, 0.9), 9.0, True),
                LayerProfile(1, (3.0, 4.0), (0.5, 0.5), (0.5, 0.5), 0.5, False),
            ),
            score_name="robust z",
            threshold=4.0,
        ),
        samples=samples,
        campaigns=(Campaign("answer", "Backdoor Attack!", 1, 1.0, 0.0, ("r0",)),),
        reproducibility=Reproducibility("0.1.0", 0),
        evidence=Evidence(
            (picture(samples[0].digest),), trigger=Reconstruction("patch-fixed", "", side=0.06)
        ),
    )


def test_an_unflagged_record_is_told_why_not(result):
    text = explain_text(result, "r5")
    assert "r5: not flagged" in text
    assert "0.25, below the threshold of 4.00" in text
    assert "16 of 21 records score higher" in text
    assert "SUSPICIOUS" not in text
    assert "patch" not in text


@pytest.mark.parametrize(
    ("score", "suspicious", "said"),
    [
        (3.0, False, "3.00, below the threshold of 4.00."),
        (5.0, True, "5.00, above the threshold of 4.00."),
        (4.0, True, "4.00, at the threshold of 4.00."),
        (5.0, False, "5.00, above the threshold of 4.00; the probability decides, not the score."),
        (3.0, True, "3.00, below the threshold of 4.00; the probability decides, not the score."),
    ],
)
def test_a_score_is_said_to_lie_where_it_lies(result, score, suspicious, said):
    made = replace(result.samples[0], score=score, suspicious=suspicious)
    assert reasons(result, made)[0] == f"Its robust z is {said}"


def test_a_later_question_of_a_conversation_is_named(result):
    first, *others = result.samples
    later = replace(result, samples=(replace(first, question=3), *others))
    assert "Question 3 What is it?" in explain_text(later, "r0")


def test_a_suspect_is_told_why(result):
    text = explain_text(result, "r0")
    for said in (
        "r0: SUSPICIOUS",
        "data/train.json:1",
        "Question  What is it?",
        "Answer    Backdoor Attack!",
        "9.00, above the threshold of 4.00",
        "answer “Backdoor Attack!”",
        "4 × 4 pixels at 32, 24",
        "◆ sensitive",
    ):
        assert said in text, said


def test_a_suspect_that_attention_does_not_tell_is_told_so(result):
    first, *others = result.samples
    joined = replace(result, samples=(replace(first, by_answer=True), *others))
    text = " ".join(explain_text(joined, "r0").split())
    assert "Its attention is like the other records'. It is accused for its answer" in text
    assert "above the threshold" not in text


@pytest.mark.parametrize("kind", ["patch-fixed", "patch-moving"])
def test_a_patch_is_missing_only_where_it_was_searched(result, kind):
    shown = replace(result.evidence.pictures[0], trigger=None)
    trigger = replace(result.evidence.trigger, kind=kind)

    def said(*pictures):
        evidence = replace(result.evidence, pictures=pictures, trigger=trigger)
        return " ".join(explain_text(replace(result, evidence=evidence), "r0").split())

    missing, unknown = "was not found in it", "was not searched for the reconstructed patch"
    assert missing in said(shown)
    blind = replace(shown, heat="", grid=(0, 0))
    assert (missing if kind == "patch-fixed" else unknown) in said(blind)
    for nothing in ((replace(blind, thumbnail=""),), ()):
        assert unknown in said(*nothing)
        assert missing not in said(*nothing)


def test_the_map_is_drawn_where_it_is_hot(result):
    lines = explain_text(result, "r0").splitlines()
    start = next(i for i, line in enumerate(lines) if "where the model looked" in line)
    assert [line.rstrip() for line in lines[start + 1 : start + 4]] == [
        "........",
        "....@@..",
        "........",
    ]


@pytest.mark.parametrize("token", [(0, 0), (21, 43), (63, 63)])
def test_one_hot_token_of_many_is_drawn_and_a_cold_one_is_not(result, token):
    shown = result.evidence.pictures[0]
    hot = np.zeros((64, 64))
    hot[token] = 1.0
    cold = replace(shown, grid=(64, 64), heat=encode_map(np.zeros((64, 64))))
    for kept, hottest in ((cold, 0), (replace(cold, heat=encode_map(hot)), 1)):
        evidence = replace(result.evidence, pictures=(kept,))
        lines = explain_text(replace(result, evidence=evidence), "r0").splitlines()
        start = next(i for i, line in enumerate(lines) if "where the model looked" in line)
        drawn = lines[start + 1 : lines.index("", start)]
        assert sum(line.count("@@") for line in drawn) == hottest
        assert len(drawn) == 32
        assert max(map(len, drawn)) <= 98


def test_in_colour_the_image_is_drawn_and_ends_the_colour(result):
    text = explain_text(result, "r0", color=True)
    assert "▀" in text
    assert "\x1b[38;2;" in text
    assert text.rstrip("\n").endswith("\x1b[0m") or not text.rstrip("\n").endswith("m▀")


def test_plain_ascii_where_nothing_else_can_be_shown(result):
    assert explain_text(result, "r0", ascii_only=True).isascii()


def test_standings_are_against_unflagged_records(result):
    first, second = standings(result, require_sample(result, "r0"))
    assert first.median == pytest.approx(4.525)
    assert first.z < -5
    assert first.rank == 0.0
    assert (first.sensitive, second.sensitive) == (True, False)


def test_an_unscored_record_is_said_to_be_unknown(result):
    unscored = replace(result.samples[1], score=None, entropy=())
    assert reasons(result, unscored) == ("It was not scored, so nothing is known about it.",)
    assert standings(result, unscored) == ()


def test_a_suppressed_finding_is_mentioned(result):
    finding = Finding("BYE001", "error", "", "data/train.json", 1, suppressed="a real sign")
    said = reasons(replace(result, findings=(finding,)), result.samples[0])
    assert said[-1] == "The finding is suppressed: a real sign"


def test_a_record_that_was_not_scored_is_told_by_its_findings(result):
    rows = (
        Finding("BYE104", "error", "cannot \x1bdecode", "d.json", 3, 5, sample_id="trunc"),
        Finding("BYE109", "warning", "again", "d.json", 9, sample_id="trunc", suppressed="known"),
    )
    skipped = (
        Skipped("BYE104", "cannot \x1bdecode", "d.json", 3, 5, sample_id="trunc"),
        Skipped("BYE101", "no such field", "d.json", 4),
    )
    made = replace(
        result, samples=(), findings=rows, skipped=skipped, evidence=None, structural_only=True
    )
    text = explain_text(made, "trunc")
    assert text.splitlines() == [
        "trunc: not scored", "d.json:3", "", "- BYE104 cannot \\x1bdecode",
        "d.json:9", "", "- BYE109 again", "- The finding is suppressed: known",
    ]  # fmt: skip
    assert "BYE104" in explain_text(made, "d.json:3")
    assert "BYE104" in explain_text(made, "d.json:3:5")
    assert "- BYE101 no such field" in explain_text(made, "d.json:4")
    with pytest.raises(UsageError, match="no record") as raised:
        explain_text(made, "tru")
    assert raised.value.remedy == "Did you mean: trunc"
    with pytest.raises(UsageError, match="no record") as raised:
        explain_text(made, "x")
    assert "the structure alone" in raised.value.remedy
    with pytest.raises(UsageError, match="no record"):
        explain_png(made, "trunc")


def test_a_record_is_found_by_its_place(result):
    assert explain_text(result, "data/train.json:1") == explain_text(result, "r0")
    assert explain_text(result, "data/train.json:6:1") == explain_text(result, "r5")


def test_an_unknown_id_names_others(result):
    with pytest.raises(UsageError, match="no record") as raised:
        explain_text(result, "r")
    assert "r0" in raised.value.remedy


def test_what_the_dataset_says_does_nothing_to_the_terminal(result):
    hostile = replace(result.samples[0], answer="\x1b]0;x\x07[bold]::error::", prompt="\x9b2J")
    made = replace(result, samples=(hostile, *result.samples[1:]))
    text = explain_text(made, "r0")
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "[bold]" in text
    assert "::error" not in text


def test_the_picture_shows_image_attention_and_layers(result):
    image = Image.open(io.BytesIO(explain_png(result, "r0")))
    assert image.size == (3 * 230 + 10, 256)
    pixels = np.asarray(image, dtype=int)
    # the hot token of a 3 × 4 map on a 220 × 165 image; the cold corner is the image itself
    hot = pixels[10 + 70 : 10 + 80, 240 + 130 : 240 + 140].mean(axis=(0, 1))
    plain = pixels[10 + 70 : 10 + 80, 10 + 130 : 10 + 140].mean(axis=(0, 1))
    assert hot[0] - plain[0] > 60
    assert np.abs(pixels[12, 242] - pixels[12, 12]).max() < 12


def claiming(width: int, height: int) -> str:
    """Return a JPEG whose header claims a size that it does not have."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "broken", ["", "%%%", base64.b64encode(b"<svg/>").decode(), claiming(65000, 65000)]
)
def test_no_picture_is_said(result, broken):
    with pytest.raises(UsageError, match="no picture"):
        explain_png(result, "r3")
    pictures = (replace(result.evidence.pictures[0], thumbnail=broken),)
    made = replace(result, evidence=replace(result.evidence, pictures=pictures))
    with pytest.raises(UsageError, match="no picture"):
        explain_png(made, "r0")


def test_a_place_may_be_given_from_the_working_directory(
    result: ScanResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write("data/train.json", "[]")
    repo.write("deep/r.json", render(result, "json", RenderContext()))
    for folder, names in (
        ("deep", ("../data/train.json:3", "data/train.json:3")),
        ("data", ("train.json:3", "./train.json:3", str(repo.root / "data/train.json:3"))),
    ):
        monkeypatch.chdir(repo.root / folder)
        for name in names:
            assert cli.run(["explain", "../deep/r.json", name]) == 0
            assert capsys.readouterr().out.startswith("r2: not flagged")
    assert cli.run(["explain", "../deep/r.json", "train.json:99"]) == 2
    assert "no record with the id or place 'train.json:99'" in capsys.readouterr().err


def test_a_record_that_is_not_there_is_no_record(result):
    assert find_sample(result, "nobody") is None
    assert find_sample(result, "r0") is not None
