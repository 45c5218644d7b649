"""Pictures of strangers: what comes out is small, upright and says nothing more."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.operations import pictures
from gateway.operations.pictures import InvalidImageError, PictureFormat
from tests.support.files import bomb, opened, picture, telling_jpeg

FORMATS: list[PictureFormat] = ["PNG", "JPEG", "GIF", "WEBP"]


@pytest.mark.parametrize("picture_format", FORMATS)
def test_an_icon_is_a_square_png(picture_format: PictureFormat) -> None:
    made = pictures.icon(picture(picture_format, (400, 300)), picture_format)
    assert (made.media_type, made.width, made.height) == ("image/png", 256, 256)
    assert (opened(made.content).format, opened(made.content).size) == ("PNG", (256, 256))


@pytest.mark.parametrize(
    ("picture_format", "kept"),
    [("PNG", "PNG"), ("JPEG", "JPEG"), ("GIF", "PNG"), ("WEBP", "WEBP")],
)
def test_an_attachment_keeps_its_format_and_proportion(
    picture_format: PictureFormat, kept: str
) -> None:
    made = pictures.attachment(picture(picture_format, (2560, 20)), picture_format)
    assert (made.width, made.height) == (2048, 16)
    assert (opened(made.content).format, opened(made.content).size) == (kept, (2048, 16))


def test_a_small_attachment_is_not_made_larger() -> None:
    made = pictures.attachment(picture(), "PNG")
    assert (made.width, made.height) == (40, 20)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "I;16"])
def test_every_kind_of_pixels_is_taken(mode: str) -> None:
    made = io.BytesIO()
    Image.new(mode, (30, 30)).save(made, "PNG")
    assert pictures.icon(made.getvalue(), "PNG").width == 256


def test_what_is_transparent_stays_so() -> None:
    made = io.BytesIO()
    Image.new("RGBA", (30, 30), (255, 0, 0, 0)).save(made, "PNG")
    pixel = opened(pictures.icon(made.getvalue(), "PNG").content).getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert pixel[3] == 0


@pytest.mark.parametrize("work", [pictures.icon, pictures.attachment])
def test_nothing_but_pixels_is_left(work: object) -> None:
    sent = telling_jpeg()
    assert b"SecretCamera" in sent
    assert b"SecretComment" in sent
    made = pictures.attachment(sent, "JPEG")
    if work is pictures.icon:
        made = pictures.icon(sent, "JPEG")
    assert b"Secret" not in made.content
    assert dict(opened(made.content).getexif()) == {}


def test_a_picture_on_its_side_is_turned_upright() -> None:
    made = pictures.attachment(telling_jpeg(), "JPEG")
    assert (made.width, made.height) == (20, 40)


def test_what_hangs_behind_a_picture_is_gone() -> None:
    made = pictures.attachment(picture() + b"PK\x03\x04 a second file", "PNG")
    assert b"a second file" not in made.content


def test_a_picture_with_too_many_pixels_is_refused_though_it_could_be_decoded() -> None:
    made = io.BytesIO()
    Image.new("1", (6_000, 5_000)).save(made, "PNG")
    with pytest.raises(InvalidImageError, match="pixels"):
        pictures.icon(made.getvalue(), "PNG")


@pytest.mark.parametrize(
    "size", [(60_000, 60_000), (9_000, 9_000), (30_000, 1), (6_000, 5_000), (12_000, 8_000)]
)
def test_a_bomb_is_not_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidImageError):
        pictures.icon(bomb(*size), "PNG")


@pytest.mark.parametrize("picture_format", FORMATS)
def test_a_picture_that_is_cut_off_is_refused(picture_format: PictureFormat) -> None:
    sent = picture(picture_format, (200, 100))
    for end in (12, len(sent) // 2):
        with pytest.raises(InvalidImageError):
            pictures.icon(sent[:end], picture_format)


def test_a_picture_of_another_format_than_it_begins_with_is_refused() -> None:
    with pytest.raises(InvalidImageError):
        pictures.icon(picture("GIF"), "PNG")


@settings(max_examples=60, deadline=None)
@given(
    picture_format=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
)
def test_damaged_pictures_are_made_or_refused(
    picture_format: PictureFormat, changes: list[tuple[int, int]]
) -> None:
    sent = bytearray(picture(picture_format))
    for place, value in changes:
        sent[place % len(sent)] = value
    try:
        made = pictures.icon(bytes(sent), picture_format)
    except InvalidImageError:
        return
    assert opened(made.content).size == (256, 256)
