"""Is it an image of one format, does it decode whole, and does it claim a sane size?"""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from bye_lint.codes import IMAGE_TOO_LARGE, IS_LFS_POINTER, MISSING_IMAGE, UNDECODABLE_IMAGE
from bye_lint.formats import open_image
from bye_lint.records import LFS_POINTER, ImageSource
from bye_lint.rules.av1 import frame_pixels
from bye_lint.rules.costs import MOST_SCANS, has_too_many_scans, tiled_pixels
from bye_lint.rules.doubles import other_format

#: Bytes that a pixel may take in a file; an uncompressed pixel of four 16-bit channels has 8.
_BYTES_A_PIXEL = 8
_BYTES_BESIDE = 1 << 20


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What was found out about one image.

    Attributes
    ----------
    rule : str
        Code of the rule that it breaks, or an empty string.
    message : str
    digest : bytes
        SHA-256 of the encoded bytes; empty where they were not all read.
    """

    rule: str = ""
    message: str = ""
    digest: bytes = b""


def check_image(
    image: ImageSource, max_pixels: int, *, decode: bool = True, digest: bool = False
) -> ImageCheck:
    """Check that an image is there, has a sane size and decodes.

    Parameters
    ----------
    image : ImageSource
    max_pixels : int
        Larger images are refused by what their header claims, before any pixel is decoded.
    decode : bool
        Decode all pixels; else only the header is looked at.
    digest : bool
        Digest the bytes also where they are not decoded.
    """
    largest = max_pixels * _BYTES_A_PIXEL + _BYTES_BESIDE
    try:
        if image.data is not None:
            size = len(image.data)
        elif image.path is not None:
            status = image.path.stat()
            size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                return ImageCheck(MISSING_IMAGE, "is not a file")
        else:
            return ImageCheck(MISSING_IMAGE, "does not exist")
        if size > largest:
            return ImageCheck(IMAGE_TOO_LARGE, f"has {size:,} bytes, the policy allows {largest:,}")
        if image.path is not None and image.data is None and not (decode or digest):
            with image.path.open("rb") as stream:
                return _look(stream, max_pixels, decode=False)
        data, sha256 = image.digested()
    except (FileNotFoundError, NotADirectoryError):
        return ImageCheck(MISSING_IMAGE, "does not exist")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return ImageCheck(MISSING_IMAGE, f"cannot be read ({reason})")
    found = _look(io.BytesIO(data), max_pixels, decode=decode)
    return ImageCheck(found.rule, found.message, sha256)


def _look(stream: BinaryIO, max_pixels: int, *, decode: bool) -> ImageCheck:
    head = stream.read(len(LFS_POINTER))
    stream.seek(0)
    if not head:
        return ImageCheck(UNDECODABLE_IMAGE, "is an empty file")
    if head == LFS_POINTER:
        return ImageCheck(IS_LFS_POINTER, "is a Git LFS pointer, run git lfs pull")
    try:
        with open_image(stream) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                return ImageCheck(
                    IMAGE_TOO_LARGE,
                    f"claims {width:,} x {height:,} pixels, the policy allows {max_pixels:,}",
                )
            if other := other_format(stream, picture.format):
                return ImageCheck(UNDECODABLE_IMAGE, f"is also an image of the format {other}")
            if decode:
                if (refused := _too_costly(stream, picture, max_pixels)) is not None:
                    return refused
                picture.load()
    except Image.DecompressionBombError:
        return ImageCheck(IMAGE_TOO_LARGE, "claims more pixels than any image that can be opened")
    except UnidentifiedImageError:
        return ImageCheck(UNDECODABLE_IMAGE, "is not an image of a known format")
    except MemoryError:
        return ImageCheck(IMAGE_TOO_LARGE, "does not fit into memory")
    except Exception as error:  # decoders of hostile bytes raise nearly everything
        return ImageCheck(UNDECODABLE_IMAGE, f"cannot be decoded ({_reason(error)})")
    return ImageCheck()


def _too_costly(stream: BinaryIO, picture: Image.Image, max_pixels: int) -> ImageCheck | None:
    """Return what is wrong with an image that takes far more to decode than its size says."""
    place = stream.tell()
    stream.seek(0)
    pixels = 0
    if picture.format in ("JPEG", "MPO") and has_too_many_scans(stream.read()):
        return ImageCheck(UNDECODABLE_IMAGE, f"has more than {MOST_SCANS} scans")
    if picture.format == "TIFF":
        pixels = tiled_pixels(stream, *picture.size)
    elif picture.format == "AVIF":
        pixels = frame_pixels(stream.read())
    stream.seek(place)
    if pixels > max_pixels:
        return ImageCheck(
            IMAGE_TOO_LARGE,
            f"claims {picture.width:,} x {picture.height:,} pixels, of which {pixels:,} would be "
            f"decoded, the policy allows {max_pixels:,}",
        )
    return None


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0] or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text)[:120]
