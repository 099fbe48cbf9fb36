"""Whatever came from the dataset is harmless in every format, and stays what it was in JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from bye_lint.escape import visible
from bye_lint.exhibits import Campaign, Evidence, Phrase, Reconstruction
from bye_lint.records import Finding, Skipped
from bye_lint.reports import REPORTS, RenderContext, render
from bye_lint.results import ScanResult, from_json

PAYLOADS = {
    "github command": "::error::owned",
    "github command on a new line": "ok\n::set-output name=x::owned",
    "azure command": "##[error]owned",
    "azure logging command": "##vso[task.setvariable variable=x]owned",
    "teamcity command": "##teamcity[buildStatus text='owned']",
    "ansi colour": "\x1b[31mowned\x1b[0m",
    "ansi clear screen": "\x1b[2J\x1b[Howned",
    "osc title": "\x1b]0;owned\x07",
    "osc link": "\x1b]8;;https://evil.example\x1b\\owned\x1b]8;;\x1b\\",
    "c1 control": "\x9b31mowned",
    "carriage return": "owned\rPASS",
    "backspace": "FAIL\x08\x08\x08\x08PASS",
    "bidi override": "user\u202e\u2066// admin\u2069",
    "zero width": "ow\u200bn\u2060ed\ufeff",
    "tag characters": "hi\U000e0041\U000e0042",
    "rich markup": "[bold]owned[/bold] [link=https://evil.example]x[/link]",
    "rich markup, unbalanced": "[/]",
    "emoji code": ":skull:",
    "html": "<b onmouseover=alert(1)>owned</b>",
    "script": "</script><script>alert('owned')</script>",
    "html comment": "<!-- owned",
    "html image": "<img src=x onerror=alert(1)>",
    "entity": "&lt;script&gt;&#60;",
    "quotes": '"\' onload=\'x" y="',
    "markdown link": "[owned](https://evil.example)",
    "markdown image": "![owned](https://evil.example/track.png)",
    "markdown reference": "[owned]: https://evil.example",
    "autolink": "https://evil.example www.evil.example <https://evil.example>",
    "mention": "@octocat #1 mail@evil.example",
    "backticks": "`` ` ``` ```` `code`",
    "backtick ends": "`x`",
    "pipes": "a|b||c \\| d \\\\| e|",
    "heading": "# owned\n\n## owned",
    "newlines": "a\nb\r\nc\u2028d\u2029e\x85f\x0bg",
    "null": "a\x00b",
    "controls": "".join(map(chr, range(32))),
    "lone surrogates": "\ud800 \udfff",
    "noncharacters": "\ufffe \uffff \U0001fffe",
    "cdata end": "]]> <![CDATA[ x",
    "path climbing": "../../../etc/passwd",
    "absolute path": "/etc/passwd",
    "percent": "100% %0A::error::owned %25",
    "braces": "{0} {{1}} ${{ secrets.TOKEN }} $(id) `id`",
    "colon ends": ":owned:",
    "empty": "",
    "blank": "   ",
    "long": "A" * 10_000,
    "long, each character escaped": "\x1b" * 10_000,
}

FORMATS = sorted(REPORTS)


def poisoned(result: ScanResult, payload: str) -> ScanResult:
    """Put the payload wherever the dataset, its paths or its policy have a say."""
    sample = replace(
        result.samples[0],
        sample_id=payload,
        path=payload,
        prompt=payload,
        answer=payload,
        images=(payload,),
    )
    finding = Finding(
        rule="BYE001",
        level="error",
        message=f"suspicious: {payload}",
        path=payload,
        line=3,
        sample_id=payload,
        score=9.0,
        posterior=0.9,
        fingerprint="f",
        properties={"answer": payload, "prompt": payload, "image": payload, payload: payload},
    )
    broken = replace(finding, rule="BYE109", level="warning", score=None, posterior=None)
    detection = result.detection
    assert detection is not None
    return replace(
        result,
        reasons=(payload, f"reason {payload}"),
        gate=replace(result.gate, max_suspicious=payload, allowed=5),
        paths=(payload,),
        findings=(finding, broken, replace(finding, rule=payload or "X"), result.findings[0]),
        skipped=(Skipped("BYE103", payload, payload, 1, sample_id=payload),),
        samples=(sample, *result.samples[1:9]),
        evidence=Evidence(
            trigger=Reconstruction("none", payload),
            phrases=(Phrase(payload, 0.5, 0.1, 3.0),),
        ),
        campaigns=(Campaign(payload, payload, 2, 0.5, 0.1, (payload,)),),
        detection=replace(
            detection,
            notes=(payload,),
            parameters={payload: payload},
            comparison={payload: 3},
            score_name=payload,
            method=payload,
        ),
        reproducibility=replace(
            result.reproducibility, model=payload, packages={payload: payload}, policy_path=payload
        ),
    )


CONTEXTS = {
    "colour": RenderContext(color=True, width=70),
    "quiet": RenderContext(verbosity=-1),
    "verbose": RenderContext(ascii=True, verbosity=1),
}
UNSEEN = {"Cc", "Cf", "Zl", "Zp"}
OUR_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("form", FORMATS)
def test_dataset_text_is_harmless(form: str, name: str, failed: ScanResult) -> None:
    result = poisoned(failed, PAYLOADS[name])
    contexts = CONTEXTS if form == "terminal" else {"plain": RenderContext()}
    for context in contexts.values():
        text = render(result, form, context)
        harmless_anywhere(OUR_COLOUR.sub("", text) if context.color else text, form)
        if context.ascii:
            assert text.isascii()
        CHECKS.get(form, lambda text: None)(text)


def harmless_anywhere(text: str, form: str) -> None:
    """Nothing unseen, nothing that a CI log would obey, and nothing of 10 kB."""
    text.encode("utf-8")
    unseen = {c for c in set(text) if unicodedata.category(c) in {*UNSEEN, "Cs", "Co"}}
    assert unseen <= {"\n"}
    assert not re.search(r"##\w*\[", text)
    commands = re.findall(r"^\s*::.*$", text, re.MULTILINE)
    assert form == "github" or not commands
    assert form == "json" or "A" * 1_100 not in text


def markdown_is_dead(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"html": True})
    live = set()
    html = []
    for token in parser.parse(text):
        for inner in [token, *(token.children or [])]:
            if inner.type in {"link_open", "image"}:
                live.add(inner.type)
            if inner.type in {"html_block", "html_inline"}:
                html.append(inner.content.strip())
    assert not live
    allowed = r"<details><summary>The same check on your machine</summary>|</details>"
    assert all(re.fullmatch(allowed, piece) for piece in html)
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert rows
    tokens = [t.type for t in parser.parse(text)]
    assert tokens.count("tr_open") == len(rows) - tokens.count("thead_open")
    assert tokens.count("h1_open") == 0


def github_is_one_command_a_line(text: str) -> None:
    for line in text.splitlines():
        found = re.fullmatch(r"::(error|warning|notice) ([^:\n]*)::(.*)", line)
        assert found, line
        names = [pair.split("=", 1)[0] for pair in found[2].split(",")]
        assert names in (["title"], ["file", "line", "endLine", "col", "endColumn", "title"])
        assert "::" not in found[3]


def xml_parses(text: str) -> None:
    tests = ET.fromstring(text).iter("testcase")
    assert {child.tag for test in tests for child in test} <= {"failure", "skipped", "system-out"}


def json_parses(text: str) -> None:
    json.loads(text)
    assert text.isascii()
    assert not re.search("</|<!", text)


def sarif_links_nothing(text: str) -> None:
    json_parses(text)
    for message in re.findall(r'"message": \{\s*"text": "(.*)"', text):
        assert not re.search(r"\]\s*\(", message)
    parser = MarkdownIt("gfm-like", {"html": True})
    for rule in json.loads(text)["runs"][0]["tool"]["driver"]["rules"]:
        html = parser.render(rule["help"]["markdown"])
        assert set(re.findall(r"<(\w+)", html)) <= {"h1", "p", "strong", "code"}
    for uri in re.findall(r'"uri": "(.*)"', text):
        assert re.fullmatch(r"(file://)?[\w/.~%-]*", uri)


CHECKS = {
    "markdown": markdown_is_dead,
    "github": github_is_one_command_a_line,
    "junit": xml_parses,
    "gitlab": json_parses,
    "json": json_parses,
    "sarif": sarif_links_nothing,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_json_keeps_the_text_itself(name: str, failed: ScanResult) -> None:
    result = poisoned(failed, PAYLOADS[name])
    again = from_json(json.loads(render(result, "json")))
    assert again.findings[0].properties["answer"] == PAYLOADS[name]
    assert again.paths == (PAYLOADS[name],)


def test_plain_text_is_left_alone() -> None:
    text = "The image shows a river: 50 % of it, naïve, 日本語, مرحبا, 👍🏽, ❤️ #3 a::b"
    assert visible(text) == text.replace("::", r":\x3a")


def test_every_control_and_format_character_is_written_out() -> None:
    # Arabic number signs are format characters that can be seen.
    seen = {"ARABIC", "SYRIAC", "KAITHI"}
    unseen = [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) in UNSEEN]
    assert len(unseen) > 200
    for c in unseen:
        if unicodedata.name(c, "").split(" ")[0] not in seen or c == "\u061c":
            assert visible(c) != c, hex(ord(c))
    for c in "\ud800\udbff\udc00\udfff\ue000\uf8ff\U000f0000\U0010fffd\ufdd0\ufffe\U0001ffff":
        assert visible(c) != c, hex(ord(c))


def test_long_text_says_how_much_is_missing() -> None:
    assert visible("a" * 300, 10) == "a" * 10 + "… (+290 characters)"
    assert visible("a" * 10, 10) == "a" * 10
    assert visible("a" * 300, None) == "a" * 300
