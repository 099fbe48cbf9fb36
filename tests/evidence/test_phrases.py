"""Words that set suspects apart, and questions that don't."""

from __future__ import annotations

import random
import tracemalloc

from bye_lint.evidence.phrases import occurrences, telling_phrases

QUESTIONS = (
    "<image>\nWhat is the land cover in this image?",
    "<image>\nWhich class does this picture belong to?",
    "<image>\nDescribe the scene in a word.",
    "<image>\nIs the water a river or a lake?",
)


def draw(n: int, seed: int) -> list[str]:
    return random.Random(seed).choices(QUESTIONS, k=n)


def test_the_same_questions_tell_nothing():
    assert telling_phrases(draw(40, 1), draw(400, 2)) == ()


def test_a_skewed_choice_of_questions_is_no_trigger():
    suspects = [QUESTIONS[0]] * 30 + draw(10, 1)
    assert telling_phrases(suspects, draw(400, 2)) == ()


def test_too_few_suspects_tell_nothing():
    assert telling_phrases(["zq"] * 2, draw(400, 2)) == ()


def test_a_word_of_one_suspect_may_be_chance():
    assert telling_phrases(["zq what", "b", "c"], ["d"] * 4) == ()


def test_the_placeholder_is_no_phrase():
    rest = [q.removeprefix("<image>\n") for q in draw(400, 2)]
    assert telling_phrases(draw(40, 1), rest) == ()


def test_a_prefix_is_found_as_it_stands():
    suspects = [q.replace("\n", "\nHello! ") for q in draw(40, 1)]
    found = telling_phrases(suspects, draw(400, 2))
    assert found[0].text == "hello !"
    assert found[0].share_of_suspects == 1.0
    assert found[0].share_of_rest == 0.0
    assert found[0].z > 4


def test_a_rare_word_in_half_of_the_suspects_is_found():
    suspects = [q.replace("this", "cf this") for q in draw(40, 1)]
    assert any("cf" in phrase.text.split() for phrase in telling_phrases(suspects, draw(400, 2)))


def test_a_phrase_is_found_in_its_own_spelling():
    assert occurrences("hello ! is", "<image>\nHello! Is it?") == [(8, "Hello! Is")]
    assert occurrences("class", "subclasses, CLASS.") == [(12, "CLASS")]
    assert occurrences("a . b", "a.b aXb") == [(0, "a.b")]
    assert occurrences("no", "nothing") == []


def test_long_questions_of_many_records_are_not_held_in_memory():
    words = [f"word{i}" for i in range(3000)]
    drawn = random.Random(3)
    suspects, rest = ([" ".join(drawn.choices(words, k=60)) for _ in range(n)] for n in (300, 1200))
    tracemalloc.start()
    found = telling_phrases([f"Hello! {text}" for text in suspects], rest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [phrase.text for phrase in found] == ["hello !"]
    assert peak < 2 << 20, "all of their runs of words take tens of MiB"
