"""Counting, changing case and finding the most used words of a text."""

import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Text = Annotated[str, Field(max_length=20_000)]
WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
WORDS_PER_MINUTE = 200


class TextIn(BaseModel):
    """A text to look at."""

    text: Text


class Counts(BaseModel):
    """How long it is."""

    characters: int
    words: int
    lines: int
    sentences: int
    reading_seconds: int


class CaseIn(BaseModel):
    """A text and how it shall be written."""

    text: Text
    style: Literal["upper", "lower", "title", "snake", "kebab", "camel"]


class TextOut(BaseModel):
    """The changed text."""

    text: str


class WordsIn(BaseModel):
    """A text and how many words of it are wanted."""

    text: Text
    limit: int = Field(default=10, ge=1, le=100)


class WordCount(BaseModel):
    """A word and how often it is there."""

    word: str
    quantity: int


class WordCounts(BaseModel):
    """Most used first, equal ones in alphabetical order."""

    items: list[WordCount]


def restyled(text: str, style: str) -> str:
    """The text in another style."""
    if style == "upper":
        return text.upper()
    if style == "lower":
        return text.lower()
    words = WORD.findall(text)
    if style == "title":
        return WORD.sub(lambda found: found.group().capitalize(), text)
    if style == "camel":
        return "".join([*words[:1], *(word.capitalize() for word in words[1:])])
    return ("_" if style == "snake" else "-").join(word.lower() for word in words)


@router.post("/count")
async def count(body: TextIn) -> Counts:
    """How many characters, words, lines and sentences a text has."""
    words = len(WORD.findall(body.text))
    return Counts(
        characters=len(body.text),
        words=words,
        lines=len(body.text.splitlines()),
        sentences=len(SENTENCE_END.findall(body.text)),
        reading_seconds=-(-words * 60 // WORDS_PER_MINUTE),
    )


@router.post("/case")
async def change_case(body: CaseIn) -> TextOut:
    """The same text in another style."""
    return TextOut(text=restyled(body.text, body.style))


@router.post("/words")
async def most_used_words(body: WordsIn) -> WordCounts:
    """The words that are there most often, without regard to case."""
    counted = Counter(word.lower() for word in WORD.findall(body.text))
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return WordCounts(
        items=[WordCount(word=word, quantity=many) for word, many in ordered[: body.limit]]
    )
