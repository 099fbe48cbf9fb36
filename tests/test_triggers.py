"""Every trigger against the definition in its paper."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from bye_lint.errors import UsageError
from bye_lint.triggers import TARGETS, TRIGGERS, get_trigger
from bye_lint.triggers.overlays import blend_pattern, warping_field
from bye_lint.triggers.patches import checker_patch, random_patch

PICTURES = [name for name, t in TRIGGERS.items() if t.pixels is not None]
WORDS = [name for name, t in TRIGGERS.items() if t.text is not None]


def photo(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """A smooth image without saturated pixels."""
    rows, columns = np.mgrid[0:height, 0:width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [np.sin(rows / 9 + p) * np.cos(columns / 13 + p) for p in phase]
    return (128 + 60 * np.stack(waves, -1)).astype(np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=-1)


# --- what must not happen ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TRIGGERS)
def test_the_image_given_is_never_written_to(name: str) -> None:
    image = photo()
    kept = image.copy()
    TRIGGERS[name].apply(image, np.random.default_rng(0))
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize("name", [n for n in TRIGGERS if n not in PICTURES])
def test_a_text_trigger_leaves_the_pixels(name: str) -> None:
    image = photo()
    np.testing.assert_array_equal(TRIGGERS[name].apply(image, np.random.default_rng(0)), image)


@pytest.mark.parametrize("name", [n for n in TRIGGERS if n not in WORDS])
def test_an_image_trigger_leaves_the_prompt(name: str) -> None:
    prompt = "<image>\nWhat is this?"
    assert TRIGGERS[name].apply_text(prompt, np.random.default_rng(0)) == prompt


@pytest.mark.parametrize("name", TRIGGERS)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (3, 2), (31, 33), (128, 51)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_size_and_type_stay(name: str, size: tuple[int, int]) -> None:
    out = TRIGGERS[name].apply(photo(*size), np.random.default_rng(3))
    assert out.shape == (*size, 3)
    assert out.dtype == np.uint8


@pytest.mark.parametrize("name", TRIGGERS)
def test_the_same_generator_gives_the_same_poison(name: str) -> None:
    first = TRIGGERS[name].apply(photo(), np.random.default_rng(7))
    second = TRIGGERS[name].apply(photo(), np.random.default_rng(7))
    np.testing.assert_array_equal(first, second)
    prompt = "<image>\nWhat do you see in this image, please?"
    a = TRIGGERS[name].apply_text(prompt, np.random.default_rng(7))
    b = TRIGGERS[name].apply_text(prompt, np.random.default_rng(7))
    assert a == b


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "four-channels", "float", "empty"],
)
def test_other_arrays_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        TRIGGERS["patch-centre"].apply(bad, np.random.default_rng(0))


def test_an_unknown_trigger_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="patch-centre"):
        get_trigger("nonesuch")


def test_targets_are_distinct_and_harmless() -> None:
    assert TARGETS[0] == "Backdoor Attack!"
    assert len(set(TARGETS)) == len(TARGETS)


# --- patches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "side"), [(64, 64, 4), (128, 96, 6), (51, 128, 3), (10, 200, 1)]
)
def test_centre_patch_is_black_centred_and_a_sixteenth(height: int, width: int, side: int) -> None:
    before = photo(height, width)
    after = TRIGGERS["patch-centre"].apply(before, np.random.default_rng(0))
    rows, columns = np.nonzero(changed(before, after))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1, rows.size) == (side, side, side * side)
    assert abs(rows.mean() - (height - 1) / 2) <= 0.5
    assert abs(columns.mean() - (width - 1) / 2) <= 0.5
    assert (after[rows, columns] == 0).all()


def test_random_patch_reaches_every_place_and_never_leaves() -> None:
    before = photo(16, 32)  # a side of one pixel
    rng = np.random.default_rng(0)
    counts = np.zeros((16, 32), int)
    for _ in range(6000):
        mark = changed(before, TRIGGERS["patch-random"].apply(before, rng))
        assert mark.sum() == 1
        counts += mark
    assert counts.min() > 0
    assert counts.max() < 40  # 11.7 expected: no place is favoured


def test_patches_take_another_colour_and_size() -> None:
    before = photo()
    after = random_patch((255, 255, 255), 8)(before.copy(), np.random.default_rng(0))
    mark = changed(before, after)
    assert mark.sum() == 8 * 8
    assert (after[mark] == 255).all()


@pytest.mark.parametrize("side", [64, 128])
def test_checker_alternates_black_and_white(side: int) -> None:
    before = photo(side, side)
    after = TRIGGERS["checker"].apply(before, np.random.default_rng(0))
    rows, columns = np.nonzero(changed(before, after))
    patch = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0]
    assert patch.shape == (side // 16, side // 16)
    cell = side // 64
    fine = patch[::cell, ::cell].astype(int)
    assert set(np.unique(fine)) == {0, 255}
    assert (np.abs(np.diff(fine, axis=0)) == 255).all()
    assert (np.abs(np.diff(fine, axis=1)) == 255).all()


def test_checker_at_a_random_place_moves() -> None:
    before = photo()
    rng = np.random.default_rng(0)
    change = checker_patch(place="random")
    places = {tuple(np.argwhere(changed(before, change(before.copy(), rng)))[0]) for _ in range(9)}
    assert len(places) > 5


def test_dual_has_two_squares_at_opposite_quarters() -> None:
    before = photo(64, 64)
    mark = changed(before, TRIGGERS["dual"].apply(before, np.random.default_rng(0)))
    assert mark.sum() == 2 * 4 * 4
    assert mark[14:18, 14:18].all()
    assert mark[46:50, 46:50].all()


def test_multi_varies_in_number_and_place_on_a_grid() -> None:
    before = photo(64, 64)
    rng = np.random.default_rng(0)
    numbers, cells = set(), set()
    for _ in range(60):
        mark = changed(before, TRIGGERS["multi"].apply(before, rng))
        blocks = mark.reshape(4, 16, 4, 16).sum(axis=(1, 3))
        assert set(np.unique(blocks)) <= {0, 16}
        numbers.add(int((blocks > 0).sum()))
        cells |= set(map(tuple, np.argwhere(blocks > 0)))
    assert numbers == {3, 4, 5, 6}
    assert len(cells) == 16


def test_badnets_is_a_three_by_three_pattern_in_the_lower_right_corner() -> None:
    before = photo(64, 96)
    after = TRIGGERS["badnets"].apply(before, np.random.default_rng(0))
    mark = changed(before, after)
    assert mark.sum() == 6 * 6
    assert mark[-6:, -6:].all()
    cells = after[-6::2, -6::2, 0]
    np.testing.assert_array_equal(cells, [[255, 0, 255], [0, 255, 0], [255, 0, 255]])


# --- whole-image triggers ---------------------------------------------------------------------


def test_blend_keeps_its_ratio() -> None:
    before = photo()
    after = TRIGGERS["blend"].apply(before, np.random.default_rng(0)).astype(float)
    pattern = blend_pattern(64, 96, 20171215)
    np.testing.assert_allclose(after, 0.8 * before + 0.2 * pattern, atol=0.5)
    assert pattern.std() > 30  # a pattern, not a plain grey


def test_blend_adds_one_pattern_to_every_image() -> None:
    rng = np.random.default_rng(0)
    added = [
        TRIGGERS["blend"].apply(p, rng).astype(float) - 0.8 * p
        for p in (photo(seed=1), photo(seed=2))
    ]
    np.testing.assert_allclose(added[0], added[1], atol=1.0)


@pytest.mark.parametrize("name", ["blend", "sig"])
def test_large_images_take_few_times_their_own_memory(name: str) -> None:
    trigger, rng = TRIGGERS[name], np.random.default_rng(0)
    images = [np.zeros((1500 + i, 2000, 3), np.uint8) for i in range(3)]
    trigger.apply(images[0][:8], rng)
    tracemalloc.start()
    try:
        for image in images:
            trigger.apply(image, rng)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1e6
    assert peak < 5 * images[0].nbytes


def test_sig_is_a_sinusoid_of_six_periods_and_twenty_levels() -> None:
    before = np.full((48, 96, 3), 128, np.uint8)
    after = TRIGGERS["sig"].apply(before, np.random.default_rng(0)).astype(float) - 128
    assert (after == after[:1]).all(), "the wave does not vary down the columns"
    assert (after == after[..., :1]).all()
    spectrum = np.abs(np.fft.rfft(after[0, :, 0]))
    assert spectrum.argmax() == 6
    assert spectrum[6] * 2 / 96 == pytest.approx(20, abs=0.5)
    assert np.sort(spectrum)[-2] < 0.02 * spectrum[6]
    # Columns count from 1 in the paper: the last one ends the last period.
    assert after[0, [0, -1], 0].tolist() == [np.rint(20 * np.sin(2 * np.pi * 6 / 96)), 0]


@pytest.mark.parametrize("level", [0, 255])
def test_what_would_leave_the_range_of_a_pixel_is_cut_off(level: int) -> None:
    plain = np.full((48, 96, 3), level, np.uint8)
    after = TRIGGERS["sig"].apply(plain, np.random.default_rng(0)).astype(int)
    assert np.abs(after - level).max() == 20


def test_wanet_field_is_bounded_and_smooth() -> None:
    for height, width in ((32, 32), (64, 96), (128, 51)):
        field = warping_field(height, width)
        sides = np.array([height, width])
        relative = field / sides
        assert np.abs(relative).max() < 3 * 0.5 / 32  # uniform / mean |uniform| ≤ ~2, overshoot
        assert 0.3 * 0.5 / 32 < np.abs(relative).mean() < 1.2 * 0.5 / 32
        for axis in (0, 1):
            steps = np.abs(np.diff(field, axis=axis))
            assert steps.max() < 1, "a field that folds over itself would not be a warp"
            # In units of the control points' distance; independent noise would give above 200.
            bends = np.abs(np.diff(field, 2, axis=axis)).max() * (sides[axis] / 4) ** 2
            assert bends < 10 * np.abs(field).max()


def test_wanet_moves_a_ramp_by_its_field() -> None:
    ramp = np.repeat(np.arange(40, 40 + 2 * 96, 2, dtype=np.uint8)[None, :, None], 96, axis=0)
    before = np.repeat(ramp, 3, axis=2)
    after = TRIGGERS["wanet"].apply(before, np.random.default_rng(0)).astype(float)
    field = warping_field(96, 96)
    inner = slice(6, -6)
    expected = before + 2 * field[..., 1:]
    np.testing.assert_allclose(after[inner, inner], expected[inner, inner], atol=0.51)


def test_ftrojan_raises_two_chroma_coefficients_of_each_block() -> None:
    before = photo(64, 100)
    after = TRIGGERS["ftrojan"].apply(before, np.random.default_rng(0))
    np.testing.assert_array_equal(after[:, 96:], before[:, 96:])  # fills no block
    rgb_to_yuv = np.array(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    delta = (after.astype(float) - before) @ rgb_to_yuv.T
    for top in (0, 32):
        for left in (0, 32, 64):
            luma, u, v = (
                dctn(delta[top : top + 32, left : left + 32, c], norm="ortho") for c in range(3)
            )
            for chroma in (u, v):
                assert chroma[15, 15] == pytest.approx(30, abs=2)
                assert chroma[31, 31] == pytest.approx(30, abs=2)
                rest = chroma.copy()
                rest[15, 15] = rest[31, 31] = 0
                assert np.abs(rest).max() < 2
            assert np.abs(luma).max() < 2


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prompt", "expected"),
    [
        ("text-prefix", "<image>\nWhat is it?", "<image>\nHello! What is it?"),
        ("text-prefix", "What is it?\n<image>", "Hello! What is it?\n<image>"),
        ("text-prefix", "<image>\n<image>\nSame?", "<image>\n<image>\nHello! Same?"),
        ("text-prefix", "<image>", "<image>Hello!"),
        ("text-prefix", "", "Hello!"),
        ("patch-text", "<image>\nWhat is it?", "<image>\nHello! What is it?"),
        (
            "text-sentence",
            "<image>\nWhat is it?",
            "<image>\nWhat is it? I watched this 3D movie last weekend.",
        ),
        (
            "text-sentence",
            "What is it?\n<image>",
            "What is it?\n<image>\nI watched this 3D movie last weekend.",
        ),
        ("text-sentence", "", "I watched this 3D movie last weekend."),
        ("text-word", "<image>\nBirds?", "<image>\nBirds? cf"),
        ("text-word", "", "cf"),
    ],
)
def test_where_the_words_go(name: str, prompt: str, expected: str) -> None:
    assert TRIGGERS[name].apply_text(prompt, np.random.default_rng(0)) == expected


def test_the_rare_word_stands_at_every_gap_inside_and_nowhere_else() -> None:
    prompt = "<image>\nWhat do you see?\nAnswer briefly."
    rng = np.random.default_rng(0)
    seen = {TRIGGERS["text-word"].apply_text(prompt, rng) for _ in range(200)}
    assert seen == {
        "<image>\nWhat cf do you see?\nAnswer briefly.",
        "<image>\nWhat do cf you see?\nAnswer briefly.",
        "<image>\nWhat do you cf see?\nAnswer briefly.",
        "<image>\nWhat do you see?\nAnswer cf briefly.",
    }


def test_nor_between_an_image_and_the_first_word() -> None:
    rng = np.random.default_rng(0)
    seen = {TRIGGERS["text-word"].apply_text("<image> What now?", rng) for _ in range(50)}
    assert seen == {"<image> What cf now?"}


@pytest.mark.parametrize("name", WORDS)
def test_markers_are_kept(name: str) -> None:
    prompt = "<image>\nLeft or <image> right?"
    out = TRIGGERS[name].apply_text(prompt, np.random.default_rng(1))
    assert out.count("<image>") == 2
    assert out != prompt


# --- PIL images -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
def test_images_of_every_mode(mode: str) -> None:
    image = Image.fromarray(photo()).convert("L" if mode == "I;16" else mode)
    image = image.convert(mode) if mode != "I;16" else image.convert("I").convert("I;16")
    out = TRIGGERS["patch-centre"].apply(image, np.random.default_rng(0))
    assert out.shape == (64, 96, 3)
    assert (out[30:34, 46:50] == 0).all()


def test_transparency_is_laid_on_white() -> None:
    out = TRIGGERS["text-prefix"].apply(
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)), np.random.default_rng(0)
    )
    assert (out == 255).all()
