"""The database as the rest of the gateway sees it: six verbs, JSON in and out.

Two implementations share this protocol: a direct connection (asyncpg) and PostgREST. Dates
and uuids are strings, money is an integer, exactly as PostgREST sends it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.errors import SandgateError, UnavailableError

Row = dict[str, Any]
Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "is", "in", "like", "ilike"]


@dataclass(frozen=True, slots=True)
class Filter:
    """`column operator value`; `in` takes a list, `is` takes None, True or False."""

    column: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a statement runs: `service_role`, `authenticated` with claims, or `anon`.

    A database that is not ours believes a person's own token only.
    """

    role: Literal["service_role", "authenticated", "anon"]
    claims: str = "{}"  # JSON text
    token: str = field(default="", repr=False)  # that the claims are from


SERVICE = Identity("service_role")
ANONYMOUS = Identity("anon")


class DatabaseError(SandgateError):
    """A statement was refused. `sqlstate` is Postgres' own code, or PTxyz for our outcomes."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__()
        self.sqlstate = sqlstate
        self.message = message


class DatabaseUnavailableError(UnavailableError):
    """No connection to the database could be had in time."""

    code, title = "database_unavailable", "The database does not answer"


class Database(Protocol):
    """Each call is one transaction under the given identity."""

    async def select(
        self,
        table: str,
        *,
        identity: Identity,
        columns: str = "*",
        where: Sequence[Filter] = (),
        order: str | None = None,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[Row]:
        """Rows, at most 1000. `order` is `column` or `column.desc`, comma separated."""
        ...

    async def insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], *, identity: Identity
    ) -> list[Row]:
        """Insert rows that all have the same columns; answers them as stored."""
        ...

    async def upsert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        on_conflict: Sequence[str],
        identity: Identity,
    ) -> list[Row]:
        """Insert, or update the row with the same `on_conflict` columns."""
        ...

    async def update(
        self,
        table: str,
        values: Mapping[str, Any],
        *,
        where: Sequence[Filter],
        identity: Identity,
    ) -> list[Row]:
        """Change rows; an empty `where` is refused."""
        ...

    async def delete(self, table: str, *, where: Sequence[Filter], identity: Identity) -> list[Row]:
        """Remove rows; an empty `where` is refused."""
        ...

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Call a SQL function by argument names; answers its value as JSON."""
        ...
