"""People, their sessions and refresh tokens: the `auth` schema with GoTrue's column names.

Runs as `supabase_auth_admin`, the owner of that schema, over the embedded server's socket.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from gateway.store.auth_accounts import COLUMNS, account_of
from gateway.store.auth_accounts import Account as Account
from gateway.store.auth_accounts import EmailTakenError as EmailTakenError
from gateway.store.auth_factors import (
    FactorStatements,
    SecondFactorNeededError,
    any_verified,
    note_method,
)
from gateway.store.auth_links import LinkStatements
from gateway.store.auth_people import PeopleStatements
from gateway.store.driver import translated

_ROLE = "supabase_auth_admin"
_SECONDS = 5.0
KEEP_ROTATED = timedelta(days=30)  # for so long a copy of a rotated token still ends its session
_PURGE_SESSIONS = """delete from auth.sessions where id in (
  select id from auth.sessions where not_after <= $1 limit $2)"""
_PURGE_TOKENS = """delete from auth.refresh_tokens where id in (
  select id from auth.refresh_tokens where revoked and updated_at <= $1 limit $2)"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session was opened from."""

    user_agent: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class AuthSession:
    """A living session, its person, and the fingerprint of its current refresh token."""

    id: UUID
    created_at: datetime
    account: Account
    current: str | None
    aal: str
    amr: tuple[tuple[str, int], ...]  # methods and their times, the newest first


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One refresh token as stored: a fingerprint, never the token."""

    fingerprint: str
    session_id: UUID
    revoked: bool
    updated_at: datetime


class AuthTransaction:
    """The statements, each within the one transaction it was made for."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        self._connection = connection
        self.factors = FactorStatements(connection)
        self.links = LinkStatements(connection)
        self.people = PeopleStatements(connection)

    async def by_email(self, email: str) -> Account | None:
        """The person with this (normalised) address."""
        row = await self._connection.fetchrow(
            f"select {COLUMNS} from auth.users u"  # noqa: S608 - a constant
            " where u.email = $1 and u.deleted_at is null and not u.is_sso_user",
            email,
        )
        return account_of(row) if row else None

    async def lock(self, user_id: UUID) -> Account | None:
        """The person, held until the end of the transaction."""
        row = await self._connection.fetchrow(
            f"select {COLUMNS} from auth.users u"  # noqa: S608 - a constant
            " where u.id = $1 and u.deleted_at is null for update",
            user_id,
        )
        return account_of(row) if row else None

    async def add(
        self,
        user_id: UUID,
        email: str,
        password_hash: str | None,
        metadata: Mapping[str, Any],
        *,
        confirmed: bool = True,
    ) -> None:
        """A new person; EmailTakenError when there is one with this address."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(
                    """insert into auth.users (id, aud, role, email, encrypted_password,
                         email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
                         created_at, updated_at)
                       values ($1, 'authenticated', 'authenticated', $2, $3,
                         case when $5 then now() end,
                         '{"provider": "email", "providers": ["email"]}', $4::text::jsonb,
                         now(), now())""",
                    user_id,
                    email,
                    password_hash,
                    json.dumps(metadata),
                    confirmed,
                )
        except asyncpg.UniqueViolationError as error:
            raise EmailTakenError from error

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        """Replace the password hash."""
        await self._connection.execute(
            "update auth.users set encrypted_password = $2, updated_at = now() where id = $1",
            user_id,
            password_hash,
        )

    async def set_metadata(self, user_id: UUID, metadata: Mapping[str, Any]) -> None:
        """Replace what the person says about themselves."""
        await self._connection.execute(
            "update auth.users set raw_user_meta_data = $2::text::jsonb, updated_at = now()"
            " where id = $1",
            user_id,
            json.dumps(metadata),
        )

    async def signed_in(self, user_id: UUID, now: datetime) -> None:
        """Note the time of a sign-in."""
        await self._connection.execute(
            "update auth.users set last_sign_in_at = $2, updated_at = now() where id = $1",
            user_id,
            now,
        )

    async def open_session(
        self, session_id: UUID, user_id: UUID, origin: Origin, method: str, now: datetime
    ) -> None:
        """A new session without a refresh token yet."""
        await self._connection.execute(
            """insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
               values ($1, $2, $3, $3, 'aal1', $4, $5::text::inet)""",
            session_id,
            user_id,
            now,
            origin.user_agent,
            origin.address,
        )
        await note_method(self._connection, session_id, method, now)

    async def add_token(
        self, fingerprint: str, parent: str | None, session: tuple[UUID, UUID], now: datetime
    ) -> None:
        """Store a refresh token of `session`, given as (session id, user id)."""
        session_id, user_id = session
        await self._connection.execute(
            """insert into auth.refresh_tokens
                 (token, parent, session_id, user_id, revoked, created_at, updated_at)
               values ($1, $2, $3, $4::uuid::text, false, $5, $5)""",
            fingerprint,
            parent,
            session_id,
            user_id,
            now,
        )

    async def revoke_token(self, fingerprint: str, session_id: UUID, now: datetime) -> None:
        """Mark a refresh token as rotated."""
        await self._connection.execute(
            "update auth.refresh_tokens set revoked = true, updated_at = $2 where token = $1",
            fingerprint,
            now,
        )
        await self._connection.execute(
            """update auth.sessions set refreshed_at = ($2::timestamptz at time zone 'utc'),
                 updated_at = $2 where id = $1""",
            session_id,
            now,
        )

    async def remove_tokens(self, session_id: UUID) -> None:
        """Forget all refresh tokens of a session, so that none of them opens it again."""
        await self._connection.execute(
            "delete from auth.refresh_tokens where session_id = $1", session_id
        )

    async def lock_session_of(self, fingerprint: str) -> UUID | None:
        """Hold the session of a refresh token, so that rotations come one after the other."""
        value: UUID | None = await self._connection.fetchval(
            """select s.id from auth.sessions s where s.id =
                 (select t.session_id from auth.refresh_tokens t where t.token = $1)
               for update""",
            fingerprint,
        )
        return value

    async def token(self, fingerprint: str) -> TokenRow | None:
        """A refresh token; call after `lock_session_of`, which makes the answer final."""
        row = await self._connection.fetchrow(
            """select token, session_id, revoked, updated_at from auth.refresh_tokens
               where token = $1""",
            fingerprint,
        )
        if row is None:
            return None
        return TokenRow(row["token"], row["session_id"], bool(row["revoked"]), row["updated_at"])

    async def session(self, session_id: UUID, now: datetime) -> AuthSession | None:
        """A session that lives, with its person."""
        row = await self._connection.fetchrow(
            f"""select s.id as session_id, s.created_at as session_created_at,
                  (select t.token from auth.refresh_tokens t
                    where t.session_id = s.id and t.revoked is not true
                    order by t.id desc limit 1) as current, coalesce(s.aal, 'aal1') as aal,
                  (select coalesce(json_agg(json_build_array(c.authentication_method,
                      extract(epoch from c.updated_at)::bigint) order by c.updated_at desc),
                    '[]')::text
                    from auth.mfa_amr_claims c where c.session_id = s.id) as amr, {COLUMNS}
                from auth.sessions s join auth.users u on u.id = s.user_id
                where s.id = $1 and (s.not_after is null or s.not_after > $2)
                  and u.deleted_at is null""",  # noqa: S608 - a constant
            session_id,
            now,
        )
        if row is None:
            return None
        return AuthSession(
            row["session_id"],
            row["session_created_at"],
            account_of(row),
            row["current"],
            row["aal"],
            tuple((method, timestamp) for method, timestamp in json.loads(row["amr"])),
        )

    async def places(self, email: str) -> list[str]:
        """Addresses from which living sessions of this person were opened, newest first."""
        rows = await self._connection.fetch(
            """select host(s.ip) as address
                 from auth.sessions s join auth.users u on u.id = s.user_id
                where u.email = $1 and u.deleted_at is null and not u.is_sso_user
                  and s.ip is not null and (s.not_after is null or s.not_after > now())
                order by s.created_at desc limit 100""",
            email,
        )
        return [row["address"] for row in rows]

    async def end_session(self, session_id: UUID) -> None:
        """Remove a session and, with it, its refresh tokens."""
        await self._connection.execute("delete from auth.sessions where id = $1", session_id)

    async def end_sessions(self, user_id: UUID, *, but: UUID | None = None) -> None:
        """Remove a person's sessions, except one when asked."""
        await self._connection.execute(
            "delete from auth.sessions where user_id = $1 and id is distinct from $2",
            user_id,
            but,
        )


