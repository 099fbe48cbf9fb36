"""What several formats say alike: order, counts and sentences, drawn from one result.

Nothing here is escaped: each format does that for the place it writes to.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bye_lint.codes import CAMPAIGN, RULES, SUSPICIOUS, Rule
from bye_lint.escape import uri_path
from bye_lint.exhibits import Campaign
from bye_lint.records import Finding, Level, Skipped, place_of
from bye_lint.results import EXIT_CODES, ScanResult, VerdictName, significant

LEVELS: Mapping[Level, int] = {"error": 0, "warning": 1, "note": 2}

MARKS: Mapping[VerdictName, str] = {"pass": "✔", "fail": "✖", "inconclusive": "?"}

MAX_PHRASES = 3

#: What an inconclusive check's reason says, and what may be done about it.
_REMEDIES = (
    (
        "(gate.min_changed)",
        "put them together with other changes, or let such checks pass with "
        "gate.on_inconclusive: pass",
    ),
    ("(gate.min_samples)", "check more records at once"),
    ("(gate.max_skipped)", "mend the records that were skipped"),
    ("no records were found", "name a file or a folder of records"),
    (
        "too few records that can carry it",
        "check more records at once, or plant a larger share (fine_tune.canary_share)",
    ),
)


def plural(count: int, noun: str) -> str:
    """Return ``1 record``, ``1,234 records``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float) -> str:
    """Return a share as a percentage with as many digits as it deserves."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def evidence_sentences(result: ScanResult) -> tuple[str, ...]:
    """Say what the suspects' pixels and questions have in common, where that was looked for."""
    evidence = result.evidence
    if evidence is None:
        return ()
    said = [] if evidence.trigger is None else [evidence.trigger.message]
    said += [
        f"“{phrase.text}” stands in the questions of {percent(phrase.share_of_suspects)} of the "
        f"suspects and {percent(phrase.share_of_rest)} of the rest"
        for phrase in evidence.phrases[:MAX_PHRASES]
    ]
    return tuple(said)


def rule_of(code: str) -> Rule:
    """Return the rule of a code; a stand-in for a code that this version does not know."""
    known = RULES.get(code)
    unknown = "A rule that this version of bye-lint does not know."
    return known or Rule(code, code.lower(), "warning", "5.0", unknown, unknown)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, worst first: by level, severity of the rule, score, then place."""

    def key(finding: Finding) -> tuple[object, ...]:
        score = float("-inf") if finding.score is None else significant(finding.score)
        severity = float(rule_of(finding.rule).severity)
        place = (finding.path, finding.line, finding.rule, finding.sample_id or "")
        return (LEVELS[finding.level], -severity, -score, *place)

    return tuple(sorted(findings, key=key))


def active(result: ScanResult) -> tuple[Finding, ...]:
    """Return the findings that nobody suppressed, worst first."""
    return ranked(f for f in result.findings if f.suppressed is None)


def suspects(result: ScanResult) -> tuple[Finding, ...]:
    """Return the suspicious samples that the gate counts, worst first."""
    return tuple(f for f in active(result) if f.rule == SUSPICIOUS and f.level == "error")


def set_aside(result: ScanResult) -> tuple[Finding, ...]:
    """Return the suspicious samples that were accepted, or that did not change, worst first."""
    found = (f for f in result.findings if f.rule == SUSPICIOUS)
    return ranked(f for f in found if f.suppressed is not None or f.level != "error")


def unjudged(result: ScanResult) -> int:
    """Return how many suspicious samples did not change, so that the gate does not count them."""
    return sum(finding.suppressed is None for finding in set_aside(result))


def why_set_aside(finding: Finding) -> str:
    """Say who accepted a suspect, why and until when; or that it is not judged."""
    if finding.suppressed is None:
        return "unchanged, so not judged"
    words = finding.properties
    author, until = words.get("suppressed_by"), words.get("suppressed_until")
    by = f" by {author}" if author else ""
    return f"accepted{by}{f' until {until}' if until else ''}: {finding.suppressed}"


def broken(result: ScanResult) -> tuple[Finding | Skipped, ...]:
    """Return findings that no detector made, and skipped records that have none, worst first."""
    others = tuple(f for f in active(result) if f.rule not in (SUSPICIOUS, CAMPAIGN))
    known = {(f.rule, f.path, f.line) for f in result.findings}
    rest = tuple(s for s in result.skipped if (s.rule, s.path, s.line) not in known)
    return (*others, *rest)


def suppressed(result: ScanResult) -> int:
    """Return how many findings were suppressed."""
    return sum(f.suppressed is not None for f in result.findings)


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule spoke, and where first."""

    rule: Rule
    count: int
    first: Finding | Skipped


