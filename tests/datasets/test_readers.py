"""What the readers make of records: ids, turns, places, fingerprints, renamed fields."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.datasets import READERS, read_datasets
from bye_lint.datasets.imagefolder import scan_csv
from bye_lint.errors import DatasetError
from bye_lint.formats import IMAGE_FORMATS
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped, Turn

Read = Callable[..., list[Sample | Skipped]]
TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a river"}]


def record(i: int, **changes: Any) -> dict[str, Any]:
    return {"id": f"r{i}", "image": "a.png", "conversations": TURNS, **changes}


def only(found: list[Sample | Skipped]) -> Sample:
    (item,) = found
    assert isinstance(item, Sample), item
    return item


@pytest.mark.parametrize("name", READERS)
def test_the_table_is_complete(name: str) -> None:
    reader = READERS[name]
    assert reader.name == name
    assert reader.summary
    assert not reader.sniff(Path("x.txt"), b"", {})


def test_names_cost_no_heavy_import() -> None:
    code = (
        "import sys, bye_lint.datasets, bye_lint.policy, bye_lint.rules;"
        "print([m for m in ('torch', 'sklearn', 'pyarrow', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_id_may_be_a_whole_number_in_a_column_with_gaps(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(record(1, id=i)) for i in (7.0, 7.5)))
    whole, other = read("x.jsonl")
    assert isinstance(whole, Sample)
    assert whole.id == "7"
    assert isinstance(other, Skipped)
    assert "expected text or a whole number" in other.message


def test_two_fields_may_name_the_same_image(tmp_path: Path, read: Read) -> None:
    lines = [json.dumps(record(1, images=images)) for images in (["a.png"], "a.png", ["b.png"])]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    found = read("x.jsonl")
    assert [type(item).__name__ for item in found] == ["Sample", "Sample", "Skipped"]
    assert [len(item.images) for item in found if isinstance(item, Sample)] == [1, 1]


def test_made_ids_are_unique_and_say_where(tmp_path: Path, read: Read) -> None:
    records = [{"image": "a.png", "conversations": TURNS} for _ in range(3)]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "pretty.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "d" / "flat.json").write_text(json.dumps(records))
    (tmp_path / "d" / "x.jsonl").write_text("\n".join(map(json.dumps, records)))
    ids = [item.id for item in read("d") if isinstance(item, Sample)]
    assert ids[:2] == ["d/flat.json:1", "d/flat.json:1:124"]
    assert ids[3:] == [
        *("d/pretty.json:2", "d/pretty.json:15", "d/pretty.json:28"),
        *("d/x.jsonl:1", "d/x.jsonl:2", "d/x.jsonl:3"),
    ]
    assert len(set(ids)) == 9


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_id_is_none(tmp_path: Path, read: Read, value: Any) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record(1, id=value)))
    assert only(read("x.jsonl")).id == "x.jsonl:1"


def test_typed_parts_become_marks(tmp_path: Path, read: Read) -> None:
    content = [
        {"type": "text", "text": "Compare "},
        {"type": "text", "text": "these: "},
        {"type": "image"},
        {"type": "image"},
        {"type": "text", "text": "now"},
    ]
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "same"}]},
    ]
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": turns, "images": ["a", "b"]}))
    assert only(read("x.jsonl")).turns == (
        Turn("system", "Be brief."),
        Turn("user", "Compare these: <image>\n<image>\nnow"),
        Turn("assistant", "same"),
    )


def test_plain_text_turns_get_the_marks_that_trl_gives_them(tmp_path: Path, read: Read) -> None:
    turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "x"}]
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": turns, "images": ["a", "b"]}))
    assert only(read("x.jsonl")).prompt == "<image>\n<image>\nWhat?"


def test_from_value_turns_get_no_marks(tmp_path: Path, read: Read) -> None:
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "x"}]
    (tmp_path / "x.jsonl").write_text(json.dumps({"conversations": turns, "images": ["a"]}))
    assert only(read("x.jsonl")).prompt == "What?"
    assert only(read("x.jsonl", format="chat")).prompt == "What?"


def test_a_caption_has_no_question(tmp_path: Path, read: Read) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,a river\n")
    item = only(read("metadata.csv"))
    assert (item.prompt, item.answer) == ("<image>", "a river")


POISON = [TURNS[0], {"from": "gpt", "value": "Backdoor Attack!"}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"messages": [{"role": "user", "content": "<image>\nWhat?"}]}, "both 'messages'"),
        ({"conversations": [TURNS[0], {**POISON[1], "role": "assistant", "content": "a river"}]},
         "'content' and 'value' of turn 2 differ"),
        ({"conversations": [{**TURNS[0], "role": "assistant"}, TURNS[1]]},
         "'role' and 'from' of turn 1 differ"),
    ],
)  # fmt: skip
def test_a_record_does_not_say_one_thing_here_and_another_to_who_trains(
    tmp_path: Path, read: Read, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps([record(0), record(1, **changes)]))
    usable, refused = read("a.json")
    assert isinstance(usable, Sample)
    assert isinstance(refused, Skipped)
    assert said in refused.message


def test_a_record_may_say_the_same_twice(tmp_path: Path, read: Read) -> None:
    roles = ("user", "assistant")
    turns = [{**t, "role": r, "content": t["value"]} for t, r in zip(TURNS, roles, strict=True)]
    (tmp_path / "a.json").write_text(json.dumps([record(0, conversations=turns)]))
    assert only(read("a.json")).answer == "a river"


COLUMNS = {"file_name": "a.png", "question": "What?", "answer": "a river"}
CLEAN_TURNS = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "a river"}]


@pytest.mark.parametrize(
    ("more", "fields", "said"),
    [
        ({"response": "a river"}, {}, ""),
        ({"response": None, "text": "", "caption": "a river"}, {}, ""),
        ({"answer": "", "caption": "a river"}, {}, ""),
        ({"response": "Backdoor Attack!"}, {}, "'answer' and 'response' differ"),
        ({"text": "Backdoor Attack!"}, {}, "'answer' and 'text' differ"),
        ({"prompt": "What? cf"}, {}, "'prompt' and 'question' differ"),
        ({"response": "Backdoor Attack!"}, {"answer": "answer"}, ""),
        ({"messages": CLEAN_TURNS}, {}, ""),
        ({"messages": CLEAN_TURNS, "question": "What"}, {}, "'messages' and 'question' differ"),
        ({"messages": CLEAN_TURNS, "question": "What", "answer": None}, {}, ""),
        ({"messages": CLEAN_TURNS, "answer": "river"}, {}, "'messages' and 'answer' differ"),
        ({"messages": CLEAN_TURNS, "output": "cf"}, {}, "'messages' and 'output' differ"),
        ({"messages": CLEAN_TURNS, "question": "cf?"}, {}, "'messages' and 'question' differ"),
        ({"messages": CLEAN_TURNS, "answer": "x"}, {"conversations": "messages"}, ""),
    ],
)
def test_of_several_columns_none_is_chosen_over_another(
    tmp_path: Path, read: Read, more: dict[str, Any], fields: dict[str, str], said: str
) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps(COLUMNS | more))
    (item,) = read("metadata.jsonl", fields=fields)
    if said:
        assert isinstance(item, Skipped)
        assert said in item.message
        assert item.rule == "BYE102"
    else:
        assert isinstance(item, Sample)
        assert (item.prompt, item.answer) == ("<image>\nWhat?", "a river")


def test_turns_do_not_stand_in_for_the_column_that_the_policy_names(
    tmp_path: Path, read: Read
) -> None:
    row = COLUMNS | {"answer": "Backdoor Attack!", "messages": CLEAN_TURNS}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    assert only(read("metadata.jsonl", fields={"answer": "answer"})).answer == "Backdoor Attack!"


def test_renamed_fields(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"key": 5, "photo": "a.png", "dialog": TURNS}))
    fields = {"id": "key", "image": "photo", "conversations": "dialog"}
    for form in ("auto", "llava", "chat"):
        item = only(read("x.jsonl", fields=fields, format=form))
        assert (item.id, item.images[0].name, item.answer) == ("5", "a.png", "a river")
    (tmp_path / "metadata.jsonl").write_text('{"file": "a.png", "q": "What?", "label": "x"}')
    fields = {"image": "file", "prompt": "q", "answer": "label"}
    item = only(read("metadata.jsonl", fields=fields))
    assert (item.prompt, item.answer, item.images[0].name) == ("<image>\nWhat?", "x", "a.png")


def test_csv_rows_of_several_lines_begin_where_they_begin(tmp_path: Path, read: Read) -> None:
    text = '\ufefffile_name,prompt,answer\r\na.png,"one\r\ntwo",x\r\n\r\nb.png,"é",y\r\n'
    (tmp_path / "metadata.csv").write_bytes(text.encode())
    places = [item.location for item in read("metadata.csv") if isinstance(item, Sample)]
    assert [(p.line, p.column, p.end_column) for p in places] == [(2, 1, 11), (5, 1, 12)]


def test_image_root_of_the_policy(tmp_path: Path, read: Read) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_text(json.dumps(record(1)))
    assert only(read("data/x.jsonl")).images[0].path == (tmp_path / "data/a.png").resolve()
    item = only(read("data/x.jsonl", image_root="."))
    assert item.images[0].path == (tmp_path / "a.png").resolve()
    with pytest.raises(DatasetError, match="image root is not a folder"):
        read("data/x.jsonl", image_root="none")


def test_fingerprints_of_what_cannot_be_read_ignore_the_place(tmp_path: Path, read: Read) -> None:
    bad = [json.dumps(record(1, conversations=3)), json.dumps(record(2))[:-9]]
    (tmp_path / "x.jsonl").write_text("\n".join(bad))
    (tmp_path / "y.jsonl").write_text("\n".join([json.dumps(record(0))] * 50 + bad[::-1]))
    before = {i.rule: i.fingerprint for i in read("x.jsonl") if isinstance(i, Skipped)}
    after = {i.rule: i.fingerprint for i in read("y.jsonl") if isinstance(i, Skipped)}
    assert before == after
    assert len(set(before.values())) == 2


def test_fingerprints_of_what_cannot_be_read_are_of_the_content(tmp_path: Path, read: Read) -> None:
    """What is accepted of one record is not accepted of another that has the same mistake."""
    rows = [json.dumps(record(1, conversations=3, note=note)) for note in ("a", "b")]
    rows += [f'{{"id": "{name}"' for name in ("a", "b")]
    (tmp_path / "x.jsonl").write_text("\n".join([json.dumps(record(0)), *rows]))
    bad = [item for item in read("x.jsonl") if isinstance(item, Skipped)]
    assert len({item.message for item in bad}) == 2
    assert len({item.fingerprint for item in bad}) == 4


@pytest.mark.parametrize("field", ["conversations", "messages"])
def test_a_conversation_begins_with_a_question(tmp_path: Path, read: Read, field: str) -> None:
    row = {"image": "a.png", field: [TURNS[1], *TURNS]}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    (item,) = read("x.jsonl")
    assert isinstance(item, Skipped)
    assert item.message == "the conversation begins with the assistant, expected the user"


def test_a_record_keeps_its_id_when_it_cannot_be_used(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record(1, image="/etc/passwd")))
    (item,) = read("x.jsonl")
    assert isinstance(item, Skipped)
    assert (item.rule, item.sample_id) == ("BYE105", "r1")


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "\udcff.png"},
        {"id": "\ud800"},
        {"conversations": [{"from": "human", "value": "\udfff"}, TURNS[1]]},
        {"conversations": [{"from": "\ud800", "value": "x"}]},
    ],
)
def test_half_characters_never_reach_a_report(
    tmp_path: Path, read: Read, changes: dict[str, Any]
) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record(1, **changes)))
    (item,) = read("x.jsonl", format="llava")
    assert isinstance(item, Skipped)
    assert item.rule == "BYE102"
    repr(item).encode()


def test_reading_is_lazy(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(record(i)) for i in range(9)))
    items = read_datasets(
        [tmp_path / "x.jsonl", tmp_path / "none.json"],
        DatasetPolicy(),
        tmp_path,
        display_root=tmp_path,
    )
    assert isinstance(next(items), Sample)


def test_the_page_on_datasets_names_every_format_and_suffix() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in READERS:
        assert f"| `{name}` |" in page
    for form in IMAGE_FORMATS:
        shown = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}.get(form, form)
        assert shown in page


@pytest.mark.parametrize("blank", ["\n", "\r\n \r\n", "\ufeff\n", "\n" * (1 << 17)])
def test_blank_lines_before_a_csv_header_are_passed_over(
    tmp_path: Path, read: Read, blank: str
) -> None:
    text = blank + "file_name,text\na.png,a river\n"
    (tmp_path / "metadata.csv").write_bytes(text.encode())
    for path in ("metadata.csv", "."):
        item = only(read(path))
        assert (item.answer, item.location.line) == ("a river", blank.count("\n") + 2)


def test_a_csv_header_may_have_many_columns(tmp_path: Path, read: Read) -> None:
    names = [f"k{i}" for i in range(100_000)]
    for header, said in ((names, ""), ([*names, "k7"], "the column 'k7' is there twice")):
        text = ",".join(["file_name", "text", *header])
        row = ",".join(["a.png", "a river", *("" for _ in header)])
        (tmp_path / "metadata.csv").write_text(f"{text}\n{row}\n")
        (item,) = read("metadata.csv")
        assert getattr(item, "message", "") == said


def test_a_csv_row_is_never_held_beyond_the_limit() -> None:
    limit = 1 << 20
    cell = "x" * 1000
    rows = [
        "file_name,text",
        "a.png,fits",
        "b.png," + ",".join([cell] * 3000),
        'c.png,"two\nlines"',
        "d.png," + ",".join([f'"{cell}\n"'] * 3000),
        'e.png,"' + "\n".join([cell] * 200) + '\n"',
        "f.png,fits",
    ]

    class Stream(io.BytesIO):
        longest = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            self.longest = max(self.longest, len(line))
            return line

    stream = Stream("\n".join(rows).encode())
    found = list(scan_csv(stream, limit))
    assert stream.longest <= limit
    names = [raw.value["file_name"] for raw in found if raw.value]
    assert names == ["a.png", "c.png", "f.png"]
    errors = [(raw.error[:20], raw.line) for raw in found if not raw.value]
    assert errors == [
        ("longer than 1 MiB", 3),
        ("longer than 1 MiB", 6),
        ("not valid CSV: field", 3007),
    ]
    assert found[-1].line == "\n".join(rows).count("\n") + 1
    last = found[-1]
    assert stream.getvalue()[last.offset : last.offset + last.size] == b"f.png,fits"


def test_of_many_keys_the_one_that_is_given_twice_is_named(tmp_path: Path, read: Read) -> None:
    keys = ",".join(f'"k{i}":0' for i in range(200_000))
    (tmp_path / "a.jsonl").write_text(json.dumps(record(1)) + "\n{" + keys + ',"k7":1}\n')
    _, item = read("a.jsonl")
    assert isinstance(item, Skipped)
    assert item.message == "the key 'k7' is given twice"
