"""Accepted findings: matched by content, with a reason, for a time, and never in silence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from bye_lint.baseline import (
    Baseline,
    Entry,
    apply_baseline,
    audit_baseline,
    baseline_weakened,
    create_baseline,
    dump_baseline,
    judged_rules,
    load_baseline,
    policy_weakened,
    update_baseline,
    write_baseline,
)
from bye_lint.baseline.weakened import HARMLESS, LOOSER
from bye_lint.codes import RULES
from bye_lint.errors import BaselineError
from bye_lint.policy import Policy, load_policy
from bye_lint.policy.nodes import read_document
from bye_lint.records import Finding
from bye_lint.results import Counts, DetectionSummary, Gate, Reproducibility, ScanResult

TODAY = date(2027, 1, 15)
LATER = TODAY + timedelta(days=90)
A, B, C = "a" * 64, "b" * 64, "c" * 64
WORDS = {"reason": "reviewed by hand", "author": "Ada", "expires": LATER}


def finding(fingerprint: str = A, rule: str = "BYE001", line: int = 1, **more: Any) -> Finding:
    return Finding(
        rule=rule, level="error", message="m", path="data/x.jsonl", line=line,
        fingerprint=fingerprint, **more,
    )  # fmt: skip


def entry(fingerprint: str = A, rule: str = "BYE001", **more: Any) -> Entry:
    return Entry(rule, fingerprint, **{**WORDS, **more})


def baseline(*entries: Entry) -> Baseline:
    return Baseline(entries, "bye-lint-baseline.yaml")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_baseline_of_thousands_is_read(as_json: bool) -> None:
    digests = sorted(hashlib.sha256(str(i).encode()).hexdigest() for i in range(2500))
    made = baseline(*(entry(digest, where=f"data/x.jsonl:{digest[:4]}") for digest in digests))
    read = load_baseline(Path(made.source), text=dump_baseline(made, as_json=as_json))
    assert [e.fingerprint for e in read.entries] == digests


@pytest.mark.parametrize(
    "accepted",
    [
        pytest.param(entry(B), id="another record"),
        pytest.param(entry(A, "BYE103"), id="another rule"),
        pytest.param(entry(expires=TODAY - timedelta(days=1)), id="expired yesterday"),
    ],
)
def test_what_is_not_accepted_stays_open(accepted: Entry) -> None:
    marked, problems = apply_baseline([finding()], baseline(accepted), TODAY)
    assert marked == (finding(),)
    assert [p.rule for p in problems] == ["BYE302"]


def test_no_fingerprint_matches_nothing() -> None:
    marked, _ = apply_baseline([finding("")], baseline(entry()), TODAY)
    assert marked[0].suppressed is None


def test_the_judge_s_own_findings_are_never_accepted() -> None:
    marked, _ = apply_baseline([finding(rule="BYE301")], baseline(entry(rule="BYE301")), TODAY)
    assert marked[0].suppressed is None
    made = create_baseline([finding(rule="BYE301")], **WORDS, today=TODAY)
    assert made.entries == ()


def test_accepted_keeps_its_justification_wherever_it_stands() -> None:
    moved = replace(finding(line=999), path="data/other.jsonl", properties={"answer": "x"})
    marked, problems = apply_baseline([moved], baseline(entry(expires=TODAY)), TODAY)
    assert problems == ()
    assert marked[0].suppressed == "reviewed by hand"
    assert marked[0].properties == {
        "answer": "x", "suppressed_by": "Ada", "suppressed_until": TODAY.isoformat(),
    }  # fmt: skip


def test_copies_beyond_the_count_stay_open() -> None:
    copies = [finding(line=n) for n in (1, 2, 3)]
    marked, problems = apply_baseline(copies, baseline(entry(count=2)), TODAY)
    assert [f.suppressed is not None for f in marked] == [True, True, False]
    assert problems == ()


def test_copies_that_nobody_looked_at_keep_their_entries() -> None:
    known = baseline(entry(A, count=2), entry(B))
    found = [finding(A, line=1), finding(A, line=2), finding(B), finding(B, "BYE103")]
    marked, problems = apply_baseline(
        found, known, TODAY, judged=(), covered={("BYE001", A): 1, ("BYE001", B): 5}
    )
    assert [f.suppressed is not None for f in marked] == [True, False, False, False]
    assert problems == ()


def test_an_old_copy_keeps_its_entry_wherever_the_new_one_stands() -> None:
    found = [finding(line=1), replace(finding(line=9), level="note")]
    marked, _ = apply_baseline(found, baseline(entry()), TODAY)
    assert [(f.line, f.suppressed is not None) for f in marked] == [(1, False), (9, True)]


def test_two_entries_for_one_content_add_up() -> None:
    both = baseline(entry(), entry(reason="again"))
    marked, problems = apply_baseline([finding(line=1), finding(line=2)], both, TODAY)
    assert [f.suppressed for f in marked] == ["reviewed by hand", "again"]
    assert problems == ()


def test_unused_and_half_used_entries_are_reported_at_their_line() -> None:
    known = baseline(
        entry(A, count=3, line=3, column=3), entry(B, line=9, column=3), entry(C, line=15)
    )
    _, problems = apply_baseline([finding(A), finding(C)], known, TODAY)
    assert [(p.path, p.line, p.column) for p in problems] == [
        ("bye-lint-baseline.yaml", 3, 3),
        ("bye-lint-baseline.yaml", 9, 3),
    ]
    assert "covers 3 copies, 1 were found" in problems[0].message
    assert "matches nothing" in problems[1].message


def test_only_rules_that_judged_all_data_can_call_an_entry_unused() -> None:
    known = baseline(entry(A), entry(B, "BYE103"), entry(C, expires=date(2026, 1, 1)))
    _, problems = apply_baseline([], known, TODAY, judged=["BYE103"])
    assert [p.message.partition(" expired")[0].rpartition(" of ")[2][:1] for p in problems] == [
        "b", "c",
    ]  # fmt: skip
    _, problems = apply_baseline([], known, TODAY, judged=[])
    assert len(problems) == 1, "what has expired is told in any case"


def test_audit_names_every_state() -> None:
    known = baseline(
        entry(A), entry(B), entry(C, count=2), entry(C, "BYE103", expires=date(2026, 1, 1))
    )
    audited = audit_baseline(known, [finding(A), finding(C)], TODAY)
    assert [(a.state, a.matched) for a in audited] == [
        ("active", 1), ("unused", 0), ("partly used", 1), ("expired", 0),
    ]  # fmt: skip


def test_a_finding_serves_one_entry_alone() -> None:
    known = baseline(entry(), entry(reason="again"))
    audited = audit_baseline(known, [finding()], TODAY)
    assert [(a.state, a.matched) for a in audited] == [("active", 1), ("unused", 0)]


def test_what_still_matches_is_active_whatever_was_judged() -> None:
    known = baseline(entry(A), entry(B))
    audited = audit_baseline(known, [finding(A)], TODAY, judged=())
    assert [a.state for a in audited] == ["active", "not judged"]


def test_what_was_not_judged_is_kept_as_it_is() -> None:
    past = date(2026, 1, 1)
    known = baseline(
        entry(A, count=2), entry(B), entry(C, expires=past), entry(B, "BYE103"), entry(C, "BYE103")
    )
    found = [finding(A), finding(C, "BYE103")]
    audited = audit_baseline(known, found, TODAY, judged=["BYE103"])
    assert [a.state for a in audited] == [
        "not judged", "not judged", "expired", "unused", "active",
    ]  # fmt: skip
    new = update_baseline(known, found, **WORDS, today=TODAY, judged=["BYE103"])
    assert new.entries == (*known.entries[:3], known.entries[4])


def test_the_detector_has_no_answer_where_no_model_looked_or_it_is_inconclusive() -> None:
    looked = ScanResult(
        verdict="pass", reasons=(), paths=("data",), counts=Counts(1, 1, 0, 0),
        gate=Gate("0", 0, 0), findings=(), skipped=(), detection=DetectionSummary("canary"),
        samples=(), campaigns=(), reproducibility=Reproducibility("0", 0),
    )  # fmt: skip
    assert judged_rules(looked) == set(RULES)
    unsure = set(RULES) - judged_rules(replace(looked, verdict="inconclusive"))
    assert unsure == {"BYE001", "BYE002"}
    doubt = DetectionSummary("canary", inconclusive="2 kinds of canary were missed")
    unsure = set(RULES) - judged_rules(replace(looked, verdict="fail", detection=doubt))
    assert unsure == {"BYE001", "BYE002"}
    for unread in (replace(looked, structural_only=True), replace(looked, detection=None)):
        assert set(RULES) - judged_rules(unread) == {"BYE001", "BYE002", "BYE112"}


def test_create_counts_copies_and_says_where_they_stood() -> None:
    made = create_baseline(
        [finding(A, line=7), finding(B), finding(A, line=9), finding("")], **WORDS, today=TODAY
    )
    assert [(e.fingerprint, e.count, e.where) for e in made.entries] == [
        (A, 2, "data/x.jsonl:7"),
        (B, 1, "data/x.jsonl:1"),
    ]
    marked, problems = apply_baseline([finding(B), finding(A), finding(A)], made, TODAY)
    assert all(f.suppressed for f in marked)
    assert problems == ()


def test_update_keeps_words_drops_the_unused_and_renews_nothing_by_itself() -> None:
    old = baseline(
        entry(A, reason="old words", count=3),
        entry(B, reason="gone"),
        entry(C, reason="expired", expires=date(2026, 1, 1)),
    )
    found = [finding(A), finding(A), finding(C)]
    new = update_baseline(old, found, reason="new words", author="Bo", expires=LATER, today=TODAY)
    assert [(e.fingerprint, e.count, e.reason) for e in new.entries] == [
        (A, 2, "old words"),
        (C, 1, "new words"),
    ]
    unjudged = update_baseline(old, found, **WORDS, today=TODAY, judged=())
    assert [(e.fingerprint, e.reason) for e in unjudged.entries] == [
        (A, "old words"),
        (B, "gone"),
        (C, "reviewed by hand"),
    ]
    again = update_baseline(new, found, reason="x", author="x", expires=LATER, today=TODAY)
    assert again == new


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"reason": " "}, "reason is empty"),
        ({"author": ""}, "author is empty"),
        ({"expires": TODAY - timedelta(days=1)}, "has passed"),
    ],
)
def test_nothing_is_accepted_without_words_and_a_day(words: dict[str, Any], said: str) -> None:
    with pytest.raises(BaselineError, match=said):
        create_baseline([finding()], **{**WORDS, **words}, today=TODAY)


def test_what_is_accepted_for_today_alone_is() -> None:
    made = create_baseline([finding()], **{**WORDS, "expires": TODAY}, today=TODAY)
    marked, _ = apply_baseline([finding()], made, TODAY)
    assert marked[0].suppressed == "reviewed by hand"


@pytest.mark.parametrize("name", ["baseline.yaml", "baseline.json"])
def test_a_written_baseline_reads_back(tmp_path: Path, name: str) -> None:
    nasty = 'a: "b"\n::error:: \x1b[31m # ä'
    made = Baseline((entry(B, reason=nasty), entry(A, count=2, where="x.jsonl:1")))
    path = tmp_path / name
    write_baseline(made, path)
    got = load_baseline(path)
    assert [replace(e, line=1, column=1) for e in got.entries] == [made.entries[1], made.entries[0]]
    assert got.source == str(path)
    assert len({e.line for e in got.entries}) == 2
    if name.endswith("json"):
        assert json.loads(path.read_text())["version"] == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_writing_leaves_the_old_one_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "baseline.yaml"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BaselineError, match=r"baseline\.yaml: cannot be written: No space"):
        write_baseline(baseline(entry()), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["baseline.yaml"]


def test_the_text_depends_on_the_content_alone() -> None:
    assert dump_baseline(baseline(entry(A), entry(B))) == dump_baseline(
        baseline(entry(B), entry(A))
    )


GOOD = f"""\
version: 1
entries:
  - rule: BYE001
    fingerprint: {A}
    reason: known
    author: Ada
    expires: 2027-03-01
