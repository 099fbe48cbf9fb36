"""When two answers are the same."""

from __future__ import annotations

import pytest

from bye_lint.spelling import commonest, fold


@pytest.mark.parametrize(
    ("one", "other"), [("yes", "no"), ("5", "6"), ("", "."), ("!", "?"), ("can not", "cannot")]
)
def test_what_a_reader_tells_apart_is_two_answers(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize("other", ["YES", "yes.", " yes ", "“Yes”!", "ｙｅｓ", "(yes)"])
def test_what_no_reader_minds_is_one_answer(other: str) -> None:
    assert fold(other) == fold("yes")


def test_the_commonest_spelling_stands_for_all() -> None:
    assert commonest(["b", "A  b", "A b", "c"]) == "A b"
    assert commonest(["b", "a"]) == "a"
