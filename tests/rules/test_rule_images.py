"""Images: what decodes, what does not, and what must not even be tried."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from bye_lint.formats import IMAGE_FORMATS, readable_formats
from bye_lint.records import ImageSource
from bye_lint.rules import check_image
from bye_lint.rules.av1 import frame_pixels
from bye_lint.rules.costs import tiled_pixels
from bye_lint.rules.doubles import other_format

PIXELS = 1_000_000


def encoded(form: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    noise = Image.frombytes("L", size, os.urandom(size[0] * size[1]))
    noise.convert(mode).save(stream, form)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has hardly any data."""

    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(b"\0" * 9)) + part(b"IEND", b"")
    )


def check(data: bytes, tmp_path: Path, decode: bool) -> tuple[str, str]:
    """Check bytes as a file and as embedded bytes; both must say the same."""
    path = tmp_path / "image"
    path.write_bytes(data)
    on_disk = check_image(ImageSource("image", path), PIXELS, decode=decode)
    embedded = check_image(ImageSource("image", data=data), PIXELS, decode=decode)
    assert (on_disk.rule, on_disk.message) == (embedded.rule, embedded.message)
    if decode and on_disk.digest:
        assert on_disk.digest == embedded.digest == hashlib.sha256(data).digest()
    return on_disk.rule, on_disk.message


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_images_are_images(tmp_path: Path, form: str, mode: str, decode: bool) -> None:
    unsupported = {("JPEG", "P"), ("JPEG", "RGBA"), ("PPM", "P"), ("PPM", "RGBA")}
    if (form, mode) in unsupported:
        mode = "RGB"
    assert check(encoded(form, mode=mode), tmp_path, decode) == ("", "")