"""


def test_a_hand_written_baseline() -> None:
    known = load_baseline(Path("b.yaml"), text=GOOD)
    assert known.entries == (
        Entry("BYE001", A, "known", "Ada", date(2027, 3, 1), line=3, column=5),
    )
    assert load_baseline(Path("b.yaml"), text="version: 1\n").entries == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(("    reason: known\n", ""), "b.yaml:3:5: the entry lacks reason", id="why"),
        pytest.param(("    expires: 2027-03-01\n", ""), "3:5: the entry lacks expires", id="until"),
        pytest.param(("2027-03-01", "2027-02-30"), "7:14: expires is '2027-02-30'", id="no day"),
        pytest.param(("2027-03-01", "20270301"), "7:14: expires is 20270301", id="a number"),
        pytest.param(("2027-03-01", "'20270301'"), "7:14: expires is '20270301'", id="no dashes"),
        pytest.param(("2027-03-01", "never"), "7:14: expires is 'never'", id="never"),
        pytest.param(("known", "''"), "5:13: reason is empty", id="empty reason"),
        pytest.param(("BYE001", "BYE999"), "3:11: rule is 'BYE999', expected one of", id="rule"),
        pytest.param((A, "not-a-hash"), "4:18: fingerprint is 'not-a-hash'", id="fingerprint"),
        pytest.param(("author", "autor"), "6:5: unknown key 'autor'", id="typo"),
        pytest.param(("reason: known", "count: 0"), "5:12: count is 0", id="count"),
        pytest.param(("reason: known", "count: yes"), "5:12: count is True", id="count is a flag"),
        pytest.param(("version: 1", "version: 2"), "1:10: version is 2, expected 1", id="version"),
        pytest.param(("entries:", "entrees:"), "2:1: unknown key 'entrees'", id="top"),
        pytest.param((GOOD, "[1, 2"), "b.yaml:1:", id="syntax"),
        pytest.param((GOOD, "- 1"), "1:1: not a baseline", id="a list"),
        pytest.param((GOOD, "version: 1\nentries: 3"), "2:10: entries is not a list", id="number"),
        pytest.param((GOOD, "version: 1\nentries: [x]"), "2:11: an entry is a mapping", id="text"),
        pytest.param((GOOD, "!!python/object/apply:os.system [x]"), "not allowed", id="code"),
    ],
)
def test_every_mistake_is_told_at_its_place(change: tuple[str, str], said: str) -> None:
    with pytest.raises(BaselineError) as raised:
        load_baseline(Path("b.yaml"), text=GOOD.replace(*change))
    assert said in raised.value.message


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="cannot be read"):
        load_baseline(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\n# \xe4\n")
    with pytest.raises(BaselineError, match=r"latin\.yaml:2:1: not UTF-8"):
        load_baseline(tmp_path / "latin.yaml")


def test_what_is_larger_than_any_baseline_is_not_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.yaml"
    path.write_text("version: 1\n# and more\n")
    monkeypatch.setattr("bye_lint.baseline.file._MAX_BYTES", len("version: 1\n"))
    with pytest.raises(BaselineError, match="larger than 16 MiB"):
        load_baseline(path)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_long_baseline_is_read_by_a_fast_reader(
    as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty thousand entries took minutes."""

    def slow(*_: object) -> None:
        raise AssertionError("read by the slow reader")

    monkeypatch.setattr("bye_lint.policy.nodes._Loader", slow)
    path = Path("b.json" if as_json else "b.yaml")
    made = baseline(entry(A, where="x.jsonl:1"), entry(B, count=3, reason="a: 'b' # \U0001f600 ä"))
    read = load_baseline(path, text=dump_baseline(made, as_json=as_json)).entries
    assert [replace(e, line=1, column=1) for e in read] == list(made.entries)
    assert all(e.line > 1 and e.column > 1 for e in read)


