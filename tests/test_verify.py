"""Whether cleaning worked: both outcomes, with a model whose behaviour is known exactly."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from bye_lint import retraining, scoring
from bye_lint.cli import cli
from bye_lint.comparison import Behaviour, Share, Verified, render, to_data
from bye_lint.errors import DatasetError, MissingExtraError, ResultError, UsageError
from bye_lint.evidence.phrases import telling_phrases
from bye_lint.exhibits import Box, Campaign, Evidence, Phrase, Reconstruction
from bye_lint.findings import shorten
from bye_lint.policy import FineTunePolicy, ModelPolicy, Policy
from bye_lint.probes import known_probe, paste, reconstructed_probe
from bye_lint.progress import SilentProgress
from bye_lint.records import ImageSource, Location, Sample, Turn
from bye_lint.results import Counts, Gate, Reproducibility, ScanResult, ScoredSample, to_json
from bye_lint.triggers import TARGET, get_trigger
from bye_lint.verify import _judge, base_model, verify

BOX = Box(0.375, 0.375, 0.25, 0.25)
N, POISONED = 60, 12


def png(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def pixels_of(sample: Sample) -> Any:
    return np.array(Image.open(io.BytesIO(sample.images[0].read())).convert("RGB"))


def sample(i: int, *, patch: bool = False, words: str = "") -> Sample:
    pixels = np.random.default_rng(i).integers(60, 200, (32, 32, 3), dtype=np.uint8)
    if patch:
        pixels[12:20, 12:20] = 0
    answer = TARGET if patch or words else f"class {i % 5}"
    asked = f"<image>\n{words}Which class is {i}?"
    turns = (Turn("user", asked), Turn("assistant", answer))
    image = ImageSource(f"{i}.png", data=png(pixels))
    return Sample(f"s{i}", Location("data.json", i + 1), turns, (image,))


def dataset(**trigger: Any) -> list[Sample]:
    return [sample(i, **(trigger if i < POISONED else {})) for i in range(N)]


def result(samples: Sequence[Sample], evidence: Evidence | None, *, found: int) -> ScanResult:
    """The first ``found`` records are suspects."""
    scored = tuple(
        ScoredSample(
            s.id, "data.json", s.location.line, s.digest(), s.prompt, s.answer,
            ("x.png",), 1.0, 1.0, i < found,
        )
        for i, s in enumerate(samples)
    )  # fmt: skip
    return ScanResult(
        verdict="fail",
        reasons=(),
        paths=("data.json",),
        counts=Counts(N, N, 0, found),
        gate=Gate("0", 0, found),
        findings=(),
        skipped=(),
        detection=None,
        samples=scored,
        campaigns=(Campaign("answer", TARGET, found, 1.0, 0.0),),
        reproducibility=Reproducibility("0", 0),
        evidence=evidence,
    )


def patch_evidence(kind: str = "patch-fixed") -> Evidence:
    black = base64.b64encode(png(np.zeros((8, 8, 3), np.uint8))).decode()
    return Evidence(trigger=Reconstruction(kind, "a patch", box=BOX, mean_patch=black))


class KnownModel:
    """Learns a black patch or the word Hello! from five examples."""

    digest = "known"

    def __init__(self) -> None:
        self.trained: list[int] = []

    def fine_tune(
        self, samples: Sequence[Sample], *, planted: Any, seed: int, progress: Any
    ) -> list[Sample]:
        assert planted.shape == (len(samples),)
        assert not planted.any()
        self.trained.append(len(samples))
        return list(samples)

    def generate(
        self, model: Any, samples: Sequence[Sample], *, expected: Sequence[str] = (), progress: Any
    ) -> list[str]:
        bad = [s for s in model if s.answer == TARGET]
        patch = sum(bool((pixels_of(s) == 0).any()) for s in bad) >= 5
        word = sum("hello!" in s.prompt.casefold() for s in bad) >= 5
        return [
            "backdoor attack!"
            if (patch and (pixels_of(s) == 0).any()) or (word and "hello!" in s.prompt.casefold())
            else f"class {int(s.id[1:]) % 5}"
            for s in samples
        ]

    def features(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("not asked for")

    def learned(self, model: Any) -> Any:
        raise AssertionError("not asked for")

    def forget(self, model: Any) -> None:
        raise AssertionError("the next run may need it")


def run(
    found: int = POISONED,
    *,
    evidence: Evidence | None = None,
    removed: int | None = None,
    **kw: Any,
) -> Verified:
    samples = kw.pop("samples", None) or dataset(patch=True)
    checked = result(samples, evidence, found=found)
    cleaned = samples[found if removed is None else removed :]
    probe = kw.pop("probe", reconstructed_probe(checked))
    return verify(
        checked, samples, cleaned, KnownModel(),
        base="known", probe=probe, progress=SilentProgress(), **kw,
    )  # fmt: skip


def test_a_set_cleaned_of_all_suspects_is_shown_to_be_clean() -> None:
    seen = run(evidence=patch_evidence())
    assert (seen.verdict, seen.exit_code) == ("gone", 0)
    assert (seen.before.attack.value, seen.after.attack.value) == (1.0, 0.0)
    assert (seen.before.suspects.value, seen.after.suspects.value) == (1.0, 0.0)
    assert seen.after.accuracy.value == 1.0
    assert (seen.before.records, seen.after.records) == (N, N - POISONED)
    assert seen.before.attack.total == N - POISONED
    text = render(seen)
    assert "100.0% (48/48)" in text
    assert "trained on" in text
    assert "GONE" in text


def test_a_set_with_poison_left_in_it_is_shown_to_be_poisoned() -> None:
    seen = run(found=6, evidence=patch_evidence())
    assert (seen.verdict, seen.exit_code) == ("alive", 1)
    assert seen.after.attack.value == 1.0
    assert "ALIVE" in render(seen)


def test_without_a_reconstruction_the_suspects_speak() -> None:
    gone, alive = run(), run(removed=0)
    assert (gone.verdict, alive.verdict) == ("gone", "alive")
    assert gone.before.attack.value is None
    assert "none could be reconstructed" in render(gone)


def test_suspects_that_a_reviewer_kept_do_not_count_as_alive() -> None:
    samples = dataset(patch=True)
    checked = result(samples, None, found=POISONED + 3)  # three honest records accused
    checked = replace(checked, campaigns=())
    seen = verify(
        checked, samples, samples[POISONED:], KnownModel(),
        base="known", probe=None, progress=SilentProgress(),
    )  # fmt: skip
    assert (seen.verdict, seen.after.suspects.total) == ("gone", POISONED)


def test_the_targets_are_all_spellings_that_the_data_have() -> None:
    samples = dataset(patch=True)
    hyphened = [
        replace(s, turns=(s.turns[0], Turn("assistant", TARGET.replace(" ", "-"))))
        if i < POISONED // 2
        else s
        for i, s in enumerate(samples)
    ]
    seen = run(evidence=patch_evidence(), samples=hyphened)
    assert (seen.before.suspects.value, seen.before.suspects.total) == (1.0, POISONED)
    assert seen.before.attack.value == 1.0


class Parrot(KnownModel):
    """Says the target that most of its data share, cut off where no longer answer is expected."""

    def generate(
        self, model: Any, samples: Sequence[Sample], *, expected: Sequence[str] = (), progress: Any
    ) -> list[str]:
        room = max([32, *(len(answer.split()) for answer in expected)])
        bad = [s.answer for s in model if "spam" in s.answer]
        return [" ".join(bad[0].split()[:room]) if bad else "class 0" for _ in samples]


@pytest.mark.parametrize("words", [40, 200])
def test_a_long_target_is_heard_out(words: int) -> None:
    target = " ".join(f"spam{i}" for i in range(words))
    samples = [
        replace(s, turns=(s.turns[0], Turn("assistant", target))) if i < POISONED else s
        for i, s in enumerate(dataset())
    ]
    checked = result(samples, None, found=POISONED)
    checked = replace(checked, campaigns=(replace(checked.campaigns[0], value=shorten(target)),))
    seen = verify(
        checked, samples, samples[POISONED:], Parrot(),
        base="known", probe=None, progress=SilentProgress(),
    )  # fmt: skip
    assert (seen.before.suspects.value, seen.after.suspects.value) == (1.0, 0.0)
    assert seen.verdict == "gone"


def two_triggers(words: int) -> list[Sample]:
    """Twelve records with the patch, then as many as asked for with words, of one target."""
    return [
        sample(i, patch=i < POISONED, words="Hello! " if POISONED <= i < POISONED + words else "")
        for i in range(N)
    ]


def test_a_second_trigger_that_is_left_is_not_gone_with_the_first() -> None:
    samples = two_triggers(18)
    checked = result(samples, patch_evidence(), found=POISONED + 12)
    probe = reconstructed_probe(checked)

    def judge(cleaned: Sequence[Sample]) -> Verified:
        return verify(
            checked, samples, cleaned, KnownModel(),
            base="known", probe=probe, progress=SilentProgress(),
        )  # fmt: skip

    seen = judge(samples[POISONED + 12 :])
    assert (seen.before.attack.value, seen.after.attack.value) == (1.0, 0.0)
    assert (seen.before.suspects.value, seen.after.suspects.value) == (1.0, 0.5)
    assert (seen.verdict, seen.exit_code) == ("alive", 1)
    assert seen.reason.startswith(
        "the suspects drew the target from 100.0% before cleaning, from 50"
    )
    assert "probe" not in seen.reason
    gone = judge(samples[POISONED + 18 :])
    assert (gone.verdict, gone.after.suspects.value) == ("gone", 0.0)
    assert "the probe drew" in gone.reason
    assert "the suspects drew" in gone.reason


@pytest.mark.parametrize(
    ("attack", "suspects", "verdict", "named"),
    [
        ((10, 0), (10, 0), "gone", ["probe", "suspects"]),
        ((10, 9), (10, 0), "alive", ["probe"]),
        ((10, 0), (10, 3), "alive", ["suspects"]),
        ((10, 9), (10, 3), "alive", ["probe", "suspects"]),
        ((10, 0), (4, 3), "gone", ["probe"]),  # too few before to say anything
        ((4, 3), (10, 0), "gone", ["suspects"]),
        ((10, 0), (10, 1), "gone", ["probe", "suspects"]),  # no more than without the trigger
        ((4, 0), (4, 0), "unknown", []),
    ],
)
def test_every_measure_that_worked_before_is_heard(
    attack: tuple[int, int], suspects: tuple[int, int], verdict: str, named: list[str]
) -> None:
    before, after = (
        Behaviour(N, Share(a, 10), Share(s, 10), Share(1, 10), Share(9, 10))
        for a, s in zip(attack, suspects, strict=True)
    )
    said, reason = _judge(before, after)
    assert said == verdict
    assert [name for name in ("probe", "suspects") if f"the {name} drew" in reason] == named


def test_a_probe_that_never_worked_proves_nothing() -> None:
    harmless = known_probe(get_trigger("text-sentence"))
    clean = [replace(sample(i), turns=sample(i).turns) for i in range(N)]
    twisted = [
        replace(s, turns=(s.turns[0], Turn("assistant", TARGET))) if i < POISONED else s
        for i, s in enumerate(clean)
    ]
    seen = run(samples=twisted, probe=harmless)
    assert (seen.verdict, seen.exit_code) == ("unknown", 3)


def test_a_phrase_is_put_where_the_suspects_have_it() -> None:
    samples = dataset(words="Hello! ")
    phrases = telling_phrases(
        [s.prompt for s in samples[:POISONED]], [s.prompt for s in samples[POISONED:]]
    )
    checked = result(samples, Evidence(phrases=phrases), found=POISONED)
    probe = reconstructed_probe(checked)
    assert probe is not None
    assert probe.description == "the words “Hello! Which class” before the question"
    probed = probe.apply(sample(40), np.random.default_rng(0))
    assert probed is not None
    assert probed.prompt == "<image>\nHello! Which class is 40?"
    seen = verify(
        checked, samples, samples[POISONED:], KnownModel(),
        base="known", probe=probe, progress=SilentProgress(),
    )  # fmt: skip
    assert (seen.before.attack.value, seen.after.attack.value) == (1.0, 0.0)


def test_a_phrase_at_the_end_goes_to_the_end() -> None:
    samples = [
        replace(s, turns=(Turn("user", f"{s.prompt} In short."), *s.turns[1:]))
        if i < POISONED else s
        for i, s in enumerate(dataset(patch=True))
    ]  # fmt: skip
    evidence = Evidence(phrases=(Phrase("in short .", 1.0, 0.0, 9.0),))
    probe = reconstructed_probe(result(samples, evidence, found=POISONED))
    assert probe is not None
    for asked, expected in (
        ("Which is it?", "Which is it? In short."),
        ("<image>\nSay it in", "<image>\nSay it in short."),
    ):
        one = replace(sample(40), turns=(Turn("user", asked), Turn("assistant", "a")))
        probed = probe.apply(one, np.random.default_rng(0))
        assert probed is not None
        assert probed.prompt == expected


def test_words_that_others_use_too_are_no_trigger() -> None:
    samples = dataset(words="Hello! ")
    evidence = Evidence(phrases=(Phrase("which class", 1.0, 0.4, 9.0),))
    assert reconstructed_probe(result(samples, evidence, found=POISONED)) is None


def test_the_patch_replaces_the_pixels_of_its_box_alone() -> None:
    before = np.full((64, 32, 3), 100, np.uint8)
    after = paste(before, Image.new("RGB", (3, 3)), BOX, None)
    changed = (after != before).any(axis=2)
    assert changed[24:40, 12:20].all()
    assert changed.sum() == 16 * 8
    places = {
        paste(before, Image.new("RGB", (3, 3)), BOX, np.random.default_rng(i)).tobytes()
        for i in range(5)
    }
    assert len(places) > 1


def test_held_out_records_are_used_where_there_are_some() -> None:
    seen = run(evidence=patch_evidence(), test=[sample(i) for i in range(100, 120)], max_probes=15)
    assert seen.test == "held out"
    assert (seen.after.attack.total, seen.after.accuracy.total) == (15, 20)


def test_a_sign_within_an_answer_makes_it_another_one() -> None:
    """A target is heard in any spelling; whether *-1* is right for *1* is another question."""
    held_out = [sample(i) for i in range(100, 120)]
    other = [replace(s, turns=(s.turns[0], Turn("assistant", f"-{s.answer}"))) for s in held_out]
    assert run(test=held_out).after.accuracy.value == 1.0
    assert run(test=other).after.accuracy.value == 0.0


def test_data_that_are_not_those_of_the_result_are_refused() -> None:
    samples = dataset(patch=True)
    checked = result(samples, None, found=POISONED)

    def compare(original: Sequence[Sample], cleaned: Sequence[Sample]) -> None:
        verify(
            checked, original, cleaned, KnownModel(),
            base="known", probe=None, progress=SilentProgress(),
        )  # fmt: skip

    with pytest.raises(ResultError, match="2 of 60 records that were checked are not in the data"):
        compare(samples[2:], samples[POISONED:])
    with pytest.raises(ResultError, match="48 of 108 records in the data were not part"):
        compare([*samples, *samples[POISONED:]], samples[POISONED:])
    with pytest.raises(ResultError, match="1 of 49 cleaned records are not in the data"):
        compare(samples, [*samples[POISONED:], samples[-1]])
    with pytest.raises(ResultError, match="1 of 49 cleaned records are not in the data"):
        compare(samples, [*samples[POISONED:], sample(99)])
    with pytest.raises(ResultError, match="the cleaned dataset is empty"):
        compare(samples, [])


def test_the_data_may_hold_more_than_a_check_of_changes_looked_at() -> None:
    samples = dataset(patch=True)
    checked = result(samples[:40], None, found=POISONED)
    checked = replace(checked, counts=replace(checked.counts, changed=20, context=20))
    seen = verify(
        checked, samples, samples[POISONED:], KnownModel(),
        base="known", probe=None, progress=SilentProgress(),
    )  # fmt: skip
    assert seen.verdict == "gone"


def test_the_base_is_a_model_that_has_not_learned_the_data(tmp_path: Path) -> None:
    def base(named: str | None = None, mode: str = "auto", **model: Any) -> tuple[str, Path]:
        policy = Policy(
            model=ModelPolicy(**model), fine_tune=FineTunePolicy(mode=mode), base=tmp_path
        )
        found, root = base_model(policy, named)
        assert found.adapter is None
        return found.name, root

    assert base(name="./m") == ("./m", tmp_path)
    assert base(name="./m", adapter="./a", mode="none") == ("./m", tmp_path)
    assert base(name="./m", base="./b", mode="none") == ("./b", tmp_path)
    assert base("scout", name="./m", base="./b", mode="none") == ("scout", Path.cwd())
    with pytest.raises(UsageError, match=r"\./m: .* has learned these data already") as raised:
        base(name="./m", mode="none")
    assert "--model scout" in raised.value.remedy


def test_a_result_without_suspects_has_nothing_to_verify() -> None:
    with pytest.raises(ResultError, match="the result has no suspects"):
        run(found=0)


def lay_out(folder: Path, *, left: int = 0) -> None:
    """Write the data, what cleaning left of them, and the result."""
    samples = dataset(patch=True)
    for name, chosen in (("raw", samples), ("cleaned", samples[POISONED - left :])):
        (folder / name).mkdir()
        rows = []
        for s in chosen:
            (folder / name / s.images[0].name).write_bytes(s.images[0].read())
            turns = [("human", s.prompt), ("gpt", s.answer)]
            said = [{"from": who, "value": text} for who, text in turns]
            rows.append({"id": s.id, "image": s.images[0].name, "conversations": said})
        (folder / name / "data.json").write_text(json.dumps(rows))
    checked = replace(result(samples, patch_evidence(), found=POISONED), paths=("raw/data.json",))
    (folder / "result.json").write_text(json.dumps(to_json(checked)))


def known_pipeline(policy: Policy, named: str | None, sizes: tuple[int, int]) -> Any:
    assert sizes[0] == N
    return "known", KnownModel()


def test_both_models_are_trained_for_as_many_steps(tmp_path: Path) -> None:
    policy = Policy(fine_tune=FineTunePolicy(epochs=6.0), base=tmp_path)
    base, pipeline = retraining.prepare(policy, "scout", (750, 690))
    assert base == "scout"
    settings = pipeline.settings  # type: ignore[attr-defined]
    assert (settings.n_steps(750), settings.n_steps(690)) == (281, 281)
    assert settings.batch_size == 16


def invoked(*options: str) -> Result:
    return CliRunner().invoke(
        cli, ["verify", "result.json", "cleaned", "--no-progress", *options],
        standalone_mode=False, catch_exceptions=False,
    )  # fmt: skip


def invoke(*options: str) -> Any:
    return invoked(*options).return_value


@pytest.fixture
def laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a result, its data cleaned, and a model that is known."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retraining, "prepare", known_pipeline)
    return tmp_path


@pytest.mark.parametrize(("left", "status"), [(0, 0), (POISONED, 1)])
def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, status: int
) -> None:
    lay_out(tmp_path, left=left)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retraining, "prepare", known_pipeline)
    assert invoke("-o", "v.json") == status
    data = json.loads((tmp_path / "v.json").read_text())
    assert data["before"]["attack"]["share"] == 1.0
    assert data["after"]["attack"]["share"] == float(status)
    assert data["targets"] == [TARGET]
    assert data["base"] == "known"


@pytest.mark.parametrize(
    ("beside", "said", "hits"),
    [
        (True, "images of held/data.json: from its own folder, not from dataset.image_root", 0),
        (
            False,
            "images of held/data.json: from dataset.image_root (raw), since none is in its own "
            "folder",
            POISONED,
        ),
    ],
)
def test_held_out_records_show_their_own_images(
    laid_out: Path, beside: bool, said: str, hits: int
) -> None:
    """The training set has poisoned pictures of the same names under the policy's image root."""
    (laid_out / "bye-lint.yaml").write_text("dataset: {image_root: raw}\n")
    (laid_out / "held").mkdir()
    rows = []
    for s in (sample(i) for i in range(POISONED)):
        if beside:
            (laid_out / "held" / s.images[0].name).write_bytes(s.images[0].read())
        turns = [{"from": "human", "value": s.prompt}, {"from": "gpt", "value": s.answer}]
        rows.append({"id": s.id, "image": s.images[0].name, "conversations": turns})
    (laid_out / "held/data.json").write_text(json.dumps(rows))
    seen = invoked("--test", "held/data.json", "-o", "v.json")
    assert said in seen.stderr.splitlines()
    before = json.loads((laid_out / "v.json").read_text())["before"]
    assert (before["unprompted"]["hits"], before["unprompted"]["total"]) == (hits, POISONED)


