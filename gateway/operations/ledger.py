"""Money of tenants: what is left, what moved, and credit that administrators give."""

from dataclasses import dataclass
from uuid import UUID

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.values import optional
from gateway.store import ledger
from gateway.store.database import Row


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as the ledger has it; calls that just ended show a moment later.

    What was earned is paid out, not spent.
    """

    tenant_id: str
    granted_nano_usd: int
    spent_nano_usd: int
    earned_nano_usd: int
    balance_nano_usd: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of an account. Below zero: paid."""

    id: int
    at: str
    request_id: str
    kind: str
    amount_nano_usd: int
    api_id: str | None
    note: str


async def balance(services: Services, subject: Known, tenant_id: UUID | None) -> Balance:
    """What a tenant of the subject has; without an id the personal one."""
    tenant = await access.require_tenant(services, subject, tenant_id, Operation.READ_USAGE)
    identity = access.identity_of(subject)
    return _balance(tenant, await ledger.credit(services.database, str(tenant), identity=identity))


async def entries(
    services: Services, subject: Known, tenant_id: UUID | None, limit: int, offset: int
) -> list[Entry]:
    """Movements of a tenant of the subject, newest first, as the subject may read them."""
    tenant = await access.require_tenant(services, subject, tenant_id, Operation.READ_USAGE)
    identity = access.identity_of(subject)
    rows = await ledger.entries(services.database, identity, tenant, limit, offset)
    return [_entry(row) for row in rows]


async def grant_credit(
    services: Services, subject: Known, tenant_id: UUID, amount: int, key: str, note: str
) -> Balance:
    """Give a tenant credit, or take some back; once for each key. For administrators."""
    access.require_admin(subject)
    actor = access.actor_of(subject)
    row = await ledger.grant(services.database, tenant_id, amount, key, note, actor)
    services.changes.publish("credit", str(tenant_id))
    return _balance(tenant_id, row)


def _balance(tenant: UUID, row: Row) -> Balance:
    return Balance(
        tenant_id=str(tenant),
        granted_nano_usd=row["granted"],
        spent_nano_usd=row["spent"],
        earned_nano_usd=row["earned"],
        balance_nano_usd=row["granted"] - row["spent"],
    )


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        at=row["at"],
        request_id=row["request_id"],
        kind=row["kind"],
        amount_nano_usd=row["amount_nano_usd"],
        api_id=optional(row["api_id"]),
        note=row["note"],
    )
