"""Which rows of which tables are a tenant's, wherever they are read from.

The tables come from the catalogue, so that a new one is in by itself; columns that no person may
read (hashes, ciphertext) are out in the same way.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol
from uuid import UUID

Of = Literal["tenant", "apis", "keys"]  # whose id a column has

# the first column that a table has says which of its rows are the tenant's
_OWNED_BY: Mapping[str, Of] = {
    "tenant_id": "tenant",
    "account": "tenant",
    "api_id": "apis",
    "key_id": "keys",
}
_OTHERWISE: Mapping[str, Sequence[tuple[str, Of]]] = {
    "tenants": [("id", "tenant")],
    "api_usage": [("tenant_id", "tenant"), ("caller_tenant_id", "tenant")],
    "usage_days": [("tenant_id", "tenant"), ("caller_tenant_id", "tenant")],
    "audit_log": [("target_id", "tenant"), ("target_id", "apis"), ("target_id", "keys")],
    "tenant_members": [],  # told by their addresses
}
_ELSEWHERE = {("api_versions", "code"), ("audit_log", "actor"), ("audit_log", "actor_id")}
MEMBERS = "members"


@dataclass(frozen=True, slots=True)
class Table:
    """One table's share: rows where any of the columns `owned` has an id of that kind."""

    name: str
    columns: Sequence[str]
    order: Sequence[str]
    owned: Sequence[tuple[str, Of]]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is of a tenant, for people to read before they decide."""

    id: UUID
    name: str
    kind: str
    owner: str
    apis: int
    keys: int
    members: int
    calls: int
    files: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Holdings":
        """From what `tenant_holdings` answers."""
        return cls(**{**values, "id": UUID(values["id"])})


@dataclass(frozen=True, slots=True)
class File:
    """The content of an upload, or of several that are the same."""

    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Code:
    """The code of one version."""

    slug: str
    n: int
    code: str


class TenantStore(Protocol):
    """What exporting and erasing a tenant are done with."""

    is_of_one_moment: bool

    def moment(self) -> AbstractAsyncContextManager[None]:
        """What is read inside is of one moment, where `is_of_one_moment`."""
        ...

    async def holdings(self, tenant_id: UUID) -> Holdings | None:
        """What there is; None when there is no such tenant."""
        ...

    async def tables(self) -> list[Table]:
        """Tables with something of tenants, in a fixed order of tables and rows."""
        ...

    async def write_csv(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows with a line of names."""
        ...

    async def write_json(self, table: Table, tenant_id: UUID, file: IO[bytes]) -> None:
        """Its rows as a list, one a line."""
        ...

    def codes(self, tenant_id: UUID) -> AsyncIterator[Code]:
        """The code of every version of every API."""
        ...

    async def files(self, tenant_id: UUID) -> list[File]:
        """Each content that was uploaded, once."""
        ...

    async def erase(self, tenant_id: UUID, *, person: bool) -> None:
        """Delete it, or the person it belongs to."""
        ...

    async def blank_paths(self, tenant_id: UUID) -> int:
        """Some of the paths that are left in calls to it; 0 when none are."""
        ...

    async def was_there(self, tenant_id: UUID) -> bool:
        """Whether a tenant of this id was erased."""
        ...


def shares(catalogue: Sequence[Mapping[str, Any]]) -> list[Table]:
    """From what `readable_tables` answers: the members first, then each table with a share."""
    found = [Table(MEMBERS, ("email", "role", "created_at"), ("created_at", "email"), ())]
    for row in catalogue:
        name, columns = row["name"], row["columns"]
        usual = [(column, of) for column, of in _OWNED_BY.items() if column in columns][:1]
        owned = _OTHERWISE.get(name, usual)
        if owned:
            shown = [column for column in columns if (name, column) not in _ELSEWHERE]
            found.append(Table(name, shown, row["key"] or shown, owned))
    return found
