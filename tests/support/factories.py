"""People, tenants, APIs and keys in a test's database, each made with one call."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from gateway.store.database import SERVICE, Database, Identity
from tests.support.postgrest import token

CODE = "from fastapi import FastAPI\n\napp = FastAPI()\n"


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the personal tenant that signing up made."""

    id: str
    email: str
    tenant_id: str

    @property
    def identity(self) -> Identity:
        """How statements run when this person asks."""
        return user_identity(self.id, self.email)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A stored key; `key_hash` is what it is found by."""

    id: str
    key_hash: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class MadeApi:
    """An active API with one version, and a key that opens it."""

    id: str
    slug: str
    tenant_id: str
    version_id: str
    key: MadeKey


def user_identity(user_id: str, email: str = "") -> Identity:
    """`authenticated` with the claims of an access token, and with the token itself."""
    claims = {"sub": user_id, "role": "authenticated", "email": email}
    return Identity("authenticated", json.dumps(claims), token(claims))


async def make_user(dsn: str, email: str | None = None, *, is_admin: bool = False) -> Person:
    """A person as the issuer stores one; `dsn` is the owner's address (see the fixture)."""
    user_id, email = uuid4(), email or f"{uuid4().hex[:10]}@example.com"
    connection = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
    try:
        await connection.execute(
            "insert into auth.users (id, aud, role, email, created_at, updated_at)"
            " values ($1, 'authenticated', 'authenticated', $2, now(), now())",
            user_id,
            email,
        )
    finally:
        await connection.close()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "update public.user_profiles set is_admin = $2 where id = $1", user_id, is_admin
        )
        tenant_id = await connection.fetchval(
            "select id from public.tenants where owner_id = $1 and kind = 'personal'", user_id
        )
    finally:
        await connection.close()
    return Person(str(user_id), email, str(tenant_id))


async def make_tenant(
    database: Database,
    owner: Person,
    *,
    name: str = "team",
    plan: str = "free",
    limits: dict[str, int | None] | None = None,
) -> str:
    """A team tenant with its owner as member; answers its id."""
    tenant_id = str(uuid4())
    row = {"id": tenant_id, "name": name, "owner_id": owner.id, "kind": "team", "plan": plan}
    await database.insert("tenants", [{**row, "limits": limits or {}}], identity=SERVICE)
    await add_member(database, tenant_id, owner.id, "owner")
    return tenant_id


async def add_member(database: Database, tenant_id: str, user_id: str, role: str) -> None:
    """Make a person a member of a tenant."""
    row = {"tenant_id": tenant_id, "user_id": user_id, "role": role}
    await database.insert("tenant_members", [row], identity=SERVICE)


async def make_api(
    database: Database,
    tenant_id: str,
    *,
    created_by: str | None = None,
    name: str | None = None,
    code: str = CODE,
    **more: Any,
) -> MadeApi:
    """An active API; `more` overrides any argument of `create_api`."""
    api_id, version_id, key_id = str(uuid4()), str(uuid4()), str(uuid4())
    name = name or f"api {api_id[:8]}"
    key_hash = hashlib.sha256(key_id.encode()).hexdigest()
    arguments = {
        "id": api_id,
        "tenant_id": tenant_id,
        "created_by": created_by,
        "name": name,
        "slug": f"api-{api_id[:8]}",
        "description": "",
        "code": code,
        "digest": hashlib.sha256(code.encode()).hexdigest(),
        "version_id": version_id,
        "key_id": key_id,
        "key_hash": key_hash,
        "key_display": "sg_live_ab…wxyz",
        "resources": {},
        "limits": {},
        **more,
    }
    made = await database.rpc("create_api", {"p": arguments}, identity=SERVICE)
    key = MadeKey(arguments["key_id"], arguments["key_hash"], tenant_id)
    return MadeApi(made["id"], made["slug"], tenant_id, arguments["version_id"], key)


async def make_key(
    database: Database,
    tenant_id: str,
    api_ids: list[str],
    *,
    key_hash: str | None = None,
    limits: dict[str, int | None] | None = None,
    expires_at: str | None = None,
) -> MadeKey:
    """A key of a tenant for these APIs."""
    key_id = str(uuid4())
    key_hash = key_hash or hashlib.sha256(key_id.encode()).hexdigest()
    arguments = {
        "id": key_id,
        "tenant_id": tenant_id,
        "created_by": None,
        "name": "a key",
        "key_hash": key_hash,
        "display": "sg_live_ab…wxyz",
        "api_ids": api_ids,
        "limits": limits or {},
        "expires_at": expires_at,
    }
    await database.rpc("create_key", {"p": arguments}, identity=SERVICE)
    return MadeKey(key_id, key_hash, tenant_id)


