"""Passwords, passphrases and slugs."""

import math
import re
import secrets
import unicodedata
from typing import Annotated

from fastapi import HTTPException
from pydantic import BaseModel, Field

SETS = {
    "lower": "abcdefghijkmnpqrstuvwxyz",
    "upper": "ABCDEFGHJKLMNPQRSTUVWXYZ",
    "digits": "23456789",
    "signs": "!#$%&*+-=?@_",
}
START = ("b", "br", "d", "dr", "f", "fl", "g", "gr", "k", "kl", "l", "m", "n", "p", "r", "st")
MIDDLE = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
END = ("b", "ck", "d", "f", "g", "l", "m", "n", "nt", "p", "r", "rd", "s", "t", "x", "z")
NOT_PLAIN = re.compile("[^a-z0-9]+")


class PasswordsIn(BaseModel):
    """How long, from what, and how many."""

    length: int = Field(default=20, ge=8, le=128)
    lower: bool = True
    upper: bool = True
    digits: bool = True
    signs: bool = False
    count: int = Field(default=1, ge=1, le=50)


class PhrasesIn(BaseModel):
    """How many words that can be spoken."""

    words: int = Field(default=5, ge=4, le=12)
    separator: Annotated[str, Field(pattern="^[-_. ]?$")] = "-"
    count: int = Field(default=1, ge=1, le=50)


class SecretsOut(BaseModel):
    """Each is made anew and kept nowhere; `bits` is how hard it is to guess."""

    items: list[str]
    bits: int


class SlugIn(BaseModel):
    """A text for an address."""

    text: str = Field(min_length=1, max_length=500)
    max_length: int = Field(default=60, ge=8, le=120)


class SlugOut(BaseModel):
    """Small letters, digits and hyphens."""

    slug: str


def password(sets: list[str], length: int) -> str:
    """At least one character of each set, in any order."""
    letters = [secrets.choice(one) for one in sets]
    letters += [secrets.choice("".join(sets)) for _ in range(length - len(sets))]
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)


def word() -> str:
    """A word that can be spoken and is in no dictionary on purpose."""
    parts = (START, MIDDLE, END, MIDDLE, END)
    return "".join(secrets.choice(part) for part in parts)


@router.post("/passwords", responses={422: {"description": "No kind of character is left"}})
async def make_passwords(body: PasswordsIn) -> SecretsOut:
    """Random passwords without characters that look alike."""
    chosen = body.model_dump()
    sets = [letters for name, letters in SETS.items() if chosen[name]]
    if not sets:
        raise HTTPException(422, "Leave at least one kind of character")
    return SecretsOut(
        items=[password(sets, body.length) for _ in range(body.count)],
        bits=int(body.length * math.log2(len("".join(sets)))),
    )


@router.post("/passphrases")
async def make_passphrases(body: PhrasesIn) -> SecretsOut:
    """Random words that are easy to say."""
    per_word = math.log2(len(START) * len(MIDDLE) ** 2 * len(END) ** 2)
    return SecretsOut(
        items=[body.separator.join(word() for _ in range(body.words)) for _ in range(body.count)],
        bits=int(body.words * per_word),
    )


@router.post("/slugs", responses={422: {"description": "Nothing of the text can be kept"}})
async def make_slug(body: SlugIn) -> SlugOut:
    """A text as part of an address; accents are dropped."""
    plain = unicodedata.normalize("NFKD", body.text).encode("ascii", "ignore").decode().lower()
    slug = NOT_PLAIN.sub("-", plain).strip("-")[: body.max_length].strip("-")
    if not slug:
        raise HTTPException(422, "Nothing of this text can stand in a slug")
    return SlugOut(slug=slug)
