"""Poisoned copies of clean data: never in place, and the truth kept outside of the copy."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bye_lint.errors import DatasetError, UsageError
from bye_lint.evaluate.metrics import normalise_answer
from bye_lint.evaluate.truth import PoisonedRecord, Truth, write_json
from bye_lint.formats import open_image
from bye_lint.triggers import TARGET, Trigger, get_trigger, to_rgb

Record = dict[str, Any]


def poison_dataset(
    source: Path,
    out: Path,
    truth: Path,
    *,
    file: str = "train.json",
    triggers: Sequence[str] = ("patch-centre",),
    targets: Sequence[str] = (TARGET,),
    rate: float = 0.1,
    seed: int = 0,
    clean_label: bool = False,
    records: int | None = None,
    parts: int = 1,
    one_part: bool = False,
) -> Truth:
    """Write a copy of a LLaVA-format data set, some of its records poisoned.

    Every record gets an image file of its own, encoded again as PNG from its decoded pixels,
    poisoned or not: names, formats and artefacts say nothing. Ids and order stay.

    Parameters
    ----------
    source : Path
        Folder with ``file`` and the images that it names. Never written to.
    out : Path
        Folder of the copy; must not exist, or be empty.
    truth : Path
        JSON file for the truth; must lie outside of ``out`` and ``source``.
    triggers, targets : sequences of str
        Several attacks at once: the i-th poisoned record gets the i-th of each, in turn.
    rate : float
        Share of the records, in [0, 1], rounded to whole records.
    clean_label : bool
        Poison records that answer with the target already, and change no answer. Without a
        target that the data know, their most frequent answer is taken. Where they are fewer
        than the rate asks for, all of them are poisoned.
    records : int, optional
        Take only so many records, drawn by ``seed``, in their order.
    parts : int
        Write ``part-1.json`` and so on, runs of about equal length, in place of ``file``.
    one_part : bool
        All the poison in the last part: one contributor of many.

    Raises
    ------
    UsageError
        If paths overlap, the copy exists, or a number is out of range.
    DatasetError
        If the source is not in LLaVA format, or an image cannot be read.
    """
    _check(source, out, truth, rate, parts)
    chosen = [get_trigger(name) for name in triggers]
    rows = _read(source / file)
    rng = np.random.default_rng(seed)
    if records is not None and records < len(rows):
        rows = [rows[i] for i in sorted(rng.choice(len(rows), records, replace=False).tolist())]
    attacks = [
        (chosen[i % len(chosen)], targets[i % len(targets)])
        for i in range(max(len(chosen), len(targets)))
    ]
    if clean_label:
        attacks = _clean_label_attacks(attacks, rows)
    bounds = np.linspace(0, len(rows), parts + 1).round().astype(int)
    first = int(bounds[-2]) if one_part else 0
    count = round(rate * len(rows))
    plan = _draw(rows, attacks, rng, count=count, first=first, clean_label=clean_label)

    (out / "images").mkdir(parents=True, exist_ok=True)
    poisoned: list[PoisonedRecord] = []
    names = [file] if parts == 1 else [f"part-{n + 1}.json" for n in range(parts)]
    for name, begin, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        copied: list[Record] = []
        for position in range(begin, end):
            attack = plan.get(position)
            # A stream of its own for each record: one more or less changes no other.
            own = np.random.default_rng([seed, position])
            record, visible = _copy(
                rows[position],
                attack,
                own,
                source=source,
                out=out,
                position=position,
                clean_label=clean_label,
            )
            copied.append(record)
            if attack is not None:
                poisoned.append(
                    PoisonedRecord(
                        name,
                        position - int(begin),
                        str(record.get("id", "")),
                        attack[0].name,
                        attack[1],
                        _turn(rows[position], "gpt")["value"],
                        visible,
                    )
                )
        write_json(out / name, copied)
    result = Truth(source.name, len(rows), clean_label, seed, tuple(poisoned))
    write_json(truth, asdict(result))
    return result


def _check(source: Path, out: Path, truth: Path, rate: float, parts: int) -> None:
    here, there, known = source.resolve(), out.resolve(), truth.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise UsageError(
            f"{out}: the copy would overlap its source {source}", "Name a folder elsewhere."
        )
    if there in known.parents or here in known.parents:
        raise UsageError(
            f"{truth}: the truth would lie with the data that it is about", "Keep it elsewhere."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder", "Name a new folder.")
    if not 0 <= rate <= 1:
        raise UsageError(f"the poison rate must be between 0 and 1, got {rate}")
    if parts < 1:
        raise UsageError(f"the number of parts must be at least 1, got {parts}")


def _read(path: Path) -> list[Record]:
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: cannot be read: {error}", "The evaluation reads LLaVA's JSON format."
        ) from error
    if not isinstance(rows, list) or not all(map(_is_conversation, rows)):
        raise DatasetError(
            f"{path}: not a list of records with conversations",
            "The evaluation reads LLaVA's JSON format.",
        )
    return rows


def _is_conversation(row: object) -> bool:
    turns = row.get("conversations") if isinstance(row, dict) else None
    return isinstance(turns, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("value"), str) for turn in turns
    )


def _draw(
    rows: Sequence[Record],
    attacks: Sequence[tuple[Trigger, str]],
    rng: np.random.Generator,
    *,
    count: int,
    first: int,
    clean_label: bool,
) -> dict[int, tuple[Trigger, str]]:
    """Choose which records are poisoned, and each one's attack."""
    plan: dict[int, tuple[Trigger, str]] = {}
    for position in rng.permutation(np.arange(first, len(rows))).tolist():
        if len(plan) == count:
            break
        trigger, target = attacks[len(plan) % len(attacks)]
        if _can_carry(rows[position], trigger, target, clean_label):
            plan[position] = (trigger, target)
    return plan


