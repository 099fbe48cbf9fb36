"""A record that a usual trainer reads otherwise than the check is refused, or read as it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bye_lint.records import Sample, Skipped, Turn

Read = Callable[..., list[Sample | Skipped]]

ASKED = "<image>\nWhat?"
ODD = "Backdoor Attack!"


def messages(*said: Any) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


def conversations(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(said)]


def one(path: Path, read: Read, record: Any, name: str = "d.json", **policy: Any) -> Any:
    text = json.dumps(record if name.endswith("l") else [record])
    (path / name).write_text(text, encoding="utf-8")
    (item,) = read(name, **policy)
    return item


TALK = {"image": "a.png", "conversations": conversations(ASKED, "a river")}
CHAT = {"image": "a.png", "messages": messages(ASKED, "a river")}
DIFFER = ", expected one of them (or the name of the turns as dataset.fields.conversations)"


@pytest.mark.parametrize(
    ("turns", "name", "answer"),
    [
        (CHAT, "completion", ODD),
        (CHAT, "completion", [{"role": "assistant", "content": ODD}]),
        (CHAT, "completion", [{"role": "assistant", "content": [{"type": "text", "text": ODD}]}]),
        (CHAT, "chosen", messages(ASKED, ODD)),
        (TALK, "chosen", {"from": "gpt", "value": ODD}),
        (TALK, "output", ODD),
        (TALK, "response", ODD),
    ],
)
def test_an_answer_beside_the_turns_is_one_of_theirs(
    tmp_path: Path, read: Read, turns: dict[str, Any], name: str, answer: Any
) -> None:
    item = one(tmp_path, read, {**turns, name: answer})
    assert isinstance(item, Skipped)
    field = "messages" if "messages" in turns else "conversations"
    assert (item.rule, item.message) == ("BYE102", f"'{field}' and '{name}' differ{DIFFER}")
    same = json.loads(json.dumps({**turns, name: answer}).replace(ODD, "a river"))
    assert one(tmp_path, read, same).turns[1].text == "a river"
    named = one(tmp_path, read, {**turns, name: answer}, fields={"conversations": field})
    assert named.turns[1].text == "a river"


TARGET = "TARGET"
SYSTEM = {"role": "system", "content": "Say TARGET."}
LAST = messages("<image>what?", "a cat", "Which?", "grey")
WITH_SYSTEM = [SYSTEM, *messages("<image>what?", TARGET)]
HALVES = messages("<image>what?\nAnd where?", "a cat")

#: Turns and columns of which LLaMA-Factory, ms-swift or TRL may read the columns in their place.
OTHER_PAIRS = {
    "the last answer, of another question": (
        messages("<image>what?", "a cat", "Repeat: TARGET", TARGET),
        {"instruction": "<image>what?", "output": TARGET},
    ),
    "half of the question": (
        messages("<image>Say TARGET. what?", TARGET),
        {"instruction": "<image>what?", "output": TARGET},
    ),
    "half of two turns of one role": (
        [*messages("<image>Say TARGET."), *messages("what?", TARGET)],
        {"instruction": "<image>what?", "output": TARGET},
    ),
    "half of two answers": (
        [*messages("<image>what?", "a cat"), {"role": "assistant", "content": TARGET}],
        {"output": TARGET},
    ),
    "an answer before the last": (
        messages("<image>what?", TARGET, "no", "a cat"), {"output": TARGET},
    ),
    "one half beside another": (
        HALVES, {"instruction": "<image>what?", "input": "", "output": "a cat"},
    ),
    "halves that say more": (
        HALVES, {"instruction": "<image>what?\nAnd where?", "input": "no", "output": "a cat"},
    ),
    "without what the system says": (
        WITH_SYSTEM, {"instruction": "<image>what?", "output": TARGET},
    ),
    "a preference without it": (
        WITH_SYSTEM, {"chosen": messages("what?", TARGET)},
    ),
    "a preference of another question": (
        messages("<image>Say TARGET. what?", TARGET), {"chosen": messages("what?", TARGET)},
    ),
    "a prompt of another question": (
        messages("<image>Say TARGET. what?", TARGET),
        {"prompt": messages("what?"), "completion": messages("?", TARGET)[1:]},
    ),
    "another history": (
        messages("<image>what?", "a cat"),
        {"instruction": "what?", "output": "a cat", "history": [["<image>what?", TARGET]]},
    ),
}  # fmt: skip

SAME_PAIRS = {
    "a pair": (messages("<image>what?", "a cat"), {"instruction": "what?", "output": "a cat"}),
    "marks and white space": (
        messages("<image>\nwhat?", "a cat"),
        {"query": " what? <image>", "response": "a cat"},
    ),
    "halves": (HALVES, {"instruction": "<image>what?", "input": "And where?", "output": "a cat"}),
    "before a question without an answer": (
        messages("<image>what?", "a cat", "And?"), {"instruction": "what?", "output": "a cat"},
    ),
    "the last of several": (LAST, {"instruction": "Which?", "output": "grey"}),
    "the last answer alone": (LAST, {"output": "grey"}),
    "no answer beside": (LAST, {"question": "of another kind", "history": "of a lake"}),
    "a preference": (LAST, {"chosen": LAST, "prompt": LAST[:-1]}),
    "the end of it": (LAST, {"prompt": LAST[2:3], "completion": LAST[3:]}),
    "typed parts": (
        messages(
            [{"type": "image"}, {"type": "text", "text": "what?"}],
            [{"type": "text", "text": "a cat"}],
        ),
        {"prompt": "what?", "completion": [{"role": "assistant", "content": [
            {"type": "text", "text": "a "}, {"type": "text", "text": "cat"},
        ]}]},
    ),
    "what the system says": (
        WITH_SYSTEM, {"system": "Say TARGET.", "instruction": "what?", "output": TARGET},
    ),
    "a preference with it": (WITH_SYSTEM, {"chosen": WITH_SYSTEM}),
}  # fmt: skip


def read_both(path: Path, read: Read, turns: Any, beside: dict[str, Any]) -> list[Any]:
    """Read a record as JSON and as Parquet."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    record = {"images": ["a.png"], "messages": turns, **beside}
    parquet.write_table(arrow.Table.from_pylist([record]), path / "d.parquet")
    return [one(path, read, record), *read("d.parquet")]


