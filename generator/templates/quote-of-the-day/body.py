"""A quote for each day: from zenquotes.io, or from a table when that cannot be reached."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import HTTPException, Path
from pydantic import BaseModel

SOURCE = "https://zenquotes.io/api/today"
SECONDS = 3.0
QUOTES = (
    ("Well begun is half done.", "Aristotle"),
    ("Fortune favours the bold.", "Virgil"),
    ("While we wait for life, life passes.", "Seneca"),
    ("The unexamined life is not worth living.", "Socrates"),
    ("He who has begun has half done.", "Horace"),
    ("No man ever steps in the same river twice.", "Heraclitus"),
    ("A journey of a thousand miles begins beneath one's feet.", "Laozi"),
)


class Quote(BaseModel):
    """A quote and where it came from."""

    text: str
    author: str
    source: Literal["zenquotes.io", "built_in"]


class Fetched:
    """The quote that was fetched last, with its day."""

    day: str = ""
    quote: Quote | None = None


KEPT = Fetched()


def built_in(number: int) -> Quote:
    """A quote of the table."""
    text, author = QUOTES[number % len(QUOTES)]
    return Quote(text=text, author=author, source="built_in")


async def fetched() -> Quote | None:
    """Today's quote of the host; None when it does not answer in time or not as expected."""
    try:
        async with asyncio.timeout(SECONDS):
            first = json.loads((await http.get(SOURCE)).content)[0]
        return Quote(text=first["q"][:500], author=first["a"][:100], source="zenquotes.io")
    except (HTTPException, TimeoutError, ValueError, LookupError, TypeError):
        return None


@router.get("/today")
async def today() -> Quote:
    """The quote of this day; the host is asked once a day."""
    now = datetime.now(UTC)
    day = now.date().isoformat()
    if KEPT.day != day:
        KEPT.day, KEPT.quote = day, await fetched()
    return KEPT.quote or built_in(now.date().toordinal())


@router.get("/quotes/{number}", responses={404: {"description": "No quote has this number"}})
async def read_quote(number: Annotated[int, Path(ge=1, le=1_000)]) -> Quote:
    """A quote of the built-in table."""
    if number > len(QUOTES):
        raise HTTPException(404, "No quote has this number")
    return built_in(number - 1)