async def add_version(
    database: Database, api: MadeApi, *, code: str = CODE, deploy: bool = True
) -> dict[str, Any]:
    """One more version; answers what `add_version` answers."""
    arguments = {
        "api_id": api.id,
        "version_id": str(uuid4()),
        "code": code,
        "digest": hashlib.sha256(code.encode()).hexdigest(),
        "created_by": None,
        "deploy": deploy,
    }
    answer: dict[str, Any] = await database.rpc("add_version", {"p": arguments}, identity=SERVICE)
    return answer


async def make_secret(
    database: Database,
    api_id: str,
    name: str,
    *,
    value: bytes = b"ciphertext",
    size: int = 8,
    hosts: list[str] | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """A stored secret, whose ciphertext need not be one; answers what `set_secret` answers."""
    placeholder = f"sgph_{uuid4().hex}" if hosts else None
    secret = {
        "name": name,
        "value": base64.b64encode(value).decode(),
        "bytes": size,
        "hosts": hosts,
        "placeholder": placeholder,
    }
    arguments = {"p_api_id": api_id, "p": secret, "p_actor": actor}
    answer: dict[str, Any] = await database.rpc("set_secret", arguments, identity=SERVICE)
    return answer


async def make_feedback(database: Database, user_id: str, **more: Any) -> str:
    """Something that a person wrote; answers its id."""
    values = {"id": str(uuid4()), "type": "idea", "title": "an idea", "text": "a text", **more}
    arguments = {"p_user_id": user_id, "p": values, "p_quantity": 1000, "p_seconds": 3600}
    await database.rpc("create_feedback", arguments, identity=SERVICE)
    return str(values["id"])


async def make_invitation(
    database: Database, tenant_id: str, email: str, by: Person, *, role: str = "developer"
) -> str:
    """An open invitation; answers its id. Its token's hash is made of the id."""
    invitation_id = str(uuid4())
    values = {"id": invitation_id, "tenant_id": tenant_id, "email": email, "role": role}
    values |= {"token_hash": hashlib.sha256(invitation_id.encode()).hexdigest()}
    more = {"days": 7, "most": 100, "actor": by.id}
    await database.rpc("invite_member", {"p": {**values, **more}}, identity=SERVICE)
    return invitation_id


async def make_upload(
    database: Database,
    tenant_id: str,
    purpose: str,
    target: str,
    created_by: str | None,
    *,
    digest: str = "0" * 64,
    size: int = 10,
    quota: int = 10**9,
) -> str:
    """A file whose bytes nobody looks at; answers its id."""
    columns = {"profile_icon": "profile_id", "api_icon": "api_id", "attachment": "feedback_id"}
    upload = {
        "id": str(uuid4()),
        "tenant_id": tenant_id,
        "created_by": created_by,
        "purpose": purpose,
        columns[purpose]: target,
        "digest": digest,
        "media_type": "image/png",
        "name": "file.png",
        "bytes": size,
        "width": 1,
        "height": 1,
    }
    arguments = {"p": upload, "p_tenant_bytes": quota, "p_attachments": 5}
    await database.rpc("hold_blob", {**arguments, "p_seconds": 600}, identity=SERVICE)
    await database.rpc("add_upload", arguments, identity=SERVICE)
    return str(upload["id"])


def usage_call(api: MadeApi, at: float, /, **changed: Any) -> dict[str, Any]:
    """One call as `record_usage` takes it."""
    call = {
        "request_id": uuid4().hex,
        "at": at,
        "api_id": str(UUID(api.id)),
        "tenant_id": api.tenant_id,
        "caller_tenant_id": api.key.tenant_id,
        "key_id": api.key.id,
        "version": 1,
        "method": "GET",
        "path": "/",
        "status_code": 200,
        "error_code": None,
        "response_time_us": 1500,
        "request_size_bytes": 10,
        "response_size_bytes": 20,
        "limits": [[f"tenant:{api.key.tenant_id}", "hour"]],
    }
    return {**call, **changed}


async def add_usage_day(dsn: str, api: MadeApi) -> None:
    """One call of long ago, of which a sum is left."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "insert into public.usage_days values"
            " ($1, '2026-01-01', $2, 1, $3, $4, 1, 0, 0, 10, 20, 0, jsonb_build_object(150, 1))",
            UUID(api.id),
            UUID(api.key.id),
            UUID(api.tenant_id),
            UUID(api.key.tenant_id),
        )
    finally:
        await connection.close()