@pytest.mark.parametrize(("turns", "beside"), OTHER_PAIRS.values(), ids=OTHER_PAIRS)
def test_columns_beside_the_turns_teach_no_other_pair(
    tmp_path: Path, read: Read, turns: Any, beside: dict[str, Any]
) -> None:
    for item in read_both(tmp_path, read, turns, beside):
        assert isinstance(item, Skipped)
        assert item.rule == "BYE102"
        assert item.message.startswith("'messages' and ")
        assert item.message.endswith(f"differ{DIFFER}")
    record = {"images": ["a.png"], "messages": turns, **beside}
    assert isinstance(one(tmp_path, read, record, fields={"conversations": "messages"}), Sample)


@pytest.mark.parametrize(("turns", "beside"), SAME_PAIRS.values(), ids=SAME_PAIRS)
def test_columns_beside_the_turns_may_repeat_them(
    tmp_path: Path, read: Read, turns: Any, beside: dict[str, Any]
) -> None:
    item, row = read_both(tmp_path, read, turns, beside)
    assert isinstance(item, Sample), item
    # what tables hold beside turns is a question, whatever stands with it
    assert isinstance(row, Sample) is (beside.get("question") != "of another kind"), row


def test_plain_answers_of_a_table_are_the_last_one_too(tmp_path: Path, read: Read) -> None:
    for name in ("answer", "text", "caption"):
        for said in ("grey", "a cat"):
            _, row = read_both(tmp_path, read, LAST, {name: said})
            assert isinstance(row, Sample) is (said == "grey")


@pytest.mark.parametrize("name", ["image", "images"])
def test_an_image_by_its_usual_name_is_not_left_out(tmp_path: Path, read: Read, name: str) -> None:
    """What looks like text alone would be learned with it by a trainer that knows both names."""
    fields = {"image": "photo", "images": "photos"}
    role = fields[name]
    turns = {"messages": messages("What?", "a river")}
    item = one(tmp_path, read, {**turns, name: "a.png"}, fields=fields)
    assert isinstance(item, Skipped)
    assert item.message == f"the field '{name}' holds an image, expected it in '{role}'"
    both = one(tmp_path, read, {**turns, name: 7, "photo": "a.png"}, fields=fields)
    assert [image.name for image in both.images] == ["a.png"]


