"""Makes pictures smaller; they travel as base64."""

import base64
import binascii
import io
from typing import Literal

from fastapi import HTTPException
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field

MAX_PIXELS = 12_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
NO_PICTURE = {422: {"description": "Not a picture that can be read"}}


class ImageIn(BaseModel):
    """A PNG, JPEG, WebP or GIF picture as base64."""

    image: str = Field(min_length=4, max_length=2_000_000)


class ImageInfo(BaseModel):
    """What is known without decoding it."""

    format: str
    width: int
    height: int


class ResizeIn(ImageIn):
    """The box it shall fit into; its proportions stay."""

    width: int = Field(ge=1, le=2000)
    height: int = Field(ge=1, le=2000)
    format: Literal["png", "jpeg", "webp"] = "png"


class ImageOut(BaseModel):
    """The new picture as base64."""

    image: str
    media_type: str
    width: int
    height: int


def opened(image: str) -> Image.Image:
    """The picture, checked before its pixels are decoded."""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(image, validate=True)), formats=FORMATS)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, "The picture is not valid base64") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise HTTPException(422, "This is not a picture that can be read") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise HTTPException(422, "The picture has more than 12 million pixels")
    return picture


def drawn(picture: Image.Image, body: ResizeIn) -> tuple[Image.Image, bytes]:
    """The smaller picture and its bytes."""
    mode = "RGB" if body.format == "jpeg" else "RGBA"
    try:
        smaller = picture.convert(mode)
        smaller.thumbnail((body.width, body.height))
        out = io.BytesIO()
        smaller.save(out, format=body.format.upper())
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise HTTPException(422, "This is not a picture that can be read") from error
    return smaller, out.getvalue()


@router.post("/info", responses=NO_PICTURE)
def image_info(body: ImageIn) -> ImageInfo:
    """Its format and size."""
    with opened(body.image) as picture:
        return ImageInfo(
            format=str(picture.format).lower(), width=picture.width, height=picture.height
        )


@router.post("/resize", responses=NO_PICTURE)
def resize_image(body: ResizeIn) -> ImageOut:
    """The picture fitted into a box; a smaller one stays as it is."""
    with opened(body.image) as picture:
        smaller, content = drawn(picture, body)
    return ImageOut(
        image=base64.b64encode(content).decode(),
        media_type=f"image/{body.format}",
        width=smaller.width,
        height=smaller.height,
    )
