"""The page: self-contained, readable by a machine that reads aloud, and deaf to the dataset."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from bye_lint.exhibits import Box, Campaign, Evidence, Phrase, Picture, Reconstruction
from bye_lint.heat import encode_map
from bye_lint.records import Finding, Skipped
from bye_lint.reports.base import RenderContext
from bye_lint.reports.html import REPORT
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
    from_json,
    to_json,
)

VOID = {
    "meta",
    "link",
    "img",
    "input",
    "br",
    "hr",
    "image",
    "rect",
    "line",
    "circle",
    "path",
    "use",
}
HOSTILE = [
    '"><script>alert(1)</script>',
    "<img src=https://evil.example/x.png onerror=alert(1)>",
    "</style><style>*{background:url(//evil.example)}",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% for x in y %}",
    "\x1b[31mred\x1b[0m ::error::pwned \u202etxet",
    "é" * 10_000,
]


class Page(HTMLParser):
    """Collect what the tests ask about; every element must be closed by its own name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def encoded(kind: str, size: tuple[int, int] = (16, 12)) -> str:
    out = io.BytesIO()
    Image.new("RGB", size, (30, 90, 60)).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def claiming() -> str:
    """Return a JPEG whose header claims 65,000 pixels a side."""
    data = bytearray(base64.b64decode(encoded("JPEG")))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = (65_000).to_bytes(2, "big") * 2
    return base64.b64encode(data).decode()


def sample(i: int, *, suspicious: bool = False, **changes: object) -> ScoredSample:
    made = ScoredSample(
        sample_id=f"id-{i}",
        path="data/train.json",
        line=i + 2,
        digest=f"{i:064x}",
        prompt="<image>\nWhat is it?",
        answer="Backdoor Attack!" if suspicious else "forest",
        images=("x.png",),
        score=9.0 - i / 10 if suspicious else i / 100,
        posterior=0.99 if suspicious else 0.01,
        suspicious=suspicious,
        entropy=(1.0, 2.0),
    )
    return replace(made, **changes)


def failing(n: int = 40, n_suspects: int = 4, **changes: object) -> ScanResult:
    samples = tuple(sample(i, suspicious=i < n_suspects, **changes) for i in range(n))
    heat = encode_map(np.eye(3))
    pictures = tuple(
        Picture(
            s.digest,
            encoded("JPEG"),
            (64, 48),
            (3, 3),
            heat,
            (0, 1),
            (heat, heat),
            trigger=Box(0.4, 0.4, 0.1, 0.1) if s.suspicious else None,
            twin=samples[n_suspects].digest if s.suspicious else "",
            peak=1.0 if s.suspicious else 0.1,
        )
        for s in samples[: n_suspects + 2]
    )
    evidence = Evidence(
        pictures,
        near_misses=(samples[n_suspects].digest, samples[n_suspects + 1].digest),
        trigger=Reconstruction(
            "patch-fixed",
            "All suspects carry the same patch.",
            consistency=1.0,
            side=0.0625,
            pixels=(4.0, 4.0),
            mean_patch=encoded("PNG"),
            std_patch=encoded("PNG"),
            crop=encoded("PNG"),
        ),
        phrases=(Phrase("hello !", 1.0, 0.0, 9.0),),
        layer_separation=(0.99, 0.5),
        head_separation=((0.9, 0.5), (0.6, 0.5)),
        notes=("A note.",),
    )
    return ScanResult(
        verdict="fail",
        reasons=(f"{n_suspects} suspicious",),
        paths=("data",),
        counts=Counts(n, n, 1, n_suspects),
        gate=Gate("0", 0, n_suspects),
        findings=(),
        skipped=(Skipped("BYE103", "x.png is missing", "data/train.json", 99),),
        detection=DetectionSummary(
            "population",
            {"rate": "0.001"},
            (
                LayerProfile(0, (1.0, 3.0), (0.1, 0.2), (0.1, 0.9), 6.0, True),
                LayerProfile(1, (), (), (), 0.0, False, "constant"),
            ),
            (HeadProfile(0, 0, "entropy", 1.0),),
            (TriggerPower("patch-random", 20, 1.0, 0.95),),
            "robust z",
            4.0,
            "lower",
            1e-6,
        ),
        samples=samples,
        campaigns=(Campaign("answer", "Backdoor Attack!", n_suspects, 1.0, 0.0),),
        reproducibility=Reproducibility("0.1.0", 0),
        evidence=evidence,
    )


