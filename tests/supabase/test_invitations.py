"""Invitations in SQL: what ends one, who accepts it when several try, who sees it."""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from gateway.auth.permissions import Operation, Role, permitted
from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from gateway.store.embedded import EmbeddedPostgres
from tests.support.factories import (
    Person,
    add_member,
    make_invitation,
    make_tenant,
    make_user,
)
from tests.support.one_database import one_database


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def inviter(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def team(database: Database, dsn: str, inviter: Person) -> str:
    team = await make_tenant(database, await make_user(dsn))
    await add_member(database, team, inviter.id, "admin")
    return team


async def accept(database: Database, invitation: str, person: Person) -> Any:
    arguments = {
        "p_token_hash": hashlib.sha256(invitation.encode()).hexdigest(),
        "p_actor": person.id,
    }
    return await database.rpc("accept_invitation", arguments, identity=SERVICE)


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(DatabaseError) as caught:
        await call
    return caught.value.status, caught.value.code


async def role_of(owner: asyncpg.Connection, team: str, person: Person) -> str | None:
    asked = "select role from public.tenant_members where tenant_id = $1 and user_id = $2"
    role: str | None = await owner.fetchval(asked, team, person.id)
    return role


@pytest.mark.parametrize("end", ["taken out", "made a viewer", "deleted"])
async def test_who_may_not_invite_any_more_has_invited_nobody(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str, end: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter)
    statement = {
        "taken out": "delete from public.tenant_members where user_id = $1 and role = 'admin'",
        "made a viewer": "update public.tenant_members set role = 'viewer'"
        " where user_id = $1 and role = 'admin'",
        "deleted": "delete from public.user_profiles where id = $1",
    }
    await owner.execute(statement[end], inviter.id)
    assert await refused(accept(database, invitation, invited)) == (410, "invitation_revoked")


async def test_who_may_invite_still_has_invited(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter)
    promote = (
        "update public.tenant_members set role = 'owner' where user_id = $1 and role = 'admin'"
    )
    await owner.execute(promote, inviter.id)
    assert (await accept(database, invitation, invited))["role"] == "developer"


async def test_accepting_many_times_at_once_is_accepting_once(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter)
    answers = await asyncio.gather(*(accept(database, invitation, invited) for _ in range(5)))
    assert [answer["role"] for answer in answers] == ["developer"] * 5
    assert await role_of(owner, team, invited) == "developer"


async def test_who_was_taken_out_cannot_come_back_with_the_same_invitation(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter)
    await accept(database, invitation, invited)
    await owner.execute(
        "delete from public.tenant_members where user_id = $1 and tenant_id = $2", invited.id, team
    )
    assert await refused(accept(database, invitation, invited)) == (410, "invitation_used")


async def test_an_invitation_that_lost_the_race_lowers_nobody(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter, role="viewer")
    await add_member(database, team, invited.id, "admin")
    assert (await accept(database, invitation, invited))["role"] == "admin"
    assert await role_of(owner, team, invited) == "admin"


async def test_expired(
    database: Database, owner: asyncpg.Connection, dsn: str, inviter: Person, team: str
) -> None:
    invited = await make_user(dsn)
    invitation = await make_invitation(database, team, invited.email, inviter)
    await owner.execute("update public.tenant_invitations set expires_at = now()")
    assert await refused(accept(database, invitation, invited)) == (410, "invitation_expired")
    assert await role_of(owner, team, invited) is None


async def test_those_who_may_invite_see_invitations(
    database: Database, dsn: str, inviter: Person, team: str
) -> None:
    """The policy names roles; they are those of the table of operations."""
    await make_invitation(database, team, "somebody@example.com", inviter)
    sees = {}
    for role in Role:
        person = await make_user(dsn)
        await add_member(database, team, person.id, role)
        rows = await database.select(
            "tenant_invitations", identity=person.identity, columns="id",
            where=[Filter("tenant_id", "eq", team)],
        )  # fmt: skip
        sees[role] = len(rows) == 1
    assert sees == {role: permitted(role, Operation.MANAGE_MEMBERS) for role in Role}


async def test_old_ones_are_forgotten(
    database: Database, owner: asyncpg.Connection, inviter: Person, team: str
) -> None:
    await make_invitation(database, team, "old@example.com", inviter)
    await owner.execute("update public.tenant_invitations set created_at = now() - interval '91 d'")
    await make_invitation(database, team, "new@example.com", inviter)
    left = "select string_agg(email, ' ') from public.tenant_invitations where tenant_id = $1"
    assert await owner.fetchval(left, team) == "new@example.com"
