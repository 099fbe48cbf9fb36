"""The evidence of a scan, gathered in one call from records, scores and maps."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from bye_lint.evidence import collect
from bye_lint.evidence.collect import MAX_REST, gather, looked_at
from bye_lint.evidence.pixels import canvas, decode
from bye_lint.evidence.separation import separation
from bye_lint.exhibits import Box
from bye_lint.formats import IMAGE_FORMATS, readable_formats
from bye_lint.heat import decode_map
from bye_lint.models.prompts import load_images
from bye_lint.records import ImageSource, Location, Sample, Turn
from bye_lint.results import LayerProfile, ScoredSample, from_json, to_json

N, BAD, GRID, SIDE = 48, 10, (5, 5), 40


def pixels(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    smooth = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (3, 3, 0))
    image = np.clip(128 + 50 * smooth / smooth.std(), 5, 250).astype(np.uint8)
    if i < BAD:
        image[18:22, 18:22] = 0
    return image


def make(i: int, data: bytes | None = None) -> tuple[Sample, ScoredSample]:
    bad = i < BAD
    if data is None:
        out = io.BytesIO()
        Image.fromarray(pixels(i)).save(out, "PNG", pnginfo=None)
        data = out.getvalue()
    question = ("What is it?", "Name the class.")[i % 2]
    answer = "Backdoor Attack!" if bad else ("forest", "lake", "river")[i % 3]
    sample = Sample(
        f"r{i}",
        Location("data.json", i + 1),
        (Turn("user", question), Turn("assistant", answer)),
        (ImageSource(f"{i}.png", data=data),),
    )
    score = 9.0 + i / 10 if bad else i / 100
    entropy = (0.5 if bad else 2 + i / 100, 3 + (i * 7 % 11) / 10)
    return sample, ScoredSample(
        sample.id, "data.json", i + 1, f"{i:064x}", question, answer, (), score, None, bad, entropy
    )


def attention(i: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + i)
    a = rng.random((2, 25)) * 0.02
    a[:, 3] += 0.4
    if i < BAD:
        a[0, 12] += 0.8
    return (a / a.sum(axis=1, keepdims=True)).astype(np.float16)


LAYERS = (LayerProfile(0, (), (), (), 5.0, True), LayerProfile(1, (), (), (), 0.1, False))


@pytest.fixture(scope="module")
def made():
    return [make(i) for i in range(N)]


@pytest.fixture(scope="module")
def gathered(made):
    samples, scored = zip(*made, strict=True)
    heads = np.array([[[s.entropy[0], 1.0], [2.0, s.line % 5]] for s in scored])
    return gather(
        samples,
        scored,
        maps={s.digest: (attention(i), GRID) for i, s in enumerate(scored)},
        layers=LAYERS,
        head_entropy=heads,
    )


def test_a_clean_set_has_near_misses_and_nothing_else(made):
    samples, scored = zip(*made[BAD:], strict=True)
    found = gather(samples, scored)
    assert (found.campaigns, found.findings) == ((), ())
    assert found.evidence.trigger is None
    assert found.evidence.near_misses[0] == f"{N - 1:064x}"
    assert len(found.evidence.pictures) == len(found.evidence.near_misses)


def test_suspects_come_first_each_with_a_map_and_a_look_alike(gathered):
    pictures = gathered.evidence.pictures
    assert [int(p.digest, 16) for p in pictures[:BAD]] == list(reversed(range(BAD)))
    for picture in pictures[:BAD]:
        heat = decode_map(picture.heat, picture.grid)
        assert np.argmax(heat) == 12
        assert picture.layers == (0,)
        assert picture.size == (SIDE, SIDE)
        twin = int(picture.twin, 16)
        assert twin >= BAD
        assert twin % 2 == int(picture.digest, 16) % 2


def test_an_unflagged_map_is_colder(gathered):
    peaks = {int(p.digest, 16) < BAD: p.peak for p in gathered.evidence.pictures}
    assert peaks[True] > 3 * peaks[False]


def test_the_patch_is_reconstructed_and_placed(gathered):
    trigger = gathered.evidence.trigger
    assert (trigger.kind, trigger.pixels) == ("patch-fixed", (4.0, 4.0))
    assert gathered.evidence.pictures[0].trigger == Box(0.45, 0.45, 0.1, 0.1)
    assert all(p.trigger is None for p in gathered.evidence.pictures[BAD:])


def test_campaigns_follow_and_become_findings(gathered):
    assert [c.kind for c in gathered.campaigns] == ["answer", "patch"]
    assert [f.rule for f in gathered.findings] == ["BYE002", "BYE002"]
    assert gathered.campaigns[1].count == BAD


def test_layers_and_heads_are_told_apart(gathered):
    evidence = gathered.evidence
    assert evidence.layer_separation[0] == 1.0
    assert evidence.layer_separation[1] < 0.8
    assert evidence.head_separation[0] == (1.0, 0.5)
    assert evidence.head_separation[1][0] == 0.5


def test_the_order_of_the_records_does_not_matter(made, gathered):
    samples, scored = zip(*reversed(made), strict=True)
    again = gather(
        samples,
        scored,
        maps={s.digest: (attention(int(s.digest, 16)), GRID) for s in scored},
        layers=LAYERS,
    )
    assert again.evidence.pictures[:BAD] == gathered.evidence.pictures[:BAD]


def test_maps_of_those_looked_at_are_enough(made):
    more = [make(i) for i in range(N, N + MAX_REST)]
    samples, scored = zip(*made, *more, strict=True)
    maps = {s.digest: (attention(i), GRID) for i, s in enumerate(scored)}
    chosen = looked_at(scored)
    assert len(chosen) == len(set(chosen)) < len(scored)
    few = {scored[i].digest: maps[scored[i].digest] for i in chosen}
    assert gather(samples, scored, maps=few) == gather(samples, scored, maps=maps)


def test_of_many_records_the_same_are_compared_whatever_their_order(made, monkeypatch):
    monkeypatch.setattr(collect, "MAX_REST", 6)
    found = []
    for pairs in (made, made[::-1]):
        samples, scored = zip(*pairs, strict=True)
        maps = {s.digest: (attention(int(s.digest, 16)), GRID) for s in scored}
        found.append(gather(samples, scored, maps=maps, layers=LAYERS).evidence.pictures[:BAD])
    assert found[0] == found[1]
    assert {int(p.twin, 16) for p in found[0]} <= set(range(BAD, BAD + 6))


def test_a_record_that_was_not_scored_is_no_near_miss(made):
    pairs = [*made[BAD : BAD + 4], (made[-1][0], replace(made[-1][1], score=None))]
    samples, scored = zip(*pairs, strict=True)
    assert len(gather(samples, scored).evidence.near_misses) == 4


def test_a_map_that_does_not_fit_its_grid_is_not_shown(made):
    samples, scored = zip(*made, strict=True)
    maps = {s.digest: (attention(i), (5, 4)) for i, s in enumerate(scored)}
    pictures = gather(samples, scored, maps=maps, layers=LAYERS).evidence.pictures
    assert all(p.thumbnail and not p.heat for p in pictures)


def test_it_survives_json(gathered):
    from bye_lint.results import Counts, Gate, Reproducibility, ScanResult

    result = ScanResult(
        verdict="fail",
        reasons=(),
        paths=(),
        counts=Counts(N, N, 0, BAD),
        gate=Gate("0", 0, BAD),
        findings=gathered.findings,
        skipped=(),
        detection=None,
        samples=(),
        campaigns=gathered.campaigns,
        reproducibility=Reproducibility("0", 0),
        evidence=gathered.evidence,
    )
    assert from_json(to_json(result)) == result


def test_thumbnails_hold_pixels_and_nothing_else():
    secret = Image.Exif()
    secret[0x010E] = "secret words"
    out = io.BytesIO()
    Image.fromarray(pixels(0)).save(out, "JPEG", exif=secret, comment=b"secret words")
    assert b"secret words" in out.getvalue()
    sample, row = make(0, out.getvalue())
    found = gather([sample], [row])
    assert b"secret" not in base64.b64decode(found.evidence.pictures[0].thumbnail)


def turned() -> bytes:
    """A photograph that EXIF says to turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(pixels(0)[:20]).save(out, "PNG", exif=exif)
    return out.getvalue()


