"""Another secret for the hashes of keys: every key goes on, and is found under the new one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway import secrets
from gateway.auth.keys import generate_key
from gateway.auth.rehash import Rehash
from gateway.auth.verified import KeyRevokedError, KeyUnknownError
from gateway.auth.verify import KeyVerifier
from gateway.cli.failures import CommandError
from gateway.cli.rotation_key_hash import forget_key_hash, rotate_key_hash
from gateway.operations.leaks import Leak, report_leaks
from gateway.secrets import Keyring
from gateway.store import keys
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.datapath import NewsDesk
from tests.support.factories import MadeApi, MadeKey, make_api, make_key, make_user
from tests.support.one_database import one_database


async def at_once(_: float) -> None:
    """Nobody has to be waited for."""


def ring(data_dir: Path) -> Keyring:
    """One that looks at the file before every use."""
    times = iter(range(10**9))
    return Keyring(
        lambda: secrets.load_or_create_secrets(data_dir),
        data_dir / secrets.FILE_NAME,
        clock=lambda: float(next(times)),
    )


class Gateway:
    """What a gateway knows of keys; a fresh one has nothing in memory."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.rehash = Rehash(partial(keys.gateway_key, database), partial(keys.rehash, database))
        self.verifier = KeyVerifier(self.rehash.load, keyring.hash_secrets, NewsDesk())

    async def call(self, text: str) -> str:
        """The id of the key; then what is noted is written."""
        found = await self.verifier.verify(text)
        await self.rehash.write()
        return found.key_id


class Scene:
    """A key that was made before anything was rotated."""

    def __init__(self, database: Database, data_dir: Path, api: MadeApi) -> None:
        self.database, self.data_dir, self.api = database, data_dir, api
        self.keyring = ring(data_dir)
        self.said: list[str] = []

    def gateway(self) -> Gateway:
        return Gateway(self.database, self.keyring)

    async def new_key(self) -> tuple[str, MadeKey]:
        text = generate_key()
        key_hash = self.keyring.hash_secrets().current.hash(text)
        made = await make_key(self.database, self.api.tenant_id, [self.api.id], key_hash=key_hash)
        return text, made

    async def rotate(self) -> None:
        await rotate_key_hash(self.data_dir, self.database, self.said.append, at_once)

    async def forget(self, *, force: bool = False) -> None:
        await forget_key_hash(self.data_dir, self.database, self.said.append, force=force)


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def scene(
    database: PostgresDatabase, dsn: str, tmp_path: Path, owner: asyncpg.Connection
) -> Scene:
    await owner.execute("delete from public.consumer_api_keys")
    api = await make_api(database, (await make_user(dsn)).tenant_id)
    await owner.execute("delete from public.consumer_api_keys where id = $1::uuid", api.key.id)
    return Scene(database, tmp_path, api)


async def stored(owner: asyncpg.Connection, made: MadeKey) -> dict[str, Any]:
    row = await owner.fetchrow(
        "select * from public.consumer_api_keys where id = $1::uuid", made.id
    )
    assert row is not None
    return dict(row)


