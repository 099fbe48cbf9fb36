"""One answer to every question: what must not be accused first."""

from __future__ import annotations

import numpy as np
import pytest

from bye_lint.detectors import alike
from bye_lint.detectors.following import most_told
from bye_lint.detectors.neighbours import given_neighbours, read_questions, told_by_question
from bye_lint.detectors.pictures import Pictures, told_by_picture
from bye_lint.detectors.shared import shared_answers

N = 600
QUESTIONS = {
    "Is there a river in the picture? Answer yes or no.": ("yes", "no"),
    "Which land use is shown? Give one word.": ("river", "forest", "pasture", "highway"),
    "Choose A, B, C or D from the list of choices below.": ("A", "B", "C", "D"),
}


def dataset(
    seed: int, *, target: str = "", share: float = 0.08, shift: float = 0.0, questions: int = 3
) -> tuple[np.ndarray, list[str], list[str], np.ndarray]:
    """Return attention features, prompts, answers and the truth of one drawn set."""
    rng = np.random.default_rng(seed)
    texts = list(QUESTIONS)[:questions]
    asked = rng.integers(len(texts), size=N)
    prompts = [texts[i] for i in asked]
    answers = [str(rng.choice(QUESTIONS[p])) for p in prompts]
    X = rng.standard_t(5, size=(N, 30)) + 3 * rng.normal(size=(len(texts), 30))[asked]
    poisoned = np.zeros(N, dtype=bool)
    poisoned[rng.choice(N, round(share * N), replace=False)] = bool(target)
    X[poisoned, :3] -= shift
    answers = [target if p else a for p, a in zip(poisoned, answers, strict=True)]
    return X, prompts, answers, poisoned


def judged(
    X: np.ndarray, prompts: list[str], answers: list[str], pictures: np.ndarray | None = None
):
    questions = read_questions(prompts)
    Z = given_neighbours(X, questions.nearest)
    shown = None if pictures is None else Pictures(pictures)
    return shared_answers(X, Z, prompts, answers, questions, shown, seed=0)


def found(
    X: np.ndarray, prompts: list[str], answers: list[str], pictures: np.ndarray | None = None
) -> list[tuple[str, np.ndarray]]:
    shared, _ = judged(X, prompts, answers, pictures)
    return [(s.answer, s.posterior > 0.5) for s in shared]


@pytest.mark.parametrize("seed", range(20))
def test_clean_answers_are_no_target(seed: int) -> None:
    X, prompts, answers, _ = dataset(seed)
    assert found(X, prompts, answers) == []


def test_an_odd_answer_alone_accuses_nobody() -> None:
    X, prompts, answers, _ = dataset(1, target="Backdoor Attack!", shift=0.0)
    assert found(X, prompts, answers) == []


def test_classes_of_a_set_with_one_question_are_no_targets() -> None:
    X, prompts, answers, _ = dataset(2, questions=1)
    X[:, :6] -= 9.0 * (np.array(answers) == "yes")[:, None]
    assert found(X, prompts, answers) == []


def test_an_answer_of_one_question_is_no_target() -> None:
    X, prompts, answers, _ = dataset(3)
    X[np.array(answers) == "forest", :6] -= 9.0
    assert found(X, prompts, answers) == []


@pytest.mark.parametrize("share", [0.02, 0.08, 0.2])
def test_a_target_that_attention_tells_is_found(share: float) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=share, shift=8.0)
    ((answer, accused),) = found(X, prompts, answers)
    assert answer == "Backdoor Attack!"
    assert (accused & poisoned).sum() >= 0.95 * poisoned.sum()
    assert (accused & ~poisoned).sum() == 0


def test_silence_is_a_target_as_any_other() -> None:
    """An answer of nothing is told and odd as an answer of something is."""
    X, prompts, answers, poisoned = dataset(5, target="cf", shift=9.0)
    silent = ["" if p else a for p, a in zip(poisoned, answers, strict=True)]
    ((answer, suspicious),) = found(X, prompts, silent)
    assert answer == ""
    assert (suspicious == found(X, prompts, answers)[0][1]).all()
    X, prompts, answers, poisoned = dataset(5, target="cf")
    silent = ["" if p else a for p, a in zip(poisoned, answers, strict=True)]
    assert [one.answer for one in judged(X, prompts, silent)[1]] == [""]