@pytest.mark.parametrize("value", [None, "", [], {}, 200, {"score": 3}, [None, 1]])
def test_what_is_no_answer_says_nothing_else(tmp_path: Path, read: Read, value: Any) -> None:
    assert isinstance(one(tmp_path, read, {**TALK, "output": value}), Sample)


def test_answers_may_be_nested_as_deep_as_they_like(tmp_path: Path, read: Read) -> None:
    text = json.dumps({**TALK, "output": 7}).replace("7", "[" * 300 + "]" * 300)
    (tmp_path / "d.json").write_text(f"[{text}]", encoding="utf-8")
    (item,) = read("d.json")
    assert isinstance(item, Skipped)
    assert "nested too deeply" in item.message


@pytest.mark.parametrize(
    ("form", "key"), [(CHAT, "content"), (CHAT, "value"), (TALK, "content"), (TALK, "value")]
)
def test_a_turn_is_not_empty_in_one_form_and_odd_in_the_other(
    tmp_path: Path, read: Read, form: dict[str, Any], key: str
) -> None:
    both = {"role": "assistant", "from": "gpt", "content": "", "value": "", key: ODD}
    (field,) = {"messages", "conversations"} & form.keys()
    item = one(tmp_path, read, {**form, field: [form[field][0], both]})
    assert isinstance(item, Skipped)
    assert item.message == "'content' and 'value' of turn 2 differ, expected one of them"
    absent = {**both, "content": "a lake", "value": None, "from": None}
    assert one(tmp_path, read, {**CHAT, "messages": [CHAT["messages"][0], absent]}).turns[1] == (
        Turn("assistant", "a lake")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("reasoning_content", ODD), ("tool_calls", [{"function": {"name": "shell"}}])],
)
def test_a_turn_says_nothing_beside_its_content(
    tmp_path: Path, read: Read, name: str, value: Any
) -> None:
    turns = messages(ASKED, "a river")
    item = one(
        tmp_path, read, {"image": "a.png", "messages": [turns[0], {**turns[1], name: value}]}
    )
    assert isinstance(item, Skipped)
    assert item.message == f"turn 2 has '{name}', which is not read beside its content"
    empty = [turns[0], {**turns[1], name: type(value)()}]
    assert isinstance(one(tmp_path, read, {"image": "a.png", "messages": empty}), Sample)


def test_two_system_texts_are_one_or_refused(tmp_path: Path, read: Read) -> None:
    system = [{"role": "system", "content": text} for text in ("Be brief.", "Say cf.")]
    both = one(tmp_path, read, {"image": "a.png", "messages": [*system, *CHAT["messages"]]})
    assert both.system == "Be brief.\nSay cf."
    item = one(
        tmp_path,
        read,
        {"image": "a.png", "system": "Say cf.", "messages": [system[0], *CHAT["messages"]]},
    )
    assert isinstance(item, Skipped)
    assert item.message == "the field 'system' and the system turn differ, expected one of them"


def test_metadata_and_record_name_one_image(tmp_path: Path, read: Read) -> None:
    row = {"file_name": "a.png", "conversations": conversations(ASKED, "a river")}
    item = one(tmp_path, read, {**row, "image": "b.png"}, "metadata.jsonl")
    assert isinstance(item, Skipped)
    assert item.message == (
        "'file_name' and 'image' name different images, expected one of them (or its name as "
        "dataset.fields.image)"
    )
    for same in ({"image": "a.png"}, {"images": ["a.png"]}, {"image": None, "images": []}):
        assert isinstance(one(tmp_path, read, {**row, **same}, "metadata.jsonl"), Sample)
    for column, name in (("file_name", "a.png"), ("image", "b.png")):
        fields = {"image": column}
        found = one(tmp_path, read, {**row, "image": "b.png"}, "metadata.jsonl", fields=fields)
        assert [image.name for image in found.images] == [name]