def test_the_largest_allowed_size_is_allowed(tmp_path: Path) -> None:
    assert check(encoded("PNG", (1000, 1000), "1"), tmp_path, True) == ("", "")


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize(
    ("data", "rule", "message"),
    [
        pytest.param(b"", "BYE104", "is an empty file", id="empty"),
        pytest.param(b"just text", "BYE104", "is not an image of a known format", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "BYE104", "", id="signature-alone"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "BYE104", "", id="svg"),
        pytest.param(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
            b"(%pipe%touch /tmp/x) (w) file\n%%EOF\n",
            "BYE104",
            "is not an image of a known format",
            id="postscript-is-never-run",
        ),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "BYE110",
            "is a Git LFS pointer",
            id="lfs-pointer",
        ),
        pytest.param(png_header(1001, 1000), "BYE106", "claims 1,001 x 1,000", id="over-the-limit"),
        pytest.param(png_header(65000, 65000), "BYE106", "claims", id="bomb"),
        pytest.param(png_header(2**31 - 1, 2**31 - 1), "BYE106", "claims", id="absurd"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, rule: str, message: str, decode: bool) -> None:
    found, words = check(data, tmp_path, decode)
    assert found == rule
    assert message in words


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_truncated_images_are_found_when_decoded(tmp_path: Path, form: str) -> None:
    data = encoded(form)
    rule, message = check(data[: len(data) * 3 // 5], tmp_path, True)
    assert rule == "BYE104"
    assert "decoded" in message


def test_damaged_data_is_found_when_decoded(tmp_path: Path) -> None:
    data = bytearray(encoded("PNG"))
    middle = data.index(b"IDAT") + 40
    data[middle : middle + 20] = bytes(20)
    assert check(bytes(data), tmp_path, True)[0] == "BYE104"


def test_without_decoding_the_header_alone_is_read(tmp_path: Path) -> None:
    data = encoded("PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data[: len(data) // 2])
    found = check_image(ImageSource("a.png", path), PIXELS, decode=False)
    assert (found.rule, found.digest) == ("", b"")


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    tracemalloc.start()
    check_image(ImageSource("bomb", data=png_header(20_000, 20_000)), PIXELS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    with path.open("wb") as stream:
        stream.truncate(20 << 30)
    found = check_image(ImageSource("big.png", path), PIXELS)
    assert found.rule == "BYE106"
    assert "bytes" in found.message


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "none", "x" * 300):
        found = check_image(ImageSource(name, tmp_path / name), PIXELS)
        assert found.rule == "BYE103", name
    assert check_image(ImageSource("nothing"), PIXELS).rule == "BYE103"


def test_an_image_that_does_not_fit_into_memory_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    monkeypatch.setattr(Image, "open", full)
    assert check_image(ImageSource("a.png", data=stream.getvalue()), PIXELS).rule == "BYE106"


def test_no_format_starts_a_program() -> None:
    assert not {"EPS", "PSD", "PDF", "WMF", "MPEG", "FPX", "MIC"} & set(IMAGE_FORMATS)


def tiff_and_im(tiff: Image.Image, im: Image.Image) -> bytes:
    """Return a file that is one picture as TIFF, and another as the format IM of Pillow."""
    words = f" :\nImage type: RGB image\nImage size (x*y): {im.width}*{im.height}\n\x1a"
    lines = im.tobytes("raw", "RGB;L")  # line by line, one band after another
    before, strip = words.encode() + lines, tiff.tobytes()
    at, end = 8 + len(before), 8 + len(before) + len(strip)
    directory = end + next(n for n in range(end % 2, 600, 2) if ok_in_a_line(end + n))
    entries = [
        (256, 3, 1, tiff.width), (257, 3, 1, tiff.height), (258, 3, 3, directory + 126),
        (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, at), (277, 3, 1, 3), (278, 3, 1, tiff.height),
        (279, 4, 1, len(strip)), (284, 3, 1, 1),
    ]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", directory) + before + strip
    return (
        head.ljust(directory, b"\0")
        + struct.pack("<H", len(entries))
        + packed
        + struct.pack("<IHHH", 0, 8, 8, 8)
    )


def ok_in_a_line(number: int) -> bool:
    return not set(b":\n\r") & set(struct.pack("<I", number))


@pytest.mark.parametrize("decode", [True, False])
def test_a_file_that_is_two_pictures_is_refused(tmp_path: Path, decode: bool) -> None:
    red, green = (Image.new("RGB", (40, 30), colour) for colour in ("red", "green"))
    data = tiff_and_im(red, green)
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as one:
        assert one.getpixel((5, 5)) == (255, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Pillow will drop IM
        other = Image.open(io.BytesIO(data), formats=["IM"])
        assert other.getpixel((5, 5)) == (0, 128, 0)
    found = check(data, tmp_path, decode)
    assert found == ("BYE104", "is also an image of the format IM")


def test_what_another_format_looks_for_may_be_anywhere(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30)).save(stream, "JPEG", comment=b"x" * 3000)
    data = bytearray(stream.getvalue())
    assert check(bytes(data), tmp_path, True) == ("", "")
    data[2048:2052] = b"PCD_"
    found = check(bytes(data), tmp_path, True)
    assert found == ("BYE104", "is also an image of the format PCD")


@pytest.mark.parametrize(
    ("data", "form", "other"),
    [
        pytest.param(encoded("PNG"), "JPEG", "PNG", id="another-that-is-listed"),
        pytest.param(encoded("JPEG"), "MPO", "", id="of-several-frames"),
        pytest.param(b"\0\0\1\0ftypavif" + bytes(99), "AVIF", "ICO", id="decoded-when-opened"),
        pytest.param(b"II*\0 :\n" + b"a:\n" * 200_000, "TIFF", "IM", id="a-header-without-end"),
        pytest.param(b"II*\0 :\n" + b"a" * 600_000, "TIFF", "", id="a-line-without-end"),
    ],
)
def test_formats_are_told_apart_by_their_beginning(data: bytes, form: str, other: str) -> None:
    stream = io.BytesIO(data)
    stream.seek(7)
    assert other_format(stream, form) == other
    assert stream.tell() == 7


@pytest.mark.parametrize("form", [*readable_formats(), "MPO"])
def test_no_image_is_taken_for_one_of_another_format(tmp_path: Path, form: str) -> None:
    for width, height in [(1, 1), (58, 10), (10, 58), (2, 266), (314, 522)]:
        for mode in ("RGB", "L"):
            assert check(encoded(form, (width, height), mode), tmp_path, True) == ("", "")
        stream = io.BytesIO()
        Image.new("RGB", (width, height)).save(stream, form)
        assert check(stream.getvalue(), tmp_path, True) == ("", "")


def scans(times: int, **options: object) -> bytes:
    """Return a progressive JPEG whose last scan is there again and again."""
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "JPEG", progressive=True, **options)
    data = stream.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * times + data[-2:]


def test_a_jpeg_of_thousands_of_scans_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(scans(80), tmp_path, True) == ("", "")
    assert check(scans(1000), tmp_path, False) == ("", "")
    monkeypatch.setattr(JpegImageFile, "load", lambda _: pytest.fail("it was decoded"))
    for data in (scans(100), scans(1000), scans(1000, comment=b"\xff\xd9")):
        assert check(data, tmp_path, True) == ("BYE104", "has more than 100 scans")


def test_scans_of_a_thumbnail_and_behind_the_image_are_not_counted(tmp_path: Path) -> None:
    assert check(scans(0, exif=b"Exif\0\0" + b"\xff\xda" * 200), tmp_path, True) == ("", "")
    assert check(scans(0) + scans(1000), tmp_path, True) == ("", "")


def tiled_tiff(*entries: tuple[int, int, int], order: str = "<") -> bytes:
    """Return a TIFF of 40 x 30 pixels in one empty tile of Deflate, of entries of one number."""
    data = zlib.compress(bytes(1 << 14))
    rows = [
        (256, 3, 40), (257, 3, 30), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        *entries, (324, 4, 8), (325, 4, len(data)),
    ]  # fmt: skip
    where = 8 + len(data) + len(data) % 2
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", where) + data
    packed = [
        struct.pack(f"{order}HHI", tag, kind, 1)
        + struct.pack({3: f"{order}HH", 4: f"{order}I"}[kind], *[value, 0][: 5 - kind])
        for tag, kind, value in sorted(rows, key=lambda row: row[0])
    ]
    directory = struct.pack(f"{order}H", len(rows)) + b"".join(packed) + bytes(4)
    return head.ljust(where, b"\0") + directory


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tiles_of_a_tiff_are_as_sane_as_its_size(tmp_path: Path, order: str) -> None:
    fine = tiled_tiff((322, 3, 128), (323, 3, 128), order=order)
    assert check(fine, tmp_path, True) == ("", "")
    for kind in (3, 4):
        data = tiled_tiff((322, kind, 20_000), (323, kind, 20_000), order=order)
        rule, message = check(data, tmp_path, True)
        assert rule == "BYE106"
        assert "claims 40 x 30 pixels, of which 400,000,000 would be decoded" in message


def test_of_a_tile_size_that_is_given_twice_the_larger_one_holds(tmp_path: Path) -> None:
    for sizes in ((16, 20_000), (20_000, 16)):
        entries = [(tag, 4, size) for tag in (322, 323) for size in sizes]
        assert check(tiled_tiff(*entries), tmp_path, True)[0] == "BYE106"


def test_tiles_that_the_image_fills_badly_are_counted_together() -> None:
    data = tiled_tiff((322, 3, 1000), (323, 3, 1000))
    assert tiled_pixels(io.BytesIO(data), 1000, 1000) == 1_000_000
    assert tiled_pixels(io.BytesIO(data), 5000, 1000) < 5_000_000
    assert tiled_pixels(io.BytesIO(data), 1, 50_000_000) > 1e10


def avif(size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    if "AVIF" not in readable_formats():
        pytest.skip("this Pillow writes no AVIF")
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "AVIF", speed=10, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("size", [(1, 1), (257, 30)])
def test_the_frames_of_an_avif_are_as_large_as_it_says(mode: str, size: tuple[int, int]) -> None:
    assert frame_pixels(avif(size, mode)) == size[0] * size[1]
    more = [Image.new(mode, size, "red")]
    assert frame_pixels(avif(size, mode, save_all=True, append_images=more)) == size[0] * size[1]


@pytest.mark.parametrize("several", [False, True])
def test_an_avif_that_says_it_is_smaller_is_not_decoded(tmp_path: Path, several: bool) -> None:
    size = (1200, 900)
    more = {"save_all": True, "append_images": [Image.new("RGB", size, "red")]} if several else {}
    data = bytearray(avif(size, **more))
    true, claimed = (struct.pack(">II", *numbers) for numbers in (size, (64, 64)))
    assert true in data
    rule, message = check(bytes(data.replace(true, claimed)), tmp_path, True)
    assert rule == "BYE106"
    assert several or "claims 64 x 64 pixels, of which 1,080,000 would be decoded" in message


def test_an_avif_that_does_not_say_how_large_its_frame_is_is_refused(tmp_path: Path) -> None:
    data = avif((40, 30))
    assert check(data, tmp_path, True) == ("", "")
    for kind in (b"iloc", b"iinf"):
        hidden = data.replace(kind, b"free")
        assert check(hidden, tmp_path, True)[0] == "BYE104"
    item = data.index(b"\x0a", data.index(b"mdat"))
    unknown = data[:item] + b"\x7a" + data[item + 1 :]  # a unit of padding in the header's place
    assert check(unknown, tmp_path, True)[0] == "BYE104"


def test_damaged_avif_is_damaged_and_nothing_worse() -> None:
    data = avif((40, 30))
    for place in range(0, len(data), 3):
        for byte in (0, 1, 255):
            try:
                frame_pixels(data[:place] + bytes([byte]) + data[place + 1 :])
            except (ValueError, IndexError):
                continue