async def test_an_old_key_goes_on_and_its_next_call_gives_it_a_new_hash(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    text, made = await scene.new_key()
    await scene.rotate()
    assert await scene.gateway().call(text) == made.id
    secret = scene.keyring.hash_secrets().current
    assert (await stored(owner, made))["key_hash"] == secret.hash(text) != made.key_hash
    await scene.forget()
    assert await scene.gateway().call(text) == made.id
    assert scene.keyring.hash_secrets().other is None


async def test_a_key_made_after_it_needs_the_new_secret_only(scene: Scene) -> None:
    await scene.rotate()
    text, made = await scene.new_key()
    assert scene.said[-2].startswith("0 keys")
    await scene.forget()
    assert await scene.gateway().call(text) == made.id


async def test_the_old_secret_is_not_forgotten_while_a_key_needs_it(scene: Scene) -> None:
    text, _ = await scene.new_key()
    await scene.rotate()
    with pytest.raises(CommandError, match=r"1 keys .* --force"):
        await scene.forget()
    assert await scene.gateway().call(text)
    await scene.forget()


async def test_by_force_what_still_needs_it_is_unknown(scene: Scene) -> None:
    text, _ = await scene.new_key()
    await scene.rotate()
    await scene.forget(force=True)
    with pytest.raises(KeyUnknownError):
        await scene.gateway().call(text)


async def test_keys_that_nobody_can_use_hold_nothing_up(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    for column in ("revoked_at", "expires_at", "ends_at"):
        _, made = await scene.new_key()
        await owner.execute(
            f"update public.consumer_api_keys set {column} = now() where id = $1::uuid", made.id
        )
    await scene.rotate()
    await scene.forget()


async def test_repeated_it_only_tells_how_far_it_is(scene: Scene) -> None:
    await scene.new_key()
    await scene.rotate()
    before = scene.keyring.hash_secrets()
    await scene.rotate()
    assert scene.keyring.hash_secrets() == before
    assert scene.said[-2].startswith("1 keys")


async def test_a_second_rotation_begins_when_the_first_one_ended(scene: Scene) -> None:
    text, made = await scene.new_key()
    for _ in range(3):
        await scene.rotate()
        assert await scene.gateway().call(text) == made.id
        await scene.forget()
    assert await scene.gateway().call(text) == made.id


async def test_a_gateway_that_has_not_heard_of_it_takes_nothing_back(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    secrets.bring(scene.data_dir, "key_hash_secret", "key_hash_id")
    behind = Gateway(scene.database, scene.keyring)
    view = scene.keyring.hash_secrets()
    behind.verifier = KeyVerifier(behind.rehash.load, lambda: view, NewsDesk())
    await scene.rotate()
    text, made = await scene.new_key()
    assert await behind.call(text) == made.id
    assert (await stored(owner, made))["key_hash"] == made.key_hash


async def test_a_revoked_key_is_refused_under_either_hash(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    (old, made), (used, other) = await scene.new_key(), await scene.new_key()
    await scene.rotate()
    assert await scene.gateway().call(used) == other.id
    await owner.execute("update public.consumer_api_keys set revoked_at = now()")
    for text in (old, used):
        with pytest.raises(KeyRevokedError):
            await scene.gateway().call(text)
    assert (await stored(owner, made))["key_hash"] == made.key_hash


async def test_what_was_noted_before_a_revocation_changes_nothing(
    scene: Scene, owner: asyncpg.Connection
) -> None:
    text, made = await scene.new_key()
    await scene.rotate()
    gateway = scene.gateway()
    await gateway.verifier.verify(text)
    await owner.execute("update public.consumer_api_keys set revoked_at = now()")
    await gateway.rehash.write()
    row = await stored(owner, made)
    assert row["key_hash"] == made.key_hash
    assert row["revoked_at"] is not None


async def test_a_new_hash_is_no_news_for_caches(scene: Scene, owner: asyncpg.Connection) -> None:
    text, made = await scene.new_key()
    await scene.rotate()
    heard: list[tuple[Any, ...]] = []
    await owner.add_listener("sandgate_changes", lambda *told: heard.append(told))
    assert await scene.gateway().call(text) == made.id
    await owner.execute("select 1")
    assert heard == []
    await owner.execute(
        "update public.consumer_api_keys set key_hash = 'by hand' where id = $1::uuid", made.id
    )
    assert heard


async def test_a_leaked_key_is_revoked_under_either_hash(
    scene: Scene, dsn: str, owner: asyncpg.Connection
) -> None:
    (old, _), (used, _) = await scene.new_key(), await scene.new_key()
    await scene.rotate()
    await scene.gateway().call(used)
    services = World(scene.database, dsn).services
    services = replace(services, hash_secrets=scene.keyring.hash_secrets)
    await report_leaks(services, [Leak(old), Leak(used)], None)
    for text in (old, used):
        with pytest.raises(KeyRevokedError):
            await scene.gateway().call(text)