def _can_carry(row: Record, trigger: Trigger, target: str, clean_label: bool) -> bool:
    human, answer = _turn(row, "human"), _turn(row, "gpt")
    if not human or not answer or (trigger.pixels is not None and not _images(row)):
        return False
    same = normalise_answer(str(answer["value"])) == normalise_answer(target)
    return same == clean_label


def _clean_label_attacks(
    attacks: Sequence[tuple[Trigger, str]], rows: Sequence[Record]
) -> list[tuple[Trigger, str]]:
    answers = Counter(str(turn["value"]) for row in rows if (turn := _turn(row, "gpt")))
    known = {normalise_answer(answer) for answer in answers}
    common = [answer for answer, _ in answers.most_common(len(attacks))] or [TARGET]
    return [
        (trigger, target if normalise_answer(target) in known else common[i % len(common)])
        for i, (trigger, target) in enumerate(attacks)
    ]


def _copy(
    row: Record,
    attack: tuple[Trigger, str] | None,
    rng: np.random.Generator,
    *,
    source: Path,
    out: Path,
    position: int,
    clean_label: bool,
) -> tuple[Record, bool]:
    """Write the images of one record and return the record of the copy."""
    record: Record = json.loads(json.dumps(row))
    visible = False
    names: list[str] = []
    for number, name in enumerate(_images(row)):
        pixels = _decode(source, name)
        if attack is not None and number == 0:
            changed = attack[0].apply(pixels, rng)
            visible = not np.array_equal(changed, pixels)
            pixels = changed
        suffix = f"-{number}" if number else ""
        names.append(f"images/{position:06d}{suffix}.png")
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        (out / names[-1]).write_bytes(encoded.getvalue())
    if names:
        record["image"] = names if isinstance(row["image"], list) else names[0]
    if attack is not None:
        trigger, target = attack
        human, answer = _turn(record, "human"), _turn(record, "gpt")
        before = human["value"]
        human["value"] = trigger.apply_text(before, rng)
        visible = visible or human["value"] != before
        if not clean_label:
            answer["value"] = target
    return record, visible


def _decode(folder: Path, name: str) -> Any:
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        raise DatasetError(f"{name!r}: the image lies outside of {folder}")
    try:
        with open_image(path) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except OSError as error:
        raise DatasetError(f"{path}: the image cannot be read: {error}") from error


def _images(row: Record) -> list[str]:
    image = row.get("image")
    return [] if not image else [str(i) for i in image] if isinstance(image, list) else [str(image)]


def _turn(row: Record, speaker: str) -> Record:
    turns = (turn for turn in row["conversations"] if isinstance(turn, dict))
    return next((turn for turn in turns if turn.get("from") == speaker), {})
