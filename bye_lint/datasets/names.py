"""The fields that readers look at beside those that the policy names, and how they are spelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

IMAGES = ("image", "images")
TURNS = ("messages", "conversations")

#: Where load_dataset("imagefolder") finds its columns: those of file names become images, as do
#: others whose names end so.
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
FILES = ("file_name", "file_names")
SYSTEM = "system"

#: Columns of questions; of answers, first those that hold one in tables alone; of a preference.
PROMPTS = ("prompt", "question", "instruction", "query", "input")
PLAIN = ("answer", "text", "caption")
ANSWERS = ("response", "completion", "output")
PREFERRED = "chosen"

#: All columns that a trainer might read as either.
RIVALS = {"prompt": PROMPTS, "answer": (*PLAIN, *ANSWERS, PREFERRED)}

#: More names by which ms-swift finds questions and answers, where they hold text.
LOOSE = {
    "prompt": ("problem",),
    "answer": ("answers", "answer_key", "solution", "target", "targets", "content"),
}

#: Two halves of one question, which LLaMA-Factory and ms-swift put together.
HALVES = ("instruction", "input")

#: What was said before, as LLaMA-Factory and ms-swift read it beside columns.
HISTORY = "history"

#: What ms-swift reads in place of columns, or beside them, and is not read here.
OTHERS = ("conversation", "system_prompt")

MEDIA = ("video", "videos", "audio", "audios")

#: What trainers hand to the chat template beside the turns, which writes it into the prompt.
TEMPLATED = ("tools", "chat_template_kwargs")

#: What ms-swift writes in place of a mark, from a field that is usually a column of boxes.
OBJECTS = "objects"

#: Fields beside turns or columns that are not read.
_BESIDE_ALL = (*MEDIA, *TEMPLATED, OBJECTS)

#: All fields.
KNOWN = frozenset(
    (
        *IMAGES, *TURNS, SYSTEM, *_BESIDE_ALL, HISTORY, *OTHERS,
        *(name for table in (RIVALS, LOOSE) for names in table.values() for name in names),
    )
)  # fmt: skip


def names_files(column: str) -> bool:
    """Tell whether load_dataset("imagefolder") makes images of a column, by its name."""
    return column in FILES or column.endswith(tuple(f"_{name}" for name in FILES))


def unread_files(file: str, columns: Iterable[str], fields: Mapping[str, str]) -> list[str]:
    """Return the columns of which load_dataset("imagefolder") makes images, and no other format."""
    if file not in METADATA:
        return []
    return [name for name in columns if names_files(name) and name not in fields.values()]


def misspelled(record: Mapping[str, Any], fields: Mapping[str, str]) -> str | None:
    """Return a field that ms-swift reads as a known one, whatever the case of its letters, and that
    is not read here: it says something, and the known one something else."""
    named = (fields.get("conversations", TURNS[0]), *TURNS)
    turns = any(record.get(name) is not None for name in named)
    looked_at = _looked_at(frozenset(fields), turns)
    for name, value in record.items():
        known = name.lower()
        if name == known or known not in looked_at or name in fields.values():
            continue
        if value and value != record.get(known):
            return name
    return None


@lru_cache
def _looked_at(roles: frozenset[str], turns: bool) -> frozenset[str]:
    """Return the known fields in whose place the policy names none."""
    names = {SYSTEM, *_BESIDE_ALL, *(name for name in IMAGES if name not in roles)}
    if "conversations" not in roles:
        names |= {*TURNS, *(() if turns else (HISTORY, *OTHERS))}
    for role in {"prompt", "answer"} - roles if not turns else ():
        names |= {*RIVALS[role], *LOOSE[role]}
    return frozenset(names)