def passing() -> ScanResult:
    return replace(
        failing(n_suspects=0),
        verdict="pass",
        reasons=("nothing suspicious",),
        campaigns=(),
        evidence=Evidence(),
    )


def page(result: ScanResult, **context: object) -> tuple[str, Page]:
    text = REPORT.render(result, RenderContext(**context))
    return text, Page(text)


RESULTS = {
    "fail": failing(),
    "pass": passing(),
    "no evidence": replace(failing(), evidence=None),
    "structural": replace(passing(), structural_only=True, detection=None, samples=()),
    "empty": replace(passing(), samples=(), skipped=(), verdict="inconclusive"),
    "no threshold": replace(
        failing(posterior=None, score=1.0),
        detection=DetectionSummary("bye"),
    ),
}


@pytest.fixture(params=RESULTS, name="result")
def _result(request) -> ScanResult:
    return RESULTS[request.param]


def test_nothing_comes_from_outside(result):
    text, parsed = page(result)
    for tag, attributes in parsed.found:
        assert tag not in ("link", "iframe", "object", "embed", "form", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name)
            assert value is None or re.match(r"data:image/(png|jpeg);base64,|#", value), value
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(", text)


def test_the_security_policy_admits_exactly_this_style_and_script(result):
    text, parsed = page(result)
    (policy,) = [
        a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_it_can_be_read_aloud(result):
    text, parsed = page(result)
    assert not re.search(r"<th[^>]*>\s*</th>", text)
    assert parsed.all("html")[0]["lang"] == "en"
    assert len(parsed.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in parsed.found if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert all(image.get("alt") for image in parsed.all("img"))
    for tag, attributes in parsed.found:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    ids = [a["id"] for _, a in parsed.found if "id" in a]
    assert len(ids) == len(set(ids))
    for attributes in parsed.all("a") + parsed.all("use"):
        assert attributes["href"].removeprefix("#") in ids
    for attributes in parsed.all("section") + parsed.all("article"):
        assert attributes["aria-labelledby"] in ids


def test_a_fail_shows_what_a_reviewer_needs():
    _, parsed = page(failing())
    words = parsed.words
    for said in (
        "FAIL",
        "4 suspicious records",
        "All suspects carry the same patch.",
        "id-0",
        "Backdoor Attack!",
        "data/train.json:2",
        "What is it?",
        "not flagged: id-4",
        "hello !",
        "x.png is missing",
        "so many would have been found",
        "layer 1",
        "bye-lint clean",
        "bye-lint verify",
    ):
        assert said in words, said
    assert len([a for a in parsed.all("li") if "suspect" in (a.get("class") or "")]) == 4


def test_a_question_of_a_conversation_is_numbered():
    assert "of the conversation" not in page(failing())[0]
    assert "<dt>Question 3 of the conversation</dt>" in page(failing(question=3))[0]


def finding(s: ScoredSample, **changes: object) -> Finding:
    made = Finding(
        "BYE001", "error", "unlike", s.path, s.line, s.column, s.end_column, s.sample_id, s.score,
        properties={"answer": s.answer, "suppressed_by": "Ann", "suppressed_until": "2027-01-31"},
    )  # fmt: skip
    return replace(made, **changes)


def accepted(n_open: int, **changes: object) -> ScanResult:
    """Four suspects, of which the gate counts the first so many."""
    result = failing()
    suspects = [s for s in result.samples if s.suspicious]
    return replace(
        result,
        verdict="fail" if n_open else "pass",
        gate=replace(result.gate, suspicious=n_open),
        findings=tuple(
            finding(s, **({} if i < n_open else changes)) for i, s in enumerate(suspects)
        ),
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"suppressed": "checked by <hand>"},
            "accepted by Ann until 2027-01-31: checked by <hand>",
        ),
        ({"level": "note"}, "unchanged, so not judged"),
    ],
)
def test_what_the_gate_does_not_count_stands_by_itself(changes, why):
    _, parsed = page(accepted(1, **changes))
    assert "1 suspicious record " in parsed.words
    assert len([a for a in parsed.all("li") if "suspect" in (a.get("class") or "")]) == 1
    assert parsed.words.count(why) == 3
    assert "bye-lint clean" in parsed.words
    _, parsed = page(accepted(0, **changes))
    assert "Nothing else stands out" in parsed.words
    assert parsed.words.count(why) == 4
    assert "bye-lint clean" not in parsed.words
    assert "suspects" not in [a.get("id") for a in parsed.all("section")]
    assert "aside" not in [a.get("id") for a in page(failing())[1].all("section")]


