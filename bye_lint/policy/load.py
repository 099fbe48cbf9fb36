"""From a policy file to a :class:`Policy`, or to one error that lists every mistake in it."""

from __future__ import annotations

import dataclasses
import difflib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import jsonschema

from bye_lint.errors import PolicyError
from bye_lint.policy.keys import PATTERNS, SECTIONS, SHORTHANDS
from bye_lint.policy.model import Policy, ReportPolicy
from bye_lint.policy.nodes import Document, Place, Problem, Where, clip, read_document
from bye_lint.policy.schema import Choices, policy_schema

#: Names that a policy file may have, looked for in every folder up to the repository's root.
POLICY_NAMES = ("bye-lint.yaml", ".bye-lint.yaml", "bye-lint.yml")

#: Larger than any policy; what is larger is some other file.
MAX_BYTES = 1 << 20

_TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "nothing",
    "object": "a mapping of keys",
    "array": "a list",
}
_BOUNDS = {
    "minimum": "of at least",
    "maximum": "of at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
}


def find_policy(start: Path) -> Path | None:
    """Return the policy that holds for a file or folder, or ``None``.

    Looked for in the folder itself and in its parents, up to the root of the repository (the
    folder that holds ``.git``); outside of a repository, up to the root of the file system.

    Raises
    ------
    PolicyError
        If a folder holds policies under two names, so that which one holds is not plain.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        found = [folder / name for name in POLICY_NAMES if (folder / name).is_file()]
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise PolicyError(f"{folder}: two policies, {names}", "Keep one of them.")
        if found:
            return found[0]
        if (folder / ".git").exists():
            return None
    return None


def default_policy(base: Path) -> Policy:
    """Return the policy that holds where there is no file; its paths start from ``base``."""
    return Policy(base=base)


def load_policy(path: Path, *, choices: Choices | None = None, text: str | None = None) -> Policy:
    """Read and check a policy file.

    Parameters
    ----------
    path : Path
        The file; its folder is where the policy's relative paths start.
    choices : mapping of str to sequence of str, optional
        Names that may be chosen: ``formats``, ``detectors``, ``reports``.
    text : str, optional
        Content to use in place of the file's, such as the one of another commit.

    Raises
    ------
    PolicyError
        If the file cannot be read, or has mistakes; all of them are listed, each as
        ``file:line:column: what, expected what, did you mean ...``.
    """
    document = read_document(_read_text(path) if text is None else text)
    problems = list(document.problems)
    if document.value is None:
        document.value = {}
    elif isinstance(document.value, dict):
        _write_out_shorthands(document)
    problems += _schema_problems(document, policy_schema(choices, shorthands=False))
    problems += _nul_problems(document.value, (), document)
    if not problems:
        policy: Policy = _build(Policy, document.value)
        problems += _contradictions(policy, document)
    if problems:
        lines = [f"{path}:{p.place.line}:{p.place.column}: {p.message}" for p in sorted(problems)]
        raise PolicyError(
            "\n".join(dict.fromkeys(lines)), "`bye-lint init` writes a policy with every key."
        )
    return dataclasses.replace(policy, base=path.absolute().parent, source=str(path))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(
            f"{path}: cannot be read ({error.strerror or error})", "Name a readable policy file."
        ) from error
    if len(data) > MAX_BYTES:
        raise PolicyError(f"{path}:1:1: larger than 1 MiB, expected a policy in YAML")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
        raise PolicyError(
            f"{path}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8",
            "Save the policy as UTF-8.",
        ) from error


def _write_out_shorthands(document: Document) -> None:
    for section, key in SHORTHANDS.items():
        value = document.value.get(section)
        if section in document.value and not isinstance(value, dict | list):
            place = document.values[(section,)]
            if value is None:
                document.value[section] = {}
            else:
                document.value[section] = {key: value}
                document.values[(section, key)] = place
    for section in SECTIONS:
        if section in document.value and document.value[section] is None:
            document.value[section] = {}  # a heading whose keys are all commented out


def _schema_problems(document: Document, schema: Mapping[str, Any]) -> Iterator[Problem]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document.value):
        where: Where = tuple(error.absolute_path)
        place = document.values.get(where) or Place(1, 1)
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            for key in sorted(set(error.instance) - set(known)):
                yield Problem(
                    document.keys.get((*where, key), place),
                    f"unknown key {clip(key)}{_inside(where)}, expected {_listed(known)}"
                    f"{_hint(key, known)}",
                )
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            yield Problem(place, f"{_dotted(where)} lacks {_listed(missing, 'and')}")
        elif not _already_told(where, document):
            yield Problem(
                place,
                f"{_dotted(where)} is {_shown(error.instance)}, "
                f"expected {expected(error.schema)}{_remedy(error.instance, error.schema)}",
            )


def _nul_problems(value: Any, where: Where, document: Document) -> Iterator[Problem]:
    """Yield texts with a NUL, which no path, name or setting has, and no file can be called by."""
    if isinstance(value, str) and "\0" in value:
        place = document.values.get(where) or Place(1, 1)
        yield Problem(place, f"{_dotted(where)} is {clip(value)}, expected text without NUL")
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _nul_problems(part, (*where, key), document)


def _already_told(where: Where, document: Document) -> bool:
    place = document.values.get(where)
    return any(problem.place == place for problem in document.problems)


def _dotted(where: Where) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in where).lstrip(".")
    return text or "the policy"


def _inside(where: Where) -> str:
    return f" in {_dotted(where)}" if where else ""


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return clip(value)


def _listed(names: Sequence[str], last: str = "or") -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def expected(schema: Mapping[str, Any]) -> str:
    """Say in words what a part of the policy's schema allows."""
    if "enum" in schema:
        return _listed([str(name) for name in schema["enum"]])
    if "anyOf" in schema:
        return _listed([expected(part) for part in schema["anyOf"]])
    if "pattern" in schema:
        return PATTERNS[schema["pattern"]]
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    text = _listed([_TYPE_NAMES[kind] for kind in kinds if kind != "null"])
    bounds = [f"{words} {schema[k]}" for k, words in _BOUNDS.items() if k in schema]
    return " ".join([text, _listed(bounds, "and")]).strip()