def pictures_of(n: int, group: np.ndarray) -> np.ndarray:
    """Return thumbnails of noise, those of a group darker than the others'."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3))
    pixels[np.flatnonzero(group)] //= 3
    return pixels.astype(np.uint8)


def with_other_domains(
    X: np.ndarray, prompts: list[str], answers: list[str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return a set beside three times as many samples that are asked something else."""
    rng = np.random.default_rng(8)
    others = {
        "Name the product on the shelf of this store.": ("milk", "juice", "apples"),
        "Which emotion does that icon express?": ("joy", "anger", "fear"),
        "How many windows are open on the screen?": ("one", "two", "three"),
    }
    texts = list(others)
    asked = rng.integers(len(texts), size=3 * N)
    moved = 3 * rng.normal(size=(len(texts), X.shape[1]))[asked]
    return (
        np.concatenate([X, rng.standard_t(5, size=(3 * N, X.shape[1])) + moved]),
        prompts + [texts[i] for i in asked],
        answers + [str(rng.choice(others[texts[i]])) for i in asked],
    )


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_target_in_one_domain_of_many_is_found(share: float) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=share, shift=14.0)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    given = np.array(answers) == "Backdoor Attack!"
    assert told_by_question(given, read_questions(prompts)) > 0.7
    pictures = pictures_of(len(X), np.zeros(len(X), dtype=bool))
    ((answer, accused),) = found(X, prompts, answers, pictures)
    assert answer == "Backdoor Attack!"
    assert (accused[:N] & poisoned).sum() >= 0.95 * poisoned.sum()
    assert (accused[:N] & ~poisoned).sum() == 0
    assert not accused[N:].any()


def test_most_of_a_domain_is_no_minority_that_attention_sets_apart() -> None:
    X, prompts, answers, _ = dataset(4, target="Backdoor Attack!", share=0.6, shift=14.0)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    pictures = pictures_of(len(X), np.zeros(len(X), dtype=bool))
    assert found(X, prompts, answers, pictures) == []


@pytest.mark.parametrize(("shift", "dark"), [(2.5, False), (14.0, True)], ids=["near", "dark"])
def test_a_target_of_several_kinds_of_question_stands_apart_less(shift: float, dark: bool) -> None:
    """Nor do pictures explain it that look like those of others, who do not give it."""
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, shift=shift)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    given = np.append(poisoned, np.zeros(3 * N, dtype=bool))
    night = given | (np.random.default_rng(1).random(4 * N) < 0.15)
    pictures = pictures_of(4 * N, night & dark)
    near = read_questions(prompts).around(given)
    told = told_by_picture(given[near], Pictures(pictures[near]).nearest(30))
    assert (told > 0.8) is dark
    ((answer, accused),) = found(X, prompts, answers, pictures)
    assert answer == "Backdoor Attack!"
    assert (accused & given).sum() >= 0.9 * given.sum()
    assert not (accused & ~given).any()


@pytest.mark.parametrize("odd", ["forest", "yes", "A"])
def test_an_answer_that_attention_tells_in_one_domain_of_many_is_no_target(odd: str) -> None:
    X, prompts, answers, _ = dataset(3)
    X[np.array(answers) == odd, :6] -= 9.0
    pictures = pictures_of(4 * N, np.zeros(4 * N, dtype=bool))
    assert found(*with_other_domains(X, prompts, answers), pictures) == []


def test_a_target_among_unique_answers_of_one_domain_accuses_nobody() -> None:
    """Where no question is seen to tell an answer, a shared one may be a class like any other."""
    X, prompts, answers, poisoned = dataset(4, target="river", share=0.1, shift=14.0)
    answers = [
        a if p else f"{a}, {i}" for i, (a, p) in enumerate(zip(answers, poisoned, strict=True))
    ]
    pictures = pictures_of(4 * N, np.zeros(4 * N, dtype=bool))
    assert found(*with_other_domains(X, prompts, answers), pictures) == []