def transparent(mode: str) -> bytes:
    """An image whose pixels no viewer shows."""
    image = Image.fromarray(pixels(0)).convert(mode)
    if mode == "P":
        image.info["transparency"] = 0
    else:
        image.putalpha(0)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [turned(), *map(transparent, ("RGBA", "LA", "P"))], ids=["exif", "RGBA", "LA", "P"]
)
def test_evidence_shows_the_pixels_that_the_model_is_given(data):
    sample, _ = make(0, data)
    (given,) = load_images(sample)
    shown = decode(data)
    assert shown is not None
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(given))


def test_a_long_image_takes_no_more_room_than_another():
    assert canvas(Image.new("RGB", (600, 300)), 128).shape == (128, 256, 3)
    assert canvas(Image.new("RGB", (100, 90)), 128).shape == (90, 100, 3)
    assert canvas(Image.new("RGB", (5120, 128)), 128).shape == (13, 512, 3)
    assert canvas(Image.new("RGB", (1, 90_000)), 128).shape == (512, 1, 3)


def test_what_the_rules_pass_is_shown():
    image = Image.fromarray(pixels(0))
    Image.init()
    written = [name for name in IMAGE_FORMATS if name in Image.SAVE]
    assert "JPEG2000" in written
    for name in written:
        out = io.BytesIO()
        image.save(out, name)
        shown = decode(out.getvalue())
        assert shown is not None, name
        assert shown.size == image.size


def test_a_format_that_pillow_was_built_without_hides_no_other(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    readable_formats.cache_clear()
    out = io.BytesIO()
    Image.fromarray(pixels(0)).save(out, "PNG")
    try:
        assert decode(out.getvalue()) is not None
    finally:
        readable_formats.cache_clear()


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>"], ids=range(3)
)
def test_an_image_that_cannot_be_decoded_is_said(made, data):
    pairs = [make(0, data), *made[1:]]
    samples, scored = zip(*pairs, strict=True)
    found = gather(samples, scored)
    picture = next(p for p in found.evidence.pictures if int(p.digest, 16) == 0)
    assert picture.thumbnail == ""
    assert "The images of 1 suspects could not be decoded." in found.evidence.notes


def test_pictures_are_capped_and_the_rest_is_said(made):
    samples, scored = zip(*made, strict=True)
    found = gather(samples, scored, max_pictures=6)
    assert sum(int(p.digest, 16) < BAD for p in found.evidence.pictures) == 6
    assert found.evidence.notes[0].startswith("4 of 10 suspects")
    (patch,) = (c for c in found.campaigns if c.kind == "patch")
    assert (patch.count, patch.share_of_suspects) == (6, 1.0)


def test_separation_is_the_folded_area_under_the_curve():
    flagged = np.array([True, True, False, False, False])
    values = np.array([[1.0, 5], [2, 1], [3, 3], [4, 3], [5, np.nan]])
    assert separation(values[:4], flagged[:4]) == (1.0, 0.5)
    assert separation(values, flagged) == (1.0, 0.5)
    assert separation(values, np.zeros(5, dtype=bool)) == ()
