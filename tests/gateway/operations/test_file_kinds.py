"""What a file is by its first bytes, whatever it is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.file_kinds import (
    NAME_CHARACTERS,
    UnsupportedFileError,
    attachment_kind,
    checked_file_name,
    picture_kind,
)
from tests.support.files import EICAR, PDF, SVG, picture


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_pictures_are_known_by_their_first_bytes(picture_format: str) -> None:
    sent = picture(picture_format)
    assert picture_kind(sent).picture == picture_format
    assert attachment_kind(sent).picture == picture_format


@pytest.mark.parametrize(
    "content",
    [b"", PDF, SVG, b"hello", b"PK\x03\x04" + b"0" * 40, b"MZ" + b"0" * 60, b"BM" + b"\0" * 60],
)
def test_nothing_else_is_an_icon(content: bytes) -> None:
    with pytest.raises(UnsupportedFileError):
        picture_kind(content)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (b"hello\r\n\tworld", "text/plain"),
        ("\ufeffgrüße".encode(), "text/plain"),
        (b"BM is how a bitmap begins", "text/plain"),
        (EICAR, "text/plain"),
    ],
)
def test_documents_and_text_are_attachments(content: bytes, media_type: str) -> None:
    assert attachment_kind(content).media_type == media_type


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SVG,
        b"  <SVG onload=alert(1)>",
        b"<!DOCTYPE html><p>",
        b"hello <script>",
        b"a\0b",
        b"\x1b[31mred",
        b"caf\xe9",
        "\u202etxt.exe".encode(),
        b"PK\x03\x04" + b"0" * 40,
        b"\x7fELF" + b"0" * 40,
        b"\x1f\x8b\x08" + b"0" * 40,
    ],
)
def test_whatever_else_there_is_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedFileError):
        attachment_kind(content)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (None, "file.png"),
        ("", "file.png"),
        ("shot.png", "shot.png"),
        ("shot.exe", "shot.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\dir\\shot.PNG", "shot.png"),
        ("..", "file.png"),
        (".htaccess", "htaccess.png"),
        ('a"b;c\r\nd.png', "a_b_c__d.png"),
        ("grüße 1.jpeg", "grüße 1.png"),
    ],
)
def test_a_name_is_no_path_and_ends_as_what_it_is(name: str | None, kept: str) -> None:
    assert checked_file_name(name, "image/png") == kept


@given(st.text(max_size=300))
def test_any_name_is_short_and_printable(name: str) -> None:
    kept = checked_file_name(name, "image/png")
    assert 5 <= len(kept) <= NAME_CHARACTERS
    assert kept.isprintable()
    assert not set('/\\"') & set(kept)