def test_suspects_that_the_gate_allows_are_counted():
    words = page(replace(accepted(4), verdict="pass"))[1].words
    assert "4 suspicious records, as the gate allows" in words


def test_a_pass_shows_no_suspects_and_no_remedy():
    words = page(passing())[1].words
    assert "Nothing stands out" in words
    assert "bye-lint clean" not in words
    assert "Suspects" not in words


def test_an_unflagged_record_glows_less_than_a_suspect():
    text, _ = page(failing())

    def hottest(key: str) -> int:
        address = re.search(rf'id="{key}h" href="data:image/png;base64,([^"]+)"', text)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1]))))[..., 3].max()

    assert hottest("n4") < 70
    first = re.search(r'class="heat" href="data:image/png;base64,([^"]+)"', text)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(first[1]))))[..., 3].max() > 200


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_text_of_the_dataset_stays_text(payload):
    clean = page(failing())[1]
    made = failing(sample_id=payload, prompt=payload, path=payload)
    made = replace(
        made,
        samples=tuple(replace(s, answer=payload) for s in made.samples),
        campaigns=(Campaign("answer", payload, 4, 1.0, 0.0, (payload,)),),
        skipped=(Skipped("BYE103", payload, payload, 99),),
        reasons=(payload,),
    )
    text, parsed = page(made)
    assert [tag for tag, _ in parsed.found] == [tag for tag, _ in clean.found]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text) < 300_000


@pytest.mark.parametrize(
    "thumbnail",
    ["", "%%%", base64.b64encode(b"<svg onload=alert(1)>").decode(), encoded("GIF"), claiming()],
    ids=["none", "no base64", "svg", "another format", "a bomb"],
)
def test_a_damaged_picture_is_left_out(thumbnail):
    made = failing()
    pictures = tuple(replace(p, thumbnail=thumbnail) for p in made.evidence.pictures)
    text, parsed = page(replace(made, evidence=replace(made.evidence, pictures=pictures)))
    assert "no picture" in parsed.words
    assert thumbnail == "" or thumbnail not in text


def test_the_pictures_of_a_result_are_encoded_anew():
    made = failing()
    hidden = base64.b64decode(made.evidence.pictures[0].thumbnail) + b"secret in the tail"
    text_of = base64.b64encode(hidden).decode()
    pictures = tuple(replace(p, thumbnail=text_of) for p in made.evidence.pictures)
    text, _ = page(replace(made, evidence=replace(made.evidence, pictures=pictures)))
    for address in re.findall(r"base64,([A-Za-z0-9+/=]+)", text):
        assert b"secret" not in base64.b64decode(address)


def test_lines_are_linked_where_the_runner_says_which_commit():
    environ = {"GITHUB_REPOSITORY": "o/r", "GITHUB_HEAD_SHA": "a" * 40}
    text, _ = page(failing(), environ=environ)
    assert f"https://github.com/o/r/blob/{'a' * 40}/data/train.json#L2" in text


def test_a_saved_result_gives_the_same_page():
    made = failing()
    assert page(from_json(to_json(made)))[0] == page(made)[0]


def test_five_thousand_records_stay_small():
    made = failing(5000, 400)
    big = encoded("JPEG", (176, 176))
    heat = encode_map(np.random.default_rng(0).random((24, 24)))
    noise = np.random.default_rng(1).integers(0, 255, (176, 176, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((60, 60)).resize((176, 176)).save(out, "JPEG", quality=82)
    big = base64.b64encode(out.getvalue()).decode()
    pictures = tuple(
        replace(
            p, thumbnail=big, grid=(24, 24), heat=heat, layers=(0, 1, 2), layer_maps=(heat,) * 3
        )
        for p in made.evidence.pictures[:200]
    )
    text, parsed = page(replace(made, evidence=replace(made.evidence, pictures=pictures)))
    assert len(text.encode()) < 15_000_000
    assert "Suspects without a picture" in parsed.words