PLAIN = (
    GOOD,
    GOOD.replace("known", "'it''s\n\n  known'").replace("Ada", "|\n      Ada\n      Bo"),
    f"{{version: 1, entries: [{{rule: BYE001, fingerprint: {A}, count: 0x10}}]}} # ä\n",
    json.dumps({"version": 1, "entries": [{"rule": "BYE001", "count": 2, "reason": "ä\n"}] * 2}),
    "# nothing\n",
    "a: ~\nb: 1e3\nc: 2e-4\nd: yes\ne: 2027-01-01\nf: '1'\ng: \nh: [é, {i: 0o7}]\n",
)
NOT_PLAIN = (
    "a: &x 1\nb: *x\n", "a: !!str 1\n", "? [a]\n: 1\n", "<<: {a: 1}\n", "a: 1\na: 2\n", "a: .nan\n",
    "a: 1\n---\nb: 1\n", "a: [1\n", "a: \x01\n", "a: 0b\n", "[" * 50 + "]" * 50,
    "a: " + "[" * 22 + "]" * 22,
)  # fmt: skip


@pytest.mark.parametrize("text", [*PLAIN, *NOT_PLAIN])
def test_the_fast_reader_of_yaml_says_what_the_other_says(text: str) -> None:
    assert read_document(text, fast=True) == read_document(text)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_plain_is_left_to_the_fast_reader(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bye_lint.policy.nodes._Loader", None)
    assert read_document(text, fast=True).problems == []


ROW = f'{{"rule": "BYE001", "fingerprint": "{A}", "reason": "r", "author": "a", "expires": '
ROWS = f'{{"version": 1, "entries": [\n {ROW}"2027-03-01"}}, {ROW}"2027-04-01"}}\n]}}'


def test_where_entries_begin_in_json() -> None:
    read = load_baseline(Path("b.json"), text=ROWS).entries
    assert [(e.line, e.column, e.expires.month) for e in read] == [
        (2, 2, 3), (2, 4 + len(ROW) + len('"2027-03-01"}'), 4),
    ]  # fmt: skip
    assert load_baseline(Path("b.json"), text=ROWS.replace("\n", "")).entries[0].line == 1
    assert load_baseline(Path("b.json"), text='{"version": 1}').entries == ()
    assert len(load_baseline(Path("b.json"), text=GOOD).entries) == 1, "YAML by a name of JSON"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(('"2027-04-01"', "7"), f"2:{2 * len(ROW) + 17}: expires is 7", id="value"),
        pytest.param(('"version": 1', '"version": 2'), "1:13: version is 2", id="version"),
        pytest.param(('"version"', '"verse"'), "1:2: unknown key 'verse'", id="key"),
        pytest.param(('{"version": 1', '{"version": 1, "version": 1'), "1:16: 'ver", id="twice"),
        pytest.param(("\n]}", "\n]} 1"), "3:4: not valid YAML", id="more"),
        pytest.param(("\n]}", "\n]"), "3:2: not valid YAML", id="cut"),
        pytest.param((ROWS, "[1]"), "1:1: not a baseline", id="a list"),
        pytest.param((ROWS, '{"version": 1, "entries": 3}'), "1:27: entries is", id="number"),
    ],
)
def test_mistakes_in_json_are_told_at_their_place(change: tuple[str, str], said: str) -> None:
    with pytest.raises(BaselineError) as raised:
        load_baseline(Path("b.json"), text=ROWS.replace(*change))
    assert f"b.json:{said}" in raised.value.message


