"""Seals the secrets of second factors under another key, as `resealing` does those of APIs."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gateway.store.driver import translated
from gateway.store.resealing import Resealed
from gateway.store.sealing import Seal, Seals, UnsealError

_PLACE = "totp"  # what such a secret is bound to, beside its person
_SOME = """
select id, user_id, secret
  from auth.mfa_factors
 where id > $1 and secret is not null and left(secret, length($2)) <> $2
 order by id
 limit 100
"""
_REPLACE = "update auth.mfa_factors set secret = $3 where id = $1 and secret = $2"


async def reseal_factors(dsn: str, keys: Sequence[bytes]) -> Resealed:
    """One pass over all of them; `dsn` is the address for the owner of the auth tables."""
    with translated():
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return await _reseal(connection, keys)
        finally:
            await connection.close(timeout=5)


async def _reseal(connection: asyncpg.Connection, keys: Sequence[bytes]) -> Resealed:
    seals, head = Seals(lambda: keys), Seal(keys[0]).head.hex()
    done, unreadable, after = 0, list[str](), UUID(int=0)
    while rows := await connection.fetch(_SOME, after, head):
        for row in rows:
            after, user = row["id"], str(row["user_id"])
            try:
                value = seals.open(user, _PLACE, bytes.fromhex(row["secret"]))
            except (UnsealError, ValueError):
                unreadable.append(f"second factor {after}")
                continue
            sealed = seals.close(user, _PLACE, value).hex()
            changed = await connection.execute(_REPLACE, after, row["secret"], sealed)
            done += changed == "UPDATE 1"
    return Resealed(done, tuple(unreadable))
