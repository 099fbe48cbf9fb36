"""The terminal report: what it tells, and how it minds the terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from bye_lint.reports import RenderContext, render
from bye_lint.reports.histogram import histogram
from bye_lint.results import LayerProfile, ScanResult


def shown(result: ScanResult, **context: object) -> str:
    return render(result, "terminal", RenderContext(**context))  # type: ignore[arg-type]


def test_a_failed_check(failed: ScanResult) -> None:
    text = shown(failed)
    worst = max(failed.samples, key=lambda s: s.score or 0)
    assert "FAIL   exit 1" in text
    assert failed.reasons[0] in text
    assert "no suspicious sample allowed; 10 found" in text
    [row] = [line for line in text.splitlines() if f"{worst.path}:{worst.line} " in line]
    assert worst.sample_id in row
    assert f"{worst.score:.2f}" in row
    assert "0.999" in row
    assert "Backdoor Attack!" in row
    assert "10 suspects (100 %) and 0 % of the rest" in text
    assert re.search(r"●\s+0\s+2\.310 ± 0\.110\s+8 %.*6\.88", text)
    assert "constant: not fitted" in text
    assert re.search(r"BYE103\s+missing-image\s+2\s+2\s+data/eurosat/train.json:240", text)
    assert "bye-lint rule BYE001" in text
    assert "same patch of 4 by 4 pixels" in text
    assert "“land cover” stands in the questions of 90 % of the suspects" in text


def test_the_published_rule_stands_beside_ours(results: dict[str, ScanResult]) -> None:
    text = shown(results["pass"])
    assert re.search(r"●\s+residual\s+0\s+the verdict rests on this", text)
    assert re.search(r"bye, the published rule \(released code\)\s+437", text)


def test_a_pass_says_what_it_is_worth(results: dict[str, ScanResult]) -> None:
    text = shown(results["pass"])
    assert "PASS   exit 0" in text
    assert "What this pass is worth" in text
    assert "3 of 4 kinds of planted trigger were found, some in part only (62 %); not the" in text
    assert re.search(
        r"✔\s+patch-random\s+\d+ \(\d+\.\d%\) .* would have been found$", text, re.MULTILINE
    )
    assert re.search(r"◐\s+blend .* found in part: 62 %$", text, re.MULTILINE)
    assert re.search(r"✖\s+warp .* did not learn it: a pass says nothing", text)
    assert "Suspicious samples" not in text


def test_a_pass_without_canaries_admits_it(results: dict[str, ScanResult]) -> None:
    result = results["pass"]
    assert result.detection is not None
    detection = replace(result.detection, power=(), method="conditional")
    assert "No canaries were planted" in shown(replace(result, detection=detection))


def test_canaries_that_are_too_few_are_not_denied(results: dict[str, ScanResult]) -> None:
    result = results["inconclusive"]
    assert result.detection is not None
    detection = replace(result.detection, power=(), method="canary")
    text = shown(replace(result, detection=detection))
    assert "Too few canaries were planted" in text
    assert "No canaries" not in text


def test_an_inconclusive_check_is_no_pass(results: dict[str, ScanResult]) -> None:
    text = shown(results["inconclusive"])
    assert "INCONCLUSIVE   exit 3" in text
    assert "PASS" not in text
    assert "a pass would be worth nothing" in text
    allowed = results["inconclusive"]
    allowed = replace(allowed, gate=replace(allowed.gate, on_inconclusive="pass"))
    assert "exit 0: the policy lets an inconclusive check pass" in shown(allowed)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("9 changed records: too few to judge (gate.min_changed)", "gate.on_inconclusive: pass"),
        ("40 usable records (gate.min_samples)", "check more records at once"),
        ("9 of 20 records skipped, more than 5% (gate.max_skipped)", "mend the records"),
        ("waves (fewer than 4 copies: too few records that can carry it)", "canary_share"),
        ("attention is the same in every sample", "docs/tour.md"),
    ],
)
def test_an_inconclusive_check_says_what_to_do(
    reason: str, remedy: str, results: dict[str, ScanResult]
) -> None:
    told = shown(replace(results["inconclusive"], reasons=(reason,)), width=200)
    hints = told[told.index("what to do") :]
    assert remedy in hints
    assert "docs/tour.md, “On inconclusive”" in hints
    assert hints.index("docs/tour.md") < hints.index("bye-lint rule")
    for name in ("pass", "fail", "structural"):
        assert "On inconclusive" not in shown(results[name])


def test_a_structural_check_says_that_no_model_looked(results: dict[str, ScanResult]) -> None:
    text = shown(results["structural"])
    assert "no model looked at the images" in text
    assert "What this" not in text


def test_an_empty_result(results: dict[str, ScanResult]) -> None:
    assert "no records were found" in shown(results["empty"])


def test_without_colour_it_is_plain_text(each: ScanResult) -> None:
    assert "\x1b" not in shown(each, verbosity=1)
    assert "\x1b[" in shown(each, color=True)


def test_the_environment_of_the_process_does_not_matter(
    failed: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown(failed), shown(failed, color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert (shown(failed), shown(failed, color=True)) == before


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("verbosity", [0, 1])
def test_the_width_is_respected(each: ScanResult, width: int, verbosity: int) -> None:
    text = shown(each, width=width, verbosity=verbosity)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80])
def test_no_figure_and_no_place_is_cut(failed: ScanResult, width: int) -> None:
    text = shown(failed, width=width)
    layers = text[text.index("Entropy by layer") : text.index("The same attention")]
    words = layers.split()
    assert failed.detection is not None
    assert {"layer", "BSI"} <= set(words)
    for p in failed.detection.layers:
        if len(p.means) > 1:
            figures = f"{p.bsi:.2f}", *(f"{m:.3f}" for m in p.means), *(f"{s:.3f}" for s in p.stds)
            assert set(figures) <= set(words)
            assert all(f"{100 * weight:.0f}" in words for weight in p.weights)
    assert ("━" in layers) == (width == 80)
    suspects = text[text.index("Suspicious samples") : text.index("Campaigns")]
    for finding in [f for f in failed.findings if f.rule == "BYE001"]:
        assert f"{finding.path}:{finding.line}" in suspects.split()
        assert f"{finding.score:.2f}" in suspects.split()


def test_ascii(each: ScanResult) -> None:
    text = shown(each, ascii=True, verbosity=1)
    assert text.isascii()
    assert "\\u" not in text


def test_quiet_is_a_line_a_finding_and_the_verdict(failed: ScanResult) -> None:
    first, *rest = failed.findings
    lines = shown(
        replace(failed, findings=(replace(first, suppressed="known"), *rest)), verbosity=-1
    ).splitlines()
    assert len(lines) == len(rest) + 1
    assert all(re.match(r"data/[\w./]+:\d+:\d+: BYE\d+ \S", line) for line in lines[:-1])
    assert lines[-1] == f"fail: {failed.reasons[0]}"


def test_quiet_counts_notes_and_does_not_show_them(failed: ScanResult) -> None:
    first, second, *rest = failed.findings
    warning, note = replace(first, level="warning"), replace(second, level="note")
    lines = shown(replace(failed, findings=(warning, note, *rest)), verbosity=-1).splitlines()
    assert len([line for line in lines if first.sample_id in line]) == 1
    assert not [line for line in lines if second.message in line]
    assert lines[-2:] == ["1 note not shown", f"fail: {failed.reasons[0]}"]
    lines = shown(replace(failed, findings=(note,) * 49), verbosity=-1).splitlines()
    assert lines == ["49 notes not shown", f"fail: {failed.reasons[0]}"]


def test_verbose_shows_every_finding_and_setting(failed: ScanResult) -> None:
    many = replace(failed, findings=failed.findings * 3)
    short, long = shown(many), shown(many, verbosity=1)
    assert "and 20 more suspects" in short
    assert "more suspects" not in long
    assert failed.reproducibility.dataset_digest in long
    assert "images/00018.jpg does not exist" in long
    assert "mass on system" in long
    assert failed.reproducibility.dataset_digest not in short


def test_what_is_wrong_with_the_first_broken_records_is_said(failed: ScanResult) -> None:
    text = shown(failed)
    assert "data/extra.jsonl:41: BYE101 line 1: expecting ',' delimiter" in text
    many = tuple(replace(failed.skipped[0], line=n, fingerprint=str(n)) for n in range(900, 930))
    text = shown(replace(failed, skipped=many, findings=()))
    assert text.count("images/00017.jpg does not exist") == 5
    assert "… and 25 more findings" in text
    named = tuple(replace(failed.skipped[0], line=1, sample_id=f"r{n}") for n in range(3))
    text = shown(replace(failed, skipped=named, findings=()))
    assert [name for name in ("[r0]", "[r1]", "[r2]") if name in text] == ["[r0]", "[r1]", "[r2]"]


def test_suppressed_findings_are_counted_not_shown(failed: ScanResult) -> None:
    first, *rest = failed.findings
    text = shown(replace(failed, findings=(replace(first, suppressed="known"), *rest)))
    assert "1 finding, not shown here" in text
    assert first.sample_id not in text


def test_suspects_that_did_not_change_are_counted_not_shown(failed: ScanResult) -> None:
    first, *rest = failed.findings
    text = shown(replace(failed, findings=(replace(first, level="note"), *rest)))
    assert "1 suspicious sample, unchanged" in text
    assert first.sample_id not in text


def test_many_layers_are_cut_to_those_that_matter(failed: ScanResult) -> None:
    assert failed.detection is not None
    layers = tuple(
        LayerProfile(n, (1.0, 2.0), (0.1, 0.1), (0.5, 0.5), 0.01 * n, sensitive=n in (3, 30))
        for n in range(32)
    )
    result = replace(failed, detection=replace(failed.detection, layers=layers))
    text = shown(result)
    assert "sensitive layers: 3, 30" in text
    assert len(re.findall(r"^  ●?\s+\d+  1\.000 ±", text, re.MULTILINE)) == 12
    assert "and 20 more layers" in text
    assert len(re.findall(r"^  ●?\s+\d+  1\.000 ±", shown(result, verbosity=1), re.M)) == 32


def test_a_changed_scope_is_told(failed: ScanResult) -> None:
    result = replace(
        failed,
        gate=replace(failed.gate, scope="changed", max_suspicious="5%", allowed=3),
        counts=replace(failed.counts, changed=60, context=70),
    )
    text = shown(result)
    assert "60 changed · 70 as context" in text
    assert "at most 5% suspicious allowed, here 3 among the changed records; 10 found" in text


def test_the_histogram_keeps_every_sample_on_its_side(each: ScanResult) -> None:
    bins = histogram(each)
    assert sum(b.count for b in bins) == sum(s.score is not None for s in each.samples)
    assert sum(b.suspects for b in bins) == sum(s.suspicious for s in each.samples)
    threshold = each.detection.threshold if each.detection else None
    if threshold is not None:
        assert not any(b.low < threshold - 1e-9 and b.high > threshold + 1e-9 for b in bins)
        assert all(b.suspects == 0 for b in bins if b.high <= threshold)


def test_histograms_of_odd_scores(failed: ScanResult) -> None:
    def of(scores: list[float | None], threshold: float | None) -> list[tuple[int, int]]:
        assert failed.detection is not None
        detection = replace(failed.detection, threshold=threshold)
        samples = tuple(
            replace(failed.samples[0], score=s, suspicious=bool(s and s > 4)) for s in scores
        )
        bins = histogram(replace(failed, detection=detection, samples=samples))
        assert len(bins) <= 40
        return [(b.rest, b.suspects) for b in bins if b.count]

    assert of([], 4.6) == []
    assert of([None, float("nan")], 4.6) == []
    assert of([1.0] * 5, None) == [(5, 0)]
    assert of([1.0] * 5, 1.0) == [(5, 0)]
    assert sum(rest for rest, _ in of([0.0, 1e-12], None)) == 2
    assert of([0.1 * i for i in range(100)] + [1e9], 4.6)[-1][1] >= 1
    assert of([1.0, 2.0], float("inf"))
