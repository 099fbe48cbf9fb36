"""What a change loosens in its own judge: keys of the policy, entries of the baseline.

Every key of the policy has a row in :data:`LOOSER` or stands in :data:`HARMLESS`; a test holds
this, so that a new key cannot be forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from bye_lint.baseline.file import Baseline, Entry
from bye_lint.codes import POLICY_WEAKENED, RULES
from bye_lint.escape import visible
from bye_lint.policy import Policy
from bye_lint.policy.nodes import Document, Place, clip, read_document
from bye_lint.records import Finding

#: What a finding is matched by: rule and fingerprint.
Key = tuple[str, str]

#: Says whether the second value is looser than the first.
Looser = Callable[[Any, Any], bool]


def _higher(base: Any, head: Any) -> bool:
    return bool(head > base)


def _lower(base: Any, head: Any) -> bool:
    return bool(head < base)


def _other(base: Any, head: Any) -> bool:
    return bool(head != base)


def _higher_limit(base: int | str, head: int | str) -> bool:
    """Compare counts and percentages; where one is each, only 0 is surely not looser."""
    (a, a_unit), (b, b_unit) = _limit(base), _limit(head)
    return b > a if a_unit == b_unit or not b else True


def _limit(value: int | str) -> tuple[Fraction, str]:
    text = str(value)
    return Fraction(text.rstrip("% ")), "%" if "%" in text else ""


def _to(value: str) -> Looser:
    return lambda base, head: head == value and base != value


def _fewer_paths(base: tuple[str, ...], head: tuple[str, ...]) -> bool:
    kept = [PurePosixPath(path) for path in head]
    return any(not any(PurePosixPath(p).is_relative_to(k) for k in kept) for p in base)


def _lower_or_unset(base: float | None, head: float | None) -> bool:
    return base != head and (base is None or head is None or head < base)


_TOP = Place(1, 1)
_ANOTHER_MODEL = "another model would judge"
_OTHER_TRAINING = "the model would be fine-tuned in another way"
_LESS_CONTEXT = "fewer unchanged records would be read for comparison"
_OTHER_DATA = "other data would be read"

#: By key: which change of it is looser, and what that means.
LOOSER: Mapping[str, tuple[Looser, str]] = {
    "dataset.paths": (_fewer_paths, "some data would no longer be checked"),
    "dataset.format": (_other, _OTHER_DATA),
    "dataset.image_root": (_other, _OTHER_DATA),
    "dataset.fields": (_other, _OTHER_DATA),
    "dataset.turns": (_to("first"), "later questions of a conversation would not be read"),
    "dataset.max_pixels": (_higher, "larger images would be decoded"),
    "model.name": (_other, _ANOTHER_MODEL),
    "model.revision": (_other, _ANOTHER_MODEL),
    "model.adapter": (_other, _ANOTHER_MODEL),
    "model.dtype": (_other, _ANOTHER_MODEL),
    "model.quantization": (_other, _ANOTHER_MODEL),
    "fine_tune.mode": (_other, _OTHER_TRAINING),
    "fine_tune.method": (_other, _OTHER_TRAINING),
    "fine_tune.epochs": (_lower_or_unset, "the model would be fine-tuned for a shorter time"),
    "fine_tune.batch_size": (_other, _OTHER_TRAINING),
    "fine_tune.learning_rate": (_other, _OTHER_TRAINING),
    "fine_tune.canary_share": (_lower, "fewer canaries would say what a pass is worth"),
    "detection.method": (_other, "another detector would judge"),
    "detection.bsi": (_other, "other layers would be sensitive"),
    "detection.threshold": (_other, "other layers would be sensitive"),
    "detection.false_alarm_rate": (_lower, "fewer records would be called suspicious"),
    "gate.max_suspicious": (_higher_limit, "more suspicious samples would pass"),
    "gate.on_inconclusive": (_to("pass"), "a check without an answer would pass"),
    "gate.min_samples": (_lower, "fewer samples would be enough for a pass"),
    "gate.max_skipped": (_higher_limit, "more skipped records would pass"),
    "gate.min_changed": (_lower, "fewer changed records would be judged as if they were enough"),
    "gate.scope": (_to("changed"), "suspects among unchanged records would not count"),
    "gate.fdr": (_lower_or_unset, "suspects would be chosen in another way"),
    "context.factor": (_lower, _LESS_CONTEXT),
    "context.min": (_lower, _LESS_CONTEXT),
    "context.max": (_lower, _LESS_CONTEXT),
    "baseline": (_other, "other findings would be accepted"),
    "seed": (_other, "what is drawn at random would be drawn anew"),
}

#: Keys that change neither what is judged nor how.
HARMLESS = ("model.base", "model.device", "model.batch_tokens", "reports", "base", "source")


def policy_weakened(base: Policy, head: Policy, *, text: str, path: str) -> tuple[Finding, ...]:
    """Return a BYE301 for each key that the head's policy loosens.

    Parameters
    ----------
    base, head : Policy
        As they were read at the base and in the working tree.
    text : str
        The head's policy file, for the line of each key; empty where it has none.
    path : str
        Its path as it is shown.
    """
    document = read_document(text)
    findings = []
    for key, (looser, meaning) in LOOSER.items():
        before, after = _value(base, key), _value(head, key)
        if looser(before, after):
            message = f"{key} was {_shown(before)} and becomes {_shown(after)}: {meaning}"
            findings.append(weakened_finding(message, path, _place(document, key)))
    return tuple(findings)


def baseline_weakened(base: Baseline, head: Baseline) -> tuple[Finding, ...]:
    """Return a BYE301 for each entry of the head's baseline that accepts more than the base's.

    More is: content that the base does not accept, or more copies of it on any day, so that an
    expired acceptance is a new one where it is renewed.
    """
    left: defaultdict[Key, Counter[date]] = defaultdict(Counter)
    for entry in base.entries:
        left[entry.key][entry.expires] += entry.count
    looser: dict[int, str] = {}
    # what is accepted longest is compared first: a copy of the base covers one that ends no later
    for i, entry in sorted(enumerate(head.entries), key=lambda pair: pair[1].expires, reverse=True):
        accepted = left[entry.key]
        until = _accepted_until(accepted, entry.count)
        if until is None or until < entry.expires:
            what = f"the baseline would accept {entry.rule} of {entry.fingerprint[:12]}"
            looser[i] = f"{what}: {visible(entry.reason)}"
            if until is not None:
                looser[i] = f"{what} until {entry.expires}, not {until}"
        _take(accepted, entry)
    return tuple(
        weakened_finding(looser[i], head.source, Place(entry.line, entry.column))
        for i, entry in enumerate(head.entries)
        if i in looser
    )


def _accepted_until(accepted: Mapping[date, int], copies: int) -> date | None:
    """Return the last day on which so many copies are accepted, if there are as many."""
    for day in sorted(accepted, reverse=True):
        copies -= accepted[day]
        if copies <= 0:
            return day
    return None


def _take(accepted: Counter[date], entry: Entry) -> None:
    """Take away the copies that cover an entry, as far as they go."""
    wanted = entry.count
    for day in sorted(accepted, reverse=True):
        if day >= entry.expires:
            taken = min(wanted, accepted[day])
            accepted[day] -= taken
            wanted -= taken


def _value(policy: Policy, key: str) -> Any:
    value: Any = policy
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    plain = list(value) if isinstance(value, tuple) else value
    return visible(clip(plain))


def _place(document: Document, key: str) -> Place:
    """Return where a key stands; its section, or the top, where it was taken away."""
    where = tuple(key.split("."))
    return document.keys.get(where) or document.keys.get(where[:1]) or Place(1, 1)


def weakened_finding(message: str, path: str, place: Place = _TOP) -> Finding:
    """Return a BYE301 with a fingerprint of its own."""
    rule = RULES[POLICY_WEAKENED]
    content = json.dumps([rule.code, path, message])
    return Finding(
        rule=rule.code,
        level=rule.level,
        message=message,
        path=path,
        line=place.line,
        column=place.column,
        end_column=place.column + 1,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
    )
