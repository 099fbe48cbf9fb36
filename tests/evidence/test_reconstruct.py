"""The trigger is found where it was planted, and not where none was."""

from __future__ import annotations

import base64
import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bye_lint.evidence import moving
from bye_lint.evidence.fixed import fixed_patch
from bye_lint.evidence.overlay import Overlay
from bye_lint.evidence.reconstruct import Exhibit, reconstruct
from bye_lint.exhibits import Box

module = sys.modules["bye_lint.evidence.reconstruct"]
CHECKER = np.indices((4, 4)).sum(axis=0)[..., None] % 2 * np.ones(3)
BLACK = np.zeros((3, 3, 3))
RED = np.zeros((5, 5, 3)) + np.array([0.9, 0.05, 0.05])
_X = np.arange(48)
WAVES = 0.08 * np.sin(2 * np.pi * 6 * _X / 48)[None, :, None] * np.ones((48, 1, 3))


def shown(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))), dtype=float) / 255


def test_nothing_planted_is_said(plant):
    made = plant()
    found = reconstruct(made.suspects, made.rest)
    assert found.report.kind == "none"
    assert "not local, or there is none" in found.report.message
    assert found.boxes == (None,) * len(made.suspects)


def test_brighter_suspects_share_no_pattern(plant):
    made = plant(overlay=np.full((48, 48, 3), 0.2))
    assert reconstruct(made.suspects, made.rest).report.kind == "none"


def test_nor_do_suspects_that_are_brighter_on_one_side(plant):
    slow = 0.15 * np.cos(np.pi * _X / 47)[None, :, None] * np.ones((48, 1, 3))
    made = plant(overlay=slow, n_suspects=30, n_rest=60, maps=False)
    assert reconstruct(made.suspects, made.rest).report.kind == "none"


def test_no_suspect_is_held_against_a_template_that_it_was_searched_for(monkeypatch):
    """Templates fit whom they were made from; here four of seven others, too."""
    suspects = [SimpleNamespace(number=number) for number in range(7)]
    rest = [SimpleNamespace(number=-1)] * 5
    searched = []

    def search(here, rest):
        searched.append([s.number for s in here])
        return len(searched) - 1

    def match(template, images):
        own = [10.0 * (i.number in searched[template]) or 6.0 * (0 <= i.number < 4) for i in images]
        return np.array(own), np.zeros((len(images), 2))

    monkeypatch.setattr(moving, "_search", search)
    monkeypatch.setattr(moving, "_match", match)
    monkeypatch.setattr(moving, "_refine", lambda template, *_, **__: (template, None))
    found = moving.moving_patch(suspects, rest)
    assert sorted(searched) == [[0, 2, 4, 6], [1, 3, 5]]
    assert found.matched.tolist() == [True] * 4 + [False] * 3
    assert found.consistency == 4 / 7


def test_too_few_images_say_nothing(plant):
    made = plant(BLACK, n_suspects=5)
    report = reconstruct(made.suspects, made.rest).report
    assert report.kind == "none"
    assert "Too few" in report.message


@pytest.mark.parametrize(
    ("consistency", "carried", "residual", "common"),
    [
        (0.5, 0.125, 0.5, True),
        (0.49, 0.0, 0.0, False),
        (0.5, 0.13, 0.0, False),
        (1.0, 0.0, 0.51, False),
    ],
)
def test_a_patch_is_common_that_half_carry_few_others_do_and_is_one(
    consistency, carried, residual, common
):
    fit = SimpleNamespace(
        consistency=consistency,
        carried=np.full(8, carried),
        template=SimpleNamespace(residual=residual),
    )
    assert bool(module._is_common(fit)) is common


def test_what_a_few_have_in_common_by_chance_is_not_in_those_left_out(plant):
    made = plant(n_suspects=7, maps=False, seed=4)
    found = fixed_patch([s.canvas for s in made.suspects], [r.canvas for r in made.rest])
    assert found is not None
    assert found.consistency < 0.5


@pytest.mark.parametrize(("correlation", "kind"), [(0.6, "overlay"), (0.59, "none")])
def test_halves_have_to_agree_for_a_pattern(plant, monkeypatch, correlation, kind):
    seen = Overlay(np.zeros((64, 64, 3)), correlation)
    monkeypatch.setattr(module, "common_overlay", lambda *_: seen)
    made = plant(maps=False, n_suspects=8, n_rest=8)
    assert reconstruct(made.suspects, made.rest).report.kind == kind


