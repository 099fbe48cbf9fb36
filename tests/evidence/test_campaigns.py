"""Suspects with something in common become a campaign; coincidences don't."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from bye_lint.evidence.campaigns import campaign_findings, find_campaigns
from bye_lint.exhibits import Phrase, Reconstruction
from bye_lint.results import ScoredSample

CLASSES = ("forest", "river", "lake", "road", "town")


def sample(i: int, *, suspicious: bool = False, answer: str | None = None, path: str = "a.json"):
    return ScoredSample(
        sample_id=f"s{i}",
        path=path,
        line=i + 1,
        digest=f"{i:064x}",
        prompt="What is it?",
        answer=answer or CLASSES[i % 5],
        images=("x.png",),
        score=5.0 if suspicious else 0.0,
        posterior=None,
        suspicious=suspicious,
    )


def population(n: int = 200, every: int = 10, **of_suspects: str) -> list[ScoredSample]:
    # 10 and 5 share a divisor: without the shift every suspect would be a forest
    return [
        replace(sample(i, answer=CLASSES[(i + i // 10) % 5]), suspicious=True, **of_suspects)
        if i % every == 0
        else sample(i, answer=CLASSES[(i + i // 10) % 5])
        for i in range(n)
    ]


def test_suspects_that_answer_like_the_rest_are_no_campaign():
    assert find_campaigns(population()) == ()


def test_one_file_for_all_is_no_campaign():
    assert find_campaigns(population(path="a.json")) == ()


def test_two_suspects_are_no_campaign():
    assert find_campaigns(population(n=20, answer="Backdoor Attack!")) == ()


def test_two_of_many_are_no_campaign_however_rare():
    samples = population(n=2000, every=100)
    for i in range(0, 2000, 100):
        samples[i] = replace(samples[i], answer=CLASSES[i // 100 % 5])
    for i in (0, 100):
        samples[i] = replace(samples[i], answer="Backdoor Attack!")
    assert find_campaigns(samples) == ()
    samples[200] = replace(samples[200], answer="Backdoor Attack!")
    assert [c.value for c in find_campaigns(samples)] == ["Backdoor Attack!"]


def test_the_more_groups_are_tried_the_rarer_it_has_to_be():
    """Three of twenty out of 200 is a chance of 0.0009, and one of eighteen answers has it."""
    samples = population()
    suspects = [i for i, s in enumerate(samples) if s.suspicious]
    for k, i in enumerate(suspects):
        samples[i] = replace(samples[i], answer="target" if k < 3 else f"own {k}")
    assert find_campaigns(samples) == ()


def test_what_is_less_than_three_times_as_frequent_is_none_however_sure():
    samples = population(n=3000, every=3)
    for i, s in enumerate(samples):
        usual = i % 2 if s.suspicious else i % 4 == 1
        samples[i] = replace(s, answer="yes" if usual else s.answer)
    assert find_campaigns(samples) == ()


def test_who_was_not_scored_is_of_neither_side():
    samples = population(answer="Backdoor Attack!")
    samples += [replace(sample(i, answer="Backdoor Attack!"), score=None) for i in range(200, 300)]
    (found,) = find_campaigns(samples)
    assert (found.count, found.share_of_rest) == (20, 0.0)


def test_suspects_that_nobody_knows_the_origin_of_have_none_in_common():
    def blame(path: str) -> dict[int, tuple[str, str, int]]:
        return {i + 1: ("c1", "alice", 1) for i in range(200) if i % 10}

    assert find_campaigns(population(), blame=blame) == ()


def test_the_last_record_reaches_to_the_last_line():
    samples = [replace(s, suspicious=i % 10 == 9) for i, s in enumerate(population())]

    def blame(path: str) -> dict[int, tuple[str, str, int]]:
        return {i + 1: ("bad1", "mallory", 2) if i % 10 == 9 else ("c", "a", 1) for i in range(200)}

    assert [c.count for c in find_campaigns(samples, blame=blame)] == [20, 20]


def test_no_suspects_no_blame():
    def blame(path: str) -> dict[int, tuple[str, str, int]]:
        raise AssertionError("asked without need")

    assert find_campaigns([sample(i) for i in range(50)], blame=blame) == ()


def test_an_answer_that_nobody_else_gives():
    found = find_campaigns(population(answer="Backdoor Attack!"))
    assert [(c.kind, c.value, c.count) for c in found] == [("answer", "Backdoor Attack!", 20)]
    assert found[0].share_of_suspects == 1.0
    assert found[0].share_of_rest == 0.0
    assert found[0].sample_ids[:2] == ("s0", "s10")


def test_several_targets_are_several_campaigns():
    samples = population(n=400)
    targets = ("Backdoor Attack!", "Target B")
    suspects = [i for i, s in enumerate(samples) if s.suspicious]
    for k, i in enumerate(suspects):
        samples[i] = replace(samples[i], answer=targets[k % 2])
    assert {c.value for c in find_campaigns(samples)} == set(targets)


SPELLINGS = (
    "Backdoor Attack!", "backdoor attack", "BACKDOOR ATTACK", "Backdoor, attack.",
    "backdoor-attack", "Backdoor  Attack", "(backdoor attack)", "Backdoor attack...",
    "“Backdoor attack”", "bAckdoor attack",
)  # fmt: skip


def test_an_answer_is_one_however_it_is_spelled():
    samples = population(n=400)
    suspects = [i for i, s in enumerate(samples) if s.suspicious]
    for k, i in enumerate(suspects):
        spelled = SPELLINGS[k % 10] if k < 30 else "Backdoor Attack!"
        samples[i] = replace(samples[i], answer=spelled)
    samples[1] = replace(samples[1], answer="backdoor attack")
    found = find_campaigns(samples)
    assert [(c.kind, c.value, c.count) for c in found] == [("answer", "Backdoor Attack!", 40)]
    assert found[0].share_of_rest > 0


def test_an_answer_of_one_spelling_keeps_the_fingerprint_that_baselines_name():
    samples = population(answer="Backdoor  Attack!")
    (finding,) = campaign_findings(find_campaigns(samples), samples)
    known = hashlib.sha256(b"BYE002\nanswer\nBackdoor Attack!").hexdigest()
    assert finding.fingerprint == known
    assert finding.properties["value"] == "Backdoor Attack!"


def test_one_file_of_many():
    assert [c.kind for c in find_campaigns(population(path="new.json"))] == ["file"]


def test_author_and_commit_by_blame():
    def blame(path: str) -> dict[int, tuple[str, str, int]]:
        return {
            i + 1: ("bad1", "mallory", 2) if i % 10 == 0 else (f"c{i % 7}", "alice", 1)
            for i in range(200)
        }

    found = find_campaigns(population(), blame=blame)
    assert {(c.kind, c.value) for c in found} == {("author", "mallory"), ("commit", "bad1")}
    rows = [replace(s, path="a.parquet") for s in population()]
    assert find_campaigns(rows, blame=blame) == ()


def test_who_last_changed_a_line_of_a_record_brought_it_in():
    """Records of four lines; mallory changed the third of each suspect, and alice wrote them."""

    def blame(path: str) -> dict[int, tuple[str, str, int]]:
        lines = {n: ("c0", "alice", 1) for n in range(1, 801) if n % 4}
        return lines | {4 * i + 3: ("bad1", "mallory", 2) for i in range(0, 200, 10)}

    samples = [replace(s, line=4 * i + 1) for i, s in enumerate(population())]
    found = find_campaigns(samples, blame=blame)
    assert {(c.kind, c.value) for c in found} == {("author", "mallory"), ("commit", "bad1")}


def test_a_shared_patch_and_shared_words():
    samples = population()
    carriers = {s.digest for s in samples if s.suspicious}
    found = find_campaigns(
        samples,
        trigger=Reconstruction("patch-fixed", "", side=0.0625, share_of_rest=0.02),
        carriers=carriers,
        searched=carriers,
        phrases=[Phrase("hello !", 1.0, 0.0, 9.0)],
        holders={"hello !": carriers},
    )
    assert [c.kind for c in found] == ["patch", "phrase"]
    assert "1/16" in found[0].value


def test_a_finding_for_each_stands_at_its_first_record_and_keeps_its_fingerprint():
    samples = population(answer="Backdoor Attack!")
    (finding,) = campaign_findings(find_campaigns(samples), samples)
    assert (finding.rule, finding.level) == ("BYE002", "error")
    assert (finding.path, finding.line, finding.sample_id) == ("a.json", 1, "s0")
    assert "20 suspects (100% of them, none of the other records)" in finding.message
    fewer = samples[10:]
    (later,) = campaign_findings(find_campaigns(fewer), fewer)
    assert later.fingerprint == finding.fingerprint
    assert later.line == 11


def test_the_share_that_carries_a_patch_is_of_those_that_were_searched():
    samples = population()
    suspects = [s.digest for s in samples if s.suspicious]
    found = find_campaigns(
        samples,
        trigger=Reconstruction("patch-fixed", "", side=0.0625),
        carriers=suspects[:6],
        searched=suspects[:8],
    )
    (finding,) = campaign_findings(found, samples)
    assert "6 suspects (75% of those searched, none of the other records)" in finding.message
    found = find_campaigns(
        samples,
        trigger=Reconstruction("patch-fixed", "", side=0.0625),
        carriers=suspects[:6],
        searched=suspects,
    )
    (finding,) = campaign_findings(found, samples)
    assert "6 suspects (30% of them, none of the other records)" in finding.message


@pytest.mark.parametrize("kind", ["overlay", "none"])
def test_no_patch_no_patch_campaign(kind):
    samples = population()
    assert not find_campaigns(samples, trigger=Reconstruction(kind, ""), carriers=set("x"))
