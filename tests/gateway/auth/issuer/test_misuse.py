"""Input that means no good, at every endpoint that knows people."""

from typing import Any
from uuid import UUID

import jwt
import pytest

from gateway.auth.issuer.attempts import AttemptLimits
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.gateway.auth.issuer.conftest import database_of
from tests.support.issuer import ADMIN_KEY, KID, RunningIssuer, bearer, new_key_pem, running_issuer
from tests.support.mailed import Person
from tests.support.post import Mailbox

FACTOR = f"/factors/{UUID(int=1)}"
OWN = [
    ("GET", "/user"),
    ("PUT", "/user"),
    ("POST", "/logout"),
    ("POST", "/factors"),
    ("POST", f"{FACTOR}/challenge"),
    ("POST", f"{FACTOR}/verify"),
    ("DELETE", FACTOR),
]
READING = ["/signup", "/recover", "/otp", "/resend", "/verify", "/token?grant_type=pkce"]
HOSTILE = ["' or 1=1; --", '{"$gt": ""}', "\u202e", "%00", "${jndi:x}", "a" * 60_000]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def forgeries(pem: str, token: str) -> dict[str, str]:
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": KID}
    return {
        "alg none": jwt.encode(claims, "", "none", headers),
        "shared secret": jwt.encode(claims, "x" * 32, "HS256", headers),
        "other key": jwt.encode(claims, new_key_pem(), "ES256", headers),
        "other issuer": jwt.encode({**claims, "iss": "http://x"}, pem, "ES256", headers),
        "other audience": jwt.encode({**claims, "aud": "anon"}, pem, "ES256", headers),
        "other role": jwt.encode({**claims, "role": "service_role"}, pem, "ES256", headers),
        "expired": jwt.encode({**claims, "exp": 1}, pem, "ES256", headers),
    }


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_no_forged_token_opens_anything(
    shared_issuer: RunningIssuer, email: str, method: str, path: str
) -> None:
    token = (await shared_issuer.sign_up(email))["access_token"]
    for name, forged in forgeries(shared_issuer.pem, token).items():
        answer = await shared_issuer.http.request(method, path, headers=bearer(forged))
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_jwt"), name


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_a_session_that_ended_opens_nothing(
    shared_issuer: RunningIssuer, email: str, method: str, path: str
) -> None:
    token = (await shared_issuer.sign_up(email))["access_token"]
    await shared_issuer.http.post("/logout", headers=bearer(token))
    answer = await shared_issuer.http.request(method, path, json={}, headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (403, "session_not_found")


@pytest.mark.parametrize("path", [*READING, "/factors", "/admin/users", "/invite"])
async def test_ten_megabytes_are_refused(
    shared_issuer: RunningIssuer, email: str, path: str
) -> None:
    token = (await shared_issuer.sign_up(email))["access_token"]
    key = token if path == "/factors" else ADMIN_KEY
    answer = await shared_issuer.http.post(
        path, json={"email": "x" * 10_000_000}, headers=bearer(key)
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("path", READING)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
async def test_hostile_texts_are_only_texts(
    mailing_issuer: tuple[RunningIssuer, Mailbox], path: str, text: str
) -> None:
    issuer, _ = mailing_issuer
    body: dict[str, Any] = dict.fromkeys(
        ("email", "password", "token", "type", "auth_code", "code_verifier"), text
    )
    answer = await issuer.http.post(path, json=body)
    assert 400 <= answer.status_code < 430
    assert answer.json()["code"]


async def test_codes_of_letters_cannot_be_guessed_by_asking_again(
    mailing_issuer: tuple[RunningIssuer, Mailbox], email: str
) -> None:
    person = Person(*mailing_issuer, email)
    await person.sign_up()
    codes = []
    for _ in range(3):
        letter = await person.mailbox.next()
        wrong = f"{(int(letter.code) + 1) % 1_000_000:06}"
        body = {"type": "signup", "email": email, "token": wrong}
        codes += [(await person.verify(body)).json()["code"] for _ in range(4)]
        await person.ask("/resend", type="signup")
    await person.mailbox.next()
    limit = AttemptLimits().code
    assert codes == ["otp_expired"] * limit + ["over_request_rate_limit"] * (12 - limit)


async def test_where_nobody_may_register_a_link_makes_no_account(
    postgres: EmbeddedPostgres, auth_dsn: str, shared_database: PostgresDatabase, email: str
) -> None:
    mailbox = Mailbox()
    async with running_issuer(
        str(postgres.socket_dir),
        database_of(auth_dsn),
        shared_database,
        signup=False,
        carrier=mailbox,
    ) as issuer:
        answers = [
            await issuer.http.post("/otp", json={"email": email}),
            await issuer.http.post("/signup", json={"email": email, "password": "long enough"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 422]  # letters are done by now
    assert mailbox.letters.empty()
    async with (
        running_issuer(str(postgres.socket_dir), database_of(auth_dsn), shared_database) as issuer,
        issuer.users.transaction() as transaction,
    ):
        assert await transaction.by_email(email) is None
