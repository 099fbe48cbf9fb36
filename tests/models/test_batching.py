"""Batches: what is shared, what is padded, and what is not worth sharing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bye_lint.models import FAMILIES
from bye_lint.models.batching import SLOTS, Unit, by_length, collate, share
from bye_lint.models.prompts import SYSTEM, USER_TEXT, VISION, Encoded

LLAVA = FAMILIES["llava"]
IMAGE = 7


#: Of a decoder to which a token costs far more than its attention.
WIDTH = 4096


def record(question: int, *, image_last: bool = False, seed: int = 0) -> Encoded:
    """Four image tokens and a question of some length."""
    words = np.random.default_rng(seed).integers(20, 90, size=question)
    image = np.full(4, IMAGE)
    parts = [words, image, [3]] if image_last else [[1, 2], image, words, [3]]
    ids = np.concatenate(parts).astype(np.int64)
    component = np.where(ids == IMAGE, VISION, np.where(ids > 9, USER_TEXT, SYSTEM))
    return Encoded(ids, component.astype(np.uint8), {"pixel_values": np.zeros((1, 3, 2, 2))})


def numbered(*records: Encoded) -> list[tuple[int, Encoded]]:
    return list(enumerate(records))


@pytest.mark.parametrize(
    ("records", "window"),
    [
        ([record(5)], None),
        ([record(5, image_last=True), record(6, image_last=True, seed=1)], None),
        ([record(5), record(6, seed=1)], 10),
    ],
    ids=["one record", "text before the image", "longer than the sliding window"],
)
def test_nothing_is_shared(records, window):
    assert [unit.prefix for unit in share(numbered(*records), window, WIDTH)] == [0] * len(records)


def test_a_common_beginning_is_shared_up_to_where_records_differ():
    (unit,) = share(numbered(record(5), record(9, seed=1)), None, WIDTH)
    assert unit.prefix == 6
    assert unit.tokens == 6 + (12 - 6) + (16 - 6)


def test_what_one_record_s_template_says_and_another_s_user_is_not_shared():
    first, second = record(5), record(9)
    assert first.ids[:11].tolist() == second.ids[:11].tolist()
    second.component[8:] = SYSTEM
    (unit,) = share(numbered(first, second), None, WIDTH)
    assert unit.prefix == 8
    second.component[6:] = SYSTEM
    (unit,) = share(numbered(first, second), None, WIDTH)
    assert unit.prefix == 6
    second.component[1] = USER_TEXT
    assert [unit.prefix for unit in share(numbered(first, second), None, WIDTH)] == [0, 0]


def test_equal_records_keep_a_token_of_their_own():
    (unit,) = share(numbered(record(5), record(5)), None, WIDTH)
    assert unit.prefix == 11
    assert unit.ends == 2


def test_rows_hold_so_many_records_at_most():
    units = share(numbered(*(record(5, seed=i) for i in range(SLOTS[-1] + 1))), None, WIDTH)
    assert sorted(len(unit.records) for unit in units) == [1, SLOTS[-1]]
    assert sorted(i for unit in units for i in unit.index) == list(range(SLOTS[-1] + 1))


@pytest.mark.parametrize(
    ("question", "width", "together"),
    [(8, 128, 8), (8, 4096, 8), (600, 128, 1), (600, 4096, 2)],
    ids=["short", "short, wide", "long", "long, wide"],
)
def test_records_share_a_row_where_it_saves_work(question, width, together):
    """A long image, and questions of their own: each row's attention grows with its square."""
    begin = np.concatenate([[1, 2], np.full(300, IMAGE)])
    records = [
        replace(r, ids=np.append(begin, r.ids), component=np.append(begin == IMAGE, r.component))
        for r in (record(question, seed=i) for i in range(8))
    ]
    units = share(numbered(*records), None, width)
    assert [len(unit.records) for unit in units] == [together] * (8 // together)


def test_batches_keep_within_the_budget_and_lose_nothing():
    units = [Unit((i,), (record(3 + i % 7, seed=i),)) for i in range(40)]
    batches = by_length(units, 100)
    assert sorted(unit.index for batch in batches for unit in batch) == [(i,) for i in range(40)]
    for batch in batches:
        assert len(batch) * max(unit.tokens for unit in batch) <= 100
    assert [len(batch) for batch in by_length(units, 1)] == [1] * 40


@pytest.mark.parametrize("padding", ["right", "left"])
def test_padding_is_no_component_and_is_seen_by_nobody(padding):
    units = [Unit((0,), (record(3),)), Unit((1,), (record(8),))]
    batch = collate(units, LLAVA, pad_id=0, padding=padding)
    pads = batch.inputs["input_ids"] == 0
    assert pads.sum() == 5
    assert batch.layout.component[pads].sum() == 0
    assert not batch.layout.visible[:, 0][pads].any()
    assert ("attention_mask" in batch.inputs) == (padding == "left")
    last = batch.inputs["input_ids"].gather(1, batch.layout.last)
    torch.testing.assert_close(last, torch.full_like(last, 3))


def test_a_shared_record_sees_the_prefix_and_itself():
    (unit,) = share(numbered(record(2), record(4, seed=1)), None, WIDTH)
    batch = collate([unit], LLAVA, pad_id=0)
    assert batch.inputs["input_ids"].shape == (1, 6 + 3 + 5)
    assert batch.inputs["position_ids"][0].tolist() == [*range(6), *range(6, 9), *range(6, 11)]
    assert batch.layout.visible[0, 1].nonzero().flatten().tolist() == [*range(6), *range(9, 14)]
    second = batch.layout.suffix_mask[0, 0, 3]
    assert second.nonzero().flatten().tolist() == [*range(6), 9]
