"""`sandgate rotate-secret key-hash`: keys go on under old hashes until they are used once more."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway import secrets
from gateway.cli.backup import Say
from gateway.cli.failures import CommandError
from gateway.key_hashes import HashSecrets
from gateway.store.database import Database
from gateway.store.keys import count_to_rehash

NAMES = ("key_hash_secret", "key_hash_id")
SPREAD_SECONDS = 4 * secrets.LOOK_SECONDS  # then every gateway knows both values
_END = "sandgate rotate-secret key-hash --forget"

Sleep = Callable[[float], Awaitable[None]]


async def rotate_key_hash(
    data_dir: Path, database: Database, say: Say, sleep: Sleep = asyncio.sleep
) -> None:
    """New keys get hashes under the new secret; says how many wait for their next call."""
    if secrets.bring(data_dir, *NAMES).coming:
        say("the new secret is made; every gateway learns of it")
        await sleep(SPREAD_SECONDS)
        secrets.exchange(data_dir, *NAMES, until=None)
        say("new keys are hashed under the new secret, older ones with their next call")
    else:
        say("the secret before this one is still there; another rotation begins when it is not")
    left = await _left(data_dir, database)
    say(f"{left} keys that can be used are still found under the old secret only")
    say(f"look again with the same command; forget the old secret with: {_END}")


async def forget_key_hash(data_dir: Path, database: Database, say: Say, *, force: bool) -> None:
    """The old secret goes, when no key needs it."""
    if not _hash_secrets(data_dir).is_before:
        raise CommandError("there is no old key-hash that is still good")
    left = await _left(data_dir, database)
    if left and not force:
        raise CommandError(
            f"{left} keys that can be used are still found under the old secret only, and would "
            "be unknown without it. Each is hashed anew with its next call; add --force to end "
            "those that were not used since"
        )
    secrets.forget(data_dir, *NAMES)
    say("the old key-hash is good no more")
    if left:
        say(f"{left} keys are unknown from now on")


async def _left(data_dir: Path, database: Database) -> int:
    return await count_to_rehash(database, _hash_secrets(data_dir).current.id)


def _hash_secrets(data_dir: Path) -> HashSecrets:
    return secrets.Keyring.of(data_dir, None, None).hash_secrets()
