"""Money in the database: balances, entries, credit, and whether it all adds up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = "id,at,request_id,kind,amount_nano_usd,api_id,note"
_HUNDREDS = 500  # calls in one question


async def credit(database: Database, account: str, *, identity: Identity = SERVICE) -> Row:
    """`granted`, `spent` and `earned` of an account; nothing of one that is not known."""
    row: Row = await database.rpc("gateway_credit", {"p_tenant": account}, identity=identity)
    return row


async def grant(
    database: Database, account: UUID, amount: int, key: str, note: str, actor: UUID | None
) -> Row:
    """Give credit once for each key; answers the balance as `credit` does."""
    arguments = {
        "p_tenant": str(account),
        "p_amount": amount,
        "p_key": key,
        "p_note": note,
        "p_actor": text(actor),
    }
    row: Row = await database.rpc("grant_credit", arguments, identity=SERVICE)
    return row


async def entries(
    database: Database, identity: Identity, account: UUID, limit: int, offset: int
) -> list[Row]:
    """An account's entries as far as the identity may see them, newest first."""
    return await database.select(
        "ledger",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("account", "eq", str(account))],
        order="at.desc,id.desc",
        limit=limit,
        offset=offset,
    )


async def reconcile(database: Database, since: datetime) -> Row:
    """What usage, ledger, balances and counters say of each other; see the SQL function."""
    arguments = {"p_since": since.isoformat()}
    row: Row = await database.rpc("reconcile", arguments, identity=SERVICE)
    return row


async def stored_prices(database: Database, calls: Sequence[tuple[str, float]]) -> dict[str, int]:
    """Of these calls (request id, time) the ones that are stored, with what they cost."""
    found: dict[str, int] = {}
    for start in range(0, len(calls), _HUNDREDS):
        asked = [list(call) for call in calls[start : start + _HUNDREDS]]
        rows: list[list[Any]] = await database.rpc(
            "stored_prices", {"p_calls": asked}, identity=SERVICE
        )
        found |= {str(row[0]): int(row[1]) for row in rows}
    return found
