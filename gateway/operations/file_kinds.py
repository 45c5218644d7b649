"""What a file is by its first bytes; its name and what its sender says do not count. Pure."""

from dataclasses import dataclass

import filetype

from gateway.errors import SandgateError
from gateway.operations.pictures import PictureFormat

NAME_CHARACTERS = 100
_HEAD_BYTES = 8192
_PLAIN_SPACE = ("\n", "\r", "\t")
_PICTURES: dict[str, PictureFormat] = {
    "image/png": "PNG",
    "image/apng": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
}
_PDF = b"%PDF-"
_MARKUP = ("<svg", "<html", "<!doctype", "<script")
EXTENSIONS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
}


class UnsupportedFileError(SandgateError):
    """Not a kind of file that is taken here."""

    status, code, title = 415, "unsupported_file", "This kind of file is not taken"


@dataclass(frozen=True, slots=True)
class FileKind:
    """`picture` is how Pillow calls it; None is no picture."""

    media_type: str
    picture: PictureFormat | None = None


def picture_kind(content: bytes) -> FileKind:
    """A picture, or UnsupportedFileError."""
    kind = _sniffed(content)
    if kind is None or kind.picture is None:
        raise UnsupportedFileError("An icon is a PNG, JPEG, WebP or GIF picture")
    return kind


def attachment_kind(content: bytes) -> FileKind:
    """A picture, a PDF or plain text, or UnsupportedFileError."""
    kind = _sniffed(content)
    if kind is None:
        raise UnsupportedFileError(
            "An attachment is a PNG, JPEG, WebP or GIF picture, a PDF, or plain text in UTF-8"
        )
    return kind


def checked_file_name(name: str | None, media_type: str) -> str:
    """The last part of what the sender called it, with the ending of what it is."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() and c not in '"%;:*?<>|' else "_" for c in last)
    stem = plain.strip(". ").rpartition(".")[0] or plain.strip(". ") or "file"
    ending = EXTENSIONS[media_type]
    return stem[: NAME_CHARACTERS - len(ending)] + ending


def _sniffed(content: bytes) -> FileKind | None:
    if not content:
        return None
    found = filetype.guess_mime(content[:_HEAD_BYTES])
    if found in _PICTURES:
        return FileKind(found, _PICTURES[found])
    if content.startswith(_PDF):
        return FileKind("application/pdf")
    return FileKind("text/plain") if _is_plain_text(content) else None


def _is_plain_text(content: bytes) -> bool:
    """Readable throughout, and nothing that a program would take for a page or a drawing."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    if any(mark in text[:_HEAD_BYTES].lower() for mark in _MARKUP):
        return False
    for space in _PLAIN_SPACE:
        text = text.replace(space, "")
    return text.isprintable()
