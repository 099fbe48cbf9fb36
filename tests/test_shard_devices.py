"""Which shards may be judged together: those read by cards of one machine are."""

from __future__ import annotations

import pytest

from bye_lint.shards import _kind


@pytest.mark.parametrize("first", ["cuda", "cuda:0"])
def test_cards_of_one_machine_are_one_device(first: str) -> None:
    assert _kind(first) == _kind("cuda:7")


@pytest.mark.parametrize("other", ["cpu", "mps", "some:model", "cuda:x"])
def test_other_devices_and_names_stay_apart(other: str) -> None:
    assert _kind(other) != _kind("cuda:0")
    assert _kind(other) == other
