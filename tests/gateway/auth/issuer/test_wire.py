"""The issuer as raw HTTP: shapes of answers and errors, and input that means no good."""

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from tests.support.issuer import ISSUER, KID, VERSIONED, RunningIssuer, ban, new_key_pem

EMAIL = "ann@example.com"
PASSWORD = "correct horse"


async def test_session_document_has_what_both_clients_need(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    assert document["token_type"] == "bearer"
    assert document["expires_in"] == 3600
    assert document["expires_at"] == jwt.decode(
        document["access_token"], options={"verify_signature": False}
    ).get("exp")
    assert document["user"]["created_at"].endswith("Z")
    assert document["user"]["phone"] == ""
    assert document["user"]["factors"] == []
    assert "encrypted_password" not in str(document)


async def test_answers_about_people_are_never_cached(issuer: RunningIssuer) -> None:
    answer = await issuer.http.post("/signup", json={"email": EMAIL, "password": PASSWORD})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/auth/v1/.well-known/jwks.json", "/.well-known/jwks.json"])
async def test_keys_are_published_at_the_issuer_and_at_the_root(
    issuer: RunningIssuer, path: str
) -> None:
    answer = await issuer.http.get(f"{issuer.url}{path}")
    (key,) = answer.json()["keys"]
    assert (key["kid"], key["kty"], key["alg"], key["use"]) == (KID, "EC", "ES256", "sig")
    assert "d" not in key


async def test_settings_and_health_answer(issuer: RunningIssuer) -> None:
    settings = (await issuer.http.get("/settings")).json()
    assert settings["external"]["email"] is True
    assert settings["disable_signup"] is False
    assert settings["mailer_autoconfirm"] is True
    assert (await issuer.http.get("/health")).status_code == 200


async def test_error_shape_with_the_version_header(issuer: RunningIssuer) -> None:
    answer = await issuer.sign_in(EMAIL, PASSWORD)
    assert answer.status_code == 400
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    assert answer.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}


@pytest.mark.parametrize("version", ["", "2023-12-31", "nonsense"])
async def test_error_shape_for_older_clients(issuer: RunningIssuer, version: str) -> None:
    answer = await issuer.http.post(
        "/signup",
        json={"email": EMAIL, "password": "short"},
        headers={"x-supabase-api-version": version},
    )
    document = answer.json()
    assert "x-supabase-api-version" not in answer.headers
    assert (document["code"], document["error_code"]) == (422, "weak_password")
    assert document["weak_password"] == {"reasons": ["length"]}
    assert document["msg"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/signup", 405), ("DELETE", "/user", 405)],
)
async def test_unknown_paths_and_methods_have_the_shape_too(
    issuer: RunningIssuer, method: str, path: str, status: int
) -> None:
    answer = await issuer.http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


