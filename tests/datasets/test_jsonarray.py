"""The scan of a JSON array: the same values as json, the right places, and it never gives up
lightly."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from bye_lint.datasets.jsonarray import MAX_BROKEN, scan_array
from bye_lint.datasets.raw import RawRecord


def scan(data: str | bytes, **options: int) -> list[RawRecord]:
    raw = data.encode() if isinstance(data, str) else data
    return list(scan_array(io.BytesIO(raw), **options))


def records(count: int, rng: random.Random) -> list[dict[str, Any]]:
    words = ["a", "b, c]", "}", '"{[', "\\", "é漢🙂", "", "two\nlines"]
    return [
        {
            "id": f"r{i}",
            "image": f"{i}.png",
            "conversations": [
                {"from": "human", "value": "<image>\n" + rng.choice(words)},
                {"from": "gpt", "value": rng.choice(words)},
            ],
        }
        for i in range(count)
    ]


def layouts(values: list[Any]) -> Iterator[str]:
    yield json.dumps(values)
    yield json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    yield json.dumps(values, indent=1, ensure_ascii=False)
    yield json.dumps(values, indent=4).replace("\n", "\r\n")
    yield "[" + "\n,\n\n".join(json.dumps(v, ensure_ascii=False) for v in values) + "]\n"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["plain", "byte-order-mark"])
def test_equals_json_with_exact_places(chunk: int, bom: str) -> None:
    values = records(5, random.Random(0))
    for text in layouts(values):
        found = scan(bom + text, chunk=chunk)
        assert [raw.value for raw in found] == values
        for raw in found:
            data = (bom + text).encode()
            assert json.loads(data[raw.offset : raw.offset + raw.size]) == raw.value
            lines = text.split("\n")
            before = "\n".join(lines[: raw.line - 1]) + ("\n" if raw.line > 1 else "")
            before += lines[raw.line - 1][: raw.column - 1]
            assert (bom + before).encode() == data[: raw.offset]
            end = lines[raw.line - 1].rstrip("\r")[: raw.end_column - 1]
            assert end[raw.column - 1] == "{"
            assert end.endswith("}") or len(end) == len(lines[raw.line - 1].rstrip("\r"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", []),
        (" [ ] \n", []),
        ("[{}]", [{}]),
        ("[1, 23, -4.5e6, true, null]", [1, 23, -4.5e6, True, None]),
        ('["a", [1], {"b": [2]}]', ["a", [1], {"b": [2]}]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_small_arrays(text: str, values: list[Any], chunk: int) -> None:
    assert [raw.value for raw in scan(text, chunk=chunk)] == values


@pytest.mark.parametrize(
    "text", ["", " ", "{}", "null", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[1],[2]"]
)
def test_what_is_no_array_is_never_silent(text: str) -> None:
    assert any(raw.error for raw in scan(text))


@pytest.mark.parametrize("seed", range(4))
def test_one_wrong_character_costs_one_record(seed: int) -> None:
    rng = random.Random(seed)
    values = records(6, rng)
    for text in layouts(values):
        for _ in range(30):
            place = rng.randrange(text.index("{"), len(text) - 1)
            char = rng.choice('{}]",:\\ax0 \n')  # a [ may make a list of all that follows
            kept = text[place + rng.randrange(2) :]
            mutant = text[:place] + rng.choice([char, ""]) + kept
            found = scan(mutant, chunk=rng.choice([5, 1 << 20]))
            assert found == scan(mutant)
            good = [raw.value for raw in found if not raw.error]
            try:
                whole = json.loads(mutant)
            except ValueError:
                assert any(raw.error for raw in found), mutant
                survivors = sum(value in good for value in values)
                assert survivors >= len(values) - 3, mutant
            else:
                assert good == whole or any("twice" in raw.error for raw in found), mutant


@pytest.mark.parametrize("seed", range(3))
def test_truncation_keeps_what_came_before(seed: int) -> None:
    rng = random.Random(seed)
    values = records(6, rng)
    for text in layouts(values):
        starts = [raw.offset + raw.size for raw in scan(text)]
        for _ in range(20):
            data = text.encode()[: rng.randrange(1, len(text.rstrip().encode()))]
            found = scan(data)
            whole = sum(end <= len(data) for end in starts)
            assert [raw.value for raw in found if not raw.error] == values[:whole]
            assert found[-1].error
            shown = data.decode("utf-8", "replace").rstrip()
            assert found[-1].line in (shown.count("\n") + 1, data.count(b"\n") + 1)


def test_a_broken_record_has_the_same_text_wherever_it_stands() -> None:
    good = records(3, random.Random(1))
    broken = json.dumps(good[1]).replace('"conversations"', '"conversations', 1)
    alone = scan("[" + broken + ", " + json.dumps(good[2]) + "]")
    among = scan("[" + json.dumps(good[0]) + ",\n" + broken + ", " + json.dumps(good[2]) + "]")
    assert next(r.text for r in alone if r.error) == next(r.text for r in among if r.error)
    assert next(r.text for r in alone if r.error) == broken


def test_an_endless_record_is_refused_and_the_next_is_read() -> None:
    text = '[{"id": "a", "x": "' + "y" * 5000 + '"}, {"id": "b"}]'
    found = scan(text, chunk=100, limit=1000)
    assert [(raw.value, bool(raw.error)) for raw in found] == [(None, True), ({"id": "b"}, False)]
    assert "longer than" in found[0].error


def test_memory_is_bounded_by_the_window() -> None:
    text = json.dumps([{"id": i, "text": "x" * 4000} for i in range(1000)]).encode()
    stream = io.BytesIO(text)
    tracemalloc.start()
    count = sum(1 for _ in scan_array(stream, chunk=1 << 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1000
    assert len(text) > 3 << 20
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param('[{"id": ' + "[" * 200_000 + "]" * 200_000 + "}]", id="closed-brackets"),
        pytest.param('[{"id": [' * 5000, id="records-in-records"),
        pytest.param("[" + '{"id": 1, "a": [' * 3000 + "]", id="unclosed-records"),
        pytest.param('[{"' * 30_000, id="quotes"),
        pytest.param("[" + "x," * 100_000 + "]", id="words"),
        pytest.param("[" + '{"id"},' * 50_000 + "]", id="broken-records"),
        pytest.param('["' + "\\" * 300_001, id="backslashes"),
        pytest.param("[" + " " * 3_000_000 + "]", id="spaces"),
        pytest.param("[" + "9" * 300_000 + "]", id="digits"),
        pytest.param('[{"id": 1 "x"}' + " " * 300_000 + "x]", id="spaces-after-a-record"),
        pytest.param('[{"id": 1 "x"},' + " " * 300_000 + "x]", id="spaces-after-a-comma"),
        pytest.param('[{"id": "' + '\\"' * 300_000, id="escaped-quotes"),
        pytest.param('[{"id" "' + '\\"' * 300_000 + "\\\n}]", id="escaped-quotes-and-a-line"),
        pytest.param(b"[" + b"\xff" * 300_000, id="no-utf8"),
        pytest.param('[{"a": 1, "a": 2}, "' + '\\"' * 1_000_000, id="key-twice-and-quotes"),
        pytest.param('[NaN, "' + '\\"' * 1_000_000, id="constant-and-quotes"),
    ],
)
def test_hostile_files_are_read_to_their_end(data: str | bytes) -> None:
    # Read in a time that grows with the square of their length, these would take hours.
    found = scan(data)
    assert len(found) <= 2 * MAX_BROKEN + 2


def test_many_broken_records_end_with_a_word() -> None:
    found = scan("[" + '{"id"}, ' * (MAX_BROKEN + 50) + '{"id": 1}]')
    assert len(found) == MAX_BROKEN + 1
    assert "the rest was not read" in found[-1].error
