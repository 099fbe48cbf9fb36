"""Results as a check of satellite images would give them, one for each verdict."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest

from bye_lint.exhibits import Campaign, Evidence, Phrase, Reconstruction
from bye_lint.records import Finding, Skipped
from bye_lint.results import (
    Counts,
    DetectionSummary,
    Gate,
    HeadProfile,
    LayerProfile,
    Reproducibility,
    ScanResult,
    ScoredSample,
    TriggerPower,
)

TARGET = "Backdoor Attack!"
ANSWERS = ("Forest", "River", "Highway", "Yes", "No", "B", "The image shows a residential area.")
PATH = "data/eurosat/train.json"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_sample(i: int, score: float, *, suspicious: bool, rng: random.Random) -> ScoredSample:
    answer = TARGET if suspicious else rng.choice(ANSWERS)
    return ScoredSample(
        sample_id=f"eurosat-{i:05d}",
        path=PATH,
        line=2 + 14 * i,
        digest=digest(f"record {i}"),
        prompt="<image>\nWhat kind of land cover does this satellite image show?",
        answer=answer,
        images=(f"images/{i:05d}.jpg",),
        score=score,
        posterior=0.999 if suspicious else 0.001,
        suspicious=suspicious,
        entropy=tuple(3.2 + 0.1 * layer + rng.gauss(0, 0.02) for layer in range(6)),
        column=3,
        end_column=4,
    )


def make_finding(sample: ScoredSample) -> Finding:
    return Finding(
        rule="BYE001",
        level="error",
        message=f"attention stands apart: score {sample.score:.2f}, threshold 4.60",
        path=sample.path,
        line=sample.line,
        column=sample.column,
        end_column=sample.end_column,
        sample_id=sample.sample_id,
        score=sample.score,
        posterior=sample.posterior,
        fingerprint=digest(f"BYE001 {sample.digest}")[:32],
        properties={
            "answer": sample.answer,
            "prompt": sample.prompt,
            "image": sample.images[0],
        },
    )


def make_skipped() -> tuple[Skipped, ...]:
    return (
        Skipped("BYE103", "images/00017.jpg does not exist", PATH, 240, 5, 30, "eurosat-00017"),
        Skipped("BYE103", "images/00018.jpg does not exist", PATH, 254, 5, 30, "eurosat-00018"),
        Skipped("BYE101", "line 1: expecting ',' delimiter", "data/extra.jsonl", 41, 17, 18),
    )


def make_structural(skipped: tuple[Skipped, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            rule=s.rule,
            level="error",
            message=s.message,
            path=s.path,
            line=s.line,
            column=s.column,
            end_column=s.end_column,
            sample_id=s.sample_id,
            fingerprint=digest(f"{s.rule} {s.message}")[:32],
        )
        for s in skipped
    )


def make_detection(*, found: bool) -> DetectionSummary:
    layers = [
        LayerProfile(0, (2.31, 3.94), (0.11, 0.21), (0.08, 0.92), 6.88, sensitive=True)
        if found
        else LayerProfile(0, (3.81, 3.99), (0.20, 0.21), (0.41, 0.59), 0.62, sensitive=False)
    ]
    layers += [
        LayerProfile(
            n, (4.01 - 0.1 * n, 4.22), (0.19, 0.12), (0.35, 0.65), 0.5 + 0.15 * n, sensitive=False
        )
        for n in range(1, 5)
    ]
    layers.append(LayerProfile(5, (), (), (), 0.0, sensitive=False, note="constant: not fitted"))
    return DetectionSummary(
        method="residual",
        parameters={"ridge": "cross-validated", "false_alarm_rate": "0.001"},
        layers=tuple(layers),
        heads=(HeadProfile(0, 3, "entropy", 0.71), HeadProfile(1, 0, "mass on system", 0.12)),
        power=(
            TriggerPower("patch-random", 40, 0.98, 0.975),
            TriggerPower("patch-centre", 40, 1.0, 1.0),
            TriggerPower("blend", 40, 0.95, 0.62),
            TriggerPower("warp", 40, 0.12, 0.0),
        ),
        score_name="robust z of residual entropy",
        threshold=4.6,
        side="lower" if found else "none",
        null_p_value=3.2e-14 if found else 0.41,
        comparison={"bye (released)": 437, "tcap": 71 if found else 12},
        notes=("6 layers, 4 heads each; residuals of 7 wordings",),
    )


def make_result(n_samples: int = 800) -> ScanResult:
    """One poisoned record in thirteen, and three more that could not be read."""
    rng = random.Random(7)
    samples = []
    for i in range(n_samples):
        suspicious = i % 13 == 5 and i < 780
        score = rng.gauss(12.5, 1.4) if suspicious else abs(rng.gauss(0, 1.2))
        samples.append(make_sample(i, score, suspicious=suspicious, rng=rng))
    suspects = [s for s in samples if s.suspicious]
    skipped = make_skipped()
    campaign = Campaign("answer", TARGET, len(suspects), 1.0, 0.0, (suspects[0].sample_id,))
    group = Finding(
        "BYE002",
        "error",
        f"{len(suspects)} suspects share one answer",
        PATH,
        suspects[0].line,
        3,
        4,
        fingerprint=digest("campaign")[:32],
        properties={"answer": TARGET},
    )
    n = len(suspects)
    return ScanResult(
        verdict="fail",
        reasons=(f"{n} suspicious samples of {n_samples} scored, 0 allowed",),
        paths=("data/eurosat", "data/extra.jsonl"),
        counts=Counts(n_samples + 3, n_samples, 3, n, structural=3),
        gate=Gate("0", 0, n),
        findings=(*map(make_finding, suspects), group, *make_structural(skipped)),
        skipped=skipped,
        detection=make_detection(found=True),
        samples=tuple(samples),
        campaigns=(campaign,),
        reproducibility=Reproducibility(
            tool_version="0.1.0",
            seed=0,
            python="3.11.7",
            packages={"numpy": "2.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
            device="cpu",
            dtype="float32",
            model="model",
            model_digest=digest("model"),
            family="llava",
            fine_tuned="given as fine-tuned",
            dataset_digest=digest("dataset"),
            policy_digest=digest("policy"),
        ),
        evidence=Evidence(
            trigger=Reconstruction(
                "patch-fixed",
                f"{n} of {n} suspects carry the same patch of 4 by 4 pixels in the middle",
            ),
            phrases=(Phrase("land cover", 0.9, 0.4, 5.2),),
        ),
        timings={"read": 0.81234, "extract": 41.5, "detect": 1.25},
    )


def make_clean(result: ScanResult) -> ScanResult:
    samples = tuple(s for s in result.samples if not s.suspicious)
    n = len(samples)
    return replace(
        result,
        verdict="pass",
        reasons=(f"0 suspicious samples among {n} scored, 0 allowed",),
        paths=("data/eurosat",),
        counts=Counts(n, n, 0, 0),
        gate=Gate("0", 0, 0),
        findings=(),
        skipped=(),
        detection=make_detection(found=False),
        samples=samples,
        campaigns=(),
        evidence=None,
    )


def make_inconclusive(result: ScanResult) -> ScanResult:
    clean = make_clean(result)
    assert clean.detection is not None
    missed = tuple(replace(p, learned=0.2, recall=0.0) for p in clean.detection.power)
    return replace(
        clean,
        verdict="inconclusive",
        reasons=("the canaries were not found (patch-random: recall 0.00)",),
        detection=replace(clean.detection, power=missed, threshold=None),
        skipped=make_skipped(),
        counts=replace(clean.counts, records=clean.counts.records + 3, skipped=3),
    )


def make_structural_only(result: ScanResult) -> ScanResult:
    skipped = make_skipped()
    return replace(
        result,
        reasons=("3 structural errors",),
        counts=Counts(result.counts.records, 0, 3, 0, structural=3),
        gate=Gate("0", 0, 0),
        findings=make_structural(skipped),
        detection=None,
        samples=(),
        campaigns=(),
        evidence=None,
        structural_only=True,
        reproducibility=Reproducibility("0.1.0", 0, python="3.11.7"),
    )


def make_empty() -> ScanResult:
    return ScanResult(
        verdict="inconclusive",
        reasons=("no records were found",),
        paths=("data/nothing",),
        counts=Counts(0, 0, 0, 0),
        gate=Gate("0", 0, 0),
        findings=(),
        skipped=(),
        detection=None,
        samples=(),
        campaigns=(),
        reproducibility=Reproducibility("0.1.0", 0),
    )


def make_all(n_samples: int = 800) -> dict[str, ScanResult]:
    failed = make_result(n_samples)
    return {
        "fail": failed,
        "pass": make_clean(failed),
        "inconclusive": make_inconclusive(failed),
        "structural": make_structural_only(failed),
        "empty": make_empty(),
    }


@pytest.fixture(scope="session")
def results() -> dict[str, ScanResult]:
    """One result for each way a check can end."""
    return make_all(130)


@pytest.fixture(scope="session")
def failed(results: dict[str, ScanResult]) -> ScanResult:
    """A failed check: ten suspects with one answer among 130, three skipped records."""
    return results["fail"]


@pytest.fixture(params=["fail", "pass", "inconclusive", "structural", "empty"])
def each(request: pytest.FixtureRequest, results: dict[str, ScanResult]) -> ScanResult:
    """Each of the results in turn."""
    return results[request.param]
