"""The shipped weights are the released ones, small, and described by their card."""

from __future__ import annotations

import json

import pytest

from bye_lint import scout
from bye_lint.errors import ModelError


def test_the_weights_are_those_of_the_release() -> None:
    assert scout.verify_scout() == scout.scout_path()


def test_the_card_states_the_digest() -> None:
    card = (scout.scout_path() / "README.md").read_text(encoding="utf-8")
    assert scout.SCOUT_DIGEST in card


def test_the_folder_is_at_most_twenty_megabytes() -> None:
    assert sum(path.stat().st_size for path in scout.scout_path().iterdir()) < 20_000_000


def test_the_grid_of_image_tokens_has_a_centre() -> None:
    vision = json.loads((scout.scout_path() / "config.json").read_bytes())["vision_config"]
    assert (vision["image_size"] // vision["patch_size"]) % 2 == 1


def test_other_weights_are_refused(monkeypatch, tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(scout, "scout_path", lambda: tmp_path)
    with pytest.raises(ModelError, match="is not that of the release"):
        scout.verify_scout.__wrapped__()
