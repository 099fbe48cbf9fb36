"""Policies as YAML: the effective one, and a commented one to start from."""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from bye_lint.policy.keys import KEYS, SECTIONS
from bye_lint.policy.model import Policy
from bye_lint.policy.schema import OUTSIDE_FILE


def show_policy(policy: Policy) -> str:
    """Return an effective policy as YAML that loads to the same policy.

    Where it was read from does not enter, so that the text can be digested.
    """
    data = _plain(policy)
    for name in OUTSIDE_FILE:
        del data[name]
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def starter_policy() -> str:
    """Return a commented policy that loads to the defaults."""
    defaults = Policy()
    lines = [
        "# Policy of bye-lint. Every key stands at its default; delete what you don't change.",
        "# `bye-lint schema` prints the JSON schema, for editors that complete YAML.",
    ]
    for section, text in SECTIONS.items():
        lines += ["", f"# {text}", f"{section}:"]
        for name in KEYS[section]:
            lines += _key_lines(section, name, getattr(getattr(defaults, section), name), "  ")
    lines.append("")
    for name in KEYS[""]:
        lines += _key_lines("", name, getattr(defaults, name), "")
    return "\n".join(lines) + "\n"


def _key_lines(section: str, name: str, default: Any, indent: str) -> list[str]:
    key = KEYS[section][name]
    if key.example:
        return [f"{indent}# {key.text}", f"{indent}# {name}:{_spaced(key.example)}"]
    value = yaml.safe_dump(_plain(default), width=100).partition("\n")[0]
    return [f"{indent}# {key.text}", f"{indent}{name}: {value}"]


def _spaced(example: str) -> str:
    return example if example.startswith("\n") else f" {example}"
