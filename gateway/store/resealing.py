"""Seals stored secrets of APIs under another key, while they are read and set."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.store.database import SERVICE, Database, Row
from gateway.store.sealing import Seal, Seals, UnsealError


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a pass came to. Those that no key opens were unreadable before, and stay so."""

    done: int = 0
    unreadable: tuple[str, ...] = ()


async def reseal(
    database: Database, keys: Sequence[bytes], progress: Callable[[int], None]
) -> Resealed:
    """One pass over all of them; the first key seals. May be ended at any moment and repeated."""
    head = base64.b64encode(Seal(keys[0]).head).decode()
    seals = Seals(lambda: keys)
    done, unreadable = 0, list[str]()
    after = (str(UUID(int=0)), "")
    while rows := await _some(database, head, after):
        for row in rows:
            after = (row["api_id"], row["name"])
            try:
                value = seals.open(*after, base64.b64decode(row["value"]))
            except UnsealError:
                unreadable.append("the secret " + "/".join(after))
                continue
            done += await _replace(database, row, seals.close(*after, value))
        progress(done)
    return Resealed(done, tuple(unreadable))


async def _some(database: Database, head: str, after: tuple[str, str]) -> list[Row]:
    arguments = {"p_head": head, "p_after_api": after[0], "p_after_name": after[1]}
    rows: list[Row] = await database.rpc("secrets_to_reseal", arguments, identity=SERVICE)
    return rows


async def _replace(database: Database, row: Row, sealed: bytes) -> bool:
    arguments = {
        "p_api_id": row["api_id"],
        "p_name": row["name"],
        "p_old": row["value"],
        "p_new": base64.b64encode(sealed).decode(),
    }
    return bool(await database.rpc("reseal_secret", arguments, identity=SERVICE))