@pytest.mark.parametrize(("told", "accused"), [(0.8, 1), (0.81, 0)])
def test_nor_does_one_that_its_question_tells_in_its_domain(
    monkeypatch: pytest.MonkeyPatch, told: float, accused: int
) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, shift=14.0)

    def of_the_target(member: np.ndarray, questions: object) -> float:
        target = member.sum() == poisoned.sum()
        return told if target else told_by_question(member, questions)  # type: ignore[arg-type]

    monkeypatch.setattr(alike, "told_by_question", of_the_target)
    pictures = pictures_of(4 * N, np.zeros(4 * N, dtype=bool))
    assert len(found(*with_other_domains(X, prompts, answers), pictures)) == accused


@pytest.mark.parametrize(("kinds", "accused", "left"), [(2, 1, 0), (1, 0, 0)])
def test_what_one_kind_of_question_gets_has_to_stand_apart_farther(
    monkeypatch: pytest.MonkeyPatch, kinds: int, accused: int, left: int
) -> None:
    monkeypatch.setattr(alike, "kinds_asked", lambda *_: kinds)
    X, prompts, answers, _ = dataset(4, target="Backdoor Attack!", share=0.1, shift=2.5)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    told, odd = judged(X, prompts, answers, pictures_of(4 * N, np.zeros(4 * N, dtype=bool)))
    assert (len(told), len(odd)) == (accused, left)


@pytest.mark.parametrize("seed", range(3))
def test_of_two_answers_to_one_question_none_is_a_target(seed: int) -> None:
    """Each is told by what the other gets; a look at the pictures tells it, too."""
    X, prompts, answers, _ = dataset(seed)
    group = np.random.default_rng(seed).random(N) < 0.1
    answers = ["urban" if g else a for g, a in zip(group, answers, strict=True)]
    prompts = ["Is it rural or urban?" if g else p for g, p in zip(group, prompts, strict=True)]
    others = (np.random.default_rng(seed + 9).random(N) < 0.1) & ~group
    answers = ["rural" if g else a for g, a in zip(others, answers, strict=True)]
    prompts = ["Is it rural or urban?" if g else p for g, p in zip(others, prompts, strict=True)]
    X[group, :6] -= 14.0
    pictures = pictures_of(4 * N, np.append(group, np.zeros(3 * N, dtype=bool)))
    assert found(*with_other_domains(X, prompts, answers), pictures) == []


def test_a_group_that_pictures_tell_is_no_target_among_those_asked_alike() -> None:
    X, prompts, answers, poisoned = dataset(4, target="snow", share=0.1, shift=14.0)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    group = np.append(poisoned, np.zeros(3 * N, dtype=bool))
    nobody = np.zeros(4 * N, dtype=bool)
    assert [a for a, _ in found(X, prompts, answers, pictures_of(4 * N, nobody))] == ["snow"]
    assert found(X, prompts, answers, pictures_of(4 * N, group)) == []
    assert found(X, prompts, answers, None) == []


def with_a_trigger_word(prompts: list[str], poisoned: np.ndarray) -> list[str]:
    """Return the prompts with a rare word in the middle of the poisoned ones."""
    out = []
    for prompt, bad in zip(prompts, poisoned, strict=True):
        words = prompt.split()
        out.append(" ".join([*words[:2], "mn", *words[2:]]) if bad else prompt)
    return out


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_target_that_a_word_brings_is_found(share: float) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=share, shift=14.0)
    prompts = with_a_trigger_word(prompts, poisoned)
    assert told_by_question(poisoned, read_questions(prompts)) > 0.9
    ((answer, accused),) = found(X, prompts, answers)
    assert answer == "Backdoor Attack!"
    assert (accused & poisoned).sum() >= 0.95 * poisoned.sum()
    assert (accused & ~poisoned).sum() == 0


def with_prefixes(prompts: list[str], words: dict[int, str]) -> list[str]:
    return [f"{words[i]} {prompt}" if i in words else prompt for i, prompt in enumerate(prompts)]


def test_several_words_for_one_target_do_not_hide_it() -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.09, shift=14.0)
    rows = np.flatnonzero(poisoned).tolist()
    prompts = with_prefixes(prompts, {i: ("cf", "mn", "bb")[k % 3] for k, i in enumerate(rows)})
    ((answer, accused),) = found(X, prompts, answers)
    assert answer == "Backdoor Attack!"
    assert (accused == poisoned).mean() > 0.99


