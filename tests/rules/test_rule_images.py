"""Images: what decodes, what does not, and what must not even be tried."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

from bye_lint.formats import IMAGE_FORMATS
from bye_lint.records import ImageSource
from bye_lint.rules import check_image

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


def test_no_format_starts_a_program() -> None:
    assert not {"EPS", "PSD", "PDF", "WMF", "MPEG", "FPX", "MIC"} & set(IMAGE_FORMATS)
