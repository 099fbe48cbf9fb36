"""Image paths: what is inside of the root, and everything that is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bye_lint.datasets import ImageRoot
from bye_lint.records import ImageSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.png").write_bytes(b"inside")
    (folder / "b.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    (tmp_path / "data-too").mkdir()
    (tmp_path / "data-too" / "c.png").write_bytes(b"outside")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "b.png",
        "./b.png",
        "images/a.png",
        "images//a.png",
        "images/../b.png",
        "images\\a.png",
        "../data/b.png",
        "inner-link/a.png",
        "link-to-b.png",
    ],
)
def test_inside(root: Path, name: str) -> None:
    (root / "inner-link").symlink_to(root / "images")
    (root / "link-to-b.png").symlink_to("b.png")
    found = ImageRoot(root).find(name)
    assert isinstance(found, ImageSource)
    assert found.name == name
    assert found.read() == b"inside"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "images/../../secret.png",
        "..\\secret.png",
        "images\\..\\..\\secret.png",
        "../data-too/c.png",
        "outer-link/secret.png",
        "link-to-secret.png",
        "link-to-link.png",
        "/etc/passwd",
        "//server/share/a.png",
        "\\\\server\\share\\a.png",
        "C:\\a.png",
        "c:a.png",
        "http://example.org/a.png",
        "HTTPS://example.org/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "",
        " ",
        ".",
        "..",
        "images/",
        "images/..",
        "a\0.png",
        pytest.param("a/" * 2_000_000 + "b.png", id="many-folders"),
        pytest.param("a\\" * 2_000_000 + "b.png", id="many-backslashes"),
        pytest.param("a/../" * 2_000_000 + "b.png", id="many-ways-back"),
    ],
)
def test_refused(root: Path, name: str) -> None:
    (root / "outer-link").symlink_to(root.parent)
    (root / "link-to-secret.png").symlink_to(root.parent / "secret.png")
    (root / "link-to-link.png").symlink_to("link-to-secret.png")
    assert isinstance(ImageRoot(root).find(name), str)


@pytest.mark.parametrize("name", ["none.png", "none/none.png", "b.png/none", "x" * 300, "loop"])
def test_missing_is_not_refused_here(root: Path, name: str) -> None:
    (root / "loop").symlink_to("loop")
    found = ImageRoot(root).find(name)
    assert isinstance(found, ImageSource)
    with pytest.raises(OSError):  # noqa: PT011 - each its own
        found.read()


def test_the_root_may_be_a_link_itself(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    found = ImageRoot(link).find("b.png")
    assert isinstance(found, ImageSource)
    assert found.path == Path(os.path.realpath(root)) / "b.png"


def test_the_file_system_root_can_be_the_image_root(root: Path) -> None:
    found = ImageRoot(Path("/")).find(str(root / "b.png").lstrip("/"))
    assert isinstance(found, ImageSource)


def test_a_backslash_in_a_file_s_name_is_no_folder(root: Path) -> None:
    """On POSIX the trainer opens the file that is called so."""
    (root / "images\\c.png").write_bytes(b"literal")
    found = ImageRoot(root).find("images\\c.png")
    assert isinstance(found, ImageSource)
    assert found.read() == b"literal"
    (root / "images\\a.png").write_bytes(b"literal")
    assert "may be two files" in str(ImageRoot(root).find("images\\a.png"))
    (root / "..\\secret.png").write_bytes(b"literal")
    assert "may be two files" in str(ImageRoot(root).find("..\\secret.png"))
    (root / "out\\link.png").symlink_to(root.parent / "secret.png")
    assert ImageRoot(root).find("out\\link.png") == "leaves the image root"
