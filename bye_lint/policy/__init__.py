"""The policy: what to check, with which model, and what the gate allows.

Dataclasses in :mod:`~bye_lint.policy.model`; the file they are read from in
:mod:`~bye_lint.policy.load`; its JSON schema in :mod:`~bye_lint.policy.schema`.
"""

from bye_lint.policy.keys import DEVICE, PATTERNS
from bye_lint.policy.limits import parse_limit
from bye_lint.policy.load import POLICY_NAMES, default_policy, find_policy, load_policy
from bye_lint.policy.model import (
    ContextPolicy,
    DatasetPolicy,
    DetectionPolicy,
    FineTunePolicy,
    GatePolicy,
    ModelPolicy,
    Policy,
    ReportPolicy,
)
from bye_lint.policy.reference import policy_reference
from bye_lint.policy.schema import policy_schema
from bye_lint.policy.show import show_policy, starter_policy

__all__ = [
    "DEVICE",
    "PATTERNS",
    "POLICY_NAMES",
    "ContextPolicy",
    "DatasetPolicy",
    "DetectionPolicy",
    "FineTunePolicy",
    "GatePolicy",
    "ModelPolicy",
    "Policy",
    "ReportPolicy",
    "default_policy",
    "find_policy",
    "load_policy",
    "parse_limit",
    "policy_reference",
    "policy_schema",
    "show_policy",
    "starter_policy",
]