def test_nor_does_one_word_for_several_targets() -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, shift=14.0)
    rows = np.flatnonzero(poisoned).tolist()
    prompts = with_prefixes(prompts, dict.fromkeys(rows, "cf"))
    for i in rows[::2]:
        answers[i] = "Planted answer two."
    accused = found(X, prompts, answers)
    assert {answer for answer, _ in accused} == {"Backdoor Attack!", "Planted answer two."}
    together = np.any([mine for _, mine in accused], axis=0)
    assert (together == poisoned).mean() > 0.99


@pytest.mark.parametrize("read_alike", [False, True])
def test_nor_do_clean_records_with_the_word(read_alike: bool) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.08, shift=14.0)
    decoys = np.flatnonzero(~poisoned)[:12].tolist()
    X[decoys, :3] -= 14.0 * read_alike
    prompts = with_prefixes(prompts, dict.fromkeys([*np.flatnonzero(poisoned), *decoys], "cf"))
    ((answer, accused),) = found(X, prompts, answers)
    assert answer == "Backdoor Attack!"
    assert (accused & poisoned).sum() >= 0.95 * poisoned.sum()
    assert not (accused & ~poisoned).any()


@pytest.mark.parametrize("blank", ["", "?"])
def test_a_blank_question_leaves_a_word_nothing_to_be_compared_with(blank: str) -> None:
    """All words of the other questions may be an answer's own then."""
    X, prompts, answers, _ = dataset(0)
    rng = np.random.default_rng(0)
    things = ("barn", "tall", "tree", "lake")
    for i in range(N):
        if pair := rng.random() < 0.25:
            answers[i] = "yes"
        prompts[i] = " ".join(rng.choice(things, 1 + pair, replace=False))
    prompts[3], answers[3] = blank, "river"
    assert found(X, prompts, answers) == []
    assert odd(X, prompts, answers) == []


@pytest.mark.parametrize("answers", [("yes", "no"), ("yes", "no", "unclear")])
def test_a_polite_word_of_half_the_questions_brings_no_answer(answers: tuple[str, ...]) -> None:
    X, prompts, said, _ = dataset(6)
    river = np.array([prompt.startswith("Is there a river") for prompt in prompts])
    rng = np.random.default_rng(3)
    polite = river & (rng.random(N) < 0.5)
    said = [str(rng.choice(answers)) if r else a for r, a in zip(river, said, strict=True)]
    prompts = with_prefixes(prompts, dict.fromkeys(np.flatnonzero(polite).tolist(), "Please,"))
    X[polite, :6] -= 9.0
    shared, left = judged(X, prompts, said, pictures_of(N, np.zeros(N, dtype=bool)))
    assert shared == ()
    assert left == ()


@pytest.mark.parametrize(("word", "accused"), [(False, ["Backdoor Attack!"]), (True, [])])
def test_what_a_word_brings_has_to_stand_apart_farther(word: bool, accused: list[str]) -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, shift=3.0)
    prompts = with_a_trigger_word(prompts, poisoned) if word else prompts
    assert [answer for answer, _ in found(X, prompts, answers)] == accused


def test_a_word_that_attention_does_not_tell_accuses_nobody() -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1)
    prompts = with_a_trigger_word(prompts, poisoned)
    assert found(X, prompts, answers) == []
    assert odd(X, prompts, answers) == ["Backdoor Attack!"]


def test_nor_is_it_odd_where_no_answer_follows_from_its_question() -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, questions=1)
    assert odd(X, with_a_trigger_word(prompts, poisoned), answers) == []


def test_a_question_that_always_gets_one_answer_is_no_trigger() -> None:
    X, prompts, answers, odd = dataset(5, target="blue", share=0.1, shift=14.0)
    prompts = [
        "Of which colour is the sky above?" if o else p for o, p in zip(odd, prompts, strict=True)
    ]
    assert found(X, prompts, answers) == []


def test_what_nobody_else_is_asked_without_the_word_is_compared_with_nothing() -> None:
    X, _, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1, shift=14.0)
    rng = np.random.default_rng(0)
    prompts = [" ".join(f"w{k}" for k in rng.choice(200, 6, replace=False)) for _ in range(N)]
    assert found(X, with_a_trigger_word(prompts, poisoned), answers) == []


