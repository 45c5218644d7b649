"""What holders of the admin key do to people, driven by the real Supabase auth client."""

from typing import Any
from uuid import UUID, uuid4

import bcrypt
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from argon2.low_level import Type
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError

from gateway.auth.issuer.totp import code_at
from gateway.store.database import SERVICE, Database, Filter
from gateway.store.postgres import PostgresDatabase
from tests.support.issuer import ADMIN_KEY, SITE, RunningIssuer, bearer

NOBODY = UUID(int=1)

PASSWORD = "correct horse"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def admin(shared_issuer: RunningIssuer) -> AsyncGoTrueClient:
    return AsyncGoTrueClient(
        url=f"{shared_issuer.url}/auth/v1",
        headers={"apikey": ADMIN_KEY, "authorization": f"Bearer {ADMIN_KEY}"},
        auto_refresh_token=False,
        http_client=shared_issuer.http,
    )


async def audit_of(database: Database, user_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await database.select(
        "audit_log", where=[Filter("target_id", "eq", user_id)], identity=SERVICE
    )
    return rows


async def test_a_person_made_by_an_admin_signs_in(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    user_id = str(uuid4())
    made = await admin.admin.create_user(
        {
            "id": user_id,
            "email": email.upper(),
            "password": PASSWORD,
            "email_confirm": True,
            "user_metadata": {"name": "Ann"},
            "app_metadata": {"plan": "pro"},
        }
    )
    assert (made.user.id, made.user.email) == (user_id, email)
    assert made.user.app_metadata == {"provider": "email", "providers": ["email"], "plan": "pro"}
    assert (await shared_issuer.sign_in(email, PASSWORD)).status_code == 200


async def test_who_is_not_confirmed_does_not_sign_in(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    made = await admin.admin.create_user({"email": email, "password": PASSWORD})
    assert (await shared_issuer.sign_in(email, PASSWORD)).json()["code"] == "email_not_confirmed"
    await admin.admin.update_user_by_id(made.user.id, {"email_confirm": True})
    assert (await shared_issuer.sign_in(email, PASSWORD)).status_code == 200


async def test_every_act_is_written_down_without_its_secrets(
    admin: AsyncGoTrueClient, shared_database: PostgresDatabase, email: str
) -> None:
    made = await admin.admin.create_user({"email": email, "password": PASSWORD})
    await admin.admin.update_user_by_id(made.user.id, {"password": "another horse"})
    await admin.admin.generate_link({"type": "recovery", "email": email})
    await admin.admin.delete_user(made.user.id)
    rows = await audit_of(shared_database, made.user.id)
    assert {row["action"] for row in rows} == {
        "user.create",
        "user.update",
        "user.link",
        "user.delete",
    }
    assert {row["actor"] for row in rows} == {"admin key"}
    assert "horse" not in str(rows)


async def test_people_are_listed_in_pages(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer
) -> None:
    made = [
        (await admin.admin.create_user({"email": f"{uuid4().hex}@example.com"})).user.id
        for _ in range(3)
    ]
    pages = [await admin.admin.list_users(page=number, per_page=2) for number in (1, 2)]
    assert [user.id for user in [*pages[0], *pages[1]]][:3] == made[::-1]
    answer = await shared_issuer.http.get(
        "/admin/users", params={"per_page": 1}, headers=bearer(ADMIN_KEY)
    )
    assert int(answer.headers["x-total-count"]) >= 3
    assert '</admin/users?page=2&per_page=1>; rel="next"' in answer.headers["link"]


async def test_one_person_is_read(admin: AsyncGoTrueClient, email: str) -> None:
    made = await admin.admin.create_user({"email": email})
    assert (await admin.admin.get_user_by_id(made.user.id)).user.email == email


async def test_a_ban_ends_everything_until_it_is_lifted(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    document = await shared_issuer.sign_up(email, PASSWORD)
    user_id = document["user"]["id"]
    await admin.admin.update_user_by_id(user_id, {"ban_duration": "24h"})
    assert (await shared_issuer.user(document["access_token"])).status_code == 403
    assert (await shared_issuer.refresh(document["refresh_token"])).status_code == 400
    assert (await shared_issuer.sign_in(email, PASSWORD)).json()["code"] == "user_banned"
    await admin.admin.update_user_by_id(user_id, {"ban_duration": "none"})
    assert (await shared_issuer.sign_in(email, PASSWORD)).status_code == 200
    assert (await shared_issuer.user(document["access_token"])).status_code == 403


async def test_a_new_password_ends_the_sessions(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    document = await shared_issuer.sign_up(email, PASSWORD)
    await admin.admin.update_user_by_id(document["user"]["id"], {"password": "another horse"})
    assert (await shared_issuer.user(document["access_token"])).status_code == 403
    assert (await shared_issuer.sign_in(email, "another horse")).status_code == 200


async def test_a_new_address_needs_nobody(
    admin: AsyncGoTrueClient,
    shared_issuer: RunningIssuer,
    shared_database: PostgresDatabase,
    email: str,
) -> None:
    user_id = (await shared_issuer.sign_up(email, PASSWORD))["user"]["id"]
    await admin.admin.update_user_by_id(user_id, {"email": f"new-{email}"})
    assert (await shared_issuer.sign_in(f"new-{email}", PASSWORD)).status_code == 200
    profiles = await shared_database.select(
        "user_profiles", where=[Filter("id", "eq", user_id)], identity=SERVICE
    )
    assert [row["email"] for row in profiles] == [f"new-{email}"]


async def test_a_deleted_person_is_gone_with_their_tenant(
    admin: AsyncGoTrueClient,
    shared_issuer: RunningIssuer,
    shared_database: PostgresDatabase,
    email: str,
) -> None:
    document = await shared_issuer.sign_up(email, PASSWORD)
    user_id = document["user"]["id"]
    await admin.admin.delete_user(user_id)
    assert (await shared_issuer.user(document["access_token"])).status_code == 403
    assert (await shared_issuer.sign_in(email, PASSWORD)).json()["code"] == "invalid_credentials"
    tenants = await shared_database.select(
        "tenants", where=[Filter("owner_id", "eq", user_id)], identity=SERVICE
    )
    assert tenants == []
    with pytest.raises(AuthApiError) as refused:
        await admin.admin.get_user_by_id(user_id)
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")


async def test_nobody_is_deleted_half(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    document = await shared_issuer.sign_up(email, PASSWORD)
    with pytest.raises(AuthApiError) as refused:
        await admin.admin.delete_user(document["user"]["id"], should_soft_delete=True)
    assert refused.value.status == 422
    assert (await shared_issuer.user(document["access_token"])).status_code == 200


@pytest.mark.parametrize("kind", ["bcrypt", "argon2i"])
async def test_hashes_of_elsewhere_open_and_are_made_anew(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str, kind: str
) -> None:
    if kind == "bcrypt":
        password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    else:
        password_hash = PasswordHasher(1, 1024, 1, type=Type.I).hash(PASSWORD)
    await admin.admin.create_user(
        {"email": email, "password_hash": password_hash, "email_confirm": True}
    )
    assert (await shared_issuer.sign_in(email, "wrong horse")).status_code == 400
    assert (await shared_issuer.sign_in(email, PASSWORD)).status_code == 200
    async with shared_issuer.users.transaction() as transaction:
        account = await transaction.by_email(email)
    assert account is not None
    assert (account.password_hash or "").startswith("$argon2id$")
    assert (await shared_issuer.sign_in(email, PASSWORD)).status_code == 200


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink"])
async def test_a_link_makes_the_account(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str, kind: Any
) -> None:
    made = await admin.admin.generate_link({"type": kind, "email": email, "password": PASSWORD})
    assert made.properties.action_link.startswith(f"{SITE}/auth/v1/verify?token=")
    assert made.properties.verification_type == kind
    answer = await shared_issuer.client().verify_otp(
        {"type": kind, "token_hash": made.properties.hashed_token}
    )
    assert answer.user is not None
    assert answer.user.email == email


async def test_a_link_for_nobody_is_refused(admin: AsyncGoTrueClient, email: str) -> None:
    with pytest.raises(AuthApiError) as refused:
        await admin.admin.generate_link({"type": "recovery", "email": email})
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")


async def test_the_code_of_a_link_is_told_too(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    await shared_issuer.sign_up(email)
    made = await admin.admin.generate_link({"type": "recovery", "email": email})
    answer = await shared_issuer.client().verify_otp(
        {"type": "recovery", "email": email, "token": made.properties.email_otp}
    )
    assert answer.session is not None


async def test_a_lost_factor_is_taken_away(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    client = shared_issuer.client()
    document = await client.sign_up({"email": email, "password": PASSWORD})
    assert document.user is not None
    factor = await client.mfa.enroll({"factor_type": "totp", "friendly_name": "lost"})
    assert factor.totp is not None
    code = code_at(factor.totp.secret, int(shared_issuer.clock() // 30))
    await client.mfa.challenge_and_verify({"factor_id": factor.id, "code": code})
    path = f"/admin/users/{document.user.id}/factors"
    listed = (await shared_issuer.http.get(path, headers=bearer(ADMIN_KEY))).json()
    assert [found["id"] for found in listed] == [factor.id]
    await admin.admin.mfa.delete_factor({"user_id": document.user.id, "id": factor.id})
    raised = await client.get_session()
    assert raised is not None
    assert (await shared_issuer.user(raised.access_token)).status_code == 403
    signed_in = (await shared_issuer.sign_in(email, PASSWORD)).json()
    assert (await shared_issuer.sessions.verify(signed_in["access_token"])).email == email


ROUTES = [
    ("GET", "/admin/users"),
    ("POST", "/admin/users"),
    ("GET", f"/admin/users/{NOBODY}"),
    ("PUT", f"/admin/users/{NOBODY}"),
    ("DELETE", f"/admin/users/{NOBODY}"),
    ("GET", f"/admin/users/{NOBODY}/factors"),
    ("DELETE", f"/admin/users/{NOBODY}/factors/{NOBODY}"),
    ("POST", "/admin/generate_link"),
    ("POST", "/invite"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_the_admin_key_opens_these(
    shared_issuer: RunningIssuer, method: str, path: str
) -> None:
    persons = (await shared_issuer.sign_up(f"{uuid4().hex}@example.com"))["access_token"]
    tried: list[dict[str, str]] = [
        {},
        bearer(persons),
        bearer(ADMIN_KEY[:-1]),
        {"apikey": "sb_publishable_anything"},
        {"apikey": ADMIN_KEY, **bearer(persons)},
    ]
    answers = [await shared_issuer.http.request(method, path, headers=h) for h in tried]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [
        (401, "no_authorization"),
        *[(403, "not_admin")] * 4,
    ]


async def test_the_admin_key_may_stand_in_apikey_alone(shared_issuer: RunningIssuer) -> None:
    answer = await shared_issuer.http.get("/admin/users", headers={"apikey": ADMIN_KEY})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": None},
        {"email": "ａnn@example.com"},
        {"email": "ann@example.com", "id": "1"},
        {"email": "ann@example.com", "role": "service_role"},
        {"email": "ann@example.com", "email_confirm": "yes"},
        {"email": "ann@example.com", "app_metadata": "x"},
        {"email": "ann@example.com", "app_metadata": {"a": "x" * 5000}},
        {"email": "ann@example.com", "user_metadata": {"a": "\0"}},
        {"email": "ann@example.com", "ban_duration": "1 day"},
        {"email": "ann@example.com", "ban_duration": "-1h"},
        {"email": "ann@example.com", "ban_duration": "999999999h"},
        {"email": "ann@example.com", "password_hash": "plain"},
        {"email": "ann@example.com", "password_hash": "$2b$31$" + "a" * 53},
        {
            "email": "ann@example.com",
            "password_hash": "$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$" + "a" * 43,
        },
        {
            "email": "ann@example.com",
            "password": PASSWORD,
            "password_hash": "$2b$04$" + "a" * 53,
        },
    ],
    ids=lambda body: str(body)[:70],
)
async def test_unacceptable_person(shared_issuer: RunningIssuer, body: dict[str, Any]) -> None:
    answer = await shared_issuer.http.post("/admin/users", json=body, headers=bearer(ADMIN_KEY))
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


async def test_address_and_id_are_used_once(
    admin: AsyncGoTrueClient, shared_issuer: RunningIssuer, email: str
) -> None:
    user_id = (await shared_issuer.sign_up(email))["user"]["id"]
    bodies = [{"email": email}, {"email": f"x{email}", "id": user_id}]
    answers = [
        await shared_issuer.http.post("/admin/users", json=body, headers=bearer(ADMIN_KEY))
        for body in bodies
    ]
    assert [answer.json()["code"] for answer in answers] == ["email_exists", "user_already_exists"]


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "per_page=1001", "per_page=" + "9" * 5000, "page=²"]
)
async def test_unacceptable_page(shared_issuer: RunningIssuer, query: str) -> None:
    answer = await shared_issuer.http.get(f"/admin/users?{query}", headers=bearer(ADMIN_KEY))
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
