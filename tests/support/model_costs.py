"""Money set aside and settled for a job, with one call each."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from gateway.store import model_costs
from gateway.store.database import Database, Row
from gateway.store.jobs import HeldJob

CAPS = {"job": 1000, "user_day": 10_000, "day": 1_000_000_000}
CLEAR = (
    "truncate public.jobs cascade; delete from private.cost_sums;"
    " delete from private.cost_reservations; delete from public.model_costs"
)


async def dies(owner: asyncpg.Connection, job_id: UUID) -> None:
    """Its worker has not been heard of for an hour."""
    await owner.execute(
        "update public.jobs set heartbeat_at = now() - interval '1 hour' where id = $1", job_id
    )


async def reserve(store: Database, job: HeldJob, amount: int, /, **caps: int) -> tuple[UUID, Row]:
    reservation = uuid4()
    values = {
        "id": str(reservation),
        "job_id": str(job.id),
        "claim": job.claim,
        "purpose": "code",
        "model": "a-model",
        "nano_usd": amount,
    }
    return reservation, await model_costs.reserve(store, values, {**CAPS, **caps})


def spent(reservation: UUID, amount: int) -> dict[str, Any]:
    tokens = {
        "input": 3,
        "output": 4,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "cache_read": 0,
    }
    return {
        "id": str(reservation),
        "provider": "scripted",
        "model": "a-model",
        "request_id": "req_1",
        "tokens": tokens,
        "price": "row",
        "nano_usd": amount,
        "duration_ms": 12,
        "stop": "end_turn",
    }
