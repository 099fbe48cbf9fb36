"""Writes what is generated: the schema of results, and the pages on rules and reports.

``python -m bye_lint.reports.reference`` from the root of the repository writes them again; a
test fails where a page is not what this would write. With a saved result as its argument, the
samples on the page are rendered from that one from then on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bye_lint.codes import RULES, Rule
from bye_lint.reports import REPORTS, RenderContext, load_result, render, write_report
from bye_lint.reports.schema import build_schema
from bye_lint.results import RESULT_VERSION, ScanResult

#: The result that the samples of docs/reports.md are rendered from.
SAMPLE = "docs/samples/result.json"

_SAMPLE_LINES = 24

_FAMILIES = {
    "BYE0": "What the model shows",
    "BYE1": "What keeps a record from being used or judged",
    "BYE3": "What a change does to the check",
}

_NOTES: Mapping[str, str] = {
    "terminal": (
        "Printed unless `--format` says otherwise. It has colour only on a terminal and without "
        "`NO_COLOR`. `--quiet` prints one line per error or warning, which editors and `grep` "
        "understand, the number of notes, and the verdict. `--verbose` prints every layer, every "
        "finding and every setting.\n\n"
        "The histogram shows the scores of all records, with the threshold between two bars. The "
        "table of methods shows how many records the published rule and the others would have "
        "flagged on the same attention. Places are relative to the repository's root, wherever the "
        "check was started, or outside of a repository to the working directory. `bye-lint "
        "explain` takes them in this form, or relative to the working directory."
    ),
    "json": (
        "Everything that was found. From it `bye-lint report result.json --format FORMAT` "
        "renders any other format later, without a model. Each record is on one line. The schema "
        "is `bye_lint/schema/result.schema.json`, also printed by `bye-lint schema result`; this "
        f"is version {RESULT_VERSION}. Two checks of the same data write the same bytes, except "
        "for the key `timings`, which comes last. Numbers have six significant digits. Suppressed "
        "findings are kept, with their reason in `suppressed`."
    ),
    "sarif": (
        "SARIF 2.1.0. A result's location is the record's line; the image is a related location. "
        "`partialFingerprints.primaryLocationLineHash` is a hash of the record's content and a "
        "counter for exact duplicates, so alerts survive when records are moved, renamed or "
        "inserted. The worst 5,000 findings are kept, as many as code scanning shows, and less "
        "than 10 MB compressed; a notification says how many were left out. Suppressed findings "
        "are left out. Skipped records are notifications of the tool.\n\n"
        "Uploading a category marks its missing alerts as fixed. So an inconclusive check has "
        "`executionSuccessful: false`, a notification of level error and the category "
        "`bye-lint-inconclusive`; a check of the structure alone has the category "
        "`bye-lint-structure`; only a full and conclusive check has `bye-lint`."
    ),
    "markdown": (
        "For `$GITHUB_STEP_SUMMARY`, a comment or a page; at most 1 MiB. If `GITHUB_REPOSITORY` "
        "and `GITHUB_SHA` are set, places link to the line at that commit. `GITHUB_HEAD_SHA` takes "
        "precedence over `GITHUB_SHA`, which in a pull request is a merge that ceases to exist. "
        "Text from the dataset is in code spans."
    ),
    "github": (
        "Workflow commands: the verdict, and the worst findings on their lines, at most ten of "
        "each level, which is as many as GitHub shows for a step."
    ),
    "gitlab": (
        "An array for `artifacts:reports:codequality`. An inconclusive check has an entry that "
        "says so, since an empty array would look clean. At most 5,000 findings."
    ),
    "junit": (
        "The first test is the gate. Findings are failed tests only if the check did not "
        "pass, so that a server which counts failures agrees with the gate. An inconclusive "
        "check is an error, or a skipped test if the policy lets it pass. Records "
        "that were not judged are skipped tests."
    ),
    "html": (
        "One file that needs nothing else, with the images and where the model looked. Images are "
        "shown as the model gets them, neither turned by EXIF nor laid on a background where they "
        "are transparent. If its processor crops or pads, the heat covers the part that the model "
        "sees. There is no heat where one grid of tokens does not cover the image: tiles, several "
        "images, tokens of a resampler."
    ),
}


def pages(root: Path = Path()) -> Mapping[str, str]:
    """Return each generated file: its path from the root of the repository, and its text."""
    sample = load_result(root / SAMPLE)
    return {
        "bye_lint/schema/result.schema.json": json.dumps(build_schema(), indent=2) + "\n",
        "docs/rules.md": rules_page(tuple(RULES.values())),
        "docs/reports.md": reports_page(sample),
        SAMPLE: render(sample, "json"),
    }


def rules_page(rules: Sequence[Rule]) -> str:
    """Return the reference of the rules, written from the table."""
    lines = [
        "# Rules",
        "",
        "`bye-lint rule` lists the rules, `bye-lint rule CODE` explains one. The severity is what "
        "code scanning sorts by (0.1 to 10).",
        "",
        "| code | name | level | severity | |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for rule in rules:
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.name})"
        lines.append(f"| {link} | {rule.name} | {rule.level} | {rule.severity} | {rule.summary} |")
    family = ""
    for rule in rules:
        heading = _FAMILIES[rule.code[:4]]
        if heading != family:
            family = heading
            lines += ["", f"## {family}"]
        lines += ["", f"### {rule.code} {rule.name}", "", rule.summary, "", rule.help]
    return "\n".join(lines) + "\n"


def reports_page(sample: ScanResult) -> str:
    """Return the page on the formats, with samples rendered from one result."""
    lines = [
        "# Reports",
        "",
        "Every format is rendered from one result, escapes text from the dataset for the "
        "place where it is shown, and does not affect the exit status.",
        "",
        "```bash",
        "bye-lint check data/ --report sarif=bye-lint.sarif --report json=result.json",
        "bye-lint report result.json --format markdown",
        "```",
        "",
        "A path that cannot be written is refused before the check begins, and a report is "
        "written whole or not at all. Nothing is written through a symbolic link in a git "
        "repository, which may have come with the change that is checked, nor to anything in "
        "`.git`.",
        "",
        f"The samples below are from {_origin(sample)} (`{SAMPLE}`, without texts and pictures).",
        "",
        "| format | file | |",
        "| --- | --- | --- |",
        *(
            f"| [{r.name}](#{r.name}) | `{r.extension}` | {r.description} |"
            for r in REPORTS.values()
        ),
    ]
    for name in REPORTS:
        lines += ["", f"## {name}", "", _NOTES.get(name, f"{REPORTS[name].description}.")]
        if name != "html":
            lines += ["", *_sample(sample, name)]
    return "\n".join(lines) + "\n"


def _origin(sample: ScanResult) -> str:
    path = sample.paths[0]
    return f"the check of `{path}`" if path.startswith("examples/") else "an invented result"


def _sample(result: ScanResult, name: str) -> list[str]:
    language = {"json": "json", "sarif": "json", "gitlab": "json", "junit": "xml"}.get(name, "text")
    text = render(result, name, RenderContext(width=96))
    shown = [line if len(line) <= 140 else f"{line[:139]}…" for line in text.splitlines()]
    if name != "terminal" and len(shown) > _SAMPLE_LINES:
        shown = [*shown[:_SAMPLE_LINES], "…"]
    return [f"`````{'markdown' if name == 'markdown' else language}", *shown, "`````"]


def main(arguments: Sequence[str]) -> None:
    """Write the generated files again, from a new sample where one is given."""
    for argument in arguments:
        Path(SAMPLE).parent.mkdir(parents=True, exist_ok=True)
        write_report(render(trimmed(load_result(Path(argument))), "json"), Path(SAMPLE))
    for path, text in pages().items():
        write_report(text, Path(path))


def trimmed(result: ScanResult) -> ScanResult:
    """Return a result without what no sample shows: pictures, prompts, entropies, timings."""
    samples = tuple(
        replace(s, entropy=(), prompt="", answer="", images=(), digest="") for s in result.samples
    )
    evidence = result.evidence and replace(result.evidence, pictures=(), near_misses=())
    return replace(result, samples=samples, evidence=evidence, timings={})


if __name__ == "__main__":
    main(sys.argv[1:])
