"""From access token to person: what is checked every time, and how soon a change is seen."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from gateway.auth.issuer.tokens import AccessTokens, TokenContents
from gateway.auth.sessions import SessionExpiredError, SessionVerifier, bearer
from gateway.store.database import SERVICE, Database, DatabaseUnavailableError
from tests.support.issuer import ISSUER, KID, Clock, RunningIssuer, ban, new_key_pem

EMAIL = "ann@example.com"


async def set_admin(database: Database, user_id: str, *, is_admin: bool) -> None:
    arguments = {"p_user_id": user_id, "p_is_admin": is_admin}
    await database.rpc("set_admin", arguments, identity=SERVICE)


async def sign_out(issuer: RunningIssuer, document: Mapping[str, Any], scope: str) -> None:
    headers = {"authorization": f"Bearer {document['access_token']}"}
    answer = await issuer.http.post("/logout", params={"scope": scope}, headers=headers)
    assert answer.status_code == 204


async def test_valid_token_is_its_person(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    person = await issuer.sessions.verify(document["access_token"])
    assert str(person.user_id) == document["user"]["id"]
    assert person.email == EMAIL
    assert person.is_admin is False


async def test_claims_are_what_row_level_security_reads(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    person = await issuer.sessions.verify(document["access_token"])
    claims = json.loads(person.claims)
    assert claims["sub"] == document["user"]["id"]
    assert claims["role"] == "authenticated"


@pytest.mark.parametrize("scope", ["global", "local"])
async def test_signed_out_here_is_noticed_at_once(issuer: RunningIssuer, scope: str) -> None:
    document = await issuer.sign_up(EMAIL)
    await issuer.sessions.verify(document["access_token"])
    await sign_out(issuer, document, scope)
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(document["access_token"])


async def test_other_sessions_end_at_once_when_the_person_asks(issuer: RunningIssuer) -> None:
    mine = await issuer.sign_up(EMAIL)
    other = (await issuer.sign_in(EMAIL, "long enough")).json()
    await issuer.sessions.verify(other["access_token"])
    await sign_out(issuer, mine, "others")
    assert (await issuer.sessions.verify(mine["access_token"])).email == EMAIL
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(other["access_token"])


async def test_stolen_refresh_token_ends_the_session_at_once(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    await issuer.refresh(document["refresh_token"])
    issuer.clock.ahead += 11
    await issuer.sessions.verify(document["access_token"])
    await issuer.refresh(document["refresh_token"])
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(document["access_token"])


async def test_session_ended_elsewhere_is_noticed_within_two_seconds(
    issuer: RunningIssuer,
) -> None:
    document = await issuer.sign_up(EMAIL)
    person = await issuer.sessions.verify(document["access_token"])
    async with issuer.users.transaction() as transaction:
        await transaction.end_session(person.session_id)
    issuer.clock.ahead += 2
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(document["access_token"])


async def test_admin_flag_comes_from_the_profile(issuer: RunningIssuer, database: Database) -> None:
    document = await issuer.sign_up(EMAIL)
    await set_admin(database, document["user"]["id"], is_admin=True)
    assert (await issuer.sessions.verify(document["access_token"])).is_admin is True


async def test_revoked_admin_is_none_at_once_when_told_and_soon_when_not(
    issuer: RunningIssuer, database: Database
) -> None:
    document = await issuer.sign_up(EMAIL)
    user_id, token = document["user"]["id"], document["access_token"]
    for told in (True, False):
        await set_admin(database, user_id, is_admin=True)
        issuer.sessions.forget_user(UUID(user_id))
        assert (await issuer.sessions.verify(token)).is_admin is True
        await set_admin(database, user_id, is_admin=False)
        if told:
            issuer.sessions.forget_user(UUID(user_id))
        else:
            issuer.clock.ahead += 2
        assert (await issuer.sessions.verify(token)).is_admin is False


async def test_session_of_somebody_else_is_not_taken(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    await issuer.sessions.verify(document["access_token"])
    claims = jwt.decode(document["access_token"], options={"verify_signature": False})
    claims["sub"] = str(uuid4())
    forged = jwt.encode(claims, issuer.pem, "ES256", {"kid": KID})
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(forged)


async def test_banned_person_has_no_session(issuer: RunningIssuer, dsn: str) -> None:
    document = await issuer.sign_up(EMAIL)
    await ban(dsn)
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(document["access_token"])


async def test_token_outlives_no_hour(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    issuer.clock.ahead += 3601
    with pytest.raises(SessionExpiredError):
        await issuer.sessions.verify(document["access_token"])


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 20_000, "\0", "é"])
async def test_garbage_is_nobody(issuer: RunningIssuer, token: str) -> None:
    with pytest.raises(SessionExpiredError) as refused:
        await issuer.sessions.verify(token)
    assert refused.value.status == 401


# --- the cache alone, over sessions that a test opens and closes ----------------------------


class Sessions:
    """Answers from a flag; counts, and can be held up or fail."""

    def __init__(self) -> None:
        self.alive = True
        self.asked = 0
        self.failure: Exception | None = None
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def session_alive(self, session_id: UUID, user_id: UUID, now: datetime) -> bool:
        self.asked += 1
        answer = self.alive
        self.reached.set()
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return answer


class Alone:
    """A verifier, its sessions, its clock and one token."""

    def __init__(self, database: Database) -> None:
        self.sessions, self.clock = Sessions(), Clock()
        tokens = AccessTokens(private_key_pem=new_key_pem(), kid=KID, issuer=ISSUER)
        self.session_id, self.user_id = uuid4(), uuid4()
        contents = TokenContents(self.user_id, self.session_id, EMAIL, 0, {}, {})
        self.token = tokens.issue(contents, int(self.clock()))
        self.verifier = SessionVerifier(
            tokens=tokens, sessions=self.sessions, database=database, clock=self.clock
        )


@pytest.fixture
def alone(database: Database) -> Alone:
    return Alone(database)


async def test_store_is_asked_once_in_two_seconds(alone: Alone) -> None:
    for _ in range(5):
        await alone.verifier.verify(alone.token)
    assert alone.sessions.asked == 1
    alone.clock.ahead += 2
    await alone.verifier.verify(alone.token)
    assert alone.sessions.asked == 2


async def test_answer_under_way_while_a_session_ends_is_not_remembered(alone: Alone) -> None:
    alone.sessions.go_on.clear()
    early = asyncio.create_task(alone.verifier.verify(alone.token))
    await alone.sessions.reached.wait()
    alone.sessions.alive = False
    alone.verifier.forget_session(alone.session_id)
    alone.sessions.go_on.set()
    await early
    with pytest.raises(SessionExpiredError):
        await alone.verifier.verify(alone.token)


async def test_silent_store_is_not_a_valid_session(alone: Alone) -> None:
    alone.sessions.failure = DatabaseUnavailableError()
    with pytest.raises(DatabaseUnavailableError):
        await alone.verifier.verify(alone.token)
    alone.sessions.failure = None
    assert (await alone.verifier.verify(alone.token)).user_id == alone.user_id


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