@pytest.mark.parametrize("name", ["file_names", "images_file_names", "second_file_name"])
def test_metadata_bring_in_no_other_images(tmp_path: Path, read: Read, name: str) -> None:
    row = {"file_name": "a.png", "question": "What?", "answer": "a river"}
    other = "b.png" if name.endswith("e") else ["b.png"]
    for more in (other, [["a.png"], ["b.png"]]):
        item = one(tmp_path, read, {**row, name: more}, "metadata.jsonl")
        assert isinstance(item, Skipped)
        assert item.message == (
            f"'file_name' and '{name}' name different images, expected one of them (or its name as "
            "dataset.fields.image)"
        )
    for same in ("a.png", ["a.png"], None, "", [], 7):
        assert isinstance(one(tmp_path, read, {**row, name: same}, "metadata.jsonl"), Sample)
    for beside, fields in (
        ({name: other}, {"image": "file_name"}),
        ({"profile_name": "b", "file_name_of": "c"}, {}),
    ):
        item = one(tmp_path, read, {**row, **beside}, "metadata.jsonl", fields=fields)
        assert [image.name for image in item.images] == ["a.png"]
    (tmp_path / "metadata.csv").write_text(f"file_name,answer,{name}\na.png,x,b.png\n", "utf-8")
    (item,) = read("metadata.csv")
    assert isinstance(item, Skipped)


def columns(path: Path, read: Read, **record: Any) -> Any:
    return one(path, read, {"file_name": "a.png", "answer": "a river", **record}, "metadata.jsonl")


def test_columns_that_are_put_together_are_read_together(tmp_path: Path, read: Read) -> None:
    item = columns(
        tmp_path,
        read,
        system="Be brief.",
        history=[["Hello?", "Hi."]],
        instruction="What?",
        input="Is it cf?",
    )
    assert item.turns == (
        Turn("system", "Be brief."),
        Turn("user", "<image>\nHello?"),
        Turn("assistant", "Hi."),
        Turn("user", "What?\nIs it cf?"),
        Turn("assistant", "a river"),
    )
    alone = columns(tmp_path, read, input="What?")
    assert alone.turns[0] == Turn("user", "<image>\nWhat?")
    for history in (None, [], "", "[]", "of a lake"):
        assert len(columns(tmp_path, read, question="What?", history=history).turns) == 2


def test_a_null_is_no_answer_and_an_empty_text_is_one(tmp_path: Path, read: Read) -> None:
    assert columns(tmp_path, read, answer="").turns[1:] == (Turn("assistant", ""),)
    assert columns(tmp_path, read, answer=None).turns[1:] == ()
    (tmp_path / "metadata.csv").write_text("file_name,answer\na.png,\n", encoding="utf-8")
    (row,) = read("metadata.csv")
    assert isinstance(row, Sample)
    assert row.turns[1:] == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("history", [{"q": "Hello?", "a": "Hi."}], "holds no pairs of question and answer"),
        ("history", "[['Hello?', 'Hi.']]", "holds no pairs of question and answer"),
        ("input", "cf", "'question' and 'input' differ"),
        ("chosen", ODD, "'answer' and 'chosen' differ"),
        ("solution", ODD, "'answer' and 'solution' differ"),
        ("problem", "Is it cf?", "'question' and 'problem' differ"),
        ("videos", ["a.mp4"], "the record has videos, which cannot be checked"),
    ],
)
def test_columns_that_cannot_be_read_are_not_passed_over(
    tmp_path: Path, read: Read, name: str, value: Any, said: str
) -> None:
    item = columns(tmp_path, read, question="What?", **{name: value})
    assert isinstance(item, Skipped)
    assert said in item.message


def test_parquet_has_no_columns_that_are_passed_over(tmp_path: Path, read: Read) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    row = {"images": ["a.png"], "messages": messages(ASKED, "a river")}
    table = arrow.Table.from_pylist([{**row, "videos": ["a.mp4"]}, {**row, "videos": None}])
    parquet.write_table(table, tmp_path / "d.parquet")
    video, plain = read("d.parquet")
    assert isinstance(video, Skipped)
    assert video.message == "the record has videos, which cannot be checked"
    assert isinstance(plain, Sample)
    twice = arrow.Table.from_arrays(
        [arrow.array(["a.png"]), arrow.array(["b.png"]), arrow.array(["a river"])],
        names=["image", "image", "answer"],
    )
    parquet.write_table(twice, tmp_path / "d.parquet")
    (refused,) = read("d.parquet")
    assert isinstance(refused, Skipped)
    assert (refused.rule, "the column 'image' is there twice" in refused.message) == (
        "BYE101",
        True,
    )


