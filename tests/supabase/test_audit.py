"""The audit log only grows, and takes from its surroundings what an entry does not say."""

import json

import asyncpg
import pytest

Said = tuple[str | None, ...]
ENTRY = (
    "insert into public.audit_log (actor, action, target_type, target_id)"
    " values ('x', 'y', 'z', '1') returning address, request_id, reason"
)


async def entered(owner: asyncpg.Connection, statement: str = ENTRY) -> Said:
    row = await owner.fetchrow(statement)
    assert row is not None
    return tuple(row)


async def test_not_even_its_owner_changes_an_entry(owner: asyncpg.Connection) -> None:
    await owner.execute(ENTRY)
    for statement in (
        "update public.audit_log set actor = 'somebody else'",
        "delete from public.audit_log",
        "truncate public.audit_log",
    ):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await owner.execute(statement)
        assert caught.value.sqlstate == "PT403"


async def test_an_entry_says_of_which_request_it_is(owner: asyncpg.Connection) -> None:
    said = json.dumps({"address": "::1", "request_id": "r", "reason": "w"})
    for setting, value in (
        ("sandgate.audit", said),
        ("request.headers", json.dumps({"x-sandgate-audit": said})),
    ):
        async with owner.transaction():
            await owner.execute("select set_config($1, $2, true)", setting, value)
            assert await entered(owner) == ("::1", "r", "w")
            own = ENTRY.replace("target_id)", "target_id, reason)").replace("'1')", "'1', 'mine')")
            assert (await entered(owner, own))[2] == "mine"
    assert await entered(owner) == (None, None, None)


async def test_surroundings_that_cannot_be_read_lose_no_entry(owner: asyncpg.Connection) -> None:
    for value in ("{", "[]", "x" * 2000):
        async with owner.transaction():
            await owner.execute("select set_config('sandgate.audit', $1, true)", value)
            assert await entered(owner) == (None, None, None)
