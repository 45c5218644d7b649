"""Invitations over HTTP: sent, mailed, listed, taken back, accepted by one person only."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from gateway.auth.issuer.mail import Outbox, SmtpCarrier
from gateway.operations.invitations import MOST_A_DAY
from gateway.operations.mail import OutboxMail
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.one_database import one_database
from tests.support.post import mail_server
from tests.support.problems import assert_problem
from tests.support.teams import Team, make_team


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def team(world: World) -> Team:
    world.now = time.time()  # the database looks at its own clock
    return await make_team(world)


async def invite(team: Team, who: str, email: str, **more: object) -> httpx.Response:
    return await team.ask(who, "POST", "/invitations", {"email": email, **more})


async def sent_to(team: Team, email: str, **more: object) -> dict[str, Any]:
    answer = await invite(team, "owner", email, **more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def accept(team: Team, who: str, token: object) -> httpx.Response:
    async with team.client(who) as client:
        return await client.post("/api/tenants/invitations/accept", json={"token": token})


async def test_an_invitation_is_sent_shown_once_and_accepted(team: Team) -> None:
    stranger = team.people["stranger"]
    sent = await sent_to(team, f"  {stranger.email.upper()} ", role="viewer", days=3)
    assert (sent["email"], sent["role"], sent["status"]) == (stranger.email, "viewer", "open")
    listed = (await team.ask("admin", "GET", "/invitations")).json()["items"]
    assert listed == [{key: sent[key] for key in sent if key not in ("token", "mailed")}]

    accepted = await accept(team, "stranger", sent["token"])
    assert accepted.status_code == 200
    assert (accepted.json()["id"], accepted.json()["role"]) == (team.id, "viewer")
    assert (await accept(team, "stranger", sent["token"])).json() == accepted.json()
    assert await team.role_of("stranger") == "viewer"
    listed = (await team.ask("admin", "GET", "/invitations")).json()["items"]
    assert listed[0]["status"] == "accepted"


async def test_the_mail_says_who_invites_and_how_to_accept(team: Team) -> None:
    sent = await sent_to(team, "new@example.com")
    [(to, subject, text)] = team.world.mail.sent
    assert (to, sent["mailed"]) == ("new@example.com", True)
    assert "team" in subject
    assert team.people["owner"].email in text
    assert f"sandgate invite accept {sent['token']}\n" in text


async def test_with_a_mail_server_it_goes_out(team: Team) -> None:
    async with mail_server() as server:
        carrier = SmtpCarrier("127.0.0.1", server.port, "a@b.example", tls="off", pauses=())
        outbox, control = Outbox(carrier), team.world.app.state.control
        operations = replace(control.operations, mailer=OutboxMail(outbox))
        team.world.app.state.control = replace(control, operations=operations)
        sent = await sent_to(team, "new@example.com")
        message = await server.next()
        await outbox.close()
    assert (sent["mailed"], server.addressees) == (True, ["new@example.com"])
    assert f"sandgate invite accept {sent['token']}" in message.get_content()


async def test_a_post_that_takes_nothing_loses_no_invitation(team: Team) -> None:
    team.world.mail.works = False
    sent = await sent_to(team, team.people["stranger"].email)
    assert sent["mailed"] is False
    assert (await accept(team, "stranger", sent["token"])).status_code == 200


async def test_the_token_is_nowhere_in_the_database(team: Team) -> None:
    sent = await sent_to(team, "new@example.com")
    connection = await asyncpg.connect(team.world.dsn)
    try:
        for statement in (
            "select json_agg(t)::text from public.tenant_invitations t",
            "select json_agg(t)::text from public.audit_log t",
        ):
            dump = await connection.fetchval(statement)
            assert sent["id"] in dump
            assert sent["token"] not in dump
    finally:
        await connection.close()


async def test_only_the_person_of_the_address_accepts(team: Team) -> None:
    sent = await sent_to(team, "somebody.else@example.com")
    refused = assert_problem(
        await accept(team, "stranger", sent["token"]), 403, "invitation_for_another"
    )
    assert "somebody" not in str(refused)
    assert_problem(await accept(team, "key", sent["token"]), 403, "forbidden")
    async with team.world.client() as nobody:
        answer = await nobody.post("/api/tenants/invitations/accept", json={"token": sent["token"]})
    assert_problem(answer, 401, "unauthorized")
    assert await team.role_of("stranger") is None


async def test_404_tokens_that_are_none(team: Team) -> None:
    sent = await sent_to(team, team.people["stranger"].email)
    token = str(sent["token"])
    for wrong in ("", "x", token[:-1], f"{token} ", token.upper(), "sgi_" + "A" * 43, "\0", "é"):
        assert_problem(await accept(team, "stranger", wrong), 404, "invitation_not_found")
    for junk in (None, 5, "x" * 1001):
        assert_problem(await accept(team, "stranger", junk), 422, "invalid_input")


async def test_what_was_taken_back_is_not_accepted(team: Team) -> None:
    sent = await sent_to(team, team.people["stranger"].email)
    path = f"/invitations/{sent['id']}"
    for who, status in (("stranger", 404), ("viewer", 403), ("admin", 204), ("admin", 204)):
        assert (await team.ask(who, "DELETE", path)).status_code == status
    assert_problem(await accept(team, "stranger", sent["token"]), 410, "invitation_revoked")
    again = await sent_to(team, team.people["stranger"].email)
    assert (await accept(team, "stranger", again["token"])).status_code == 200
    used = await team.ask("owner", "DELETE", f"/invitations/{again['id']}")
    assert_problem(used, 409, "invitation_used")
    unknown = await team.ask("owner", "DELETE", f"/invitations/{uuid4()}")
    assert_problem(unknown, 404, "invitation_not_found")


async def test_inviting_again_ends_the_invitation_before(team: Team) -> None:
    email = team.people["stranger"].email
    first, second = await sent_to(team, email), await sent_to(team, email, role="admin")
    assert_problem(await accept(team, "stranger", first["token"]), 410, "invitation_revoked")
    assert (await accept(team, "stranger", second["token"])).json()["role"] == "admin"


async def test_who_invites_and_who_looks(team: Team) -> None:
    wanted = {"owner": 201, "admin": 201, "developer": 403, "viewer": 403, "stranger": 404}
    for who, status in {**wanted, "key": 201}.items():
        assert (await invite(team, who, f"{who}@example.com")).status_code == status
        listed = await team.ask(who, "GET", "/invitations")
        assert listed.status_code == (200 if status == 201 else status)
    async with team.client("key") as client:
        answer = await client.get(f"/api/tenants/{uuid4()}/invitations")
    assert_problem(answer, 404, "tenant_not_found")


async def test_an_invitation_is_not_another_tenants(team: Team) -> None:
    sent = await sent_to(team, "new@example.com")
    other = await make_team(team.world)
    answer = await other.ask("owner", "DELETE", f"/invitations/{sent['id']}")
    assert_problem(answer, 404, "invitation_not_found")
    assert (await other.ask("owner", "GET", "/invitations")).json()["items"] == []


async def test_422_what_cannot_be_invited(team: Team) -> None:
    for email in ("", "x", "a@b@c", "a b@example.com", "a@example.com\0", "ä@example.com",
                  "a@example.com\nBcc: b@example.com", "a" * 65 + "@example.com"):  # fmt: skip
        assert_problem(await invite(team, "owner", email), 422, "invalid_email")
    good = "new@example.com"
    for body in ({"role": "owner"}, {"role": "god"}, {"days": 0}, {"days": 31}, {"days": "1"}):
        answer = await team.ask("owner", "POST", "/invitations", {"email": good, **body})
        assert_problem(answer, 422, "invalid_input")
    assert team.world.mail.sent == []


async def test_409_members_and_personal_tenants_invite_nobody(team: Team) -> None:
    member = team.people["viewer"].email
    assert_problem(await invite(team, "owner", member), 409, "already_member")
    owner = team.people["owner"]
    async with team.client("owner") as client:
        answer = await client.post(
            f"/api/tenants/{owner.tenant_id}/invitations", json={"email": "new@example.com"}
        )
    assert_problem(answer, 409, "personal_tenant")


async def test_429_more_than_a_tenant_sends_in_a_day(team: Team) -> None:
    connection = await asyncpg.connect(team.world.dsn)
    try:
        await connection.execute(
            "insert into public.tenant_invitations"
            " (id, tenant_id, email, role, token_hash, expires_at, revoked_at)"
            " select gen_random_uuid(), $1, 'a@example.com', 'viewer',"
            " encode(sha256(convert_to($1::uuid::text || n, 'UTF8')), 'hex'), now(), now()"
            " from generate_series(2, $2) as n",
            team.id,
            MOST_A_DAY,
        )
    finally:
        await connection.close()
    await sent_to(team, "a@example.com")
    assert_problem(await invite(team, "owner", "b@example.com"), 429, "too_many_invitations")
    assert len(team.world.mail.sent) == 1


async def test_a_suspended_tenant_takes_nobody_in(team: Team) -> None:
    sent = await sent_to(team, team.people["stranger"].email)
    for status, code in (("suspended", 403), ("active", 200)):
        async with team.client("key") as client:
            await client.patch(f"/api/admin/tenants/{team.id}", json={"status": status})
        assert (await accept(team, "stranger", sent["token"])).status_code == code
        if code == 403:
            answer = await invite(team, "owner", "new@example.com")
            assert_problem(answer, 403, "tenant_suspended")
