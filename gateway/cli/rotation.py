"""`sandgate rotate-secret`: another value for a secret of ours, while everything goes on.

The file of secrets holds two values meanwhile, and every gateway looks at it before it uses
one. So wherever a rotation is cut off, both are good, and the same command goes on from there.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway import secrets
from gateway.auth.issuer.refresh import secret_from
from gateway.auth.issuer.tokens import ACCESS_SECONDS
from gateway.cli import first_run
from gateway.cli.admin import running_postgres, store
from gateway.cli.backup import Say
from gateway.cli.disks import explained
from gateway.cli.failures import CommandError
from gateway.cli.files import write_private
from gateway.cli.rotated import Rotated
from gateway.cli.rotation_key_hash import (
    NAMES,
    SPREAD_SECONDS,
    Sleep,
    forget_key_hash,
    rotate_key_hash,
)
from gateway.settings import Settings
from gateway.store.database import Database
from gateway.store.postgres import PostgresDatabase
from gateway.store.resealing import Resealed, reseal
from gateway.store.resealing_factors import reseal_factors

_SECONDS = 60.0
_OUTCOME = "what was good is good as before, and the same command goes on"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where there is something encrypted: secrets of APIs, and second factors of people."""

    database: Database
    auth_dsn: str


_ADMIN, _SEAL = "admin_api_key", "secrets_key"
_NAMES = {
    Rotated.ADMIN_KEY: (_ADMIN,),
    Rotated.SIGNING: ("jwt_private_key_pem", "jwt_kid"),
    Rotated.SECRETS_KEY: (_SEAL,),
    Rotated.KEY_HASH: NAMES,
}


async def rotate(settings: Settings, which: Rotated, overlap: float | None, say: Say) -> None:
    """From wherever an earlier attempt came to, to the end."""
    _require_own(settings, which)
    with explained(settings.data_dir, _OUTCOME):
        await _rotate(settings, which, overlap, say)


async def _rotate(settings: Settings, which: Rotated, overlap: float | None, say: Say) -> None:
    if which is Rotated.KEY_HASH:
        if overlap is not None:
            raise CommandError("the old secret goes with --forget, not with time; no --overlap")
        async with store(settings, seconds=_SECONDS) as database:
            await rotate_key_hash(settings.data_dir, database, say)
        return
    if which is not Rotated.SECRETS_KEY:
        is_admin = which is Rotated.ADMIN_KEY
        work, usual = (rotate_admin_key, 86400) if is_admin else (rotate_token_key, ACCESS_SECONDS)
        await work(settings.data_dir, usual if overlap is None else overlap, say)
        return
    async with (
        running_postgres(settings.data_dir) as server,
        await PostgresDatabase.connect(server.socket_dir, connections=1) as database,
    ):
        seconds = 600 if overlap is None else overlap
        sealed = Sealed(database, server.dsn("supabase_auth_admin"))
        await rotate_secrets_key(settings.data_dir, sealed, seconds, say)


async def rotate_admin_key(
    data_dir: Path, overlap: float, say: Say, sleep: Sleep = asyncio.sleep
) -> None:
    """The old one goes on for a while, the new one is good from now on."""
    try:
        until = await _replace(data_dir, Rotated.ADMIN_KEY, overlap, sleep)
    finally:  # also what an earlier attempt, cut off here, did not tell
        key = secrets.load_or_create_secrets(data_dir).admin_api_key.get_secret_value()
        _tell_first_run(data_dir, key)
    say(f"the new admin key is admin_api_key in {data_dir / secrets.FILE_NAME}")
    say(f"the old one is good until {_time(until)}")


async def rotate_token_key(
    data_dir: Path, overlap: float, say: Say, sleep: Sleep = asyncio.sleep
) -> None:
    """Sessions go on: what the old key signed is good for its time, refresh tokens as before."""
    signing = secrets.load_or_create_secrets(data_dir).jwt_private_key_pem
    secrets.keep_refresh_secret(data_dir, secret_from(signing))
    until = await _replace(data_dir, Rotated.SIGNING, overlap, sleep)
    say("sessions are signed with the new key; nobody has to sign in again")
    say(f"what the old one signed is good until {_time(until)}")


