"""Feature flags: on, off, or on for a share of the people."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import HTTPException, Path, Query, Response
from pydantic import BaseModel, Field
from sandgate_runtime import KvQuotaError, KvUnavailableError

NAME = "^[a-z0-9][a-z0-9_-]{0,63}$"
Name = Annotated[str, Path(pattern=NAME)]
PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
GONE = {404: {"description": "No flag has this name"}}
STORE = {
    503: {"description": "The store cannot be reached"},
    507: {"description": "The store is full"},
}


class FlagIn(BaseModel):
    """Whether it is on, for how many per cent, and for whom in any case."""

    enabled: bool
    percent: int = Field(default=100, ge=0, le=100)
    subjects: list[Annotated[str, Field(min_length=1, max_length=100, pattern=PLAIN)]] = Field(
        default=[], max_length=100
    )
    description: str = Field(default="", max_length=300, pattern=PLAIN)


class Flag(BaseModel):
    """A flag as it stands."""

    name: str
    enabled: bool
    percent: int
    subjects: list[str]
    description: str


class Flags(BaseModel):
    """In the order of their names."""

    items: list[Flag]
    after: str | None


class Decision(BaseModel):
    """Whether it is on for somebody, and why."""

    name: str
    on: bool
    reason: str


@contextmanager
def storing() -> Iterator[None]:
    """Says plainly what the store refuses."""
    try:
        yield
    except KvQuotaError as error:
        raise HTTPException(507, "There are too many flags; delete some first") from error
    except KvUnavailableError as error:
        raise HTTPException(503, "The store cannot be reached; try again") from error


async def found(name: str) -> Flag:
    """A flag by its name."""
    value = await kv.get(f"flag:{name}")
    if value is None:
        raise HTTPException(404, "No flag has this name")
    return Flag.model_validate(value)


def decided(flag: Flag, subject: str) -> tuple[bool, str]:
    """The same answer for the same person every time, and another share for each flag."""
    if not flag.enabled:
        return False, "disabled"
    if subject in flag.subjects:
        return True, "subject"
    digest = hashlib.sha256(f"{flag.name}:{subject}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < flag.percent, "percent"


@router.put("/flags/{name}", responses=STORE)
async def put_flag(name: Name, body: FlagIn) -> Flag:
    """Make a flag or replace it."""
    flag = Flag(name=name, **body.model_dump())
    with storing():
        await kv.set(f"flag:{name}", flag.model_dump())
    return flag


@router.get("/flags", responses=STORE)
async def list_flags(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: Annotated[str, Query(pattern="^[a-z0-9_-]{0,64}$")] = "",
) -> Flags:
    """All flags, a page at a time."""
    with storing():
        rows = await kv.items("flag:", limit=limit, after=f"flag:{after}")
    items = [Flag.model_validate(value) for _, value in rows]
    return Flags(items=items, after=items[-1].name if len(items) == limit else None)


@router.get("/flags/{name}", responses=GONE | STORE)
async def read_flag(name: Name) -> Flag:
    """One flag."""
    with storing():
        return await found(name)


@router.get("/flags/{name}/decision", responses=GONE | STORE)
async def decide(
    name: Name, subject: Annotated[str, Query(min_length=1, max_length=100)]
) -> Decision:
    """Whether the flag is on for somebody."""
    with storing():
        flag = await found(name)
    on, reason = decided(flag, subject)
    return Decision(name=name, on=on, reason=reason)


@router.delete("/flags/{name}", status_code=204, responses=GONE | STORE)
async def delete_flag(name: Name) -> Response:
    """Away with it."""
    with storing():
        if not await kv.delete(f"flag:{name}"):
            raise HTTPException(404, "No flag has this name")
    return Response(status_code=204)
