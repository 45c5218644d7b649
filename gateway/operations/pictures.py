"""Pictures of strangers made harmless: decoded, turned upright, made small, written anew.

What leaves here was written by our encoder: no metadata, no place, no second file hidden in it.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageOps

from gateway.errors import InvalidInputError

PictureFormat = Literal["PNG", "JPEG", "GIF", "WEBP"]
MAX_PIXELS = 25_000_000
MAX_SIDE = 20_000
ICON_SIDE = 256
ATTACHMENT_SIDE = 2048
_QUALITY = 88
# what decoders are known to raise for bytes that are no picture
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class InvalidImageError(InvalidInputError):
    """Begins like a picture and is none, or one that is too large to look at."""

    code, title = "invalid_image", "Invalid image"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is kept."""

    content: bytes
    media_type: str
    width: int
    height: int


def icon(content: bytes, picture_format: PictureFormat) -> Picture:
    """A square PNG, cut from the middle."""
    with _opened(content, picture_format, ICON_SIDE) as upright:
        square = ImageOps.fit(upright, (ICON_SIDE, ICON_SIDE))
    return _written(square, "PNG")


def attachment(content: bytes, picture_format: PictureFormat) -> Picture:
    """The same picture, no side longer than `ATTACHMENT_SIDE`; of moving ones the first frame."""
    with _opened(content, picture_format, ATTACHMENT_SIDE) as upright:
        upright.thumbnail((ATTACHMENT_SIDE, ATTACHMENT_SIDE))
        return _written(upright, "PNG" if picture_format == "GIF" else picture_format)


def _opened(content: bytes, picture_format: PictureFormat, side: int) -> Image.Image:
    """Decoded, as it is meant to be seen; its size is looked at before any pixel is."""
    try:
        with Image.open(io.BytesIO(content), formats=(picture_format,)) as found:
            width, height = found.size
            if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
                raise InvalidImageError(f"A picture has at most {MAX_PIXELS} pixels")
            found.draft("RGB", (side, side))  # a JPEG is decoded no larger than it is needed
            upright = ImageOps.exif_transpose(found)
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except _BROKEN as error:
        raise InvalidImageError("The picture cannot be read") from error


def _written(picture: Image.Image, picture_format: str) -> Picture:
    plain = picture.convert("RGB") if picture_format == "JPEG" else picture
    plain.info.clear()
    made = io.BytesIO()
    options = {} if picture_format == "PNG" else {"quality": _QUALITY}
    plain.save(made, picture_format, **options)
    return Picture(made.getvalue(), Image.MIME[picture_format], *plain.size)
