"""Verifying keys against a real database, with changes announced by the database itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest

from gateway.auth.keys import generate_key, hash_key
from gateway.auth.verified import (
    KeyReplacedError,
    KeyRevokedError,
    KeyUnknownError,
    TenantSuspendedError,
)
from gateway.auth.verify import KeyVerifier
from gateway.errors import SandgateError
from gateway.key_hashes import HashSecret, HashSecrets
from gateway.store.changes import Changes
from gateway.store.database import SERVICE
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.keys import gateway_key
from gateway.store.postgres import PostgresDatabase
from tests.support.factories import MadeApi, make_api, make_key, make_user
from tests.support.waiting import until

SECRET = b"s" * 32
SECRETS = partial(HashSecrets, HashSecret(SECRET))


@pytest.fixture
async def changes(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Changes]:
    async with Changes(postgres.socket_dir, database=database_name) as listening:
        yield listening


@pytest.fixture
async def api(database: PostgresDatabase, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def verifier(database: PostgresDatabase, changes: Changes) -> KeyVerifier:
    return KeyVerifier(lambda hashes: gateway_key(database, hashes.good), SECRETS, changes)


class Heard:
    """How many changes the database has announced."""

    def __init__(self, changes: Changes) -> None:
        self.count = 0
        changes.subscribe(self.hear)

    def hear(self, kind: str, identifier: str) -> None:
        self.count += 1


async def test_a_stored_key_is_answered_with_its_apis_and_limits(
    database: PostgresDatabase, verifier: KeyVerifier, api: MadeApi
) -> None:
    text = generate_key()
    expires_at = datetime.now(UTC) + timedelta(minutes=1)
    made = await make_key(
        database,
        api.tenant_id,
        [api.id],
        key_hash=hash_key(text, SECRET),
        limits={"minute": 3, "day": None},
        expires_at=expires_at.isoformat(),
    )
    key = await verifier.verify(text)
    assert (key.key_id, key.tenant_id, key.tenant_status) == (made.id, api.tenant_id, "active")
    assert key.api_ids == {api.id}
    assert key.limits == {"minute": 3, "day": None}
    assert (key.plan, key.plan_limits, key.tenant_limits) == ("free", {"hour": 100}, {})
    assert key.expires_at == pytest.approx(expires_at.timestamp(), abs=1e-3)


async def test_a_key_nobody_has_is_unknown(verifier: KeyVerifier) -> None:
    with pytest.raises(KeyUnknownError):
        await verifier.verify(generate_key())


async def test_a_revocation_made_elsewhere_arrives_by_itself(
    database: PostgresDatabase, verifier: KeyVerifier, changes: Changes, api: MadeApi
) -> None:
    text = generate_key()
    made = await make_key(database, api.tenant_id, [api.id], key_hash=hash_key(text, SECRET))
    await verifier.verify(text)
    heard = Heard(changes)
    await database.rpc("revoke_key", {"p_key_id": made.id}, identity=SERVICE)
    await until(lambda: heard.count > 0, seconds=5)  # the bound that is promised
    with pytest.raises(KeyRevokedError):
        await verifier.verify(text)


async def test_a_suspension_of_the_tenant_arrives(
    database: PostgresDatabase, verifier: KeyVerifier, changes: Changes, api: MadeApi
) -> None:
    text = generate_key()
    await make_key(database, api.tenant_id, [api.id], key_hash=hash_key(text, SECRET))
    await verifier.verify(text)
    heard = Heard(changes)
    arguments = {"p_tenant_id": api.tenant_id, "p": {"status": "suspended"}}
    await database.rpc("update_tenant", arguments, identity=SERVICE)
    await until(lambda: heard.count > 0, seconds=5)
    with pytest.raises(TenantSuspendedError):
        await verifier.verify(text)


async def test_a_verified_key_goes_on_and_others_are_503_once_the_database_is_closed(
    database: PostgresDatabase, verifier: KeyVerifier, changes: Changes, api: MadeApi
) -> None:
    text = generate_key()
    made = await make_key(database, api.tenant_id, [api.id], key_hash=hash_key(text, SECRET))
    await verifier.verify(text)
    await database.close()
    changes.publish("all", "")
    assert (await verifier.verify(text)).key_id == made.id
    with pytest.raises(SandgateError) as refused:
        await verifier.verify(generate_key())
    assert refused.value.status == 503


async def test_a_rotation_ends_the_old_key_and_gives_its_successor_no_fresh_quota(
    database: PostgresDatabase, verifier: KeyVerifier, changes: Changes, api: MadeApi
) -> None:
    old, new = generate_key(), generate_key()
    made = await make_key(database, api.tenant_id, [api.id], key_hash=hash_key(old, SECRET))
    await verifier.verify(old)
    heard = Heard(changes)
    rotation = {
        "key_id": made.id,
        "id": str(uuid4()),
        "key_hash": hash_key(new, SECRET),
        "display": "sg…",
        "overlap_seconds": 0,
    }
    await database.rpc("rotate_key", {"p": rotation}, identity=SERVICE)
    await until(lambda: heard.count > 0, seconds=5)
    assert (await verifier.verify(new)).root_id == made.id
    with pytest.raises(KeyReplacedError):
        await verifier.verify(old)