def _hint(word: object, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(word).lower(), [str(k) for k in known], n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


def _remedy(value: object, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        # YAML 1.1 reads no and off as false
        word = {False: "none", True: "auto"}[value] if isinstance(value, bool) else value
        return _hint(word, schema["enum"])
    if "string" in schema.get("type", ()) and isinstance(value, bool | int | float):
        return ", put it in quotes"
    return ""


def _contradictions(policy: Policy, document: Document) -> Iterator[Problem]:
    for i, report in enumerate(policy.reports):
        if _leaves(report.path):
            yield Problem(
                document.values.get(("reports", i, "path")) or Place(1, 1),
                f"reports[{i}].path is {clip(report.path)}, expected a path that stays in the "
                "working directory; --report may name any other",
            )
    if policy.context.min > policy.context.max:
        where: Where = ("context", "min")
        place = document.values.get(where) or document.values.get(("context", "max"))
        yield Problem(
            place or Place(1, 1),
            f"context.min is {policy.context.min}, expected at most context.max, "
            f"which is {policy.context.max}",
        )


def _leaves(path: str) -> bool:
    """Tell whether a path leads out of the folder that it starts from, or into git's own."""
    plain = posixpath.normpath(path.replace("\\", "/"))
    parts = plain.lower().split("/")
    return plain.startswith("/") or ":" in parts[0] or parts[0] == ".." or ".git" in parts


def _build(cls: Any, data: Mapping[str, Any]) -> Any:
    """Build a dataclass of the policy from a mapping that the schema has accepted."""
    hints = get_type_hints(cls)
    values = {}
    for field in fields(cls):
        if field.name not in data:
            continue
        value, hint = data[field.name], hints[field.name]
        if dataclasses.is_dataclass(hint):
            value = _build(hint, value)
        elif get_origin(hint) is tuple:
            value = tuple(_build(ReportPolicy, v) if isinstance(v, dict) else v for v in value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = _number(value, hint)
        values[field.name] = value
    return cls(**values)


def _number(value: float, hint: Any) -> float:
    # JSON schema calls 10.0 an integer, and 1 a number
    return float(value) if "float" in str(hint) else int(value)