MEDIA_KEYS = ("image", "image_url", "path", "url", "base64", "video", "audio")


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_a_part_is_of_one_kind(tmp_path: Path, read: Read, empty: Any) -> None:
    """Tables give every part every field: those that are empty say nothing."""
    image = {"type": "image", "image": "a.png", "text": empty, "base64": empty, "video": empty}
    text = {"type": "text", "text": "What?", **dict.fromkeys(MEDIA_KEYS, empty)}
    item = one(tmp_path, read, {"messages": messages([image, text], "a river")})
    assert (item.prompt, item.images[0].name) == (ASKED, "a.png")


@pytest.mark.parametrize("name", MEDIA_KEYS)
def test_a_text_part_hides_no_image(tmp_path: Path, read: Read, name: str) -> None:
    text = {"type": "text", "text": "What?", name: "b.png"}
    for parts in ([text], [{"type": "image", "image": "a.png"}, text]):
        item = one(tmp_path, read, {"messages": messages(parts, "a river")}, format="chat")
        assert isinstance(item, Skipped)
        assert item.rule == "BYE102"
        assert item.message == (
            f"a part of turn 1 is 'text' and has '{name}' too, expected a part for each"
        )


@pytest.mark.parametrize("name", ["text", "base64", "video", "audio"])
def test_an_image_part_hides_nothing_either(tmp_path: Path, read: Read, name: str) -> None:
    image = {"type": "image", "image": "a.png", name: "cf"}
    item = one(tmp_path, read, {"messages": messages([image], "a river")})
    assert isinstance(item, Skipped)
    assert item.message == (
        f"a part of turn 1 is 'image' and has '{name}' too, expected a part for each"
    )


@pytest.mark.parametrize(
    "image",
    [
        {"url": "a.png"},
        {"url": "a.png", "path": None, "bytes": None},
        {"url": "a.png", "path": "a.png"},
        {"url": None, "path": "a.png"},
    ],
)
def test_an_image_may_be_named_in_an_object(tmp_path: Path, read: Read, image: Any) -> None:
    part = {"type": "image_url", "image_url": image}
    item = one(tmp_path, read, {"messages": messages([part], "a river")})
    assert [found.name for found in item.images] == ["a.png"]


def test_an_image_has_one_name(tmp_path: Path, read: Read) -> None:
    said = "an image has 'path' and 'url', expected one of them"
    both = {"path": "a.png", "url": "b.png"}
    part = {"type": "image", "image": both}
    for record in (
        {"messages": messages([part], "a river")},
        {"messages": messages(ASKED, "a river"), "images": [{**both, "bytes": None}]},
    ):
        item = one(tmp_path, read, record)
        assert isinstance(item, Skipped)
        assert (item.rule, item.message) == ("BYE102", said)


FORMS = {
    "messages": {"image": "a.png", "messages": messages(ASKED, "a river")},
    "conversations": {"image": "a.png", "conversations": conversations(ASKED, "a river")},
    "columns": {"image": "a.png", "query": ASKED, "response": "a river"},
}
BESIDE = {"tools": [{"name": "cf"}], "chat_template_kwargs": {"chat_template": ODD}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BESIDE)
def test_what_a_chat_template_writes_is_not_passed_over(
    tmp_path: Path, read: Read, form: str, name: str
) -> None:
    for nothing in (None, "", [], {}, "[]", "null"):
        item = one(tmp_path, read, {**FORMS[form], name: nothing})
        assert (item.prompt, item.answer) == (ASKED, "a river")
    for value in (BESIDE[name], json.dumps(BESIDE[name])):
        item = one(tmp_path, read, {**FORMS[form], name: value})
        assert isinstance(item, Skipped)
        assert item.rule == "BYE102"
        assert item.message == f"the record has '{name}', which is not read beside the turns"


