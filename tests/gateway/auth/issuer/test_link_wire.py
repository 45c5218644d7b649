"""Mailed links as raw HTTP: proofs of who asked, and input that means no good."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from supabase_auth import AsyncGoTrueClient

from tests.support.issuer import RunningIssuer, bearer
from tests.support.mailed import PASSWORD, Person
from tests.support.post import Mailbox, query_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def person(mailing_issuer: tuple[RunningIssuer, Mailbox], email: str) -> Person:
    issuer, mailbox = mailing_issuer
    return Person(issuer, mailbox, email)


async def test_a_link_with_a_challenge_gives_its_session_to_who_asked(person: Person) -> None:
    client = AsyncGoTrueClient(
        url=f"{person.issuer.url}/auth/v1",
        auto_refresh_token=False,
        flow_type="pkce",
        http_client=person.issuer.http,
    )
    await client.sign_up({"email": person.email, "password": PASSWORD})
    answer = await person.open(query_of(await person.mailbox.next()))
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert "access_token" not in answer.headers["location"]
    session = await client.exchange_code_for_session({"auth_code": query["code"][0]})
    assert session.user is not None
    assert session.user.email == person.email


async def test_a_code_is_worth_nothing_to_others_and_is_used_up_by_them(person: Person) -> None:
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # of the RFC
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    await person.ask("/otp", code_challenge=challenge, code_challenge_method="s256")
    answer = await person.open(query_of(await person.mailbox.next()))
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    answers = [
        await person.issuer.http.post(
            "/token",
            params={"grant_type": "pkce"},
            json={"auth_code": code, "code_verifier": tried},
        )
        for tried in (verifier[::-1], verifier)
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [
        (400, "bad_code_verifier"),
        (404, "flow_state_not_found"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"code_challenge": "x" * 43, "code_challenge_method": "plain"},
        {"code_challenge": "short", "code_challenge_method": "s256"},
        {"code_challenge": None, "code_challenge_method": "s256"},
        {"code_challenge": ["x"], "code_challenge_method": "s256"},
        {"email": "a\0@example.com"},
        {"email": "ａnn@example.com"},
        {"email": "\N{KELVIN SIGN}ate@example.com"},
        {"email": {"$ne": 1}},
        {"email": "ann@example.com\r\nbcc: bob@example.com"},
        {"create_user": "yes"},
        {"data": {"a": "\0"}},
    ],
    ids=str,
)
async def test_unacceptable_wishes(person: Person, body: dict[str, Any]) -> None:
    answer = await person.ask("/otp", **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "validation_failed"),
        ({"type": "nonsense", "token_hash": "x"}, 400, "validation_failed"),
        ({"type": "sms", "phone": "+491234", "token": "1"}, 422, "phone_provider_disabled"),
        ({"type": "signup", "token_hash": ""}, 403, "otp_expired"),
        ({"type": "signup", "token_hash": "x" * 10_000}, 403, "otp_expired"),
        ({"type": "signup", "token_hash": "\0"}, 403, "otp_expired"),
        ({"type": "signup", "email": "a@b.example", "token": "\0"}, 403, "otp_expired"),
        ({"type": "signup", "email": "a@b.example", "token": 123456}, 400, "validation_failed"),
        ({"type": "signup", "token_hash": "x" * 70_000}, 413, "request_too_large"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_unacceptable_tokens(
    person: Person, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await person.verify(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_where_nobody_carries_mail_nothing_is_promised(
    shared_issuer: RunningIssuer, email: str
) -> None:
    token = (await shared_issuer.sign_up(email))["access_token"]
    answers = [
        await shared_issuer.http.post("/recover", json={"email": email}),
        await shared_issuer.http.post("/otp", json={"email": email}),
        await shared_issuer.http.put("/user", json={"email": f"x{email}"}, headers=bearer(token)),
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [
        (422, "email_provider_disabled")
    ] * 3
