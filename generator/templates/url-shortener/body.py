"""Short links with a count of their visits."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import HTTPException, Path, Response
from pydantic import BaseModel, Field
from sandgate_runtime import KvQuotaError, KvUnavailableError

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
TRIES = 5
Code = Annotated[str, Path(pattern="^[a-z0-9-]{3,40}$")]
GONE = {404: {"description": "No link has this code"}}
STORE = {
    503: {"description": "The store cannot be reached"},
    507: {"description": "The store is full"},
}


class NewLink(BaseModel):
    """Where it leads; without a code one is made."""

    url: str = Field(max_length=2000, pattern=r"^https?://[!-~]+$")
    code: str | None = Field(default=None, pattern="^[a-z0-9-]{3,40}$")


class Link(BaseModel):
    """A short link."""

    code: str
    url: str
    visits: int


@contextmanager
def storing() -> Iterator[None]:
    """Says plainly what the store refuses."""
    try:
        yield
    except KvQuotaError as error:
        raise HTTPException(507, "There are too many links; delete some first") from error
    except KvUnavailableError as error:
        raise HTTPException(503, "The store cannot be reached; try again") from error


def checked_url(url: str) -> str:
    """An address with a host and without a password."""
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
    except ValueError:
        host, user = None, None
    if not host or user is not None:
        raise HTTPException(422, "The address needs a host and may not have a user")
    return url


async def url_of(code: str) -> str:
    """Where a code leads."""
    url = await kv.get(f"link:{code}")
    if url is None:
        raise HTTPException(404, "No link has this code")
    return url


@router.post("/links", status_code=201, responses=STORE | {409: {"description": "Code is taken"}})
async def make_link(body: NewLink) -> Link:
    """A short link; a code that is taken is never given to another address."""
    url = checked_url(body.url)
    with storing():
        for _ in range(TRIES):
            code = body.code or "".join(secrets.choice(ALPHABET) for _ in range(7))
            if await kv.set(f"link:{code}", url, if_absent=True):
                return Link(code=code, url=url, visits=0)
            if body.code:
                break
    raise HTTPException(409, "This code is taken")


@router.get("/links/{code}", responses=GONE | STORE)
async def read_link(code: Code) -> Link:
    """Where it leads, and how often it was followed."""
    with storing():
        url = await url_of(code)
        return Link(code=code, url=url, visits=await kv.get(f"visits:{code}", 0))


@router.get("/go/{code}", status_code=307, responses=GONE | STORE)
async def follow_link(code: Code) -> Response:
    """Go where it leads."""
    with storing():
        url = await url_of(code)
        await kv.increment(f"visits:{code}")
    return Response(status_code=307, headers={"location": url, "cache-control": "no-store"})


@router.delete("/links/{code}", status_code=204, responses=GONE | STORE)
async def delete_link(code: Code) -> Response:
    """Away with it and its count."""
    with storing():
        if not await kv.delete(f"link:{code}"):
            raise HTTPException(404, "No link has this code")
        await kv.delete(f"visits:{code}")
    return Response(status_code=204)