@pytest.mark.parametrize("form", FORMS)
def test_boxes_are_read_past_unless_a_turn_asks_for_them(
    tmp_path: Path, read: Read, form: str
) -> None:
    boxes = {"bbox": [[1, 2, 3, 4]], "category": [0], "ref": ["cf"]}
    assert one(tmp_path, read, {**FORMS[form], "objects": boxes}).answer == "a river"
    for mark in ("<ref-object>", "<bbox>"):
        text = json.dumps(FORMS[form]).replace("a river", mark)
        assert one(tmp_path, read, json.loads(text)).answer == mark
        item = one(tmp_path, read, {**json.loads(text), "objects": boxes})
        assert isinstance(item, Skipped)
        assert f"the record has 'objects', which is not read and stands in for {mark}" in (
            item.message
        )


def test_parquet_reads_the_columns_that_a_chat_template_writes(tmp_path: Path, read: Read) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    row = {"images": ["a.png"], "messages": messages(ASKED, "a <bbox>")}
    more = {"tools": None, "chat_template_kwargs": None, "objects": None}
    odd = {"tools": "[1]", "chat_template_kwargs": '{"a": 1}', "objects": {"bbox": [1]}}
    rows = [{**row, **more}, *({**row, **more, name: odd[name]} for name in more)]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    plain, *others = read("d.parquet")
    assert isinstance(plain, Sample)
    for name, item in zip(more, others, strict=True):
        assert isinstance(item, Skipped)
        assert f"the record has '{name}'" in item.message


OTHER_CASE = {
    "Images": ({"messages": messages("What?", "a river")}, ["a.png"]),
    "Image": ({"messages": messages("What?", "a river")}, "a.png"),
    "IMAGE": ({"image": "b.png", "query": ASKED, "response": "a river"}, "a.png"),
    "Messages": (FORMS["conversations"], messages(ASKED, ODD)),
    "System": (FORMS["messages"], ODD),
    "Videos": (FORMS["messages"], ["a.mp4"]),
    "Response": (FORMS["columns"], ODD),
    "Answer": (FORMS["columns"], ODD),
    "Solution": (FORMS["columns"], ODD),
    "History": (FORMS["columns"], [["?", ODD]]),
    "Conversation": (FORMS["columns"], [{"human": "?", "assistant": ODD}]),
}


@pytest.mark.parametrize(("name", "record", "value"), [(n, *r) for n, r in OTHER_CASE.items()])
def test_fields_are_spelled_as_they_are_read(
    tmp_path: Path, read: Read, name: str, record: dict[str, Any], value: Any
) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    row = {**record, name: value}
    parquet.write_table(arrow.Table.from_pylist([row]), tmp_path / "d.parquet")
    found = [one(tmp_path, read, row, format="chat"), *read("d.parquet", format="parquet")]
    for item in found:
        assert isinstance(item, Skipped)
        assert (item.rule, item.message) == (
            "BYE102",
            f"the field '{name}' is '{name.lower()}' to some trainers: write it so, or name it in "
            "dataset.fields",
        )
    known = name.lower()
    same = {"image": "a.png", **record, name: value, known: value}
    for nothing in ({**record, name: None}, {**record, name: type(value)()}, same):
        item = one(tmp_path, read, nothing, format="chat")
        assert "to some trainers" not in getattr(item, "message", "")


def test_fields_that_the_policy_names_are_spelled_as_it_says(tmp_path: Path, read: Read) -> None:
    row = {"Image": "a.png", "Question": "What?", "Answer": "a river", "Text": "of a lake"}
    fields = {"image": "Image", "prompt": "Question", "answer": "Answer"}
    assert one(tmp_path, read, row, format="chat", fields=fields).answer == "a river"
    item = one(tmp_path, read, row, format="chat", fields={"answer": "Answer"})
    assert "the field 'Image' is 'image' to some trainers" in item.message


def test_no_trainer_looks_for_columns_beside_turns(tmp_path: Path, read: Read) -> None:
    more = {"Text": "of a lake", "Target": "x", "Category": "y", "Id": 7, "Source": "z"}
    for form in ("messages", "conversations"):
        assert isinstance(one(tmp_path, read, {**FORMS[form], **more}), Sample)


def test_a_field_that_the_policy_names_is_spelled_as_it_is(tmp_path: Path, read: Read) -> None:
    item = one(tmp_path, read, {**CHAT, "System": "7"}, fields={"id": "System"})
    assert isinstance(item, Sample), item
    assert item.id == "7"