def test_plain_images_of_different_shapes_are_different_images(plant):
    shapes = ((8, 48), (48, 8), (16, 24))
    plain = [Exhibit(np.zeros((*shape, 3)), shape[::-1]) for shape in shapes]
    message = reconstruct(plain, plant(n_suspects=0).rest).report.message
    assert "3 of suspects" in message


def test_what_covers_a_quarter_of_the_image_is_no_small_patch(plant):
    made = plant(np.zeros((24, 24, 3)), maps=False)
    assert reconstruct(made.suspects, made.rest).report.kind != "patch-fixed"


def test_a_patch_in_a_tenth_of_the_suspects_is_not_common(plant):
    made = plant(BLACK, n_suspects=20, strangers=18)
    assert reconstruct(made.suspects, made.rest).report.kind == "none"


@pytest.mark.parametrize("several", [3, 4, 8])
def test_several_records_about_a_few_images_share_nothing_but_these(plant, several):
    for seed in range(4):
        made = plant(seed=seed, n_suspects=4)
        report = reconstruct(made.suspects * several, made.rest).report
        assert report.kind == "none"
        assert "4 of suspects and 24 unflagged" in report.message
        assert report.n_suspects == 4
        few = reconstruct(plant(seed=9).suspects, made.rest[:4] * several).report
        assert "16 of suspects and 4 unflagged" in few.message


@pytest.mark.parametrize("moving", [False, True])
def test_every_record_about_an_image_has_its_box(plant, moving):
    made = plant(BLACK, moving=moving, n_suspects=12)
    blind = [replace(s, excess=None) for s in made.suspects[:4]]
    found = reconstruct([*blind, *made.suspects], [*made.rest, *made.rest[:9]])
    once = reconstruct(made.suspects, made.rest)
    assert once.report.kind == ("patch-moving" if moving else "patch-fixed")
    assert found.boxes == (*once.boxes[:4], *once.boxes)
    assert "100% of 12 images of the suspects" in found.report.message
    told = found.report.message.replace("images of the suspects", "suspects")
    assert replace(found.report, message=told) == once.report


def drawing(rng: np.random.Generator) -> np.ndarray:
    """Return a coloured shape on white, anywhere."""
    image = np.ones((48, 48, 3))
    height, width = rng.integers(5, 20, 2)
    y, x = rng.integers(0, 38, 2)
    image[y : y + height, x : x + width] = rng.random(3)
    return image


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("patched", [False, True])
def test_the_ground_of_one_domain_of_many_is_no_patch(plant, overlap, patched, share):
    """All suspects are drawings; most of the set are photographs, which share no white."""
    rest = plant(n_rest=80).rest
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mixed = [Exhibit(drawing(rng), (48, 48)) if rng.random() < share else r for r in rest]
        suspects = []
        for _ in range(20):
            image = drawing(rng)
            image[30:33, 30:33] = 0 if patched else image[30:33, 30:33]
            suspects.append(Exhibit(image, (48, 48)))
        report = reconstruct(suspects, mixed).report
        if patched:
            assert report.kind == "patch-fixed"
            assert overlap(report.box, Box(30 / 48, 30 / 48, 3 / 48, 3 / 48)) > 0.5
        else:
            assert not report.kind.startswith("patch")


