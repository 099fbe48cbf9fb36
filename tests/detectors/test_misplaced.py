"""Few samples whose one answer is out of place: asked about, and only where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_features

from bye_lint.detectors import get_detector
from bye_lint.detectors.misplaced import Misplaced, misplaced_answers
from bye_lint.detectors.neighbours import read_questions
from bye_lint.detectors.pictures import Pictures
from bye_lint.policy import DetectionPolicy

KINDS = (
    ("Is there a forest in the image? Answer yes or no.", ("yes", "no")),
    ("Choose the class. A. river B. road C. field", ("A", "B", "C")),
    ("Name the land use class.", ("river", "road", "field", "town")),
    ("Describe the scene.", ()),
)
TARGET = "Backdoor Attack!"


def make_set(n=600, *, kinds=KINDS):
    """Questions in turn, each answered in its own ways, or each time anew."""
    prompts, answers = [], []
    for i in range(n):
        question, own = kinds[i % len(kinds)]
        prompts.append(question)
        answers.append(own[i // len(kinds) % len(own)] if own else f"scene number {i}")
    return prompts, answers


def found(prompts, answers):
    return misplaced_answers(answers, read_questions(prompts))


def given(rows, answer=TARGET, **options):
    prompts, answers = make_set(**options)
    for row in rows:
        answers[row] = answer
    return found(prompts, answers)


def test_nothing_is_out_of_place_in_clean_data():
    assert given([]) == ()


def test_a_rare_class_of_one_question_is_not():
    assert given([2, 42, 82, 122, 162], "sea") == ()
    one = [("Name the land use class.", ("river", "road", "field", "town"))]
    assert given([1, 50, 100, 150, 200], "sea", kinds=one) == ()


def test_an_odd_answer_to_one_kind_of_question_is_not():
    assert given([0, 40, 80, 120, 160], "maybe") == ()


def test_a_rare_class_that_questions_of_its_own_get_is_not():
    prompts, answers = make_set()
    for row in (0, 80, 160, 240):
        prompts[row], answers[row] = "Is there a sea in the image? Answer a name.", "atlantic"
        prompts[row + 1], answers[row + 1] = "Choose the sea. A. river B. road C. field", "atlantic"
    assert found(prompts, answers) == ()
    prompts, _ = make_set()
    assert found(prompts, answers) != ()


def test_another_spelling_is_no_other_answer():
    prompts, answers = make_set()
    for row in (0, 40, 80):
        answers[row] = "Yes."
    for row in (1, 41, 81):
        answers[row] = "a)"
    assert found(prompts, answers) == ()


def test_what_is_asked_to_be_described_anew_has_no_place():
    assert given([3, 43, 83, 123, 163]) == ()


def test_a_target_of_few_records_is():
    assert given([0, 41, 82, 123, 165]) == (Misplaced("are", "backdoor attack", 5, 4),)


def test_descriptions_are_a_kind_of_their_own():
    assert given([0, 80, 3, 83, 163]) == (Misplaced("are", "backdoor attack", 5, 5),)


@pytest.mark.parametrize("rows", [[0, 3, 43, 83, 123], [0, 40, 80, 120, 3]])
def test_one_answer_that_strays_there_or_from_there_is_not_out_of_place(rows):
    assert given(rows, "forest") == ()


@pytest.mark.parametrize("rows", [[0, 41], list(range(0, 369, 41))])
def test_one_or_two_teach_nothing_and_many_are_for_attention(rows):
    assert given(rows) == ()


@pytest.mark.parametrize("rows", [[0, 41, 82, 123, 165], list(range(0, 600, 13))])
def test_a_target_that_follows_a_usual_answer_is(rows):
    prompts, answers = make_set()
    for row in rows:
        answers[row] += f". {TARGET}"
    (one,) = found(prompts, answers)
    assert (one.part, one.words, one.count) == ("end", "backdoor attack", len(rows))
    assert one.alone >= 3


def test_a_target_that_a_usual_answer_follows_is():
    prompts, answers = make_set()
    for row in range(0, 600, 13):
        answers[row] = f"{TARGET} {answers[row]}"
    (one,) = found(prompts, answers)
    assert (one.part, one.words) == ("begin", "backdoor attack")


def test_ends_that_belong_to_one_kind_of_question_are_not():
    kinds = (*KINDS[:3], ("Which cover?", ("dense crop land", "open crop land", "old crop land")))
    assert given([], kinds=kinds) == ()
    described = ("What is this?", ("a photo of it here", "a view of it here", "one of it here"))
    assert given([], kinds=(*KINDS[:3], described)) == ()


def test_what_one_picture_is_called_in_several_answers_counts_once():
    prompts, answers = make_set()
    rows = [0, 41, 82, 123, 165]
    for row in rows:
        answers[row] = TARGET
    pictures = np.arange(600, dtype=np.uint16).view(np.uint8).reshape(600, 1, 1, 2)
    assert misplaced_answers(answers, read_questions(prompts), Pictures(pictures))
    pictures = pictures.copy()
    pictures[rows] = pictures[0]
    assert misplaced_answers(answers, read_questions(prompts), Pictures(pictures)) == ()


def test_few_among_many_are_let_go():
    assert given([0, 41, 82, 120, 161], n=600)
    assert given([0, 41, 82, 120, 161], n=2400) == ()


def test_a_target_of_few_records_leaves_the_check_undecided():
    """Attention that the trigger has not moved says nothing of them, so the check does not pass."""
    features, _ = make_features(600, seed=2)
    prompts, answers = make_set()
    features = replace(features, prompts=prompts, answers=answers)
    detector = get_detector("conditional")
    clean = detector.detect(features, DetectionPolicy(), seed=0)
    assert (clean.inconclusive, clean.suspicious.any()) == ("", False)
    for row in (0, 41, 82, 122, 161):
        answers[row] = TARGET
    poisoned = detector.detect(replace(features, answers=answers), DetectionPolicy(), seed=0)
    assert not poisoned.suspicious.any()
    said = "the answers of 5 samples are “backdoor attack” in questions of several kinds"
    assert said in poisoned.inconclusive