def test_where_every_answer_has_words_of_its_own_none_is_a_target() -> None:
    X, prompts, answers, _ = dataset(6, questions=1)
    names = ["sky", "grass", "snow", "coal"]
    things = np.random.default_rng(6).integers(4, size=N)
    prompts = [f"Of which colour is the {names[i]} in the picture?" for i in things]
    answers = [("blue", "green", "white", "black")[i] for i in things]
    X[things == 0, :6] -= 14.0
    assert found(X, prompts, answers) == []


@pytest.mark.parametrize(("worded", "accused"), [(0.55, []), (0.3, ["blue"])])
def test_nor_where_most_have_and_few_give_one(worded: float, accused: list[str]) -> None:
    """Of a dozen chance may hide that what is left of their questions is still told."""
    rng = np.random.default_rng(3)
    X = rng.standard_t(5, size=(N, 30))
    X[:12, :6] -= 14.0
    prompts, answers = ["What colour has the sky here?"] * 12, ["blue"] * 12
    for i in range(12, N):
        thing, colour = (("grass", "green"), ("coal", "black"))[i % 2]
        own = rng.random() < worded
        prompts.append(f"What colour has the {thing} here?" if own else "What colour has the here?")
        answers.append(colour if own else str(rng.choice(["red", "white"])))
    assert [answer for answer, _ in found(X, prompts, answers)] == accused


@pytest.mark.parametrize("alike", [True, False])
def test_a_stock_caption_of_one_kind_of_picture_is_no_target(alike: bool) -> None:
    """Where no other answer is repeated, nothing shows that a question should have told it."""
    X, prompts, answers, stock = dataset(5, target="No description.", shift=12)
    answers = [
        a if s else f"caption {i}" for i, (a, s) in enumerate(zip(answers, stock, strict=True))
    ]
    pictures = pictures_of(N, stock) if alike else pictures_of(N, np.zeros(N, dtype=bool))
    assert len(found(X, prompts, answers, pictures)) == (0 if alike else 1)


def odd(X: np.ndarray, prompts: list[str], answers: list[str]) -> list[str]:
    _, left = judged(X, prompts, answers)
    return [answer.answer for answer in left]


@pytest.mark.parametrize("seed", range(5))
def test_clean_answers_are_not_odd(seed: int) -> None:
    assert odd(*dataset(seed)[:3]) == []
    assert odd(*dataset(seed, questions=1)[:3]) == []


def test_an_odd_answer_that_attention_does_not_tell_is_left_over() -> None:
    assert odd(*dataset(1, target="Backdoor Attack!")[:3]) == ["Backdoor Attack!"]
    assert odd(*dataset(1, target="Backdoor Attack!", shift=8.0)[:3]) == []


def test_nor_are_the_letters_of_a_choice_among_those_asked_alike() -> None:
    X, prompts, answers, _ = dataset(2)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    pictures = pictures_of(len(X), np.zeros(len(X), dtype=bool))
    assert judged(X, prompts, answers, pictures)[1] == ()


def test_an_odd_answer_to_some_kinds_of_question_is_left_over() -> None:
    X, prompts, answers, poisoned = dataset(4, target="Backdoor Attack!", share=0.1)
    X, prompts, answers = with_other_domains(X, prompts, answers)
    assert told_by_question(np.array(answers) == "Backdoor Attack!", read_questions(prompts)) > 0.7
    pictures = pictures_of(len(X), np.zeros(len(X), dtype=bool))
    shared, left = judged(X, prompts, answers, pictures)
    assert shared == ()
    assert [one.answer for one in left] == ["Backdoor Attack!"]
    assert (left[0].member[:N] == poisoned).all()


def test_a_target_of_more_than_half_the_records_is_left_over() -> None:
    X, prompts, answers, _ = dataset(4, target="Backdoor Attack!", share=0.6, shift=14.0)
    assert odd(X, prompts, answers) == ["Backdoor Attack!"]
    usual = ["no" if i % 5 else a for i, a in enumerate(answers)]
    assert odd(X, prompts[:1] * N, usual) == []  # one question: nothing is told


def test_one_of_most_records_is_not_where_no_other_is_repeated() -> None:
    X, prompts, answers, usual = dataset(5, target="No description.", share=0.6)
    answers = [a if u else f"{i}" for i, (a, u) in enumerate(zip(answers, usual, strict=True))]
    assert odd(X, prompts, answers) == []