async def _replace(data_dir: Path, which: Rotated, overlap: float, sleep: Sleep) -> float:
    """Both values are good until the time it answers."""
    names = _NAMES[which]
    other = secrets.bring(data_dir, *names)
    if not other.coming and other.until is not None and other.until <= time.time():
        secrets.forget(data_dir, *names)
        other = secrets.bring(data_dir, *names)
    if not other.coming:
        raise CommandError(
            f"the key before this one is still good until {_time(other.until)}; end that first "
            f"with: sandgate rotate-secret {which} --forget"
        )
    await sleep(SPREAD_SECONDS)
    until = time.time() + overlap
    secrets.exchange(data_dir, *names, until=until)
    return until


async def rotate_secrets_key(
    data_dir: Path, sealed: Sealed, overlap: float, say: Say, sleep: Sleep = asyncio.sleep
) -> None:
    """Seals every secret anew, waits for changes under way, looks again, forgets the old key."""
    if secrets.bring(data_dir, _SEAL).coming:
        say("the new key is made; every gateway learns of it")
        await sleep(SPREAD_SECONDS)
        secrets.exchange(data_dir, _SEAL, until=None)
    else:
        say("going on with the rotation that was cut off")
    say("both keys are good; secrets are encrypted under the new one")
    await _pass(data_dir, sealed, say)
    if overlap:
        say(f"waiting {overlap:g} s for changes under way; when cut off, repeat the command")
        await sleep(overlap)
    found = await _pass(data_dir, sealed, say)
    secrets.forget(data_dir, _SEAL)
    say("the old key is forgotten; backups from before need the secrets that are in them")
    for name in found.unreadable:
        say(f"warning: no key opens {name}; it has to be set again")


async def end(settings: Settings, which: Rotated, say: Say, *, force: bool) -> None:
    """End the overlap now; `force` also where something still needs the old value."""
    if which is not Rotated.KEY_HASH:
        forget(settings, which, say)
        return
    _require_own(settings, which)
    with explained(settings.data_dir, _OUTCOME):
        async with store(settings, seconds=_SECONDS) as database:
            await forget_key_hash(settings.data_dir, database, say, force=force)


def forget(settings: Settings, which: Rotated, say: Say) -> None:
    """End the overlap of one that only time needs."""
    _require_own(settings, which)
    if which is Rotated.SECRETS_KEY:
        raise CommandError(
            "secrets may still be encrypted under the old key; finish with: "
            "sandgate rotate-secret secrets-key --overlap 0"
        )
    with explained(settings.data_dir, _OUTCOME):
        had_one = secrets.forget(settings.data_dir, *_NAMES[which])
    if not had_one:
        raise CommandError(f"there is no old {which} that is still good")
    say(f"the old {which} is good no more")


def _require_own(settings: Settings, which: Rotated) -> None:
    name, value = {
        Rotated.SIGNING: ("", None),
        Rotated.KEY_HASH: ("", None),
        Rotated.ADMIN_KEY: ("ADMIN_API_KEY", settings.admin_api_key),
        Rotated.SECRETS_KEY: ("SECRETS_KEY", settings.secrets_key),
    }[which]
    path = settings.data_dir / secrets.FILE_NAME
    if value is not None:
        raise CommandError(
            f"{name} comes from the environment. Write its value into {path} as {name.lower()}, "
            "take the variable away, restart Sandgate, and repeat the command"
        )
    if not path.exists():
        raise CommandError(f"there is no {path}; set SANDGATE_DATA_DIR")


async def _pass(data_dir: Path, sealed: Sealed, say: Say) -> Resealed:
    keys = secrets.Keyring.of(data_dir, None, None).secrets_keys()
    ours = await reseal(sealed.database, keys, lambda done: say(f"  {done} secrets encrypted anew"))
    factors = await reseal_factors(sealed.auth_dsn, keys)
    if factors.done:
        say(f"  {factors.done} second factors encrypted anew")
    if not ours.done + factors.done:
        say("  nothing is left under the old key")
    return Resealed(ours.done + factors.done, ours.unreadable + factors.unreadable)


def _tell_first_run(data_dir: Path, value: str) -> None:
    path = data_dir / first_run.FILE
    if path.exists():
        write_private(path, {**json.loads(path.read_text()), _ADMIN: value})


def _time(moment: float | None) -> str:
    if moment is None:
        return "it is forgotten"
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")
