"""The real Supabase auth client against the issuer: what an application sees."""

from collections.abc import Mapping
from typing import Literal

import pytest
from supabase_auth.errors import AuthApiError, AuthError, AuthWeakPasswordError

from gateway.store.database import SERVICE, Database, Filter
from supabase import AsyncClientOptions, acreate_client
from tests.support.issuer import RunningIssuer

EMAIL = "ann@example.com"
PASSWORD = "correct horse"


def code_of(error: AuthError) -> str | None:
    return error.code


async def test_sign_up_answers_a_session_at_once(issuer: RunningIssuer) -> None:
    answer = await issuer.client().sign_up(
        {"email": " Ann@Example.COM", "password": PASSWORD, "options": {"data": {"name": "Ann"}}}
    )
    assert answer.session is not None
    assert answer.user is not None
    assert answer.user.email == EMAIL
    assert answer.user.user_metadata == {"name": "Ann"}
    assert answer.user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert answer.session.expires_in == 3600
    assert answer.session.token_type == "bearer"


async def test_sign_up_makes_profile_and_personal_tenant(
    issuer: RunningIssuer, database: Database
) -> None:
    user_id = (await issuer.sign_up(EMAIL))["user"]["id"]
    profiles = await database.select(
        "user_profiles", where=[Filter("id", "eq", user_id)], identity=SERVICE
    )
    tenants = await database.select(
        "tenants", where=[Filter("owner_id", "eq", user_id)], identity=SERVICE
    )
    assert [(row["email"], row["is_admin"]) for row in profiles] == [(EMAIL, False)]
    assert [row["kind"] for row in tenants] == ["personal"]


async def test_sign_in_with_the_right_password(issuer: RunningIssuer) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    answer = await issuer.client().sign_in_with_password(
        {"email": "ANN@example.com", "password": PASSWORD}
    )
    assert answer.session is not None
    assert answer.user is not None
    assert answer.user.last_sign_in_at is not None


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong password"), ("bob@example.com", PASSWORD)]
)
async def test_wrong_password_and_unknown_address_are_the_same_to_the_client(
    issuer: RunningIssuer, email: str, password: str
) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    with pytest.raises(AuthApiError) as refused:
        await issuer.client().sign_in_with_password({"email": email, "password": password})
    assert (refused.value.status, code_of(refused.value)) == (400, "invalid_credentials")


async def test_address_can_be_registered_once(issuer: RunningIssuer) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    with pytest.raises(AuthApiError) as refused:
        await issuer.client().sign_up({"email": "ANN@example.com", "password": PASSWORD})
    assert (refused.value.status, code_of(refused.value)) == (422, "user_already_exists")


@pytest.mark.parametrize(
    ("password", "reasons"),
    [("short", ["length"]), ("x" * 1025, ["length"]), ("nul\0nul\0nul", ["characters"])],
)
async def test_weak_password_comes_with_reasons(
    issuer: RunningIssuer, password: str, reasons: list[str]
) -> None:
    with pytest.raises(AuthWeakPasswordError) as refused:
        await issuer.client().sign_up({"email": EMAIL, "password": password})
    assert refused.value.reasons == reasons
    assert refused.value.status == 422


async def test_get_user_answers_the_person(issuer: RunningIssuer) -> None:
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    answer = await client.get_user()
    assert answer is not None
    assert answer.user.email == EMAIL
    assert answer.user.identities is not None
    assert [identity.provider for identity in answer.user.identities] == ["email"]


async def test_refresh_session_gives_new_tokens(issuer: RunningIssuer) -> None:
    client = issuer.client()
    before = (await client.sign_up({"email": EMAIL, "password": PASSWORD})).session
    after = (await client.refresh_session()).session
    assert before is not None
    assert after is not None
    assert after.refresh_token != before.refresh_token
    assert (await client.get_user(after.access_token)) is not None


async def test_claims_verify_against_the_published_keys(issuer: RunningIssuer) -> None:
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    answer = await client.get_claims()
    assert answer is not None
    claims: Mapping[str, object] = answer["claims"]
    assert claims["email"] == EMAIL
    assert claims["aal"] == "aal1"
    assert answer["headers"]["alg"] == "ES256"


async def test_update_user_merges_data(issuer: RunningIssuer) -> None:
    client = issuer.client()
    await client.sign_up(
        {"email": EMAIL, "password": PASSWORD, "options": {"data": {"name": "Ann", "old": 1}}}
    )
    answer = await client.update_user({"data": {"old": None, "city": "Ulm"}})
    assert answer.user.user_metadata == {"name": "Ann", "city": "Ulm"}


async def test_update_user_changes_the_password(issuer: RunningIssuer) -> None:
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    await client.update_user({"password": "another horse"})
    assert (await issuer.sign_in(EMAIL, PASSWORD)).status_code == 400
    assert (await issuer.sign_in(EMAIL, "another horse")).status_code == 200


async def test_changed_password_keeps_this_session_and_ends_the_others(
    issuer: RunningIssuer,
) -> None:
    client, other = issuer.client(), issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    await other.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    await client.update_user({"password": "another horse"})
    assert await client.get_user() is not None
    assert (await client.refresh_session()).session is not None
    with pytest.raises(AuthError) as refused:
        await other.refresh_session()
    assert code_of(refused.value) == "refresh_token_not_found"


@pytest.mark.parametrize(
    ("password", "code"), [(PASSWORD, "same_password"), ("short", "weak_password")]
)
async def test_unsuitable_new_password_is_refused(
    issuer: RunningIssuer, password: str, code: str
) -> None:
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    with pytest.raises(AuthError) as refused:
        await client.update_user({"password": password})
    assert code_of(refused.value) == code


async def test_change_of_address_is_refused_plainly(issuer: RunningIssuer) -> None:
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"email": "bob@example.com", "data": {"seen": True}})
    assert refused.value.status == 422
    answer = await client.get_user()
    assert answer is not None
    assert answer.user.user_metadata == {}


@pytest.mark.parametrize(
    ("scope", "own", "others"),
    [("global", 403, 403), ("local", 403, 200), ("others", 200, 403)],
)
async def test_sign_out_ends_the_sessions_of_its_scope(
    issuer: RunningIssuer, scope: Literal["global", "local", "others"], own: int, others: int
) -> None:
    mine = await issuer.sign_up(EMAIL, PASSWORD)
    theirs = (await issuer.sign_in(EMAIL, PASSWORD)).json()
    client = issuer.client()
    await client.set_session(mine["access_token"], mine["refresh_token"])
    await client.sign_out({"scope": scope})
    assert (await issuer.user(mine["access_token"])).status_code == own
    assert (await issuer.user(theirs["access_token"])).status_code == others
    assert (await issuer.refresh(mine["refresh_token"])).is_success == (own == 200)
    assert (await issuer.refresh(theirs["refresh_token"])).is_success == (others == 200)


async def test_sign_out_does_not_touch_other_people(issuer: RunningIssuer) -> None:
    mine = await issuer.sign_up(EMAIL)
    theirs = await issuer.sign_up("bob@example.com")
    client = issuer.client()
    await client.set_session(mine["access_token"], mine["refresh_token"])
    await client.sign_out()
    assert (await issuer.user(theirs["access_token"])).status_code == 200


async def test_all_in_one_client_signs_in(issuer: RunningIssuer) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    options = AsyncClientOptions(auto_refresh_token=False, httpx_client=issuer.http)
    client = await acreate_client(issuer.url, "sb_publishable_anything", options)
    answer = await client.auth.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    assert answer.user is not None
    assert answer.user.email == EMAIL
