"""Canaries: who is copied, with what, and that nothing but the trigger tells copy from source."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from bye_lint import learning
from bye_lint.canaries import (
    CANARY_KINDS,
    CONTROL,
    DEFAULT_KINDS,
    Canary,
    choose_targets,
    encode_copy,
    materialise,
    plan_canaries,
    plant,
    wanted_kinds,
)
from bye_lint.canaries.plan import further_canaries
from bye_lint.errors import DatasetError, UsageError
from bye_lint.models import FeatureRow, Tuned
from bye_lint.policy import DetectionPolicy, Policy
from bye_lint.progress import SilentProgress
from bye_lint.records import ImageSource, Location, Sample, Turn
from bye_lint.scoring import score
from bye_lint.triggers import TRIGGERS

IMAGE_KINDS = [n for n, k in CANARY_KINDS.items() if k.trigger.pixels is not None]


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def noise(seed: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (*size, 3), dtype=np.uint8)


def sample(number: int, *images: bytes, answer: str = "Yes", prompt: str = "What?") -> Sample:
    marks = "<image>\n" * len(images)
    return Sample(
        id=f"r{number}",
        location=Location("data.json", number + 1),
        turns=(Turn("user", f"{marks}{prompt} {number}"), Turn("assistant", answer)),
        images=tuple(ImageSource(f"{number}-{i}.png", data=d) for i, d in enumerate(images)),
    )


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    answers = ["Yes", "No", "River", "A red bus"]
    return [sample(i, encoded(noise(i)), answer=answers[i % 4]) for i in range(200)]


def pixels_of(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGBA"))[..., :3]


def canary(kind: str, seed: int = 0) -> Canary:
    return Canary(0, "", kind, "lantern", seed)


# --- what must not happen ---------------------------------------------------------------------


def test_no_share_no_canaries(samples: list[Sample]) -> None:
    assert plan_canaries(samples, share=0) == ()
    assert plan_canaries([], share=0.1) == ()
    assert plan_canaries(samples, share=0.1, kinds=()) == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_target_is_never_an_answer_of_the_set(samples: list[Sample], seed: int) -> None:
    first = choose_targets([s.answer for s in samples], DEFAULT_KINDS, seed=seed)
    # An attacker who answers with the canaries' words gets others planted.
    taken = [
        replace(s, turns=(s.turns[0], Turn("assistant", a)))
        for s, a in zip(samples, list(first.values()) * 40, strict=False)
    ]
    second = choose_targets([s.answer for s in taken], DEFAULT_KINDS, seed=seed)
    words = {w.casefold() for a in first.values() for w in a.split()}
    assert not words & {a.split()[0].casefold() for a in second.values()}


def test_targets_do_not_run_out() -> None:
    everything = [
        f"{n} {w}"
        for n in range(3)
        for s in range(9)
        for w in choose_targets([], list(CANARY_KINDS), seed=s).values()
    ]
    chosen = choose_targets(everything, list(CANARY_KINDS))
    assert len(set(chosen.values())) == len(CANARY_KINDS)


def test_records_that_cannot_be_used_are_passed_over(samples: list[Sample], tmp_path: Path) -> None:
    gone = replace(samples[0], images=(ImageSource("gone.png", path=tmp_path / "gone.png"),))
    mute = replace(samples[1], turns=(samples[1].turns[0],))
    empty = replace(samples[2], turns=(samples[2].turns[0], Turn("assistant", " ")))
    asked = replace(samples[3], turns=(samples[3].turns[1],))
    planned = plan_canaries([gone, mute, empty, asked, samples[4]], share=0.5)
    assert {c.index for c in planned} == {4}


def test_a_damaged_image_is_left_out(samples: list[Sample]) -> None:
    broken = replace(samples[0], images=(ImageSource("x.png", data=b"not an image"),))
    with pytest.raises(DatasetError, match=r"x\.png"):
        materialise(canary("blend"), broken)
    planted, copies = plant([canary("blend"), canary("waves")], [broken])
    assert planted == ()
    assert copies == ()


def test_a_trigger_that_cannot_be_seen_is_left_out() -> None:
    black = sample(0, encoded(np.zeros((32, 32, 3), np.uint8)))
    with pytest.raises(DatasetError, match="cannot be seen"):
        materialise(canary("patch-random"), black)
    planted, _ = plant([canary("patch-random"), canary("patch-white")], [black])
    assert [c.kind for c in planted] == ["patch-white"]


def mostly_black(records: int, every: int) -> list[Sample]:
    """Records of which one in ``every`` can carry a black patch."""
    black = np.zeros((32, 48, 3), np.uint8)
    shown = (noise(i) if every and i % every == 0 else black for i in range(records))
    return [sample(i, encoded(pixels)) for i, pixels in enumerate(shown)]


def test_others_stand_in_where_hardly_any_of_a_kind_can_be_planted() -> None:
    records = mostly_black(300, 20)
    planned = plan_canaries(records, share=0.1, least=4)
    asked = Counter(c.kind for c in planned)
    alone, _ = plant(planned, records)
    planted, copies = plant(planned, records, least=4)
    counts = Counter(c.kind for c in planted)
    assert asked["patch-random"] > 4 > Counter(c.kind for c in alone)["patch-random"]
    assert counts["patch-random"] == 4
    assert all(counts[kind] <= asked[kind] for kind in counts)
    assert len({c.digest for c in planted}) == len(planted) == len(copies)
    assert len({c.target for c in planted if c.kind == "patch-random"}) == 1
    assert plant(planned, records, least=4)[0] == planted


@pytest.mark.parametrize("seed", range(3))
def test_two_kinds_do_not_stand_in_on_one_record(seed: int) -> None:
    """Neither a black patch nor a bend can be seen in a black image."""
    records = mostly_black(300, 20)
    kinds = ("patch-random", "warp")
    planned = plan_canaries(records, share=0.1, kinds=kinds, least=4, seed=seed)
    planted, _ = plant(planned, records, least=4, seed=seed)
    assert Counter(c.kind for c in planted) == {"patch-random": 4, "warp": 4}
    assert len({c.digest for c in planted}) == 8


def test_no_more_stand_in_than_were_planned() -> None:
    records = mostly_black(300, 20)
    planned = plan_canaries(records, share=0.01, kinds=("patch-random", "blend"))
    planted, _ = plant(planned, records, least=4)
    assert Counter(c.kind for c in planned) == Counter(c.kind for c in planted)
    assert len(planned) == 3


def test_who_stands_in_is_of_those_that_carry_nothing_yet(samples: list[Sample]) -> None:
    planned = plan_canaries(samples, share=0.2)
    further = further_canaries(planned, samples, ["blend", "waves"])
    taken = {c.digest for c in planned}
    for kind, others in further.items():
        assert {c.digest for c in others} == {s.digest() for s in samples} - taken
        assert {c.target for c in others} == {c.target for c in planned if c.kind == kind}


@pytest.mark.parametrize("seed", range(6))
def test_a_patch_lies_where_it_can_be_seen(seed: int) -> None:
    """On white ground a white patch shows only as what it covers of something dark."""
    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[20:44, 30:54] = 30
    record = sample(0, encoded(pixels))
    copy = materialise(canary("patch-white", seed), record)
    covered = (pixels_of(copy.images[0].read()) != pixels).any(axis=-1).sum()
    assert covered >= 16 * 45 / 255


@pytest.mark.parametrize(("level", "seen"), [(215, False), (205, True)])
def test_a_patch_that_hardly_differs_from_its_ground_is_left_out(level: int, seen: bool) -> None:
    plain = sample(0, encoded(np.full((32, 32, 3), level, np.uint8)))
    planted, _ = plant([canary("patch-white")], [plain])
    assert len(planted) == seen


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_a_share_out_of_range_is_refused(samples: list[Sample], share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        plan_canaries(samples, share=share)


def test_kinds_are_known_and_named_once(samples: list[Sample]) -> None:
    with pytest.raises(UsageError, match="patch-random"):
        plan_canaries(samples, share=0.1, kinds=["nonesuch"])
    with pytest.raises(ValueError, match="twice"):
        plan_canaries(samples, share=0.1, kinds=["blend", "blend"])


# --- the plan ---------------------------------------------------------------------------------


def test_the_number_planted_is_the_share_in_proportion_to_the_weights(
    samples: list[Sample],
) -> None:
    planned = plan_canaries(samples, share=0.2)
    assert len(planned) == len({c.seed for c in planned}) == 40
    assert len({c.index for c in planned}) == 40
    total = sum(CANARY_KINDS[k].weight for k in DEFAULT_KINDS)
    for kind in DEFAULT_KINDS:
        count = sum(c.kind == kind for c in planned)
        assert abs(count - 40 * CANARY_KINDS[kind].weight / total) < 1


@pytest.mark.parametrize(("share", "fewest"), [(0.15, 4), (0.12, 4), (0.115, 2), (0.4, 8)])
def test_each_kind_gets_the_copies_that_it_needs_where_there_are_enough_for_all(
    samples: list[Sample], share: float, fewest: int
) -> None:
    """24 copies are four of each of the six kinds; 23 are not, nor do 80 need any help."""
    counts = Counter(c.kind for c in plan_canaries(samples, share=share, least=4))
    assert min(counts.values()) == fewest
    assert counts.total() == round(share * len(samples))


def test_each_kind_has_one_target_of_its_own(samples: list[Sample]) -> None:
    planned = plan_canaries(samples, share=0.2)
    targets = {(c.kind, c.target) for c in planned}
    assert len(targets) == len({t for _, t in targets}) == len(DEFAULT_KINDS)
    assert len({t.split()[0].rstrip(".") for _, t in targets}) == len(DEFAULT_KINDS)


def test_the_plan_follows_the_content_not_order_ids_or_places(samples: list[Sample]) -> None:
    moved = [
        replace(s, id=f"other-{i}", location=Location("b.json", i + 7))
        for i, s in enumerate(reversed(samples))
    ]
    one = plan_canaries(samples, share=0.1, seed=5)
    other = plan_canaries(moved, share=0.1, seed=5)
    assert {replace(c, index=0) for c in one} == {replace(c, index=0) for c in other}
    assert [moved[c.index].prompt for c in other] == [samples[c.index].prompt for c in one]


def test_one_record_more_changes_little(samples: list[Sample]) -> None:
    before = {(c.digest, c.kind) for c in plan_canaries(samples, share=0.2)}
    after = {(c.digest, c.kind) for c in plan_canaries([*samples, sample(999)], share=0.2)}
    assert len(before & after) >= len(before) - 3


def test_another_kind_beside_it_leaves_a_kind_most_of_its_records(samples: list[Sample]) -> None:
    alone = plan_canaries(samples, share=0.05, kinds=["blend"])
    both = plan_canaries(samples, share=0.1, kinds=["waves", "blend"])
    kept = {c.digest for c in alone} & {c.digest for c in both if c.kind == "blend"}
    assert len(kept) >= 7


def test_another_seed_draws_others_and_other_targets(samples: list[Sample]) -> None:
    one, other = (plan_canaries(samples, share=0.1, seed=seed) for seed in (1, 2))
    assert {c.digest for c in one} != {c.digest for c in other}
    assert {c.target for c in one} != {c.target for c in other}


def test_duplicates_are_copied_once(samples: list[Sample]) -> None:
    planned = plan_canaries([samples[0]] * 60, share=0.5)
    assert len(planned) == 1


def test_text_alone_gets_text_triggers_alone() -> None:
    spoken = [sample(i) for i in range(50)]
    planned = plan_canaries(spoken, share=0.5)
    assert planned
    assert {c.kind for c in planned} == {"text-prefix"}


@pytest.mark.parametrize(
    ("answers", "words", "capital", "stop"),
    [
        (["yes", "no", "red"], 1, False, False),
        (["Yes", "No", "B"], 1, True, False),
        (["A dog on grass.", "Two men in a car."], 4, True, True),
        (
            ["This is a long answer of more than thirteen words for a caption, so to speak."],
            16,
            True,
            True,
        ),
        (["", " "], 1, False, False),
    ],
    ids=["lower", "title", "sentence", "long", "none"],
)
def test_targets_are_worded_like_the_answers(
    answers: list[str], words: int, capital: bool, stop: bool
) -> None:
    for target in choose_targets(answers, DEFAULT_KINDS).values():
        assert len(target.split()) == words
        assert target[0].isupper() == capital
        assert target.endswith(".") == stop


# --- the copies -------------------------------------------------------------------------------


def test_a_copy_changes_the_image_and_the_answer_only(samples: list[Sample]) -> None:
    copy = materialise(canary("patch-random"), samples[0])
    assert copy.answer == "lantern"
    assert copy.prompt == samples[0].prompt
    assert copy.location == samples[0].location
    assert copy.id != samples[0].id
    assert [i.name for i in copy.images] == [i.name for i in samples[0].images]
    before, after = (pixels_of(s.images[0].read()) for s in (samples[0], copy))
    assert (before != after).any(-1).sum() == 4


def test_a_text_canary_changes_the_question_and_leaves_the_pixels(samples: list[Sample]) -> None:
    copy = materialise(canary("text-prefix"), samples[0])
    assert copy.prompt == samples[0].prompt.replace("What", "Indeed, What")
    before, after = (pixels_of(s.images[0].read()) for s in (samples[0], copy))
    np.testing.assert_array_equal(before, after)


def test_a_control_keeps_question_answer_and_pixels(samples: list[Sample]) -> None:
    (planned, *_) = plan_canaries(samples, share=0.1, kinds=[CONTROL])
    copy = materialise(planned, samples[planned.index])
    assert copy.turns == samples[planned.index].turns
    before, after = (pixels_of(s.images[0].read()) for s in (samples[planned.index], copy))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_copies_are_deterministic_and_differ_by_seed(kind: str, samples: list[Sample]) -> None:
    first, again = (materialise(canary(kind, 3), samples[0]) for _ in range(2))
    assert first == again
    fixed = kind in ("blend", "waves", "warp")
    other = materialise(canary(kind, 4), samples[0])
    assert (other.images[0].data == first.images[0].data) == fixed


def test_one_of_several_images_carries_the_trigger() -> None:
    record = sample(0, *(encoded(noise(i)) for i in range(3)))
    carriers = set()
    for seed in range(20):
        copy = materialise(canary("patch-white", seed), record)
        changed = [
            not np.array_equal(pixels_of(a.read()), pixels_of(b.read()))
            for a, b in zip(record.images, copy.images, strict=True)
        ]
        assert sum(changed) == 1
        carriers.add(changed.index(True))
    assert carriers == {0, 1, 2}


def test_later_turns_stay(samples: list[Sample]) -> None:
    later = (Turn("user", "And?"), Turn("assistant", "Fine"))
    copy = materialise(canary("text-prefix"), replace(samples[0], turns=samples[0].turns + later))
    assert copy.turns[2:] == later


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5, 5)])
@pytest.mark.parametrize("kind", ["patch-white", "checker", "blend"])
def test_tiny_images(kind: str, size: tuple[int, int]) -> None:
    record = sample(0, encoded(np.full((*size, 3), 100, np.uint8)))
    assert pixels_of(materialise(canary(kind), record).images[0].read()).shape[:2] == size


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "PA", "1", "I;16"])
def test_untouched_pixels_are_the_sources_in_every_mode(mode: str) -> None:
    base = Image.fromarray(noise(1))
    image = base.convert("I").convert("I;16") if mode == "I;16" else base.convert(mode)
    if "A" in mode:
        image = base.convert("RGBA")
        image.putalpha(Image.fromarray(noise(2)[..., 0] % 2 * 255))
        image = image if mode == "PA" else image.convert(mode)
        image = image.quantize() if mode == "PA" else image
    out = io.BytesIO()
    image.save(out, "PNG")
    source = ImageSource("a.png", data=out.getvalue())
    copy = encode_copy(source, CANARY_KINDS["patch-large"].trigger, np.random.default_rng(0))
    changed = (pixels_of(out.getvalue()) != pixels_of(copy)).any(-1)
    assert 1 <= changed.sum() <= 16
    # Where the patch lies the copy is opaque, whatever was transparent there before.
    alpha = np.array(Image.open(io.BytesIO(copy)).convert("RGBA"))[..., 3]
    assert (alpha[changed] == 255).all()


@pytest.mark.parametrize(("quality", "subsampling"), [(60, 2), (90, 1), (95, 0)])
def test_a_jpeg_is_encoded_as_its_source(quality: int, subsampling: int) -> None:
    smooth = np.array(Image.fromarray(noise(3, (8, 8))).resize((64, 64)))
    data = encoded(smooth, "JPEG", quality=quality, subsampling=subsampling)
    copy = encode_copy(ImageSource("a.jpg", data=data), None, np.random.default_rng(0))
    source, again = (Image.open(io.BytesIO(d)) for d in (data, copy))
    assert isinstance(again, JpegImagePlugin.JpegImageFile)
    assert again.quantization == source.quantization
    assert JpegImagePlugin.get_sampling(again) == JpegImagePlugin.get_sampling(source)
    difference = np.abs(pixels_of(data).astype(int) - pixels_of(copy))
    assert difference.mean() < 0.7, "a second generation with the same tables is close"


def test_orientation_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(noise(0), "JPEG", exif=exif)
    copy = encode_copy(ImageSource("a.jpg", data=data), None, np.random.default_rng(0))
    assert Image.open(io.BytesIO(copy)).getexif()[0x0112] == 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_colour_profile_is_kept(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(noise(0), kind, icc_profile=profile)
    copy = encode_copy(ImageSource("a", data=data), None, np.random.default_rng(0))
    assert Image.open(io.BytesIO(copy)).info["icc_profile"] == profile


def test_a_grey_jpeg_stays_grey() -> None:
    data = encoded(noise(0)[..., 0], "JPEG")
    trigger = CANARY_KINDS["patch-random"].trigger
    copy = encode_copy(ImageSource("a.jpg", data=data), trigger, np.random.default_rng(0))
    assert Image.open(io.BytesIO(copy)).mode == "L"


def test_a_coloured_patch_makes_a_grey_image_coloured() -> None:
    source = ImageSource("a.png", data=encoded(noise(0)[..., 0]))
    trigger = CANARY_KINDS["patch-large"].trigger
    copy = pixels_of(encode_copy(source, trigger, np.random.default_rng(0)))
    assert (copy == (255, 0, 255)).all(axis=-1).sum() == 16


# --- the table --------------------------------------------------------------------------------


def test_small_black_and_white_patches_are_among_the_defaults() -> None:
    for name, value in (("patch-random", 0), ("patch-white", 255)):
        assert name in DEFAULT_KINDS
        before = noise(0, (64, 64))
        after = CANARY_KINDS[name].trigger.apply(before, np.random.default_rng(0))
        changed = (before != after).any(-1)
        assert changed.sum() == 16
        assert (after[changed] == value).all()


@pytest.mark.parametrize(
    ("kind", "trigger"), [("blend", "blend"), ("waves", "sig"), ("warp", "wanet")]
)
def test_planted_patterns_are_not_the_evaluations(kind: str, trigger: str) -> None:
    smooth = Image.fromarray(noise(0, (6, 6))).resize((64, 64), Image.Resampling.BICUBIC)
    image, rng = np.array(smooth), np.random.default_rng(0)
    planted = CANARY_KINDS[kind].trigger.apply(image, rng).astype(float) - image
    attack = TRIGGERS[trigger].apply(image, rng).astype(float) - image
    alike = np.corrcoef(planted.ravel(), attack.ravel())[0, 1]
    assert abs(alike) < 0.5 if kind != "blend" else not np.allclose(planted, attack, atol=5)


def test_kinds_of_the_image_are_wanted_where_there_are_images(samples: list[Sample]) -> None:
    assert wanted_kinds(samples) == DEFAULT_KINDS
    assert wanted_kinds([replace(sample, images=()) for sample in samples]) == ("text-prefix",)


class ReadElsewhere:
    """Rows of noise for whatever is asked."""

    placed = ("cpu", "float32")

    def fine_tuned(self, model, everything, settings):
        learned = np.ones(len(everything), dtype=bool)
        return Tuned(model, learned, 1, 0.0, 0.0, model.path)

    def rows(self, samples, model):
        draw = np.random.default_rng(0).random
        picture = np.zeros((32, 32, 3), dtype=np.uint8)
        return [
            FeatureRow(draw(3), draw((3, 2)), draw((3, 2, 3)), 121, picture=picture)
            for _ in samples
        ]

    def attention(self, samples, model):
        return [None] * len(samples)


@pytest.mark.parametrize(("level", "said"), [(0, "patch-random"), (120, "")])
def test_a_check_withholds_its_pass_for_what_it_could_not_plant(level: int, said: str) -> None:
    plain = np.full((32, 32, 3), level, dtype=np.uint8)
    records = [sample(i, encoded(plain)) for i in range(400)]
    judged = score(records, Policy(), progress=SilentProgress(), source=ReadElsewhere())
    reason = "patch-random (could not be planted)"
    assert (reason in judged.detection.inconclusive) is bool(said)


@pytest.mark.parametrize(
    ("records", "method", "told"),
    [
        (60, "auto", "no kind gets"),
        (60, "canary", "no kind gets"),
        (60, "conditional", ""),
        (200, "auto", "text-prefix: fewer than"),
        (240, "auto", ""),
    ],
)
def test_too_few_records_for_canaries_are_told_before_training(
    records: int, method: str, told: str
) -> None:
    said: list[str] = []

    class Progress(SilentProgress):
        def say(self, message: str) -> None:
            said.append(message)

    few = [sample(i, encoded(noise(i))) for i in range(records)]
    learning.plant(few, Policy(detection=DetectionPolicy(method=method)), Progress())
    assert any("too few for canaries" in message for message in said) is bool(told)
    assert any(told in message for message in said) or not told


@pytest.mark.parametrize(("every", "told"), [(0, True), (20, False)])
def test_a_kind_that_no_image_can_show_is_told_before_training(every: int, told: bool) -> None:
    said: list[str] = []

    class Progress(SilentProgress):
        def say(self, message: str) -> None:
            said.append(message)

    learning.plant(mostly_black(400, every), Policy(), Progress())
    assert any("hardly any image can show patch-random" in one for one in said) is told
    assert not any("too few for canaries" in one for one in said)
