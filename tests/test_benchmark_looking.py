"""What a scout sees of marks of one size and of overlays of one kind: the scenes that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bye_lint.scout.drawing import MIN_SHAPED_SIDE, OVERLAYS
from bye_lint.scout.questions import OVERLAY_ANSWERS, mark_questions
from bye_lint.scout.sources import Source


@pytest.fixture
def sources() -> list[Source]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, size=(4, 96, 128, 3), dtype=np.uint8)
    return [Source(p, (), ()) for p in pixels]


@pytest.mark.parametrize("share", [1 / 16, 1 / 8])
@pytest.mark.parametrize("altered", [False, True])
def test_a_single_mark_has_the_size_asked_for(
    import_benchmark: Any, sources: list[Source], share: float, altered: bool
) -> None:
    draw = import_benchmark("looking").one_mark(share, sources if altered else None)
    rng = np.random.default_rng(1)
    scenes = [s for s in (draw(source, rng) for source in sources * 8) if s is not None]
    assert len(scenes) > 10
    for scene in scenes:
        (mark,), (box,) = scene.marks, scene.boxes
        shorter = min(mark.side / (box[2] - box[0]), mark.side / (box[3] - box[1]))
        least = 2 if mark.shape == "square" else MIN_SHAPED_SIDE
        assert abs(mark.side - max(share * shorter, least)) <= 1
        assert {turn.topic for turn in mark_questions(scene, rng)} >= {"colour", "shape", "place"}


@pytest.mark.parametrize("kind", OVERLAYS)
def test_an_overlay_is_asked_about_by_its_name(
    import_benchmark: Any, sources: list[Source], kind: str
) -> None:
    draw = import_benchmark("looking").one_overlay(kind, sources)
    rng = np.random.default_rng(2)
    scene = draw(sources[0], rng)
    answers = {t.answer for t in mark_questions(scene, rng) if t.topic == "overlay"}
    assert answers == {OVERLAY_ANSWERS[kind]}
