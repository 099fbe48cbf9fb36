"""Markdown for a step summary or a comment, in GitHub's dialect.

Whatever came from the dataset stands in code spans, where nothing is a link, an image, HTML
or a mention.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from bye_lint.escape import MAX_MESSAGE, markdown, visible
from bye_lint.records import Finding, Skipped
from bye_lint.reports import view
from bye_lint.reports.base import RenderContext, Report
from bye_lint.reports.worth import planted, power_sentence, worth_sentence
from bye_lint.results import ScanResult

#: A step summary takes 1 MiB.
MAX_BYTES = 1 << 20
TOP_FINDINGS = 50
TOP_CAMPAIGNS = 10
TOP_REASONS = 20
TOP_PATHS = 20

_HEADINGS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the result as Markdown, at most 1 MiB of it."""
    parts = [
        _heading(result),
        _counts(result),
        _suspects(result, context),
        _campaigns(result),
        _evidence(result),
        _broken(result, context),
        _methods(result),
        _power(result),
        _again(result),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return _capped(text)


def _capped(text: str) -> str:
    """Cut after the last line that fits; reached only by absurd paths, so the end is plain."""
    data = text.encode()
    if len(data) <= MAX_BYTES:
        return text
    end = "\n\n…cut here: the report is longer than a step summary may be.\n"
    kept = data[: MAX_BYTES - len(end.encode())].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] + end


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    rule = ["---:" if name in right else "---" for name in head]
    lines = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _heading(result: ScanResult) -> str:
    reasons = [f"- {_prose(reason)}" for reason in result.reasons[:TOP_REASONS]]
    gate = f"{_prose(view.gate_sentence(result))} · {view.exit_sentence(result)}"
    return "\n\n".join([f"## bye-lint: {_HEADINGS[result.verdict]}", "\n".join(reasons), gate])


def _prose(text: str) -> str:
    """Return text as it is where nothing in it could act, and as code otherwise."""
    safe = (
        re.fullmatch(r"[A-Za-z0-9](?:[\w ,;.%()'-]|:(?= ))*", text, re.ASCII)
        and "www." not in text.lower()
    )
    return text if safe and len(text) <= MAX_MESSAGE else markdown(text, MAX_MESSAGE)


def _counts(result: ScanResult) -> str:
    counts = result.counts
    columns = {
        "records": counts.records,
        "scored": counts.scored,
        "skipped": counts.skipped,
        "without an image": counts.without_image or None,
        "suspicious": result.gate.suspicious,
        "structural findings": counts.structural,
        "changed": counts.changed,
        "context": counts.context,
        "suspicious, unchanged": view.unjudged(result) or None,
        "suppressed": view.suppressed(result) or None,
    }
    shown = {name: f"{n:,}" for name, n in columns.items() if n is not None}
    return _table(tuple(shown), [tuple(shown.values())], tuple(shown))


def _where(item: Finding | Skipped, context: RenderContext) -> str:
    text = markdown(f"{item.path}:{item.line}")
    url = view.line_url(context.environ, item.path, item.line)
    return f"[{text}]({url})" if url else text


def _suspects(result: ScanResult, context: RenderContext) -> str:
    suspects = view.suspects(result)
    if not suspects:
        return ""
    head = ("where", "sample", "score", "posterior", "answer")
    rows = [
        (
            _where(f, context),
            markdown(f.sample_id or ""),
            "" if f.score is None else f"{f.score:.2f}",
            "" if f.posterior is None else f"{f.posterior:.3f}",
            markdown(f.properties.get("answer", "")),
        )
        for f in suspects[:TOP_FINDINGS]
    ]
    title = f"### Suspicious samples ({len(suspects):,})"
    table = _table(head, rows, ("score", "posterior"))
    return "\n\n".join([title, table, *_more(len(suspects) - len(rows), "suspects")])


def _more(hidden: int, what: str) -> Iterator[str]:
    if hidden > 0:
        yield f"…and {hidden:,} more {what}; the JSON report has them all."