def by_rule(items: Iterable[Finding | Skipped]) -> tuple[RuleCount, ...]:
    """Return the count of each rule, most frequent first."""
    items = tuple(items)
    counts = Counter(item.rule for item in items)
    first: dict[str, Finding | Skipped] = {}
    for item in sorted(items, key=lambda i: (i.path, i.line)):
        first.setdefault(item.rule, item)
    order = sorted(counts, key=lambda code: (-counts[code], code))
    return tuple(RuleCount(rule_of(code), counts[code], first[code]) for code in order)


def gate_sentence(result: ScanResult) -> str:
    """Say what the gate allowed, among which records, and what was found."""
    if result.structural_only:
        return "structural rules only: no model looked at the images"
    gate = result.gate
    if gate.allowed == 0:
        allowed = "no suspicious sample allowed"
    elif gate.max_suspicious == str(gate.allowed):
        allowed = f"at most {plural(gate.allowed, 'suspicious sample')} allowed"
    else:
        allowed = f"at most {gate.max_suspicious} suspicious allowed, here {gate.allowed:,}"
    changed = gate.scope == "changed" and result.counts.changed is not None
    among = " among the changed records" if changed else ""
    return f"{allowed}{among}; {gate.suspicious:,} found"


def exit_sentence(result: ScanResult) -> str:
    """Say what the exit status is, and why it is not that of the verdict."""
    if result.exit_code != EXIT_CODES[result.verdict]:
        return f"exit {result.exit_code}: the policy lets an inconclusive check pass"
    return f"exit {result.exit_code}"


def remedy_sentence(result: ScanResult) -> str:
    """Say what may be done about an inconclusive check, where a reason tells it."""
    reasons = "; ".join(result.reasons)
    said = [remedy for words, remedy in _REMEDIES if words in reasons]
    return "; ".join([*said, "docs/tour.md, “On inconclusive”, goes through the reasons"])


def methods(result: ScanResult) -> tuple[tuple[str, int, bool], ...]:
    """Return each method's name, its number of suspects, and whether the verdict rests on it."""
    if result.detection is None:
        return ()
    used = result.detection.method
    rows = [(used, result.counts.suspicious, True)]
    rows += [(n, c, False) for n, c in sorted(result.detection.comparison.items()) if n != used]
    return tuple((METHOD_NAMES.get(name, name), count, is_used) for name, count, is_used in rows)


METHOD_NAMES: Mapping[str, str] = {
    "bye": "bye, the published rule",
    "bye (released)": "bye, the published rule (released code)",
    "bye (paper)": "bye, the published rule (paper's Eq. 7)",
    "tcap": "tcap, as published",
}


def campaign_sentence(campaign: Campaign) -> str:
    """Say how many suspects share it, and how rare it is elsewhere."""
    return (
        f"{plural(campaign.count, 'suspect')} ({percent(campaign.share_of_suspects)}) and "
        f"{percent(campaign.share_of_rest)} of the rest"
    )


def fingerprints(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a fingerprint for each finding, in their order: content hash, colon, counter.

    Exact duplicates are told apart by the counter, in the order of path and line; nothing
    else of the position enters, so that inserting other records moves none.
    """
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    result = [""] * len(findings)
    for i in sorted(range(len(findings)), key=lambda i: place_of(findings[i])):
        rule, content = findings[i].rule, findings[i].fingerprint or _stand_in(findings[i])
        seen[rule, content] += 1
        result[i] = f"{content}:{seen[rule, content]}"
    return tuple(result)


def _stand_in(finding: Finding) -> str:
    parts = [finding.rule, finding.path, finding.sample_id, finding.message]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def image_paths(finding: Finding) -> tuple[str, ...]:
    """Return the images of a finding, relative to the repository, that a link may point to.

    Addresses, absolute paths and those that climb out are left out.
    """
    name = finding.properties.get("image_path", "")
    if re.match(r"[A-Za-z][\w+.-]*:|[\\/]", name):
        return ()
    parts = [p for p in name.split("/") if p not in ("", ".")]
    return () if ".." in parts or not parts else ("/".join(parts),)


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that was checked: the repository's address and the commit's hash."""

    repository: str
    sha: str


def head_commit(environ: Mapping[str, str]) -> Commit | None:
    """Return the commit that the runner says it checks, if it says so and it is well-formed.

    ``GITHUB_HEAD_SHA`` goes before ``GITHUB_SHA``, which in a pull request is a merge that
    ceases to exist.
    """
    name = environ.get("GITHUB_REPOSITORY", "")
    sha = environ.get("GITHUB_HEAD_SHA") or environ.get("GITHUB_SHA", "")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    sound = (
        re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII)
        and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", sha)
        and re.fullmatch(r"https?://[\w.:-]+", server, re.ASCII)
    )
    return Commit(f"{server}/{name}", sha) if sound else None


def line_url(environ: Mapping[str, str], path: str, line: int) -> str | None:
    """Return the address of a line at the head commit, where the runner says which that is."""
    commit = head_commit(environ)
    if commit is None or path.startswith(("/", "../")):
        return None
    return f"{commit.repository}/blob/{commit.sha}/{uri_path(path)}#L{line}"
