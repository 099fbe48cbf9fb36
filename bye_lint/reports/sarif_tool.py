"""What SARIF says of the tool itself: its rules and the notifications it can send."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bye_lint.codes import RULES, Rule
from bye_lint.escape import markdown, visible
from bye_lint.records import Finding
from bye_lint.reports import view

NOTIFICATIONS: Mapping[str, str] = {
    "inconclusive": "The check has no answer; the absence of findings means nothing.",
    "skipped-record": "A record could not be scored.",
    "left-out": "Findings beyond the platform's limits were left out.",
}

# Code scanning takes 1,024 characters.
_MAX_DESCRIPTION = 1_000


def rule_table(findings: Iterable[Finding]) -> Sequence[Rule]:
    """Return every known rule, then those of the findings that this version does not know."""
    unknown = sorted({f.rule for f in findings} - set(RULES))
    return (*RULES.values(), *map(view.rule_of, unknown))


def driver(rules: Iterable[Rule], version: str) -> dict[str, Any]:
    """Return the ``tool.driver`` object."""
    tool: dict[str, Any] = {
        "name": "bye-lint",
        "fullName": "bye-lint, a linter against backdoored fine-tuning data",
        "version": version,
        "rules": [_descriptor(rule) for rule in rules],
        "notifications": [
            {
                "id": f"bye-lint/{kind}",
                "name": _pascal(kind),
                "shortDescription": {"text": text},
                "fullDescription": {"text": text},
                "help": {"text": text, "markdown": text},
            }
            for kind, text in NOTIFICATIONS.items()
        ],
    }
    if re.fullmatch(r"\d+\.\d+\.\d+(-[\w.-]+)?", version):
        tool["semanticVersion"] = version
    return tool


def _descriptor(rule: Rule) -> dict[str, Any]:
    first = rule.help.split("\n\n")[0]
    return {
        "id": visible(rule.code, 100),
        "name": _pascal(visible(rule.name, 200)),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": first[:_MAX_DESCRIPTION]},
        "help": {
            "text": rule.help.replace("**", "").replace("`", ""),
            "markdown": f"# {markdown(rule.code)} {markdown(rule.name)}\n\n"
            f"{rule.summary}\n\n{rule.help}\n",
        },
        "defaultConfiguration": {"level": rule.level},
        "properties": {
            "tags": ["security", "data-poisoning"] if float(rule.severity) >= 4 else ["data"],
            "precision": "high",
            "problem.severity": {"note": "recommendation"}.get(rule.level, rule.level),
            "security-severity": rule.severity,
        },
    }


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
