"""Words that only the prompts of one answer have, and what is left without them."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors.phrases import Words


def group(
    *prompts: str, rest: tuple[str, ...] = ("What is it?",) * 100
) -> tuple[Words, np.ndarray]:
    return Words([*prompts, *rest]), np.arange(len(prompts) + len(rest)) < len(prompts)


@pytest.mark.parametrize(("times", "found"), [(8, {"cf"}), (7, set())])
def test_a_groups_own_word_is_in_most_of_its_prompts(times: int, found: set[str]) -> None:
    words, member = group(*["CF, what is it?"] * times, *["What is it?"] * (10 - times))
    assert words.own(member) == found
    assert words.own(member, loosely=True) == {"cf"}


@pytest.mark.parametrize(("others", "found"), [(1, {"cf"}), (2, set())])
def test_and_in_hardly_any_others(others: int, found: set[str]) -> None:
    rest = (*["Is cf here?"] * others, *["What is it?"] * 100)
    words, member = group(*["cf what is it?"] * 10, rest=rest)
    assert words.own(member) == found
    assert words.own(member, loosely=True) == {"cf"}


@pytest.mark.parametrize(
    ("times", "others", "found"), [(2, 4, {"cf"}), (2, 5, set()), (1, 0, set())]
)
def test_loosely_a_part_has_it_and_not_too_many_others(
    times: int, others: int, found: set[str]
) -> None:
    rest = (*["cf, what is it?"] * others, *["What is it?"] * 100)
    words, member = group(*["cf, what is it?"] * times, *["What is it?"] * (10 - times), rest=rest)
    assert words.own(member, loosely=True) == found


def test_what_others_ask_word_for_word_is_asked_by_others() -> None:
    words, member = group("cf what now?", "what now?", "cf what is it?", rest=("What is it",))
    assert words.asked_without({"cf"}, member) == pytest.approx(1 / 3)
    assert words.having({"cf"}).tolist() == [True, False, True, False]
    words, member = group("cf what now?", rest=("cf what now?",))
    assert words.asked_without({"cf"}, member) == 0


def test_words_between_those_of_a_phrase_go_with_them() -> None:
    words, _ = group("What is it? I watched this film.", rest=("film what is it now watched",))
    left = words.without({"i", "watched", "film"})
    assert left == ["what is it", "what is it now"]