def _campaigns(result: ScanResult) -> str:
    if not result.campaigns:
        return ""
    rows = [
        (markdown(c.kind), markdown(c.value), view.campaign_sentence(c))
        for c in result.campaigns[:TOP_CAMPAIGNS]
    ]
    table = _table(("what they share", "value", "who"), rows)
    more = _more(len(result.campaigns) - len(rows), "groups")
    return "\n\n".join(["### Campaigns", table, *more])


def _evidence(result: ScanResult) -> str:
    said = [f"- {_prose(sentence)}" for sentence in view.evidence_sentences(result)]
    return "\n\n".join(["### Evidence", "\n".join(said)]) if said else ""


def _broken(result: ScanResult, context: RenderContext) -> str:
    items = view.broken(result)
    if not items:
        return ""
    rows = [
        (
            markdown(row.rule.code),
            markdown(row.rule.name),
            f"{row.count:,}",
            _where(row.first, context),
            markdown(row.first.message),
        )
        for row in view.by_rule(items)
    ]
    table = _table(("rule", "name", "count", "first at", "there"), rows, ("count",))
    skipped = f"{view.plural(len(result.skipped), 'record')} skipped, so not judged."
    return "\n\n".join(["### Other findings", table, *([skipped] if result.skipped else [])])


def _methods(result: ScanResult) -> str:
    rows = view.methods(result)
    if len(rows) < 2:
        return ""
    table = _table(
        ("method", "suspects", ""),
        [(markdown(n), f"{c:,}", "the verdict rests on this" if u else "") for n, c, u in rows],
        ("suspects",),
    )
    return f"### The same attention, judged by each method\n\n{table}"


def _power(result: ScanResult) -> str:
    if result.structural_only or result.detection is None:
        return ""
    worth = worth_sentence(result)
    if not result.detection.power:
        return f"### What this check can see\n\n{worth}"
    rows = [
        (
            markdown(p.kind),
            planted(p, result.counts),
            view.percent(p.learned),
            view.percent(p.recall),
            power_sentence(p),
        )
        for p in result.detection.power
    ]
    head = ("planted trigger", "copies", "learned", "found", "")
    table = _table(head, rows, ("copies", "learned", "found"))
    return f"### What this check can see\n\n{worth}\n\n{table}"


def _again(result: ScanResult) -> str:
    made = result.reproducibility
    words = ["bye-lint", "check", "--seed", str(made.seed)]
    words += ["--structural"] if result.structural_only else []
    words += [f"--policy={visible(made.policy_path)}"] if made.policy_path else []
    words += [f"--changed-since={visible(made.changed_since)}"] if made.changed_since else []
    if made.policy_ref is not None:
        same = made.policy_ref == made.changed_since
        words += ["--policy-from-ref" if same else f"--policy-ref={visible(made.policy_ref)}"]
    words += [] if made.accepts else ["--no-baseline"]
    # the policy's own are left to it: the first of them could lead to another policy
    paths = () if made.paths_of_policy else result.paths
    words += ["--", *map(visible, paths[:TOP_PATHS])] if paths else []
    command = shlex.join(words)
    left_out = view.plural(len(paths) - TOP_PATHS, "more path")
    facts = {
        "bye-lint": made.tool_version,
        "model": made.model,
        "model digest": made.model_digest,
        "dataset digest": made.dataset_digest,
        "policy digest": made.policy_digest,
        "device": f"{made.device} {made.dtype}".strip(),
        "Python": made.python,
        **dict(sorted(made.packages.items())),
    }
    rows = [(markdown(name), markdown(value)) for name, value in facts.items() if value]
    return "\n".join(
        [
            "<details><summary>The same check on your machine</summary>",
            "",
            "````bash",
            command,
            "````",
            "",
            *([f"…and {left_out}; the JSON report has them all.", ""] * (len(paths) > TOP_PATHS)),
            _table(("", ""), rows),
            "",
            "</details>",
        ]
    )


REPORT = Report("markdown", "for a step summary, a comment or a page", render, ".md")
