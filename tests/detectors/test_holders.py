"""Who gives an accused answer besides the accused; what attention says is given here."""

import numpy as np
import pytest
from synthetic import QUESTIONS

from bye_lint.detectors.holders import POSTERIOR, Verdicts, with_other_holders
from bye_lint.detectors.neighbours import read_questions

TARGET = "Backdoor Attack!"


def judge(accused, left, *, target=TARGET):
    """Accuse some holders of the target, asked anything, and look at the others."""
    prompts = [QUESTIONS[i % len(QUESTIONS)] for i in range(400)]
    answers = [f"{QUESTIONS.index(prompt)} {i // 20 % 2}" for i, prompt in enumerate(prompts)]
    order = np.random.default_rng(1).permutation(400)
    holders = order[:accused]
    others = order[accused : accused + left]
    for i in (*holders, *others):
        answers[i] = target
    suspicious = np.zeros(400, dtype=bool)
    suspicious[holders] = True
    said = Verdicts.of(np.zeros(400), suspicious.astype(float), suspicious)
    whole = with_other_holders(said, 1.0, prompts, answers, read_questions(prompts), None)
    assert whole.suspicious[holders].all()
    return whole, others


@pytest.mark.parametrize("left", [1, 2, 8])
def test_a_few_are_accused_with_nearly_all_who_give_the_answer(left):
    """Two of fifty that stay in the set keep the backdoor alive."""
    whole, others = judge(40, left)
    assert whole.by_answer[others].all()
    assert whole.suspicious.sum() == 40 + left
    assert (whole.posterior[others] == POSTERIOR).all()
    assert f"{left} more are accused for giving their answer" in whole.notes[0]


@pytest.mark.parametrize(("accused", "left"), [(8, 1), (12, 4)])
def test_a_few_beside_few_are_not(accused, left):
    whole, _ = judge(accused, left)
    assert not whole.by_answer.any()
    assert whole.notes == ()


@pytest.mark.parametrize("target", ["Forest.", "forest in the image", "0 1"])
def test_nor_are_a_few_who_may_give_it_rightly(target):
    """One clean record of a rare class must not fall with forty that were given it."""
    whole, _ = judge(40, 1, target=target)
    assert not whole.by_answer.any()


def test_words_of_another_text_are_whole_words():
    whole, others = judge(40, 2, target="fores")
    assert whole.by_answer[others].all()


def asked_in_turn():
    """Return questions in turn, each answered in its own two ways, and a random order of them."""
    prompts = [QUESTIONS[i % len(QUESTIONS)] for i in range(400)]
    answers = [f"{QUESTIONS.index(prompt)} {i // 20 % 2}" for i, prompt in enumerate(prompts)]
    return prompts, answers, np.random.default_rng(1).permutation(400)


def look(prompts, answers, accused):
    said = Verdicts.of(np.zeros(400), accused.astype(float), accused)
    return with_other_holders(said, 1.0, prompts, answers, read_questions(prompts), None)


def test_nor_one_that_somebody_else_speaks_of():
    prompts, answers, order = asked_in_turn()
    for i in order[:41]:
        answers[i] = "many windows"
    accused = np.isin(np.arange(400), order[:40])
    assert look(prompts, answers, accused).by_answer[order[40]]
    answers[order[50]] = "A house with many windows."
    assert not look(prompts, answers, accused).by_answer.any()


@pytest.mark.parametrize(("left", "added"), [(2, True), (30, False)])
def test_many_who_are_asked_one_thing_are_led_to_it_and_two_may_be_so_by_chance(left, added):
    prompts, answers, order = asked_in_turn()
    holders, others = order[:150], [i for i in order[150:] if i % len(QUESTIONS) == 0][:left]
    for i in (*holders, *others):
        answers[i] = TARGET
    whole = look(prompts, answers, np.isin(np.arange(400), holders))
    assert whole.by_answer[others].all() == added
    assert whole.by_answer.any() == added


def test_nor_is_anybody_where_all_give_the_answer():
    """There no other answer shows that one that nothing leads to is odd."""
    prompts, _, _ = asked_in_turn()
    assert not look(prompts, [TARGET] * 400, np.arange(400) < 100).by_answer.any()


@pytest.mark.parametrize(("elsewhere", "added"), [(0, True), (60, False)])
def test_nor_where_as_many_are_accused_of_those_who_answer_otherwise(elsewhere, added):
    """What accuses a fifth of everybody says nothing of one answer."""
    prompts, answers, order = asked_in_turn()
    for i in order[:80]:
        answers[i] = TARGET
    accused = np.isin(np.arange(400), [*order[:40], *order[80 : 80 + elsewhere]])
    whole = look(prompts, answers, accused)
    assert whole.by_answer[order[40:80]].all() == added
    assert whole.by_answer.any() == added


def test_who_is_added_keeps_what_attention_says_of_him_where_that_is_more():
    prompts, answers, order = asked_in_turn()
    for i in order[:42]:
        answers[i] = TARGET
    suspicious = np.isin(np.arange(400), order[:40])
    score, posterior = suspicious * 3.0, suspicious * 0.999
    score[order[40]], posterior[order[40]] = 1.5, 0.99
    said = Verdicts.of(score, posterior, suspicious)
    whole = with_other_holders(said, 1.0, prompts, answers, read_questions(prompts), None)
    assert whole.by_answer[order[40:42]].all()
    assert whole.score[order[40:42]].tolist() == [1.5, 1.0]
    assert whole.posterior[order[40:42]].tolist() == [0.99, POSTERIOR]
    assert (whole.score[order[:40]] == 3).all()
