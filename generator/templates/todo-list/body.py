"""A to-do list that stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Response
from pydantic import BaseModel, Field
from sandgate_runtime import KvQuotaError, KvUnavailableError

TRIES = 8
PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Number = Annotated[int, Path(ge=1, le=999_999_999)]
GONE = {404: {"description": "No entry has this number"}}
STORE = {
    503: {"description": "The store cannot be reached"},
    507: {"description": "The store is full"},
}


class NewTodo(BaseModel):
    """What is to be done."""

    text: str = Field(min_length=1, max_length=500, pattern=PLAIN)


class Change(BaseModel):
    """What changes; what is left out stays."""

    text: str | None = Field(default=None, min_length=1, max_length=500, pattern=PLAIN)
    done: bool | None = None


class Todo(BaseModel):
    """One entry."""

    id: int
    text: str
    done: bool


class Todos(BaseModel):
    """A page of them; `after` asks for the next one."""

    items: list[Todo]
    after: int | None


@contextmanager
def storing() -> Iterator[None]:
    """Says plainly what the store refuses."""
    try:
        yield
    except KvQuotaError as error:
        raise HTTPException(507, "The list is full; delete something first") from error
    except KvUnavailableError as error:
        raise HTTPException(503, "The store cannot be reached; try again") from error


def key_of(number: int) -> str:
    """Numbers of equal length, so that keys are in their order."""
    return f"todo:{number:09}"


async def found(number: int) -> dict[str, Any]:
    """An entry as it is stored."""
    todo = await kv.get(key_of(number))
    if todo is None:
        raise HTTPException(404, "No entry has this number")
    return todo


@router.post("/todos", status_code=201, responses=STORE)
async def add_todo(body: NewTodo) -> Todo:
    """A new entry at the end."""
    with storing():
        todo = Todo(id=await kv.increment("last"), text=body.text, done=False)
        await kv.set(key_of(todo.id), todo.model_dump())
        return todo


@router.get("/todos", responses=STORE)
async def list_todos(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: Annotated[int, Query(ge=0, le=999_999_999)] = 0,
) -> Todos:
    """Entries in the order in which they came."""
    with storing():
        rows = await kv.items("todo:", limit=limit, after=key_of(after))
        items = [Todo.model_validate(value) for _, value in rows]
        return Todos(items=items, after=items[-1].id if len(items) == limit else None)


@router.get("/todos/{number}", responses=GONE | STORE)
async def read_todo(number: Number) -> Todo:
    """One entry."""
    with storing():
        return Todo.model_validate(await found(number))


@router.patch(
    "/todos/{number}", responses=GONE | STORE | {409: {"description": "Changed by others"}}
)
async def change_todo(number: Number, body: Change) -> Todo:
    """Another text, or done; nobody's change is lost."""
    wanted = body.model_dump(exclude_none=True)
    with storing():
        for _ in range(TRIES):
            old = await found(number)
            if await kv.replace(key_of(number), old, {**old, **wanted}):
                return Todo.model_validate({**old, **wanted})
    raise HTTPException(409, "Others change this entry; try again")


@router.delete("/todos/{number}", status_code=204, responses=GONE | STORE)
async def delete_todo(number: Number) -> Response:
    """Away with it."""
    with storing():
        if not await kv.delete(key_of(number)):
            raise HTTPException(404, "No entry has this number")
    return Response(status_code=204)