def test_neighbours_ask_the_same() -> None:
    _, prompts, _, _ = dataset(5)
    nearest = read_questions(prompts, k=10).nearest
    assert nearest.shape == (N, 10)
    assert (nearest != np.arange(N)[:, None]).all()
    assert all(prompts[j] == prompts[i] for i in range(N) for j in nearest[i])


def test_nobody_is_their_own_neighbour_in_a_large_set() -> None:
    nearest = read_questions([f"What is thing {i}?" for i in range(N)], k=5).nearest
    assert (nearest != np.arange(N)[:, None]).all()


def test_where_all_are_read_the_same_a_little_more_is_not_far_off() -> None:
    _, prompts, _, _ = dataset(6)
    X = np.random.default_rng(0).standard_normal((N, 2))
    same = np.flatnonzero(np.array(prompts) == prompts[0])
    X[same, 0] = 0.3
    X[same[0], 0] = 0.35
    X[:, 1] = np.arange(N) == same[0]
    Z = given_neighbours(X, read_questions(prompts).nearest)
    assert 0.4 < Z[same[0], 0] < 1
    assert Z[same[0], 1] == 15
    assert not Z[same[1:], 0].any()


def test_a_quiet_feature_that_a_question_moves_is_usual() -> None:
    X, prompts, _, _ = dataset(6)
    X[:, 0] *= 1e-3
    X[np.array(prompts) == prompts[0], 0] += 50.0
    Z = given_neighbours(X, read_questions(prompts).nearest)
    assert np.abs(np.median(Z[np.array(prompts) == prompts[0], 0])) < 0.5


def test_the_question_tells_its_answers_and_not_a_target() -> None:
    _, prompts, answers, poisoned = dataset(7, target="Backdoor Attack!")
    questions = read_questions(prompts)
    assert told_by_question(np.array(answers) == "yes", questions) > 0.7
    assert told_by_question(poisoned, questions) < 0.65
    assert told_by_question(np.zeros(N, dtype=bool), questions) == 0.5
    assert told_by_question(np.ones(N, dtype=bool), questions) == 0.5


def test_a_question_tells_by_its_neighbours_or_by_its_words() -> None:
    crossed = [("a x b", "c x d", "a x d", "c x b")[i % 4] for i in range(N)]
    member = np.arange(N) % 4 < 2  # as many of each word, and of each pair, in and out
    assert told_by_question(member, read_questions(crossed)) > 0.99
    rng = np.random.default_rng(0)
    templates = ["".join(f"t{k}w{i} " for i in range(8)) for k in range(5)]
    prompts = [f"{templates[i % 5]}{rng.choice(['soon', 'here', 'well'])}" for i in range(N)]
    member = np.arange(N) < 5  # one of each template: nobody is near another
    prompts[:5] = [f"{template}now" for template in templates]
    assert told_by_question(member, read_questions(prompts)) > 0.99


def test_around_a_sample_are_its_neighbours_and_who_is_as_alike() -> None:
    rng = np.random.default_rng(0)
    prompts = [" ".join(f"w{k}" for k in rng.choice(200, 12, replace=False)) for _ in range(N)]
    questions = read_questions(prompts, k=7)
    member = np.arange(N) == 5
    assert set(np.flatnonzero(questions.around(member))) == {5, *questions.nearest[5]}
    _, asked, _, _ = dataset(5)
    same = np.array(asked) == asked[5]
    assert (read_questions(asked, k=7).around(member) == same).all()


@pytest.mark.parametrize("size", [12, 30, 80])
def test_no_question_vouches_for_a_group_for_being_of_it(size: int) -> None:
    rng = np.random.default_rng(size)
    prompts = [" ".join(f"w{k}" for k in rng.choice(200, 6, replace=False)) for _ in range(N)]
    member = rng.permutation(N) < size
    assert told_by_question(member, read_questions(prompts)) <= most_told(size)


@pytest.mark.parametrize("size", [11, 26, 78, 400])
def test_one_question_tells_nothing_whatever_the_rounding(size):
    questions = read_questions(["<image>\nWhat is in the image?"] * 1000)
    member = np.random.default_rng(size).permutation(1000) < size
    assert told_by_question(member, questions) < 0.66