@pytest.mark.parametrize("path", ["/signup", "/token?grant_type=password"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"a": NaN}', b"[" * 30_000, b"email=a@b.example"],
)
async def test_malformed_body_is_bad_json(issuer: RunningIssuer, path: str, body: bytes) -> None:
    answer = await issuer.http.post(path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")


async def test_body_over_the_cap_is_refused_by_its_declared_length(issuer: RunningIssuer) -> None:
    answer = await issuer.http.post("/signup", content=b" " * (64 * 1024 + 1))
    assert answer.status_code == 413


async def test_body_over_the_cap_is_refused_without_a_declared_length(
    issuer: RunningIssuer,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 1024

    answer = await issuer.http.post("/signup", content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "anonymous_provider_disabled"),
        ({"password": PASSWORD}, 422, "anonymous_provider_disabled"),
        ({"phone": "+491234", "password": PASSWORD}, 422, "phone_provider_disabled"),
        ({"email": EMAIL}, 422, "weak_password"),
        ({"email": EMAIL, "password": None}, 422, "weak_password"),
        ({"email": EMAIL, "password": 12345678}, 400, "validation_failed"),
        ({"email": ["a@b.example"], "password": PASSWORD}, 400, "validation_failed"),
        ({"email": {"$ne": 1}, "password": PASSWORD}, 400, "validation_failed"),
        ({"email": "no address", "password": PASSWORD}, 400, "validation_failed"),
        ({"email": "a\0@b.example", "password": PASSWORD}, 400, "validation_failed"),
        ({"email": EMAIL, "password": PASSWORD, "data": "text"}, 400, "validation_failed"),
        ({"email": EMAIL, "password": PASSWORD, "data": {"a": "\0"}}, 400, "validation_failed"),
    ],
    ids=str,
)
async def test_unacceptable_sign_up(
    issuer: RunningIssuer, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await issuer.http.post("/signup", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("password", ["", "\0" * 8, "x" * 2000, "' or '1'='1"])
async def test_impossible_passwords_are_just_wrong(issuer: RunningIssuer, password: str) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    answer = await issuer.sign_in(EMAIL, password)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_credentials")


@pytest.mark.parametrize("query", ["", "?grant_type=", "?grant_type=pkce", "?grant_type=none"])
async def test_unknown_grant_is_refused(issuer: RunningIssuer, query: str) -> None:
    answer = await issuer.http.post(f"/token{query}", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


async def test_metadata_cannot_make_an_admin_or_touch_app_metadata(issuer: RunningIssuer) -> None:
    body = {
        "email": EMAIL,
        "password": PASSWORD,
        "data": {"is_admin": True},
        "app_metadata": {"role": "admin"},
        "role": "service_role",
        "is_admin": True,
    }
    document = (await issuer.http.post("/signup", json=body)).json()
    assert document["user"]["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert document["user"]["role"] == "authenticated"
    person = await issuer.sessions.verify(document["access_token"])
    assert person.is_admin is False


async def test_metadata_that_grows_too_big_by_merging_is_refused(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL))["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    first = await issuer.http.put("/user", json={"data": {"a": "x" * 3000}}, headers=headers)
    second = await issuer.http.put("/user", json={"data": {"b": "x" * 3000}}, headers=headers)
    assert (first.status_code, second.status_code) == (200, 400)


async def test_current_password_is_checked_when_given(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL, PASSWORD))["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    body = {"password": "another horse", "current_password": "wrong"}
    wrong = await issuer.http.put("/user", json=body, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_credentials")
    body["current_password"] = PASSWORD
    assert (await issuer.http.put("/user", json=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("scope", ["everything", "", "GLOBAL"])
async def test_unknown_scope_signs_nobody_out(issuer: RunningIssuer, scope: str) -> None:
    token = (await issuer.sign_up(EMAIL))["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    answer = await issuer.http.post("/logout", params={"scope": scope}, headers=headers)
    assert answer.status_code == 400
    assert (await issuer.user(token)).status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "token"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/user"), ("POST", "/logout")])
async def test_no_bearer_token(
    issuer: RunningIssuer, header: str | None, method: str, path: str
) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = await issuer.http.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "no_authorization")


@pytest.mark.parametrize(
    ("claims", "pem", "kid"),
    [
        ({"iss": "http://elsewhere.example/auth/v1"}, None, KID),
        ({"aud": "anon"}, None, KID),
        ({"exp": 1}, None, KID),
        ({}, None, "other"),
        ({}, new_key_pem(), KID),
    ],
    ids=["issuer", "audience", "expired", "kid", "key"],
)
async def test_foreign_access_token_is_refused(
    issuer: RunningIssuer, claims: dict[str, Any], pem: str | None, kid: str
) -> None:
    token = (await issuer.sign_up(EMAIL))["access_token"]
    forged = {**jwt.decode(token, options={"verify_signature": False}), **claims}
    answer = await issuer.user(jwt.encode(forged, pem or issuer.pem, "ES256", {"kid": kid}))
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_jwt")


async def test_unsigned_access_token_is_refused(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL))["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    answer = await issuer.user(jwt.encode(claims, "", "none", {"kid": KID}))
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_jwt")


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 20_000])
async def test_garbage_access_token_is_refused(issuer: RunningIssuer, token: str) -> None:
    answer = await issuer.user(token)
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_jwt")


async def test_access_token_expires_after_an_hour(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL))["access_token"]
    issuer.clock.ahead += 3601
    answer = await issuer.user(token)
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_jwt")


async def test_session_of_somebody_else_is_not_found(issuer: RunningIssuer) -> None:
    mine = (await issuer.sign_up(EMAIL))["access_token"]
    theirs = (await issuer.sign_up("bob@example.com"))["user"]["id"]
    claims = {**jwt.decode(mine, options={"verify_signature": False}), "sub": theirs}
    assert claims["iss"] == ISSUER
    answer = await issuer.user(jwt.encode(claims, issuer.pem, "ES256", {"kid": KID}))
    assert (answer.status_code, answer.json()["code"]) == (403, "session_not_found")


async def test_client_version_header_is_what_the_client_sends() -> None:
    """The tests speak with the header that the real client sends."""
    from supabase_auth.constants import API_VERSION_HEADER_NAME

    assert API_VERSION_HEADER_NAME.lower() in VERSIONED


async def test_banned_person_can_do_nothing(issuer: RunningIssuer, dsn: str) -> None:
    document = await issuer.sign_up(EMAIL, PASSWORD)
    await ban(dsn)
    answers = [
        await issuer.sign_in(EMAIL, PASSWORD),
        await issuer.refresh(document["refresh_token"]),
        await issuer.user(document["access_token"]),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (403, "user_banned")
    ] * 3


async def test_silent_database_is_a_failure_worth_repeating(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL, PASSWORD)
    await issuer.users.close()
    answers = [
        await issuer.sign_in(EMAIL, PASSWORD),
        await issuer.refresh(document["refresh_token"]),
        await issuer.user(document["access_token"]),
    ]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.json()["code"] for answer in answers} == {"unexpected_failure"}
    assert all("retry-after" in answer.headers for answer in answers)
