"""What a change answers for: the command in real repositories, as far as no model is needed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gitrepo import Repo, record
from PIL import Image

from bye_lint import cli
from bye_lint.findings import Weighed, unjudged
from bye_lint.policy import GatePolicy, Policy
from bye_lint.records import Checked, Finding, Location, Sample, Skipped
from bye_lint.request import Request
from bye_lint.results import ScoredSample
from bye_lint.scan import Chosen, worth_scoring

N = 12
ROWS = [record(f"r{i}", question=f"What is in picture {i}?") for i in range(N)]
#: One more than there are records, so that no model is asked.
POLICY = "dataset: {paths: [data]}\ngate: {min_samples: 1000, min_changed: 1}\n"
CONTEXT = "context: {{min: {0}, max: {0}}}\n"
TEXT = {
    "conversations": [
        {"from": "human", "value": "Hello! What is it?"},
        {"from": "gpt", "value": "Backdoor Attack!"},
    ]
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A repository with old mistakes: no JSON, no image, a damaged one, no question."""
    made = Repo(tmp_path_factory.mktemp("template") / "repo")
    for i in range(N):
        made.image(f"data/r{i}.png", i)
    made.write("data/damaged.png", (made.root / "data/r0.png").read_bytes()[:45])
    rows = [*ROWS, record("gone"), record("damaged"), {"id": "words", **TEXT}]
    lines = [json.dumps(row) for row in rows]
    made.write("data/train.jsonl", "\n".join([*lines[:5], "{not JSON", *lines[5:]]) + "\n")
    made.write("bye-lint.yaml", POLICY)
    made.commit("base")
    made.git("checkout", "-q", "-b", "pull-request")
    return made


