"""The policy's reference page, from the same table of keys as its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bye_lint.policy.keys import KEYS, SECTIONS, SHORTHANDS
from bye_lint.policy.load import POLICY_NAMES, expected
from bye_lint.policy.schema import Choices, policy_schema

_HEAD = f"""# Policy

The policy is a file named {", ".join(f"`{name}`" for name in POLICY_NAMES[:-1])} or
`{POLICY_NAMES[-1]}`. It is looked for from the checked path upwards to the root of the repository.
Every key may be left out; an empty file is the default policy. `bye-lint init` writes a policy with
all keys and comments, `bye-lint schema policy` prints the JSON schema for editors, and
`bye-lint check --show-policy` shows what is in effect.

A mistake is reported with its line and column, and all mistakes of a file at once:

```
bye-lint.yaml:5:11: fine_tune.method is 'loar', expected auto, lora or full, did you mean lora?
```

Unknown keys, keys that are given twice, YAML tags and merge keys are refused. Percentages are
rounded down: 0.5% of 199 records is none.
"""


def policy_reference(choices: Choices | None = None) -> str:
    """Return the reference page of the policy in Markdown.

    Parameters
    ----------
    choices : mapping of str to sequence of str, optional
        As in :func:`~bye_lint.policy.policy_schema`.
    """
    properties = policy_schema(choices, shorthands=False)["properties"]
    lines = [_HEAD]
    for section, text in SECTIONS.items():
        lines += [f"## {section}", "", text, ""]
        if section in SHORTHANDS:
            key = SHORTHANDS[section]
            lines += [f"`{section}: VALUE` is short for `{section}: {{{key}: VALUE}}`.", ""]
        lines += _table(properties[section]["properties"], KEYS[section])
    lines += ["## Beside the sections", ""]
    lines += _table({name: properties[name] for name in KEYS[""]}, KEYS[""])
    lines += ["Each of `reports`:", ""]
    lines += _table(properties["reports"]["items"]["properties"], KEYS["reports[]"])
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(properties: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | default | |"
    yield "| --- | --- | --- | --- |"
    for name in keys:
        schema = properties[name]
        default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
        values = expected(schema)
        if "properties" in schema:
            values += ": " + ", ".join(f"`{key}`" for key in schema["properties"])
        if "enum" in schema:
            values = ", ".join(f"`{value}`" for value in schema["enum"])
        yield f"| `{name}` | {values} | {default} | {schema['description']} |"
    yield ""
