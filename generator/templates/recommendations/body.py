"""Items, what people do with them, and what else they may like."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import HTTPException, Path, Query
from pydantic import BaseModel, Field
from sandgate_runtime import KvQuotaError, KvUnavailableError

TRIES = 10
HISTORY = 20  # items of a person that count
NEIGHBOURS = 100  # items that are remembered beside another
WEIGHTS = {"view": 1, "like": 3, "purchase": 5}
ID = "^[A-Za-z0-9_-]{1,64}$"
PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
GONE = {404: {"description": "No item has this id"}}
STORE = {
    409: {"description": "Others change the same; try again"},
    503: {"description": "The store cannot be reached"},
    507: {"description": "The store is full"},
}


class Item(BaseModel):
    """Something of a catalogue."""

    id: str = Field(pattern=ID)
    title: str = Field(min_length=1, max_length=200, pattern=PLAIN)
    category: str = Field(default="", max_length=60, pattern=PLAIN)


class Items(BaseModel):
    """Items of the catalogue."""

    items: list[Item] = Field(min_length=1, max_length=50)


class ItemPage(BaseModel):
    """A page of the catalogue; `after` asks for the next one."""

    items: list[Item]
    after: str | None


class Stored(BaseModel):
    """How many were stored."""

    stored: int


class Interaction(BaseModel):
    """What somebody did."""

    user_id: str = Field(pattern=ID)
    item_id: str = Field(pattern=ID)
    kind: Literal["view", "like", "purchase"] = "view"


class Recorded(BaseModel):
    """It was taken into account."""

    recorded: bool


class Wanted(BaseModel):
    """For whom, and how many."""

    user_id: str = Field(pattern=ID)
    count: int = Field(default=10, ge=1, le=50)
    category: str | None = Field(default=None, max_length=60, pattern=PLAIN)


class Recommendation(BaseModel):
    """An item and how well it fits."""

    item: Item
    score: int


class Recommendations(BaseModel):
    """Best first."""

    user_id: str
    recommendations: list[Recommendation]


class Usage(BaseModel):
    """How much was done."""

    items: int
    interactions: int
    recommendations: int


@contextmanager
def storing() -> Iterator[None]:
    """Says plainly what the store refuses."""
    try:
        yield
    except KvQuotaError as error:
        raise HTTPException(507, "The store is full") from error
    except KvUnavailableError as error:
        raise HTTPException(503, "The store cannot be reached; try again") from error


async def change(key: str, empty: Any, made: Callable[[Any], Any]) -> Any:
    """Put `made(value)` in the place of a value; nobody's change is lost. Answers the old one."""
    for _ in range(TRIES):
        old = await kv.get(key)
        new = made(empty if old is None else old)
        is_written = (
            await kv.set(key, new, if_absent=True)
            if old is None
            else await kv.replace(key, old, new)
        )
        if is_written:
            return empty if old is None else old
    raise HTTPException(409, "Others change the same; try again")


def raised(other: str, weight: int) -> Callable[[dict[str, int]], dict[str, int]]:
    """Adds to the count of one neighbour and forgets the weakest ones."""

    def made(counts: dict[str, int]) -> dict[str, int]:
        added = Counter(counts)
        added[other] += weight
        return dict(added.most_common(NEIGHBOURS))

    return made


def remembered(item_id: str) -> Callable[[list[str]], list[str]]:
    """Puts an item at the end of a history."""
    return lambda history: [*(one for one in history if one != item_id), item_id][-HISTORY:]


@router.post("/v1/items", status_code=201, responses=STORE)
async def store_items(body: Items) -> Stored:
    """Take items into the catalogue; one whose id is there is replaced."""
    with storing():
        for item in body.items:
            if not await kv.set(f"item:{item.id}", item.model_dump(), if_absent=True):
                await kv.set(f"item:{item.id}", item.model_dump())
            else:
                await kv.increment("usage:items")
    return Stored(stored=len(body.items))


@router.get("/v1/items", responses=STORE)
async def list_items(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: Annotated[str, Query(pattern="^[A-Za-z0-9_-]{0,64}$")] = "",
) -> ItemPage:
    """The catalogue in the order of its ids."""
    with storing():
        rows = await kv.items("item:", limit=limit, after=f"item:{after}")
    items = [Item.model_validate(value) for _, value in rows]
    return ItemPage(items=items, after=items[-1].id if len(items) == limit else None)


@router.get("/v1/items/{item_id}", responses=GONE | STORE)
async def read_item(item_id: Annotated[str, Path(pattern=ID)]) -> Item:
    """One item."""
    with storing():
        value = await kv.get(f"item:{item_id}")
    if value is None:
        raise HTTPException(404, "No item has this id")
    return Item.model_validate(value)


@router.post("/v1/interactions", status_code=201, responses=GONE | STORE)
async def record_interaction(body: Interaction) -> Recorded:
    """What somebody did with an item; it counts for what others are recommended."""
    weight = WEIGHTS[body.kind]
    with storing():
        if await kv.get(f"item:{body.item_id}") is None:
            raise HTTPException(404, "No item has this id")
        history = await change(f"user:{body.user_id}", [], remembered(body.item_id))
        for other in history:
            if other != body.item_id:
                await change(f"beside:{other}", {}, raised(body.item_id, weight))
                await change(f"beside:{body.item_id}", {}, raised(other, weight))
        await change("popular", {}, raised(body.item_id, weight))
        await kv.increment("usage:interactions")
    return Recorded(recorded=True)


async def scores_for(user_id: str) -> list[tuple[str, int]]:
    """Unseen items: what stands beside those of the person, then what is popular."""
    history = await kv.get(f"user:{user_id}", [])
    scores: Counter[str] = Counter()
    for item_id in history:
        scores.update(await kv.get(f"beside:{item_id}", {}))
    popular: dict[str, int] = await kv.get("popular", {})
    wanted = {*scores, *popular}.difference(history)
    ordered = sorted(wanted, key=lambda one: (-scores[one], -popular.get(one, 0), one))
    return [(item_id, scores[item_id]) for item_id in ordered]


@router.post("/v1/recommendations", responses=STORE)
async def recommend(body: Wanted) -> Recommendations:
    """What somebody may like, by what people who did the same did as well."""
    found: list[Recommendation] = []
    with storing():
        for item_id, score in await scores_for(body.user_id):
            item = Item.model_validate(await kv.get(f"item:{item_id}"))
            if body.category in (None, item.category):
                found.append(Recommendation(item=item, score=score))
            if len(found) == body.count:
                break
        await kv.increment("usage:recommendations")
    return Recommendations(user_id=body.user_id, recommendations=found)


@router.get("/v1/usage", responses=STORE)
async def usage() -> Usage:
    """How many items there are, and what was asked."""
    with storing():
        names = ("items", "interactions", "recommendations")
        return Usage(**{name: await kv.get(f"usage:{name}", 0) for name in names})
