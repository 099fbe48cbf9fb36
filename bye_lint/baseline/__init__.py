"""Known findings that a person has accepted: why, by whom, until when.

Entries and their file in :mod:`~bye_lint.baseline.file`; what they mean for findings in
:mod:`~bye_lint.baseline.match`; changes that loosen them, or the policy, in
:mod:`~bye_lint.baseline.weakened`.
"""

from bye_lint.baseline.file import Baseline, Entry, dump_baseline, load_baseline, write_baseline
from bye_lint.baseline.match import (
    Audited,
    answered_rules,
    apply_baseline,
    audit_baseline,
    create_baseline,
    judged_rules,
    require_decision,
    update_baseline,
)
from bye_lint.baseline.weakened import baseline_weakened, policy_weakened, weakened_finding

__all__ = [
    "Audited",
    "Baseline",
    "Entry",
    "answered_rules",
    "apply_baseline",
    "audit_baseline",
    "baseline_weakened",
    "create_baseline",
    "dump_baseline",
    "judged_rules",
    "load_baseline",
    "policy_weakened",
    "require_decision",
    "update_baseline",
    "weakened_finding",
    "write_baseline",
]