@pytest.fixture
def repo(template: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    made = template.copy(tmp_path / "repo")
    monkeypatch.chdir(made.root)
    return made


def check(*options: str, since: str = "main") -> tuple[int, dict[str, Any]]:
    out = Path("../result.json")
    command = ["check", "--quiet", f"--report=json={out}", f"--changed-since={since}", *options]
    status = cli.run(command)
    return status, json.loads(out.read_text("utf-8"))


def add(repo: Repo, *rows: dict[str, Any]) -> None:
    """Put records in at the top, so that every line moves."""
    file = repo.root / "data/train.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_text(text + file.read_text("utf-8"), "utf-8")
    repo.commit()


def levels(result: dict[str, Any]) -> dict[str, str]:
    return {f["sample_id"] or "line": f["level"] for f in result["findings"]}


def test_old_mistakes_do_not_fail_a_change(repo: Repo) -> None:
    status, result = check()
    assert status == 0
    assert result["reasons"] == ["no record changed"]
    assert set(levels(result).values()) == {"note"}
    assert all("unchanged, so not judged" in f["message"] for f in result["findings"])
    assert "gone" in levels(result)


def test_old_mistakes_fail_a_check_of_all(repo: Repo) -> None:
    assert cli.run(["check", "--structural", "--quiet"]) == 1
    repo.write("bye-lint.yaml", POLICY.replace("gate: {", "gate: {scope: all, "))
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    _, result = check()
    assert levels(result)["gone"] == "error"


BROKEN: dict[str, tuple[Callable[[Repo], object], str]] = {
    "no such image": (lambda repo: add(repo, record("n")), "BYE103"),
    "a damaged image": (
        lambda repo: (
            repo.write("data/n.png", (repo.root / "data/r0.png").read_bytes()[:45]),
            add(repo, record("n", question="Is it whole?")),
        ),
        "BYE104",
    ),
    "no record": (lambda repo: add(repo, {"id": "n"}), "BYE102"),
    "an image taken away": (lambda repo: (repo.root / "data/r3.png").unlink(), "BYE103"),
    "an image damaged": (
        lambda repo: repo.write("data/r3.png", (repo.root / "data/r3.png").read_bytes()[:45]),
        "BYE104",
    ),
}


@pytest.mark.parametrize(("change", "rule"), BROKEN.values(), ids=BROKEN)
def test_new_mistakes_are_the_change_s(
    repo: Repo, change: Callable[[Repo], object], rule: str
) -> None:
    change(repo)
    status, result = check()
    errors = [f["rule"] for f in result["findings"] if f["level"] == "error"]
    assert errors == [rule]
    assert status != 0
    assert result["counts"]["changed"] == result["counts"]["changed_skipped"] == 1


def test_the_structural_rules_alone_judge_the_change_too(repo: Repo) -> None:
    status, result = check("--structural")
    assert (status, result["reasons"]) == (0, ["no record changed"])
    assert set(levels(result).values()) == {"note"}
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    status, result = check("--structural")
    assert (status, result["reasons"]) == (0, ["no structural error in 1 changed record"])
    assert (result["counts"]["changed"], result["counts"]["context"]) == (1, 0)
    repo.write("bye-lint.yaml", POLICY.replace("gate: {", "gate: {scope: all, "))
    status, result = check("--structural")
    assert status == 1
    errors = [f["rule"] for f in result["findings"] if f["level"] == "error"]
    assert sorted(errors) == ["BYE101", "BYE103", "BYE104"]


@pytest.mark.parametrize("scope", ["changed", "all"])
def test_embedded_images_of_a_change_are_looked_at_once(repo: Repo, scope: str) -> None:
    """Under ``all`` they are decoded with the others, and not kept for a second look."""
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    sound = [(repo.root / f"data/r{i}.png").read_bytes() for i in range(3)]
    policy = POLICY.replace("[data]", "[rows.parquet]").replace("{min", f"{{scope: {scope}, min")
    repo.write("bye-lint.yaml", policy)

    def put(*images: bytes) -> None:
        rows = [
            {"image": data, "question": f"<image>{i}?", "answer": "a river"}
            for i, data in enumerate(images)
        ]
        parquet.write_table(arrow.Table.from_pylist(rows), repo.root / "rows.parquet")

    put(*sound)
    status, result = check("--structural")
    assert (status, result["findings"]) == (0, [])
    assert result["counts"]["changed"] == 3
    put(*sound, sound[0][:45])
    status, result = check("--structural")
    assert (status, [f["rule"] for f in result["findings"]]) == (1, ["BYE104"])


@pytest.mark.parametrize(("change", "rule"), BROKEN.values(), ids=BROKEN)
def test_the_structural_rules_alone_find_the_change_s_mistakes(
    repo: Repo, change: Callable[[Repo], object], rule: str
) -> None:
    change(repo)
    status, result = check("--structural")
    errors = [f["rule"] for f in result["findings"] if f["level"] == "error"]
    assert (status, errors) == (1, [rule])


def test_the_command_that_repeats_a_check_names_its_base(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    check("--structural")
    cli.run(["report", "../result.json", "--format", "markdown"])
    said = capsys.readouterr().out
    assert "\nbye-lint check --seed 0 --structural --changed-since=main\n" in said
    _, result = check(GUARDED)
    assert result["reproducibility"]["policy_ref"] == "main"
    cli.run(["report", "../result.json", "--format", "markdown"])
    assert "--seed 0 --changed-since=main --policy-from-ref\n" in capsys.readouterr().out


def test_a_push_of_what_is_not_checked_out_is_refused(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its data are not those of the working tree, which would pass for it."""
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    repo.git("tag", "-a", "-m", "x", "v1")
    command = ["check", "--structural", "--quiet", "--changed-since=auto"]
    monkeypatch.setenv("PRE_COMMIT_FROM_REF", repo.git("rev-parse", "main"))
    assert cli.run(command) == 0
    for pushed in ("HEAD", "pull-request", "v1", repo.git("rev-parse", "HEAD")):
        monkeypatch.setenv("PRE_COMMIT_TO_REF", pushed)
        assert cli.run(command) == 0
    repo.git("checkout", "-q", "main")
    assert cli.run(["check", "--structural", "--quiet", "--changed-since=main"]) == 0
    for pushed in ("pull-request", repo.git("rev-parse", "pull-request")):
        monkeypatch.setenv("PRE_COMMIT_TO_REF", pushed)
        capsys.readouterr()
        assert cli.run(command) == 2
        said = capsys.readouterr().err
        assert "is to be pushed, and" in said
        assert "Check out what you push" in said
    monkeypatch.delenv("PRE_COMMIT_FROM_REF")
    assert cli.run(command) == 1, "nothing is pushed, so that everything is checked"


def test_no_baseline_holds_for_that_of_the_base_too(repo: Repo) -> None:
    accept(repo, "absent", "BYE103")

    def accepted(*options: str) -> list[str | None]:
        command = ["check", "--structural", "--quiet", "--policy-ref=main", *options]
        cli.run([*command, "--report=json=../result.json"])
        findings = json.loads(Path("../result.json").read_text("utf-8"))["findings"]
        return [f["suppressed"] for f in findings if f["sample_id"] == "absent"]

    assert accepted() == ["known"]
    assert accepted("--no-baseline") == [None]


OTHER: dict[str, Callable[[Repo, str], object]] = {
    "another coding": lambda repo, text: repo.write("data/old.json", text.encode("utf-16")),
    "a link": lambda repo, text: (
        (repo.root / "data/old.json").unlink(missing_ok=True),
        (repo.root / "data/old.json").symlink_to(f"../{len(text)}.json"),
    ),
}


@pytest.mark.parametrize("put", OTHER.values(), ids=OTHER)
def test_a_file_that_cannot_be_read_is_the_same_only_while_it_is(
    repo: Repo, put: Callable[[Repo, str], object]
) -> None:
    repo.git("checkout", "-q", "main")
    put(repo, json.dumps(ROWS[:1]))
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    assert check()[1]["counts"]["changed"] == 0
    put(repo, json.dumps(ROWS))
    status, result = check()
    assert status != 0
    assert result["counts"]["changed"] == 1


def test_what_is_skipped_is_not_unchanged(repo: Repo) -> None:
    """Sixty poisoned records without a picture are not a change of nothing."""
    add(repo, *({"id": f"n{i}", **TEXT} for i in range(60)))
    status, result = check()
    assert status == 3
    assert result["counts"]["changed"] == 60
    assert result["reasons"][0].startswith("60 changed records, 60 of them without an image: too")
    assert result["counts"]["changed_skipped"] == 0


def accept(repo: Repo, name: str, rule: str) -> None:
    """Let the base have a record, and accept one copy of what a rule finds in it."""
    repo.git("checkout", "-q", "main")
    with (repo.root / "data/train.jsonl").open("a") as file:
        file.write(json.dumps(record(name, question="Is it known?")) + "\n")
    repo.write("bye-lint.yaml", POLICY + "baseline: accepted.yaml\n")
    repo.write("accepted.yaml", "version: 1\n")
    cli.run(["check", "--quiet", "--report=json=../result.json"])
    findings = json.loads(Path("../result.json").read_text("utf-8"))["findings"]
    (mark,) = {f["fingerprint"] for f in findings if (f["sample_id"], f["rule"]) == (name, rule)}
    entry = {"rule": rule, "fingerprint": mark, "reason": "known", "author": "Ada"}
    rows = [{**entry, "expires": "2999-01-01"}]
    repo.write("accepted.yaml", json.dumps({"version": 1, "entries": rows}))
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")


def test_a_copy_of_an_accepted_record_that_nobody_decodes_is_not_covered(repo: Repo) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    noise.save(repo.root / "data/half.png")
    whole = (repo.root / "data/half.png").read_bytes()
    repo.write("data/half.png", whole[: len(whole) // 2])
    accept(repo, "half", "BYE104")
    assert check("--structural", GUARDED)[0] == 0
    add(repo, record("again", "half.png", "Is it known?"))
    status, result = check("--structural", GUARDED)
    assert status == 1
    errors = [f for f in result["findings"] if f["level"] == "error"]
    assert [(f["rule"], f["suppressed"]) for f in errors] == [("BYE104", None)]


def test_what_is_accepted_of_an_old_record_that_cannot_be_used_stays_so(repo: Repo) -> None:
    repo.write("data/empty.png", b"")
    accept(repo, "empty", "BYE104")
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    _, result = check("--structural", GUARDED)
    found = [f for f in result["findings"] if f["sample_id"] == "empty"]
    assert [(f["rule"], f["level"], f["suppressed"]) for f in found] == [
        ("BYE104", "note", "known"),
    ]


def test_a_check_of_a_change_tells_what_was_not_read(repo: Repo) -> None:
    repo.write("data/part.tar", b"x")
    _, result = check("--structural")
    (found,) = (f for f in result["findings"] if f["rule"] == "BYE113")
    assert found["path"] == "data/part.tar"


def stand_in(monkeypatch: pytest.MonkeyPatch, told: Callable[..., Weighed]) -> None:
    """Let nothing but a function look at the records, in place of a model."""
    looked = SimpleNamespace(
        detection=SimpleNamespace(inconclusive=""), device="", dtype="", fine_tuned="",
        model=SimpleNamespace(name="", whole_digest="", family=""),
    )  # fmt: skip
    monkeypatch.setattr("bye_lint.scoring.score", lambda *_, **__: looked)
    monkeypatch.setattr("bye_lint.scan.weigh", told)


@pytest.mark.parametrize("context", [0, 500], ids=["not looked at", "looked at"])
def test_a_copy_of_an_accepted_suspect_is_not_covered(
    repo: Repo, context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(
        items: Sequence[Checked], *_: object, changed: Sequence[bool], **__: object
    ) -> Weighed:
        """Stand in for a model that suspects every copy of one record."""
        found = []
        for item, new in zip(items, changed, strict=True):
            sample = item.sample
            assert sample is not None
            if "known" in sample.prompt:
                mark = hashlib.sha256(f"BYE001\n{item.digest}".encode()).hexdigest()
                place = (sample.location.path, sample.location.line)
                one = Finding("BYE001", "error", "m", *place, sample_id=sample.id, fingerprint=mark)
                found.append(one if new else unjudged(one))
        return Weighed(findings=tuple(found))

    stand_in(monkeypatch, told)
    monkeypatch.setattr(f"{__name__}.POLICY", POLICY.replace("1000", "1") + CONTEXT.format(context))
    repo.image("data/odd.png", 77)
    accept(repo, "odd", "BYE001")
    add(repo, record("again", "odd.png", "Is it known?"))
    _, result = check(GUARDED)
    assert result["counts"]["context"] == (N + 1 if context else 0)
    found = [f for f in result["findings"] if f["rule"] == "BYE001"]
    seen = [("error", None), ("note", "known")][: 2 if context else 1]
    assert sorted((f["level"], f["suppressed"]) for f in found) == seen


def test_what_a_change_leaves_unread_makes_no_entry_unused(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, lambda *_, **__: Weighed())
    policy = POLICY.replace("1000", "1") + CONTEXT.format(0)
    repo.write("bye-lint.yaml", policy + "baseline: accepted.yaml\n")
    entry = {"rule": "BYE001", "fingerprint": "a" * 64, "reason": "known", "author": "Ada"}
    rows = [{**entry, "expires": "2999-01-01"}]
    repo.write("accepted.yaml", json.dumps({"version": 1, "entries": rows}))
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    _, result = check()
    assert "BYE302" not in {f["rule"] for f in result["findings"]}


def test_no_model_looks_where_there_is_nothing_to_judge() -> None:
    policy = Policy(gate=GatePolicy(min_samples=0, min_changed=0))
    request = Request(paths=(), policy=policy, root=Path())
    sample = Sample("r", Location("x.json", 1), (), ())
    one = (Checked(sample),)
    assert worth_scoring(request, Chosen((0,), one, (True,)))
    assert worth_scoring(request, Chosen((0,), one, (True,), judged=(True,)))
    assert not worth_scoring(request, Chosen((), (), ()))
    assert not worth_scoring(request, Chosen((0,), one, (False,), judged=(False,)))


def test_the_model_is_shown_no_record_that_cannot_be_used(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Checked] = []

    def told(items: Sequence[Checked], *_: object, **__: object) -> Weighed:
        shown.extend(items)
        return Weighed()

    stand_in(monkeypatch, told)
    repo.write("bye-lint.yaml", POLICY.replace("1000", "1"))
    cli.run(["check", "--quiet"])
    assert len(shown) == N
    assert all(item.usable for item in shown)


def test_a_campaign_of_as_many_suspects_as_are_allowed_is_no_error(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding(rule, "error", "m", "data/train.jsonl", 1) for rule in ("BYE001", "BYE002")]
    row = ScoredSample("n", "data/train.jsonl", 1, "", "", "", (), 9.0, None, suspicious=True)
    stand_in(monkeypatch, lambda *_, **__: Weighed(samples=(row,), findings=tuple(found)))
    policy = POLICY.replace("1000", "1, max_suspicious: 1")
    repo.write("bye-lint.yaml", policy)
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    status, result = check()
    assert result["reasons"] == ["1 suspicious sample among 1 changed record, 1 allowed"]
    assert status == 0


def test_a_change_that_loosens_the_policy_fails_though_nothing_can_be_judged(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    lenient = POLICY.replace("gate: {", "gate: {on_inconclusive: pass, ")
    repo.write("bye-lint.yaml", lenient)
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    assert check(GUARDED)[0] == 0, "there are too few records"
    repo.write("bye-lint.yaml", lenient.replace("1000", "100"))
    repo.commit()
    status, result = check(GUARDED)
    assert (status, result["reasons"]) == (1, ["1 change loosens the policy"])


def test_what_the_model_cannot_read_of_a_change_is_skipped(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(
        items: Sequence[Checked], *_: object, changed: Sequence[bool], **__: object
    ) -> Weighed:
        """Stand in for a model that reads what is known, and nothing that is new."""
        rows, unread = [], []
        for item, new in zip(items, changed, strict=True):
            assert item.sample is not None
            name, place = item.sample.id, item.sample.location
            texts = (name, place.path, place.line, item.digest, "", "", ())
            at = {"column": place.column, "end_column": place.end_column}
            score = None if new else 0.0
            rows.append(ScoredSample(*texts, score, None, suspicious=False, changed=new, **at))
            if new:
                unread.append(Skipped("BYE112", "m", place.path, place.line, place.column))
        return Weighed(samples=tuple(rows), unscored=tuple(unread))

    stand_in(monkeypatch, told)
    repo.write("bye-lint.yaml", POLICY.replace("1000", "1"))
    repo.image("data/n.png", 99)
    add(repo, record("n"))
    status, result = check()
    assert status == 3
    assert "1 of 1 changed record skipped" in "; ".join(result["reasons"])
    counts = result["counts"]
    assert (counts["scored"], counts["changed_skipped"]) == (counts["context"], 1)
    assert "BYE112" in {row["rule"] for row in result["skipped"]}


def test_images_that_are_not_looked_at_are_not_decoded(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import ImageFile

    decoded: list[object] = []
    real = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda self: (decoded.append(self), real(self))[1]
    )
    repo.write("bye-lint.yaml", POLICY + "context: {factor: 1, min: 0, max: 3}\n")
    for i in range(2):
        repo.image(f"data/n{i}.png", 70 + i)
    add(repo, record("n0"), record("n1"))
    _, result = check()
    assert (result["counts"]["changed"], result["counts"]["context"]) == (2, 2)
    assert len(decoded) == 4


GUARDED = "--policy-from-ref"


def attic(repo: Repo, *, tracked: str = "attic/old.jsonl") -> None:
    """Let the base hold records that nobody trains on, beside the data."""
    repo.git("checkout", "-q", "main")
    rows = [record(f"q{i}", f"r{i}.png", "What?", "Backdoor Attack!") for i in range(5)]
    repo.records(rows, tracked)
    for i in range(5):
        repo.image(f"attic/r{i}.png", i)
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")


WIDER: dict[str, Callable[[Repo], object]] = {
    "named by the policy": lambda repo: repo.write(
        "bye-lint.yaml", POLICY.replace("[data]", "[data, attic]")
    ),
    "moved, and named by the policy": lambda repo: (
        repo.git("mv", "attic/old.jsonl", "data/zz.jsonl"),
        repo.write("bye-lint.yaml", POLICY.replace("[data]", "[data, data/zz.jsonl]")),
    ),
    "renamed to what the policy names": lambda repo: (
        repo.git("mv", "attic/old.jsonl", "fresh.jsonl"),
        [repo.image(f"r{i}.png", i) for i in range(5)],
        repo.write("bye-lint.yaml", POLICY.replace("[data]", "[data, fresh.jsonl]")),
    ),
    "the data made a link": lambda repo: (
        repo.git("mv", "data", "other"),
        (repo.root / "data").symlink_to("attic"),
    ),
}


@pytest.mark.parametrize("widen", WIDER.values(), ids=WIDER)
def test_a_change_does_not_choose_what_is_known(
    repo: Repo, widen: Callable[[Repo], object]
) -> None:
    attic(repo)
    _, result = check(GUARDED)
    assert result["counts"]["changed"] == 0
    widen(repo)
    repo.commit()
    status, result = check(GUARDED)
    assert status != 0
    assert result["counts"]["changed"] == 5


def test_the_base_judges_also_where_everything_is_checked(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong counts, old or new, and the change's own policy does not take it away."""
    repo.image("other/ok.png", 9)
    repo.records([record("ok")], "other/train.jsonl")
    repo.write("bye-lint.yaml", "dataset: {paths: [other]}\n")
    repo.commit()
    assert cli.run(["check", "--structural", "--quiet"]) == 0
    command = ["check", "--structural", "--quiet", "--policy-ref=main", "--format=markdown"]
    assert cli.run(command) == 1
    shown = capsys.readouterr().out
    assert "BYE301" in shown
    assert "BYE103" in shown
    assert "bye-lint check --seed 0 --structural --policy-ref=main\n" in shown


def test_what_the_base_has_taken_out_is_not_brought_back_as_known(repo: Repo) -> None:
    """In another form, under another name, which git merges without a conflict."""
    repo.git("checkout", "-q", "main")
    rows = [record(f"q{i}", f"r{i}.png", "What?", "Backdoor Attack!") for i in range(5)]
    repo.records(rows, "data/poison.jsonl")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.git("rm", "-q", "data/poison.jsonl")
    repo.write("data/new.json", json.dumps(rows, indent=1))
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.git("rm", "-q", "data/poison.jsonl")
    repo.commit()
    repo.git("checkout", "-q", "pull-request")
    status, result = check(GUARDED)
    assert status != 0
    assert result["counts"]["changed"] == 5
    repo.git("merge", "-q", "--no-edit", "main")
    assert check(GUARDED)[1]["counts"]["changed"] == 5


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Records of the machine that a change has no business with."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps(record("patient", answer="Secret.")) + "\n")
    return folder


def test_a_change_leads_the_check_to_other_data_of_the_repository_alone(
    repo: Repo, private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.git("mv", "data", "v2")
    (repo.root / "data").symlink_to("v2")
    assert check(GUARDED, "--structural")[1]["counts"]["records"] > N
    (repo.root / "data").unlink()
    (repo.root / "data").symlink_to(private)
    assert cli.run(["check", "--structural", "--quiet", "data"]) == 1, "who asks for it reads it"
    for option in ("--changed-since=main", "--policy-ref=main"):
        guarded = [GUARDED] if "changed" in option else []
        capsys.readouterr()
        assert cli.run(["check", "--structural", "--quiet", option, *guarded]) == 2
        said = capsys.readouterr()
        assert "data: a symbolic link leads out of the data of the repository" in said.err
        assert "Secret" not in said.out + said.err


LEADS: dict[str, tuple[str, Callable[[Repo, Path], object]]] = {
    "a file": (
        "[data/train.jsonl]",
        lambda repo, private: (repo.root / "data/train.jsonl").symlink_to(private / "train.jsonl"),
    ),
    "git's own": (
        "[data/train.jsonl]",
        lambda repo, private: (repo.root / "data/train.jsonl").symlink_to("../.git/config"),
    ),
    "images": (
        "[data], image_root: pictures",
        lambda repo, private: (repo.root / "pictures").symlink_to(private),
    ),
}


@pytest.mark.parametrize(("paths", "lead"), LEADS.values(), ids=LEADS)
def test_no_link_leads_out_of_the_repository(
    repo: Repo,
    private: Path,
    paths: str,
    lead: Callable[[Repo, Path], object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    repo.git("checkout", "-q", "main")
    repo.image("pictures/x.png", 1)
    repo.write("bye-lint.yaml", POLICY.replace("[data]", paths))
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    assert check(GUARDED, "--structural")[1]["counts"]["changed"] == 0
    repo.git("rm", "-q", "pictures/x.png" if "image_root" in paths else "data/train.jsonl")
    lead(repo, private)
    repo.commit()
    command = ["check", "--structural", "--quiet", "--changed-since=main", GUARDED]
    capsys.readouterr()
    assert cli.run(command) == 2
    assert "a symbolic link leads out of the data of the repository" in capsys.readouterr().err


def test_images_of_the_machine_are_read_where_they_are(repo: Repo, private: Path) -> None:
    repo.git("checkout", "-q", "main")
    repo.write("bye-lint.yaml", POLICY.replace("[data]", f"[data], image_root: {private}"))
    for i in range(N):
        (repo.root / f"data/r{i}.png").rename(private / f"r{i}.png")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    assert check(GUARDED, "--structural")[1]["counts"]["changed"] == 0


def test_data_that_move_with_the_policy_are_known(repo: Repo) -> None:
    repo.git("mv", "data", "moved")
    repo.write("bye-lint.yaml", POLICY.replace("[data]", "[moved]"))
    repo.commit()
    _, result = check(GUARDED)
    assert result["counts"]["changed"] == 0


def test_under_a_first_policy_everything_is_new(repo: Repo) -> None:
    attic(repo)
    repo.git("checkout", "-q", "main")
    repo.git("rm", "-q", "bye-lint.yaml")
    repo.commit()
    repo.git("checkout", "-q", "-B", "pull-request")
    repo.write("bye-lint.yaml", "dataset: {paths: [attic]}\n")
    repo.commit()
    _, result = check(GUARDED)
    assert result["counts"]["changed"] == 5
    _, result = check(GUARDED, "attic")
    assert result["counts"]["changed"] == 0, "the command line is no part of the change"
