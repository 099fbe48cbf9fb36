"""What a finding says of its record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bye_lint.features import Detection
from bye_lint.findings import scored_samples, summarised, suspicious_findings, with_image_paths
from bye_lint.records import Checked, Finding, ImageSource, Location, Sample, Turn
from bye_lint.results import DetectionSummary, ScoredSample, significant


def suspect(name, score=9.0, **more):
    return ScoredSample(
        name, "data.json", 3, "d" * 64, "What is it?", "Attack!", (), score, 0.99, True, **more
    )  # fmt: skip


def test_a_threshold_that_a_score_does_not_reach_is_not_named():
    """Who is below it is accused by the probability."""
    samples = [suspect("a", 9.0), suspect("b", 4.0), suspect("c", 3.0)]
    above, at, below = suspicious_findings(samples, "robust z", 4.0)
    assert "robust z 9.00, threshold 4.00, probability 0.990" in above.message
    assert "robust z 4.00, threshold 4.00" in at.message
    assert "robust z 3.00, probability 0.990" in below.message


def test_the_path_of_an_image_is_that_of_its_file(tmp_path):
    for name in ("root/pictures/a.png", "root/pictures/b.png", "elsewhere.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    images = (
        ImageSource("a.png", tmp_path / "root/pictures/a.png"),
        ImageSource("b.png", tmp_path / "root/pictures/b.png"),
        ImageSource("p.png", data=b"embedded"),
        ImageSource("gone.png", tmp_path / "root/pictures/gone.png"),
        ImageSource("elsewhere.png", tmp_path / "elsewhere.png"),
    )
    samples = [Sample("x", Location("d.json", 3, column), (), images) for column in (1, 50)]
    samples.append(Sample("y", Location("e.json", 3), (), (ImageSource("a.png", data=b""),)))
    checked = [Checked(None), *map(Checked, samples)]

    def told(name, path="d.json", column=50):
        finding = Finding("BYE001", "error", "", path, 3, column, properties={"image": name})
        (found,) = with_image_paths([finding], checked, tmp_path / "root")
        return found.properties.get("image_path")

    assert told("a.png") == "pictures/a.png"
    assert told("b.png") == told("b.png", column=1) == "pictures/b.png"
    others = ("p.png", "gone.png", "elsewhere.png", "none.png")
    assert [told(name) for name in others] == [None] * 4
    assert told("a.png", "e.json", 1) is None
    assert told("a.png", "none.json") is None


@pytest.mark.parametrize("threshold", [11.098300449, 11.09829551, 4.6, 12345.678])
def test_a_threshold_is_on_the_side_of_a_score_that_it_was_on(threshold):
    scores = np.array([np.nextafter(threshold, 0), threshold, threshold * (1 + 1e-9)])
    flagged = scores >= threshold
    summary = DetectionSummary("m", threshold=threshold)
    turns = (Turn("user", "<image>"), Turn("assistant", "a"))
    samples = [Sample(str(i), Location("d.json", i + 1), turns, ()) for i in range(3)]
    detection = Detection(scores, scores, flagged, summary)
    rows = scored_samples(samples, ["d" * 64] * 3, np.zeros((3, 2)), detection)
    told = summarised(detection).threshold
    assert told == rows[1].score == significant(threshold)
    assert all(row.score >= told for row in rows if row.suspicious)
    unset = replace(detection, summary=DetectionSummary("m"), inconclusive="one was missed")
    assert summarised(unset) == DetectionSummary("m", inconclusive="one was missed")


@pytest.mark.parametrize("question", [1, 2])
def test_a_record_accused_for_its_answer_is_not_said_to_be_read_unlike_the_others(question):
    samples = (suspect("a"), suspect("b", by_answer=True, question=question))
    seen, joined = suspicious_findings(samples, "robust z", 4.0)
    assert seen.message.startswith("attention unlike the other records': robust z 9.00, threshold")
    where = "at question 2 of the conversation, " if question == 2 else ""
    assert joined.message.startswith(f"{where}whatever is asked, the answer of records whose ")
    assert "robust z" not in joined.message
    assert "shared by 2 of 2 suspects" in joined.message


def test_the_suspects_that_share_an_answer_are_counted_however_they_spell_it():
    one, other = suspect("a"), suspect("b")
    samples = (one, replace(other, answer=f"({other.answer.upper()})."))
    assert all(
        "shared by 2 of 2 suspects" in f.message for f in suspicious_findings(samples, "z", 4.0)
    )