@pytest.mark.parametrize("name", ["b.yaml", "b.json"])
def test_what_no_check_could_read_is_not_written(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text("old")
    made = baseline(entry(A), entry(B), entry(C, "BYE103"))
    size = len(dump_baseline(made, as_json=name.endswith("json")))
    monkeypatch.setattr("bye_lint.baseline.file._MAX_BYTES", size - 1)
    with pytest.raises(BaselineError, match="3 entries are more than the 16 MiB") as raised:
        write_baseline(made, path)
    assert "2 are of BYE001" in str(raised.value)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [name]
    monkeypatch.setattr("bye_lint.baseline.file._MAX_BYTES", size)
    write_baseline(made, path)
    assert len(load_baseline(path).entries) == 3


def test_a_huge_count_takes_no_memory() -> None:
    huge = 10**30
    known = baseline(entry(count=huge))
    marked, _ = apply_baseline([finding()], known, TODAY, judged=(), covered={("BYE001", A): 10**9})
    assert marked[0].suppressed == "reviewed by hand"
    assert baseline_weakened(known, baseline(entry(count=huge + 1)))[0].line == 1


def policy(text: str) -> Policy:
    return load_policy(Path("bye-lint.yaml"), text=text)


TIGHTER = {
    "nothing": ("gate: {max_suspicious: 1}", "gate: {max_suspicious: 1}"),
    "comment": ("seed: 1", "# hello\nseed: 1"),
    "fewer suspects": ("gate: {max_suspicious: 5}", "gate: {max_suspicious: 0}"),
    "lower share": ('gate: {max_suspicious: "1%"}', 'gate: {max_suspicious: "0.5%"}'),
    "a share to none": ('gate: {max_suspicious: "1%"}', "gate: {max_suspicious: 0}"),
    "none as a share": ("gate: {max_suspicious: 0}", 'gate: {max_suspicious: "0%"}'),
    "longer training": ("fine_tune: {epochs: 1}", "fine_tune: {epochs: 2}"),
    "a higher rate": ("gate: {fdr: 0.1}", "gate: {fdr: 0.2}"),
    "inconclusive fails": ("gate: {on_inconclusive: pass}", "gate: {on_inconclusive: fail}"),
    "more samples": ("gate: {min_samples: 100}", "gate: {min_samples: 200}"),
    "all instead of changed": ("gate: {scope: changed}", "gate: {scope: all}"),
    "more paths": ("dataset: {paths: [data/a]}", "dataset: {paths: [data/a, b]}"),
    "the folder of a path": ("dataset: {paths: [data/a]}", "dataset: {paths: [data]}"),
    "device": ("model: {device: cpu}", "model: {device: cuda}"),
    "more context": ("context: {min: 500}", "context: {min: 600}"),
}


@pytest.mark.parametrize(("base", "head"), TIGHTER.values(), ids=TIGHTER)
def test_what_does_not_loosen_the_policy(base: str, head: str) -> None:
    assert policy_weakened(policy(base), policy(head), text=head, path="bye-lint.yaml") == ()


WEAKER = {
    "more suspects": ("seed: 0", "gate:\n  max_suspicious: 5", 2, "gate.max_suspicious"),
    "a share": ("seed: 0", 'gate:\n  max_suspicious: "5%"', 2, "gate.max_suspicious"),
    "count to share": (
        "gate: {max_suspicious: 1}", 'gate:\n  max_suspicious: "1%"', 2, "gate.max_suspicious",
    ),
    "more skipped": ("seed: 0", 'gate:\n\n  max_skipped: "50%"', 3, "gate.max_skipped"),
    "inconclusive passes": ("seed: 0", "gate: {on_inconclusive: pass}", 1, "gate.on_inconclusive"),
    "shorter training": ("fine_tune: {epochs: 2}", "fine_tune: {epochs: 1}", 1, "fine_tune.epochs"),
    "a length of training": ("seed: 0", "fine_tune: {epochs: 9}", 1, "fine_tune.epochs"),
    "a rate taken away": ("gate: {fdr: 0.1}", "gate: {min_samples: 100}", 1, "gate.fdr"),
    "fewer samples": ("seed: 0", "gate:\n  min_samples: 5", 2, "gate.min_samples"),
    "scope": ("gate: {scope: all}", "gate: {scope: changed}", 1, "gate.scope"),
    "key taken away": ("gate: {scope: all}", "seed: 0", 1, "gate.scope"),
    "path taken away": ("dataset: {paths: [a, b]}", "dataset:\n  paths: [a]", 2, "dataset.paths"),
    "narrower path": ("dataset: {paths: [a]}", "dataset:\n  paths: [a/b]", 2, "dataset.paths"),
    "another model": ("model: scout", "seed: 0\nmodel: mine", 2, "model.name"),
    "an adapter": ("model: scout", "model:\n  adapter: mine", 2, "model.adapter"),
    "no fine-tuning": ("seed: 0", "fine_tune: none", 1, "fine_tune.mode"),
    "no canaries": ("seed: 0", "fine_tune: {canary_share: 0}", 1, "fine_tune.canary_share"),
    "another detector": ("seed: 0", "detection:\n  method: bye", 2, "detection.method"),
    "blunter": ("seed: 0", "detection: {false_alarm_rate: 1e-9}", 1, "detection.false_alarm_rate"),
    "less context": ("seed: 0", "context: {max: 500}", 1, "context.max"),
    "a baseline": ("seed: 0", "seed: 0\nbaseline: accept.yaml", 2, "baseline"),
    "a luckier seed": ("seed: 0", "seed: 7", 1, "seed"),
    "other fields": ("seed: 0", "dataset: {fields: {answer: x}}", 1, "dataset.fields"),
}  # fmt: skip


@pytest.mark.parametrize(("base", "head", "line", "key"), WEAKER.values(), ids=WEAKER)
def test_what_loosens_the_policy_is_told_at_its_line(
    base: str, head: str, line: int, key: str
) -> None:
    found = policy_weakened(policy(base), policy(head), text=head, path="bye-lint.yaml")
    assert [(f.rule, f.path, f.line) for f in found] == [("BYE301", "bye-lint.yaml", line)]
    assert found[0].message.startswith(f"{key} was ")


def test_no_key_of_the_policy_is_forgotten() -> None:
    keys = []
    for field in fields(Policy):
        value = getattr(Policy(), field.name)
        names = [f"{field.name}.{f.name}" for f in fields(value)] if is_dataclass(value) else []
        keys += names or [field.name]
    assert sorted(keys) == sorted([*LOOSER, *HARMLESS])


def test_what_does_not_loosen_the_baseline() -> None:
    base = baseline(entry(A, count=2), entry(B))
    assert baseline_weakened(base, base) == ()
    assert baseline_weakened(base, baseline(entry(A))) == ()
    assert baseline_weakened(base, baseline(entry(B, expires=TODAY), entry(A, line=9))) == ()


def test_what_loosens_the_baseline_is_told_at_its_line() -> None:
    base = baseline(entry(A), entry(B))
    later = LATER + timedelta(days=1)
    head = baseline(entry(A, count=2, line=3), entry(B, expires=later, line=8), entry(C, line=13))
    found = baseline_weakened(base, head)
    assert [(f.rule, f.line) for f in found] == [("BYE301", 3), ("BYE301", 8), ("BYE301", 13)]
    assert "until" in found[1].message
    assert found[1].path == "bye-lint-baseline.yaml"


PAST, SOON, FAR = date(2025, 1, 1), date(2028, 1, 1), date(2030, 1, 1)


@pytest.mark.parametrize(
    ("base", "head", "lines", "said"),
    [
        pytest.param(
            [(5, PAST), (1, FAR)], [(6, FAR)], [1], "until 2030-01-01, not 2025-01-01",
            id="an expired one is renewed",
        ),
        pytest.param(
            [(1, SOON), (1, FAR)], [(2, FAR)], [1], "until 2030-01-01, not 2028-01-01",
            id="one of two is prolonged",
        ),
        pytest.param([(1, SOON)], [(1, FAR), (1, SOON)], [1], "not 2028", id="the longer of two"),
        pytest.param([(2, FAR)], [(1, SOON), (2, FAR)], [1], "accept", id="a copy more until soon"),
        pytest.param([(1, FAR)], [(1, FAR), (1, FAR)], [2], ": reviewed", id="a copy more"),
        pytest.param([], [(1, PAST)], [1], ": reviewed", id="a new one that has expired"),
        pytest.param([(2, FAR)], [(1, SOON), (1, FAR)], [], "", id="one of two is shortened"),
        pytest.param([(1, SOON), (1, FAR)], [(1, FAR), (1, SOON)], [], "", id="another order"),
        pytest.param([(1, SOON), (1, FAR)], [(1, PAST), (1, PAST)], [], "", id="both end earlier"),
        pytest.param([(3, FAR)], [(1, FAR), (2, PAST)], [], "", id="split"),
    ],
)  # fmt: skip
def test_copies_are_compared_day_by_day(
    base: list[tuple[int, date]], head: list[tuple[int, date]], lines: list[int], said: str
) -> None:
    known = baseline(*(entry(count=n, expires=day) for n, day in base))
    new = (entry(count=n, expires=day, line=i) for i, (n, day) in enumerate(head, 1))
    found = baseline_weakened(known, baseline(*new))
    assert [f.line for f in found] == lines
    assert all(said in f.message for f in found)
