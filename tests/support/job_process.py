"""A worker in a process of its own that stops in one step, says so, and waits to be killed."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.store.database import Database, Identity
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.generating import GOOD, Script, able, worker_of

# name of the step: a step of the script by its number, or a function before or after which it is
STEPS: Mapping[str, tuple[str, int | str]] = {
    "claimed": ("step", 0),
    "screened": ("step", 3),
    "contract": ("step", 5),
    "writing": ("step", 6),
    "written": ("step", 8),
    "gate": ("step", 9),
    "repair": ("step", 11),
    "checked": ("before", "store_job"),
    "reserved": ("after", "reserve_cost"),
    "paid": ("after", "settle_cost"),
    "stored": ("after", "store_job"),
    "deployed": ("after", "finish_job"),
}


class Stopping:
    """The database, but around one function nothing goes on."""

    def __init__(self, database: Database, when: str, function: str) -> None:
        self._database = database
        self._when = when
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Hang before or after the one that was named."""
        if (self._when, self._function) == ("before", function):
            await stopped()
        value = await self._database.rpc(function, arguments, identity=identity)
        if (self._when, self._function) == ("after", function):
            await stopped()
        return value


async def stopped() -> None:
    """Say so, and go on never."""
    print("stopped", flush=True)
    await asyncio.Event().wait()


async def main(socket_dir: str, name: str, step: str) -> None:
    """Work on whatever is queued, up to the step."""
    when, what = STEPS[step]
    script = Script(GOOD, stop_at=what if isinstance(what, int) else None)
    async with await PostgresDatabase.connect(Path(socket_dir), database=name) as database:
        services = able(World(database, "").services)
        if isinstance(what, str):
            services = replace(services, database=Stopping(database, when, what))
        working = asyncio.create_task(worker_of(services, script).run())
        await script.reached.wait()
        await stopped()
        await working


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