class AuthUsers:
    """Opens transactions on a small pool of connections of its own."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def connect(
        cls, socket_dir: Path | str, *, database: str = "postgres", size: int = 4
    ) -> "AuthUsers":
        """Open a pool on the server's socket directory; connections are made when needed."""
        with translated():
            pool = await asyncpg.create_pool(
                host=str(socket_dir),
                user=_ROLE,
                database=database,
                min_size=0,
                max_size=size,
                timeout=_SECONDS,
                command_timeout=_SECONDS,
            )
        return cls(pool)

    async def close(self) -> None:
        """Give the connections back to the server."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AuthTransaction]:
        """Commits at the end, rolls back when anything is raised."""
        with translated():
            async with self._pool.acquire(timeout=_SECONDS) as connection, connection.transaction():
                yield AuthTransaction(connection)

    async def session_alive(self, session_id: UUID, user_id: UUID, now: datetime) -> bool:
        """Whether a session is still open and its person may use it.

        SecondFactorNeededError when it is, but half of what the person set up is missing.
        """
        async with self.transaction() as transaction:
            session = await transaction.session(session_id, now)
        if session is None or session.account.id != user_id or session.account.banned:
            return False
        if session.aal != "aal2" and any_verified(session.account.factors):
            raise SecondFactorNeededError
        return True

    async def purge(self, now: datetime, *, at_once: int = 5000) -> int:
        """Remove what is over, some at a time: sessions past their end, tokens rotated long ago.

        Answers how many of either there were.
        """
        gone = 0
        for statement, before in (
            (_PURGE_SESSIONS, now),
            (_PURGE_TOKENS, now - KEEP_ROTATED),
        ):
            while removed := await self._remove(statement, before, at_once):
                gone += removed
        return gone

    async def _remove(self, statement: str, before: datetime, at_once: int) -> int:
        with translated():
            async with self._pool.acquire(timeout=_SECONDS) as connection:
                status = await connection.execute(statement, before, at_once)
        return int(status.rpartition(" ")[2])
