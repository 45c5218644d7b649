"""Kill switches in the database: what is stopped, and stopping it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database

EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that is stopped: by whom, since when and why."""

    name: str
    reason: str
    since: str
    by: str


Stops = Mapping[str, Stop]


async def stops(database: Database) -> Stops:
    """What is stopped now, by name."""
    return _read(await database.rpc("gateway_switches", {}, identity=SERVICE))


async def set_switch(
    database: Database, name: str, stopped: bool, reason: str, actor: UUID | None
) -> Stops:
    """Stop it or let it go on; answers what is stopped then."""
    arguments = {
        "p_name": name,
        "p_stopped": stopped,
        "p_reason": reason,
        "p_actor": text(actor),
    }
    return _read(await database.rpc("set_switch", arguments, identity=SERVICE))


def _read(stored: Mapping[str, Any]) -> Stops:
    """From the one row. `Any`: JSON."""
    return {
        name: Stop(name, one["reason"], one["since"], one["by"]) for name, one in stored.items()
    }
