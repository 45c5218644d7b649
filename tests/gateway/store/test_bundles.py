"""What a sandbox is given: secrets opened for the code, or for the door alone."""

from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from gateway.store import api_secrets
from gateway.store.api_secrets import SealedSecret
from gateway.store.bundles import BundleStore, OpenSecret, SecretsUnreadableError
from gateway.store.database import SERVICE, Database
from sandbox.types import Placeholder
from tests.support.factories import CODE, MadeApi, make_api, make_user

KEY = b"k" * 32
HOSTS = ["api.example.com", "*.example.org"]


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    person = await make_user(dsn)
    return await make_api(
        database, person.tenant_id, egress={"hosts": HOSTS}, lock="numpy==1", layer="sha256-ab"
    )


async def put(
    database: Database,
    store: BundleStore,
    api: MadeApi,
    name: str,
    value: str,
    hosts: list[str] | None = None,
) -> None:
    placeholder = f"sgph_{uuid4().hex}" if hosts else None
    sealed = store.seal(api.id, name, value)
    secret = SealedSecret(name, sealed, len(value.encode()), hosts, placeholder)
    await api_secrets.put(database, UUID(api.id), secret, None)


async def test_without_secrets(database: Database, api: MadeApi) -> None:
    bundle = await BundleStore(database, KEY).bundle(api.version_id)
    assert bundle is not None
    assert (bundle.code, bundle.lock) == (CODE, "numpy==1")
    assert (dict(bundle.environment), bundle.egress.hosts) == ({}, tuple(HOSTS))


async def test_code_sees_the_value(database: Database, api: MadeApi) -> None:
    store = BundleStore(database, KEY)
    value = "grüße ' \" \\ \n $(x); drop table apis; --" + "x" * 2000
    await put(database, store, api, "TOKEN", value)
    bundle = await store.bundle(api.version_id)
    assert bundle is not None
    assert dict(bundle.environment) == {"TOKEN": value}
    assert dict(bundle.egress.placeholders) == {}


async def test_code_sees_a_placeholder_and_the_door_the_value(
    database: Database, api: MadeApi
) -> None:
    store = BundleStore(database, KEY)
    await put(database, store, api, "TOKEN", "first", ["api.example.com"])
    before = await store.bundle(api.version_id)
    await put(database, store, api, "TOKEN", "second", ["a.example.org"])
    after = await store.bundle(api.version_id)
    assert before is not None
    assert after is not None
    shown = after.environment["TOKEN"]
    assert shown == before.environment["TOKEN"]
    assert shown.startswith("sgph_")
    assert dict(after.egress.placeholders) == {shown: Placeholder("second", ("a.example.org",))}
    assert "second" not in str(after.environment) + repr(after) + repr(after.egress)


async def test_no_longer_a_placeholder(database: Database, api: MadeApi) -> None:
    store = BundleStore(database, KEY)
    await put(database, store, api, "TOKEN", "first", ["api.example.com"])
    await put(database, store, api, "TOKEN", "second")
    bundle = await store.bundle(api.version_id)
    assert bundle is not None
    assert dict(bundle.environment) == {"TOKEN": "second"}
    assert dict(bundle.egress.placeholders) == {}


async def test_what_shall_be_there_instead(database: Database, api: MadeApi) -> None:
    store = BundleStore(database, KEY)
    for name in ("KEPT", "CHANGED", "GONE"):
        await put(database, store, api, name, "stored")
    instead = {"CHANGED": OpenSecret("new"), "GONE": None, "ADDED": OpenSecret("added")}
    bundle = await store.bundle(api.version_id, instead)
    assert bundle is not None
    expected = {"KEPT": "stored", "CHANGED": "new", "ADDED": "added"}
    assert dict(bundle.environment) == expected
    assert "new" not in repr(instead)


async def test_code_that_is_not_stored_gets_the_same(database: Database, api: MadeApi) -> None:
    store = BundleStore(database, KEY)
    await put(database, store, api, "TOKEN", "value", ["api.example.com"])
    stored = await store.bundle(api.version_id)
    fresh = await store.bundle_for(api.id, "new code", "new lock")
    assert stored is not None
    assert fresh is not None
    assert (fresh.code, fresh.lock) == ("new code", "new lock")
    assert (fresh.environment, fresh.egress) == (stored.environment, stored.egress)
    assert await store.egress(api.id) == stored.egress


async def test_another_key_is_a_failure_and_never_ciphertext(
    database: Database, api: MadeApi
) -> None:
    await put(database, BundleStore(database, KEY), api, "TOKEN", "value")
    other = BundleStore(database, b"o" * 32)
    with capture_logs() as logs, pytest.raises(SecretsUnreadableError) as caught:
        await other.bundle(api.version_id)
    assert (caught.value.code, "TOKEN" in caught.value.detail) == ("secrets_unreadable", True)
    assert [(entry["event"], entry["name"]) for entry in logs] == [("secret_unreadable", "TOKEN")]
    repaired = await other.bundle(api.version_id, {"TOKEN": OpenSecret("again")})
    assert repaired is not None
    assert dict(repaired.environment) == {"TOKEN": "again"}


async def test_a_ciphertext_moved_to_another_name_or_api_does_not_open(
    database: Database, api: MadeApi
) -> None:
    store = BundleStore(database, KEY)
    stranger = await make_api(database, api.tenant_id)
    for place, name in ((api, "OTHER"), (stranger, "TOKEN")):
        secret = SealedSecret(name, store.seal(api.id, "TOKEN", "value"), 5, None, None)
        await api_secrets.put(database, UUID(place.id), secret, None)
        with pytest.raises(SecretsUnreadableError):
            await store.bundle(place.version_id)


async def test_unknown(database: Database) -> None:
    store = BundleStore(database, KEY)
    assert await store.bundle(str(uuid4())) is None
    assert await store.bundle_for(str(uuid4()), "", "") is None
    assert await store.egress(str(uuid4())) is None


async def test_at_rest_there_is_only_ciphertext(database: Database, api: MadeApi) -> None:
    await put(database, BundleStore(database, KEY), api, "TOKEN", "readable value")
    rows = await database.select("api_secrets", identity=SERVICE)
    stored = bytes.fromhex(rows[0]["value"].removeprefix("\\x"))
    assert b"readable" not in stored
    assert len(stored) > len("readable value")
