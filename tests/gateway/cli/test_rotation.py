"""Secrets of ours get other values while what they protect goes on."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import jwt
import pytest
from pydantic import SecretStr

from gateway import secrets
from gateway.auth.issuer.errors import BadTokenError
from gateway.auth.issuer.refresh import secret_from
from gateway.auth.issuer.tokens import AccessTokens, TokenContents
from gateway.cli.failures import CommandError
from gateway.cli.rotated import Rotated
from gateway.cli.rotation import (
    Sealed,
    forget,
    rotate,
    rotate_admin_key,
    rotate_secrets_key,
    rotate_token_key,
)
from gateway.cli.rotation_key_hash import SPREAD_SECONDS
from gateway.secrets import Keyring
from gateway.settings import Settings
from gateway.store.bundles import BundleStore
from gateway.store.database import SERVICE, Database
from gateway.store.sealing import Seal
from tests.support.factories import MadeApi, make_api, make_secret, make_user


class CutOffError(Exception):
    """Stands for kill -9."""


def quiet(_: str) -> None:
    """Progress that nobody reads."""


async def at_once(_: float) -> None:
    """Nobody has to be waited for."""


def ring(data_dir: Path) -> Keyring:
    """One that looks at the file before every use, as one does that was not asked for long."""
    time_of = iter(range(10**9))
    return Keyring(
        lambda: secrets.load_or_create_secrets(data_dir),
        data_dir / secrets.FILE_NAME,
        clock=lambda: float(next(time_of)),
    )


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def sealed(database: Database, dsn: str) -> Sealed:
    return Sealed(database, dsn.replace("//postgres@", "//supabase_auth_admin@"))


async def store(database: Database, keyring: Keyring, api: MadeApi, names: list[str]) -> None:
    bundles = BundleStore(database, keyring.secrets_keys)
    for name in names:
        sealed = bundles.seal(api.id, name, f"value of {name}")
        await make_secret(database, api.id, name, value=sealed)


async def opened(database: Database, keyring: Keyring, api: MadeApi) -> dict[str, str]:
    bundle = await BundleStore(database, keyring.secrets_keys).bundle(api.version_id)
    assert bundle is not None
    return dict(bundle.environment)


async def heads(owner: asyncpg.Connection) -> set[bytes]:
    rows = await owner.fetch(
        "select distinct substring(value from 1 for 5) as head from api_secrets"
    )
    return {row["head"] for row in rows}


NAMES = [f"TOKEN_{number}" for number in range(12)]
VALUES = {name: f"value of {name}" for name in NAMES}


async def test_every_secret_is_encrypted_anew_and_stays_readable(
    database: Database, sealed: Sealed, api: MadeApi, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    keyring = ring(tmp_path)
    await store(database, keyring, api, NAMES)
    old = keyring.current.secrets_key
    readable: list[dict[str, str]] = []

    async def look(_: float) -> None:
        readable.append(await opened(database, keyring, api))

    await rotate_secrets_key(tmp_path, sealed, 60, quiet, look)
    assert readable == [VALUES, VALUES]
    assert await opened(database, keyring, api) == VALUES
    assert keyring.secrets_keys()[0] != old
    assert len(keyring.secrets_keys()) == 1
    assert await heads(owner) == {Seal(keyring.current.secrets_key).head}


@pytest.mark.parametrize("moment", range(4))
async def test_cut_off_anywhere_it_goes_on(
    database: Database,
    sealed: Sealed,
    api: MadeApi,
    owner: asyncpg.Connection,
    tmp_path: Path,
    moment: int,
) -> None:
    keyring = ring(tmp_path)
    await store(database, keyring, api, NAMES)
    left = moment

    def say(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CutOffError

    with pytest.raises(CutOffError):
        await rotate_secrets_key(tmp_path, sealed, 60, say, at_once)
    assert await opened(database, keyring, api) == VALUES
    coming = keyring.secrets_keys()
    await rotate_secrets_key(tmp_path, sealed, 60, quiet, at_once)
    assert await opened(database, keyring, api) == VALUES
    assert keyring.secrets_keys()[0] in coming
    assert await heads(owner) == {Seal(keyring.secrets_keys()[0]).head}


async def test_what_is_stored_late_under_the_old_key_is_found(
    database: Database, sealed: Sealed, api: MadeApi, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    keyring = ring(tmp_path)
    late = Seal(keyring.current.secrets_key).close(api.id, "LATE", "late")
    waits: list[float] = []

    async def set_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        if seconds == 60:
            await make_secret(database, api.id, "LATE", value=late)

    await rotate_secrets_key(tmp_path, sealed, 60, quiet, set_meanwhile)
    assert waits == [SPREAD_SECONDS, 60]
    assert await opened(database, keyring, api) == {"LATE": "late"}
    assert await heads(owner) == {Seal(keyring.current.secrets_key).head}


async def test_one_that_is_set_meanwhile_is_not_overwritten(
    database: Database, api: MadeApi, tmp_path: Path
) -> None:
    await make_secret(database, api.id, "TOKEN", value=b"fresh")
    arguments = {"p_api_id": api.id, "p_name": "TOKEN", "p_old": "c3RhbGU=", "p_new": "b2xk"}
    assert await database.rpc("reseal_secret", arguments, identity=SERVICE) is False


async def test_one_that_no_key_opens_is_told_and_holds_nothing_up(
    database: Database, sealed: Sealed, api: MadeApi, tmp_path: Path
) -> None:
    keyring = ring(tmp_path)
    await make_secret(database, api.id, "BROKEN", value=b"nonsense")
    await store(database, keyring, api, ["GOOD"])
    said: list[str] = []
    await rotate_secrets_key(tmp_path, sealed, 0, said.append, at_once)
    assert said[-1] == f"warning: no key opens the secret {api.id}/BROKEN; it has to be set again"
    assert len(keyring.secrets_keys()) == 1


async def test_sealing_anew_is_no_change_of_the_api(
    database: Database, sealed: Sealed, api: MadeApi, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    keyring = ring(tmp_path)
    await store(database, keyring, api, ["TOKEN"])
    asked = (
        "select a.generation, s.updated_at from apis a join api_secrets s on s.api_id = a.id"
        " where a.id = $1"
    )
    before = await owner.fetchrow(asked, UUID(api.id))
    heard: list[Any] = []
    await owner.add_listener("sandgate_changes", lambda *news: heard.append(news[-1]))
    await rotate_secrets_key(tmp_path, sealed, 0, quiet, at_once)
    assert await owner.fetchrow(asked, UUID(api.id)) == before
    assert heard == []


async def test_both_admin_keys_are_good_for_a_while(tmp_path: Path) -> None:
    keyring = ring(tmp_path)
    (old,) = keyring.admin_keys()
    (tmp_path / "first-run.json").write_text('{"admin_api_key": "old", "base_url": "u"}')
    await rotate_admin_key(tmp_path, 60, quiet, at_once)
    new, before = keyring.admin_keys()
    assert (before, new != old) == (old, True)
    told = json.loads((tmp_path / "first-run.json").read_text())
    assert told == {"admin_api_key": new, "base_url": "u"}
    with pytest.raises(CommandError, match="--forget"):
        await rotate_admin_key(tmp_path, 60, quiet, at_once)
    forget(Settings(sandgate_data_dir=tmp_path), Rotated.ADMIN_KEY, quiet)
    assert keyring.admin_keys() == (new,)


async def test_an_admin_key_whose_time_is_over_opens_nothing(tmp_path: Path) -> None:
    keyring = ring(tmp_path)
    await rotate_admin_key(tmp_path, -1, quiet, at_once)
    assert len(keyring.admin_keys()) == 1
    first = keyring.admin_keys()
    await rotate_admin_key(tmp_path, 60, quiet, at_once)
    assert keyring.admin_keys()[1:] == first


@pytest.mark.parametrize("which", [Rotated.ADMIN_KEY, Rotated.SECRETS_KEY])
async def test_one_from_the_environment_is_refused_with_what_to_do(
    tmp_path: Path, which: Rotated
) -> None:
    secrets.load_or_create_secrets(tmp_path)
    settings = Settings(
        sandgate_data_dir=tmp_path,
        admin_api_key=SecretStr("x" * 20),
        secrets_key=SecretStr("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="),
    )
    with pytest.raises(CommandError, match="take the variable away"):
        await rotate(settings, which, None, quiet)


async def test_without_secrets_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="SANDGATE_DATA_DIR"):
        await rotate(Settings(sandgate_data_dir=tmp_path), Rotated.ADMIN_KEY, None, quiet)
    assert list(tmp_path.iterdir()) == []


async def test_second_factors_are_encrypted_anew_as_well(
    sealed: Sealed, dsn: str, tmp_path: Path
) -> None:
    keyring = ring(tmp_path)
    old = Seal(keyring.current.secrets_key)
    user = (await make_user(dsn)).id
    texts = [old.close(user, "totp", "JBSWY3DP").hex(), "nonsense"]
    auth = await asyncpg.connect(sealed.auth_dsn)
    try:
        for text in texts:
            await auth.execute(
                "insert into auth.mfa_factors values"
                " (gen_random_uuid(), $1, $2, 'totp', 'verified', now(), now(), $2)",
                UUID(user),
                text,
            )
        said: list[str] = []
        await rotate_secrets_key(tmp_path, sealed, 0, said.append, at_once)
        rows = await auth.fetch("select secret from auth.mfa_factors where secret <> 'nonsense'")
    finally:
        await auth.close()
    new = Seal(keyring.current.secrets_key)
    assert [new.open(user, "totp", bytes.fromhex(row["secret"])) for row in rows] == ["JBSWY3DP"]
    assert "no key opens second factor" in said[-1]


async def test_sessions_outlive_the_key_that_signed_them(tmp_path: Path) -> None:
    keyring = ring(tmp_path)
    before = keyring.current
    tokens = AccessTokens(
        private_key_pem=before.jwt_private_key_pem,
        kid=before.jwt_kid,
        issuer="us",
        keys=keyring.token_keys,
    )
    now = int(time.time())
    contents = TokenContents(uuid4(), uuid4(), "ann@example.com", now, {}, {})
    old = tokens.issue(contents, now)
    meanwhile: list[str] = []

    async def ask(_: float) -> None:
        meanwhile.append(tokens.issue(contents, now))
        assert len(tokens.jwks()["keys"]) == 2  # known before it signs

    await rotate_token_key(tmp_path, 3600, quiet, ask)
    new = tokens.issue(contents, now)
    assert jwt.get_unverified_header(new)["kid"] != before.jwt_kid
    for token in (old, *meanwhile, new):
        assert tokens.verify(token, now).user_id == contents.user_id
    forget(Settings(sandgate_data_dir=tmp_path), Rotated.SIGNING, quiet)
    assert tokens.verify(new, now).user_id == contents.user_id
    with pytest.raises(BadTokenError):
        tokens.verify(old, now)


async def test_refresh_tokens_go_on_through_every_key(tmp_path: Path) -> None:
    first = secret_from(secrets.load_or_create_secrets(tmp_path).jwt_private_key_pem)
    for _ in range(2):
        await rotate_token_key(tmp_path, -1, quiet, at_once)
        assert secrets.load_or_create_secrets(tmp_path).refresh_secret == first
