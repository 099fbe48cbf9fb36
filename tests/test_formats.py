"""Which formats are opened, at every place that opens an image of a dataset."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import bye_lint
from bye_lint.canaries.copies import encode_copy
from bye_lint.errors import ByeLintError
from bye_lint.evaluate.poison import _decode
from bye_lint.evidence.pixels import decode
from bye_lint.models.blocks import _pixels
from bye_lint.models.chat import EncodeError
from bye_lint.models.prompts import load_images
from bye_lint.records import ImageSource, Location, Sample
from bye_lint.rules import check_image
from bye_lint.scout.sources import load_pixels

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\n%%EOF\n"
PIXELS = 10**6


def encoded(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (10, 10), "red").save(stream, form)
    return stream.getvalue()


def in_a_record(data: bytes, _: Path) -> bool:
    sample = Sample("a", Location("a.jsonl", 1), (), (ImageSource("a", data=data),))
    return load_images(sample)[0].size == (10, 10)


def in_a_canary(data: bytes, _: Path) -> bool:
    return bool(encode_copy(ImageSource("a", data=data), None, np.random.default_rng(0)))


def in_a_folder_to_poison(data: bytes, folder: Path) -> bool:
    (folder / "a").write_bytes(data)
    return _decode(folder, "a") is not None


def in_the_scouts_sources(data: bytes, folder: Path) -> bool:
    (folder / "a").write_bytes(data)
    return load_pixels(folder / "a").shape == (10, 10, 3)


OPENED: dict[str, Callable[[bytes, Path], bool]] = {
    "structural check": lambda data, _: not check_image(ImageSource("a", data=data), PIXELS).rule,
    "record": in_a_record,
    "division into blocks": lambda data, _: _pixels(ImageSource("a", data=data)) == 100,
    "canary": in_a_canary,
    "evidence": lambda data, _: decode(data) is not None,
    "folder to poison": in_a_folder_to_poison,
    "the scout's sources": in_the_scouts_sources,
}


@pytest.mark.parametrize("place", OPENED)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_what_the_structural_check_passes_is_opened(place: str, form: str, tmp_path: Path) -> None:
    assert OPENED[place](encoded(form), tmp_path)


@pytest.mark.parametrize("place", OPENED)
@pytest.mark.parametrize(
    "data", [EPS, encoded("TGA"), encoded("PCX"), encoded("ICO")], ids=["EPS", "TGA", "PCX", "ICO"]
)
def test_no_other_format_is_opened(
    place: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **_: started.append(args))
    try:
        opened = OPENED[place](data, tmp_path)
    except (ByeLintError, EncodeError, OSError):
        opened = False
    assert not opened
    assert not started


def test_nothing_is_opened_without_saying_which_formats() -> None:
    calls = [
        (path.name, node)
        for path in Path(bye_lint.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert calls
    assert [name for name, c in calls if "formats" not in {k.arg for k in c.keywords}] == []
