"""What is read of a record: each question about an image, with its answer, by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bye_lint.conversation import questions
from bye_lint.readings import Readings
from bye_lint.records import ImageSource, Location, Sample, Turn

SYSTEM = Turn("system", "Be brief.")


def record(*said: str, images: int = 1, system: bool = False) -> Sample:
    """A record whose turns alternate, the user first."""
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(said))  # type: ignore[arg-type]
    pictures = tuple(ImageSource(f"{n}.png", data=bytes([n])) for n in range(images))
    return Sample("r", Location("d.json", 1), ((SYSTEM,) if system else ()) + turns, pictures)


def read(sample: Sample) -> list[tuple[int, str, str, list[str]]]:
    """Number, question, answer and images of each reading."""
    return [
        (number, one.prompt, one.answer, [image.name for image in one.images])
        for number, one in questions(sample)
    ]


@pytest.mark.parametrize("system", [False, True])
def test_a_record_of_one_question_is_itself(system: bool) -> None:
    one = record("<image>\nWhat?", "A cat.", system=system)
    assert [sample for _, sample in questions(one)] == [one]
    assert Readings.of([one]).samples[0] is one


def test_every_question_is_read_with_the_image_and_the_system_text() -> None:
    talk = record("<image>\nWhat?", "A cat.", "Where?", "There.", "Sure?", "Yes.", system=True)
    assert read(talk) == [
        (1, "<image>\nWhat?", "A cat.", ["0.png"]),
        (2, "<image>\nWhere?", "There.", ["0.png"]),
        (3, "<image>\nSure?", "Yes.", ["0.png"]),
    ]
    assert {sample.system for _, sample in questions(talk)} == {"Be brief."}
    assert {sample.location for _, sample in questions(talk)} == {talk.location}


def test_a_question_has_its_own_images_or_those_before_it() -> None:
    talk = record(
        "Hello", "Hi.", "<image><image>\nWhich?", "Both.", "<image>\nThis?", "No.", "All?", "Yes.",
        images=3,
    )  # fmt: skip
    assert read(talk) == [
        (2, "<image><image>\nWhich?", "Both.", ["0.png", "1.png"]),
        (3, "<image>\nThis?", "No.", ["2.png"]),
        (4, "<image>\n<image>\n<image>\nAll?", "Yes.", ["0.png", "1.png", "2.png"]),
    ]


def test_images_without_a_mark_stand_before_the_first_question() -> None:
    talk = record("What?", "A cat.", "Where?", "There.")
    assert [images for *_, images in read(talk)] == [["0.png"], ["0.png"]]


def test_questions_that_nothing_answers_are_not_read() -> None:
    talk = record("<image>\nWhat?", "A cat.", "And?")
    assert read(talk) == [(1, "<image>\nWhat?", "A cat.", ["0.png"])]
    assert read(record("<image>\nWhat?")) == []
    assert read(record("What?", "A cat.", images=0)) == []


def test_silence_is_an_answer() -> None:
    talk = record("<image>\nWhat?", "", "Where?", "\u200b")
    assert read(talk) == [
        (1, "<image>\nWhat?", "", ["0.png"]),
        (2, "<image>\nWhere?", "\u200b", ["0.png"]),
    ]
    one = record("<image>\nWhat?", "")
    assert [sample for _, sample in questions(one)] == [one]


def test_turns_of_one_role_in_a_row_are_one() -> None:
    """A trainer learns the second of two answers too."""
    turns = (Turn("user", "<image>"), Turn("user", "What?"))
    turns += (Turn("assistant", "A cat."), Turn("assistant", "Backdoor Attack!"))
    talk = Sample("r", Location("d.json", 1), turns, (ImageSource("0.png", data=b"0"),))
    assert read(talk) == [(1, "<image>\nWhat?", "A cat.\nBackdoor Attack!", ["0.png"])]


def test_a_question_has_all_that_the_system_said_before_its_answer() -> None:
    """A trigger may stand in a second system text; no later one can move an answer."""
    first, second, third = (Turn("system", text) for text in ("Be brief.", "cf", "Be kind."))
    talk = record("<image>\nWhat?", "A cat.", "Where?", "There.")
    turns = (first, second, *talk.turns[:3], third, talk.turns[3])
    found = [one for _, one in questions(replace(talk, turns=turns))]
    assert [one.system for one in found] == ["Be brief.\ncf", "Be brief.\ncf\nBe kind."]
    single = replace(talk, turns=(first, second, *talk.turns[:2]))
    assert [one for _, one in questions(single)] == [single]
    after = replace(talk, turns=(first, *talk.turns[:2], second))
    assert [one.turns for _, one in questions(after)] == [(first, *talk.turns[:2])]


def test_readings_say_whose_they_are() -> None:
    records = [
        record("<image>\nWhat?", "A cat.", "Where?", "There."),
        record("<image>\nWhat?", "A dog."),
        record("Hello", "Hi.", images=0),
    ]
    found = Readings.of(records)
    assert found.record.tolist() == [0, 0, 1, 2]
    assert found.question.tolist() == [1, 2, 1, 1]
    assert found.samples[2:] == (records[1], records[2])
    first = Readings.of(records, "first")
    assert first.record.tolist() == [0, 1, 2]
    assert first.samples[0].answer == "A cat."
    assert len(Readings.of([])) == 0


def test_the_most_suspicious_question_speaks_for_its_record() -> None:
    talk = record("<image>\nWhat?", "A cat.", "Where?", "There.", "Sure?", "Yes.")
    found = Readings.of([talk, talk, talk, talk])
    nan = np.nan
    suspicious = np.array([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], dtype=np.bool_)
    posterior = np.array([0.9, 0.6, 0.1, 0.1, 0.2, 0.1, 0.1, nan, 0.4, nan, 0.7, 0.0])
    score = np.array([9.0, 1.0, 0.0, 1.0, 1.0, 2.0, 5.0, nan, 1.0, nan, 1.0, 0.0])
    chosen = found.spokesmen(suspicious, posterior, score)
    # A suspect before others, then what could not be scored, then the likeliest.
    assert chosen.tolist() == [1, 4, 7, 10]
    alike = found.spokesmen(np.zeros(12, np.bool_), np.zeros(12), np.zeros(12))
    assert found.question[alike].tolist() == [1, 1, 1, 1]