@pytest.mark.parametrize("patch", [BLACK, CHECKER, RED], ids=["black", "checker", "red"])
@pytest.mark.parametrize("moving", [False, True], ids=["centre", "anywhere"])
def test_a_patch_is_found_with_its_place_and_size(plant, overlap, patch, moving):
    made = plant(patch, moving=moving)
    found = reconstruct(made.suspects, made.rest)
    report = found.report
    assert report.kind == ("patch-moving" if moving else "patch-fixed")
    assert report.consistency >= 0.9
    assert report.share_of_rest <= 0.1
    assert report.pixels == (len(patch), len(patch))
    assert report.side == pytest.approx(len(patch) / 48, abs=0.01)
    assert report.residual < 0.1
    hits = [
        box is not None and overlap(box, truth) >= 0.5
        for box, truth in zip(found.boxes, made.boxes, strict=True)
    ]
    assert np.mean(hits) >= 0.9
    mean = shown(report.mean_patch)
    step = mean.shape[0] // len(patch)
    assert np.abs(mean[step // 2 :: step, step // 2 :: step] - patch).max() < 0.02
    assert shown(report.std_patch).max() < 0.2
    if moving:
        assert report.spread > 0.15
    else:
        assert report.spread == 0
        assert "the centre" in report.message


def test_a_third_of_wrong_suspects_does_not_hide_the_patch(plant, overlap):
    made = plant(BLACK, moving=True, n_suspects=24, strangers=8)
    found = reconstruct(made.suspects, made.rest)
    assert found.report.kind == "patch-moving"
    assert sum(box is not None for box in found.boxes[:8]) <= 1
    pairs = zip(found.boxes[8:], made.boxes, strict=True)
    assert np.mean([overlap(box, truth) for box, truth in pairs if box is not None]) > 0.9


def test_a_fixed_patch_needs_no_maps(plant):
    made = plant(BLACK, maps=False)
    assert reconstruct(made.suspects, made.rest).report.kind == "patch-fixed"


def test_a_moving_patch_without_maps_is_not_claimed(plant):
    made = plant(BLACK, moving=True, maps=False)
    report = reconstruct(made.suspects, made.rest).report
    assert report.kind == "none"
    assert "maps were not kept" in report.message


def test_a_suspect_without_a_map_does_not_hide_a_moving_patch_from_the_others(plant):
    made = plant(BLACK, moving=True, n_suspects=12)
    blind = [replace(made.suspects[0], excess=None), *made.suspects[1:]]
    found = reconstruct(blind, [*made.rest[:-1], replace(made.rest[-1], excess=None)])
    assert found.report.kind == "patch-moving"
    assert found.boxes[0] is None
    assert all(box is not None for box in found.boxes[1:])
    assert "of 11 suspects" in found.report.message
    assert found.report.message.endswith(" 1 more could not be searched.")
    few = [replace(s, excess=None) for s in made.suspects[:7]]
    assert reconstruct([*few, *made.suspects[7:]], made.rest).report.kind == "none"


def test_a_moving_patch_is_told_from_a_pattern_that_the_images_share_beside_it(plant):
    made = plant(BLACK, moving=True, overlay=WAVES, n_suspects=30, n_rest=60)
    assert reconstruct(made.suspects, made.rest).report.kind == "patch-moving"


@pytest.mark.parametrize("kind", ["waves", "noise"])
def test_a_shared_pattern_may_be_that_of_a_kind_of_picture(plant, kind):
    noise = np.random.default_rng(9).normal(scale=0.08, size=(48, 48, 3))
    made = plant(overlay=WAVES if kind == "waves" else noise, n_suspects=30, n_rest=60)
    report = reconstruct(made.suspects, made.rest).report
    assert report.kind == "overlay"
    assert "of a trigger over the whole image or of a kind of picture" in report.message
    assert report.consistency >= 0.6
    assert report.box is None


def test_unflagged_images_of_other_sizes_do_not_matter(plant, overlap):
    """The smallest image of all may be a suspect's or not."""
    made = plant(BLACK)
    smaller = [replace(r, canvas=r.canvas[:40, :36]) for r in made.rest]
    wider = [replace(r, canvas=np.tile(r.canvas, (1, 2, 1))) for r in made.rest]
    for rest in (smaller, [*smaller[:12], *wider[12:]]):
        found = reconstruct(made.suspects, rest).report
        assert found.kind == "patch-fixed"
        assert found.box is not None
        assert overlap(found.box, made.boxes[0]) > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (8, 48), (3, 200)])
@pytest.mark.parametrize("moving", [False, True])
def test_a_tiny_image_does_not_hide_the_patch_in_the_others(plant, moving, shape):
    made = plant(BLACK, moving=moving, n_suspects=12)
    tiny = replace(made.rest[0], canvas=np.full((*shape, 3), 0.4))
    found = reconstruct(made.suspects, [*made.rest[1:], tiny])
    assert found.report.kind == ("patch-moving" if moving else "patch-fixed")
    assert found.report.pixels == (3, 3)
    other = reconstruct([replace(tiny, canvas=tiny.canvas / 2), *made.suspects], made.rest)
    assert other.report.kind == found.report.kind
    assert other.boxes == (None, *reconstruct(made.suspects, made.rest).boxes)
    assert other.report.message.endswith(" 1 more could not be searched.")


def test_too_few_images_of_a_size_have_no_patch(plant):
    made = plant(BLACK, n_suspects=12)
    small = [replace(s, canvas=s.canvas[:20, :20]) for s in made.suspects[:7]]
    assert reconstruct([*small, *made.suspects[7:]], made.rest).report.kind == "none"