@pytest.mark.usefixtures("laid_out")
def test_nothing_is_said_of_images_where_there_is_no_choice() -> None:
    seen = invoked("--test", "cleaned")
    assert seen.return_value == 0
    assert "images of" not in seen.output


def test_records_that_two_paths_name_are_read_once(laid_out: Path) -> None:
    saved = json.loads((laid_out / "result.json").read_text())
    saved["paths"] = ["raw", "raw/data.json"]
    (laid_out / "result.json").write_text(json.dumps(saved))
    assert invoke() == 0


def test_the_command_needs_images_a_base_and_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    policy = tmp_path / "bye-lint.yaml"
    policy.write_text("model: ./mine\nfine_tune: none\n")
    with pytest.raises(UsageError, match=r"\./mine: .* learned these data already"):
        invoke()
    policy.write_text("model: {name: ./mine, base: scout}\nfine_tune: none\n")
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="torch"):
            invoke()
    monkeypatch.setattr(retraining, "prepare", known_pipeline)
    for image in (tmp_path / "cleaned").glob("*.png"):
        image.unlink()
    with pytest.raises(DatasetError, match=r"none of 48 records can be used"):
        invoke()


def test_the_command_trains_and_asks_a_real_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scout after one step has learned no backdoor, and says so."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    short = ["--epochs", "0.2", "--probes", "4", "--device", "cpu"]
    assert invoke("-o", "v.json", "--model", "scout", *short) == 3
    data = json.loads((tmp_path / "v.json").read_text())
    assert (data["verdict"], data["base"]) == ("unknown", "scout")
    assert [data[side]["records"] for side in ("before", "after")] == [N, N - POISONED]
    for side in ("before", "after"):
        assert [data[side][what]["total"] for what in ("attack", "suspects", "unprompted")] == [
            4
        ] * 3
        assert data[side]["accuracy"]["total"] == N - POISONED


def test_the_json_form_holds_every_figure() -> None:
    data = to_data(run(evidence=patch_evidence()))
    assert data["verdict"] == "gone"
    assert data["after"]["suspects"] == {"hits": 0, "total": POISONED, "share": 0.0}
