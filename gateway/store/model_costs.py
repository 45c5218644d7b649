"""What language models cost, in the database: set aside before a call, settled after it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

Caps = Mapping[str, int | None]  # job, user_day, day in nano-USD; None is none


async def reached(
    database: Database, tenant_id: UUID, user_id: UUID | None, caps: Caps
) -> str | None:
    """Name of a cap that leaves nothing: user, plan or day."""
    arguments = {"p_tenant": str(tenant_id), "p_user": text(user_id), "p_caps": dict(caps)}
    name: str | None = await database.rpc("reached_cap", arguments, identity=SERVICE)
    return name


async def reserve(database: Database, values: Mapping[str, Any], caps: Caps) -> Row:
    """Set aside; the answer is empty, or tells the cap that forbids it. `Any`: JSON."""
    arguments = {"p": dict(values), "p_caps": dict(caps)}
    row: Row = await database.rpc("reserve_cost", arguments, identity=SERVICE)
    return row


async def settle(database: Database, values: Mapping[str, Any]) -> int:
    """What it really was; what the job has cost so far. `Any`: JSON."""
    return int(await database.rpc("settle_cost", {"p": dict(values)}, identity=SERVICE) or 0)


async def release(database: Database, reservation_id: UUID) -> None:
    """Nothing was spent."""
    await database.rpc("release_cost", {"p_id": str(reservation_id)}, identity=SERVICE)


async def of_job(database: Database, identity: Identity, job_id: UUID) -> list[Row]:
    """The rows of one job as the identity may see them, oldest first."""
    return await database.select(
        "model_costs",
        identity=identity,
        where=[Filter("job_id", "eq", str(job_id))],
        order="at,id",
    )


async def by_tenant_and_day(
    database: Database, since: str, tenant_id: UUID | None, limit: int
) -> list[Row]:
    """Sums, newest day first; for administrators."""
    arguments = {"p_since": since, "p_tenant": text(tenant_id), "p_limit": limit}
    rows: list[Row] = await database.rpc("admin_model_costs", arguments, identity=SERVICE)
    return rows


async def set_caps(
    database: Database, tenant_id: UUID, caps: Mapping[str, int | None], actor: UUID | None
) -> Row:
    """One tenant's own; None is what holds for everybody."""
    arguments = {"p_tenant_id": str(tenant_id), "p": dict(caps), "p_actor": text(actor)}
    row: Row = await database.rpc("set_tenant_caps", arguments, identity=SERVICE)
    return row
