"""What a check would cost, told before it: ``check --plan`` and the line that precedes a check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bye_lint import cli, planning
from bye_lint.learning import resolve
from bye_lint.models import ResolvedModel, cost
from bye_lint.planning import Plan, make_plan, minutes, plan_line, plan_text
from bye_lint.policy import FineTunePolicy, ModelPolicy, Policy
from bye_lint.records import ImageSource, Location, Sample, Turn

EXAMPLE = Path(__file__).parents[1] / "examples" / "quickstart"
DOCS = Path(__file__).parents[1] / "docs" / "data"
SPEED = 1e10


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "throughput", lambda *_: SPEED)


@pytest.fixture(scope="module")
def scout() -> ResolvedModel:
    return resolve(ModelPolicy(), Path())


def samples(n: int, *, images: int = 1, words: int = 10) -> list[Sample]:
    turns = (Turn("user", "word " * words), Turn("assistant", "Yes."))
    pictures = tuple(ImageSource(f"{i}.png") for i in range(images))
    return [Sample(f"r{i}", Location("d.json", i + 1), turns, pictures) for i in range(n)]


def plan(
    records: Sequence[Sample],
    scout: ResolvedModel,
    *,
    policy: Policy | None = None,
    **options: object,
) -> Plan:
    chosen = {
        "records": len(records),
        "device": "cpu",
        "dtype": "float32",
        "tuning": "needed",
        **options,
    }
    return make_plan(records, 0, policy or Policy(), scout, **chosen)  # type: ignore[arg-type]


def test_tokens_are_those_of_images_and_words(scout: ResolvedModel) -> None:
    found = plan(samples(100), scout)
    assert found.tokens == 100 * (121 + 14 + cost.TEMPLATE_TOKENS)
    assert found.exact
    assert plan(samples(100, images=2), scout).tokens == found.tokens + 100 * 121


def test_steps_follow_the_policy(scout: ResolvedModel) -> None:
    policy = Policy(fine_tune=FineTunePolicy(epochs=2, batch_size=10))
    assert plan(samples(100), scout, policy=policy).steps == 20
    assert plan(samples(100), scout, policy=policy, tuning="cached").steps == 0


def test_time_grows_with_the_work_and_ends_with_the_cache(scout: ResolvedModel) -> None:
    train, read, half, none = (
        plan(samples(100), scout),
        plan(samples(100), scout, tuning="none"),
        plan(samples(100), scout, tuning="none", cached=[True] * 50 + [False] * 50),
        plan(samples(100), scout, tuning="none", cached=[True] * 100),
    )
    assert train.seconds > read.seconds > half.seconds > none.seconds == 0
    work = read.seconds - half.seconds
    assert half.seconds == pytest.approx(cost.START_SECONDS + work)
    assert (none.memory, none.done) == (0, True)
    assert not half.done
    assert train.memory > read.memory > 4 * 4_000_000


def test_a_faster_machine_takes_less(scout: ResolvedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = plan(samples(1000), scout).seconds
    monkeypatch.setattr(planning, "throughput", lambda *_: 100 * SPEED)
    assert plan(samples(1000), scout).seconds < slow / 2
    monkeypatch.setattr(planning, "throughput", lambda *_: None)
    assert plan(samples(1000), scout).seconds is None


@pytest.mark.parametrize(("native", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_training_is_reckoned_in_the_precision_that_it_will_have(
    scout: ResolvedModel, monkeypatch: pytest.MonkeyPatch, native: bool, dtype: str
) -> None:
    monkeypatch.setattr("bye_lint.precision._processor_has", lambda _: native)
    seconds = []
    for quick in (dtype, "none"):
        monkeypatch.setattr(
            planning, "throughput", lambda _, of, quick=quick: SPEED * (1e6 if of == quick else 1)
        )
        reading = plan(samples(1000), scout, tuning="none").seconds
        seconds.append(plan(samples(1000), scout).seconds - reading)
    # Where only the other precision were so fast, training would take its time.
    assert seconds[0] < seconds[1] / 100


BASE = Plan(
    records=1200,
    questions=1200,
    canaries=120,
    model="org/\x1b[31mmodel",
    family="llava",
    device="cuda",
    dtype="bfloat16",
    tuning="needed",
    steps=248,
    cached=0,
    tokens=900_000,
    exact=True,
    seconds=600.0,
    memory=20 * 2**30,
    free=24 * 2**30,
)


def test_the_line_before_a_check() -> None:
    assert plan_line(BASE) == (
        "plan: 1,200 records, 120 canaries, at most 248 steps of fine-tuning, about 900,000 "
        "tokens; about 10 minutes, about 20.0 GiB on cuda"
    )
    small = plan_line(replace(BASE, free=2**34))
    assert small.endswith("about 20.0 GiB on cuda, of which 16.0 GiB are free: too little")
    done = replace(BASE, tuning="cached", cached=1320)
    assert plan_line(done).endswith("all in the cache: no model is run")
    half = replace(BASE, tuning="cached", steps=0, cached=1000)
    assert "fine-tuned before, 1,000 in the cache" in plan_line(half)


def test_the_text_of_a_plan() -> None:
    text = plan_text(BASE)
    assert "\x1b" not in text
    assert "about 20.0 GiB of 24.0 GiB free\n" in text
    assert "too little" in plan_text(replace(BASE, free=2**30))
    assert "very roughly 900,000" in plan_text(replace(BASE, exact=False))
    assert "no model would look" in plan_text("too few")


def test_a_plan_of_conversations_says_how_many_questions_are_read() -> None:
    long = replace(BASE, questions=3000)
    assert plan_line(long).startswith("plan: 1,200 records with 3,000 questions, 120 canaries, ")
    assert "records      1,200 with 3,000 questions\n" in plan_text(long)
    assert "cache        0 of 3,120 rows\n" in plan_text(long)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, "time unknown"),
        (29, "less than a minute"),
        (31, "about 1 minute"),
        (100, "about 2 minutes"),
        (5999, "about 100 minutes"),
        (7200, "about 2 hours"),
    ],
)
def test_time_is_said_no_finer_than_it_is_known(seconds: float | None, says: str) -> None:
    assert minutes(replace(BASE, seconds=seconds)).startswith(says)


def test_why_the_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(BASE, seconds=None, device="cuda")
    assert minutes(plan) == "time unknown (no cuda answers)"
    monkeypatch.setattr("bye_lint.planning.installed", lambda _: None)
    assert minutes(plan) == "time unknown (torch is not installed)"


def test_the_command_prints_the_plan_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    assert cli.run(["check", str(EXAMPLE), "--plan", "--quiet"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["records"] == "750"
    assert lines["cache"] == "0 of 750 rows"
    assert lines["fine-tuning"].startswith("none")
    assert not (tmp_path / "cache").exists()


def test_too_few_records_need_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "This."}]
    record = {"id": "a", "image": "a.png", "conversations": turns}
    (tmp_path / "train.json").write_text(json.dumps([record]))
    assert cli.run(["check", str(tmp_path), "--plan", "--quiet"]) == 0
    said = "no model would look at these records: 1 usable record; the policy asks for at least 100"
    assert capsys.readouterr().out == f"{said} (gate.min_samples)\n"
    assert cli.run(["check", str(tmp_path), "--plan", "--quiet", "--structural"]) == 0
    assert capsys.readouterr().out.endswith(": the structural rules need none\n")


def test_memory_is_told_within_a_factor_of_two(scout: ResolvedModel) -> None:
    """Of the checks that docs/scout.md shows, where a process ran one of them."""
    runs = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(DOCS.glob("scout/*.json"))
        if "pqdocs" not in path.name
    ]
    measured = [run for run in runs if run["peak_mib"] is not None]
    assert len(measured) == 16
    for run in measured:
        planted = round(1.1 * run["records"])
        told = plan(samples(planted), scout, policy=Policy()).memory / 2**20
        assert run["peak_mib"] / 2 < told < 2 * run["peak_mib"], run["dataset"]


def test_a_card_does_not_hold_the_records(scout: ResolvedModel) -> None:
    few, many = (plan(samples(n), scout, device="cuda", dtype="bfloat16") for n in (100, 2000))
    assert many.memory - few.memory < 1900 * cost.RECORD_BYTES / 2
