"""Which gateways there are, what each has handled, and waiting until all have the newest."""

import asyncio
from dataclasses import dataclass
from typing import Any

from gateway.errors import SandgateError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.store import generations

LOOK_SECONDS = 0.05
MAX_WAIT_SECONDS = 60.0


class GenerationChangedError(SandgateError):
    """If-Match named another generation than there is."""

    status, code, title = 412, "generation_changed", "Something changed in the meantime"

    def __init__(self, now: int) -> None:
        super().__init__(
            f"The generation is {now} now.",
            headers={"ETag": f'"{now}"'},
            extra={"generation": now},
        )


@dataclass(frozen=True, slots=True)
class Worker:
    """One gateway process. `broken` says by API why what is stored is not served there.

    `snapshot_seconds` is how long ago it handled its last change.
    """

    id: str
    name: str
    node: str
    pid: int
    started_at: str
    seen_seconds: float
    snapshot_seconds: float
    generation: int
    is_current: bool
    in_flight: int
    broken: dict[str, str]


@dataclass(frozen=True, slots=True)
class Workers:
    """`complete` when every living gateway has handled `generation`."""

    generation: int
    complete: bool
    workers: tuple[Worker, ...]


async def workers(services: Services, subject: Known) -> Workers:
    """As they stand now."""
    access.require_admin(subject)
    return await _look(services, None)


async def until_handled(services: Services, generation: int, seconds: float) -> Workers:
    """When every living gateway has handled this generation, or the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(seconds, MAX_WAIT_SECONDS)
    while True:
        found = await _look(services, generation)
        if found.complete or loop.time() >= end:
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def require_generation(services: Services, expected: int | None) -> None:
    """GenerationChangedError when something changed since the subject looked."""
    if expected is not None:
        now = await generations.current(services.database)
        if now != expected:
            raise GenerationChangedError(now)


async def _look(services: Services, generation: int | None) -> Workers:
    found = await generations.workers(services.database)
    wanted = found["generation"] if generation is None else generation
    living = tuple(_worker(row, wanted) for row in found["workers"])
    return Workers(wanted, bool(living) and all(each.is_current for each in living), living)


def _worker(row: dict[str, Any], generation: int) -> Worker:
    return Worker(
        id=row["id"],
        name=row["name"],
        node=row["node"],
        pid=row["pid"],
        started_at=row["started_at"],
        seen_seconds=round(row["seen_seconds"], 3),
        snapshot_seconds=round(row["snapshot_seconds"], 3),
        generation=row["generation"],
        is_current=row["generation"] >= generation,
        in_flight=row["in_flight"],
        broken=row["broken"],
    )
