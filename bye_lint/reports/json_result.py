"""The whole result as JSON: what every other format can be rendered from, later and elsewhere.

One record a line, so that two results can be compared with ``diff``. The same check writes the
same bytes, but for ``timings``, which come last.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from bye_lint.escape import json_text
from bye_lint.reports.base import RenderContext, Report
from bye_lint.results import ScanResult, significant, to_json


def render(result: ScanResult, context: RenderContext) -> str:
    """Return the result as JSON (schema: ``bye_lint/schema/result.schema.json``)."""
    data = _plain(to_json(result))
    timings = data.pop("timings")
    data["timings"] = timings
    rows = [f"  {_dumps(key)}: {_block(value)}" for key, value in data.items()]
    return json_text("{\n" + ",\n".join(rows) + "\n}\n")


def _block(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n    " + ",\n    ".join(_dumps(item) for item in value) + "\n  ]"
    if isinstance(value, dict) and value:
        rows = [f"    {_dumps(key)}: {_inner(item)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n  }"
    return _dumps(value)


def _inner(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n      " + ",\n      ".join(_dumps(item) for item in value) + "\n    ]"
    return _dumps(value)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """Round the numbers; JSON has no word for NaN, which becomes null, nor for infinity."""
    if isinstance(value, float):
        if math.isinf(value):
            return math.copysign(sys.float_info.max, value)
        return None if math.isnan(value) else significant(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


REPORT = Report("json", "the whole result, from which every other format renders", render, ".json")
