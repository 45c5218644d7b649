"""One-time tokens that go out by mail, and what is exchanged for a session after one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

WRONG_CODES = 5  # so many wrong codes for one mail, then only its link works


@dataclass(frozen=True, slots=True)
class MailedToken:
    """One token as stored: fingerprints, never what was mailed."""

    id: UUID
    user_id: UUID
    kind: str
    address: str
    code_hash: str | None
    challenge: str | None


@dataclass(frozen=True, slots=True)
class Flow:
    """A link that was opened, to be exchanged by who asked for it."""

    user_id: UUID
    challenge: str


class LinkStatements:
    """The statements about mailed tokens, each within the transaction it was made for."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        self._connection = connection

    async def put(self, token: MailedToken, token_hash: str, now: datetime) -> None:
        """Store a token; an earlier one of this person and kind is void."""
        await self._connection.execute(
            "delete from auth.one_time_tokens where user_id = $1 and token_type = $2",
            token.user_id,
            token.kind,
        )
        await self._connection.execute(
            """insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to,
                 otp_hash, code_challenge, created_at, updated_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $8)""",
            token.id,
            token.user_id,
            token.kind,
            token_hash,
            token.address,
            token.code_hash,
            token.challenge,
            now,
        )

    async def take(
        self, token_hash: str, kinds: Sequence[str], since: datetime
    ) -> MailedToken | None:
        """Remove and answer the token of a link; two who open it at once: one gets it."""
        row = await self._connection.fetchrow(
            """delete from auth.one_time_tokens
                where token_hash = $1 and token_type = any($2::text[]) and created_at > $3
                returning *""",
            token_hash,
            list(kinds),
            since,
        )
        return _token(row) if row else None

    async def lock(self, address: str, kinds: Sequence[str], since: datetime) -> list[MailedToken]:
        """Tokens mailed to an address whose codes may still be tried, held until the end."""
        rows = await self._connection.fetch(
            """select * from auth.one_time_tokens
                where relates_to = $1 and token_type = any($2::text[]) and created_at > $3
                  and attempts < $4 order by id for update""",
            address,
            list(kinds),
            since,
            WRONG_CODES,
        )
        return [_token(row) for row in rows]

    async def count_wrong(self, tokens: Sequence[MailedToken]) -> None:
        """A wrong code was tried for each of these."""
        await self._connection.execute(
            "update auth.one_time_tokens set attempts = attempts + 1 where id = any($1::uuid[])",
            [token.id for token in tokens],
        )

    async def remove(self, token_id: UUID) -> None:
        """A token whose code was right."""
        await self._connection.execute("delete from auth.one_time_tokens where id = $1", token_id)

    async def is_waiting(self, user_id: UUID, kinds: Sequence[str]) -> bool:
        """Whether one of these kinds is still to be confirmed, expired ones included."""
        found: bool = await self._connection.fetchval(
            """select exists (select from auth.one_time_tokens
                 where user_id = $1 and token_type = any($2::text[]))""",
            user_id,
            list(kinds),
        )
        return found

    async def forget(self, user_id: UUID) -> None:
        """Password or address has changed: nothing that was mailed before opens the account."""
        await self._connection.execute(
            "delete from auth.one_time_tokens where user_id = $1", user_id
        )
        await self._connection.execute("delete from auth.flow_state where user_id = $1", user_id)

    async def add_flow(self, flow: Flow, code_hash: str, now: datetime) -> None:
        """Store an opened link; those of a day ago are forgotten."""
        await self._connection.execute(
            "delete from auth.flow_state where created_at < $1", now - timedelta(days=1)
        )
        await self._connection.execute(
            """insert into auth.flow_state (id, user_id, auth_code, code_challenge_method,
                 code_challenge, provider_type, authentication_method, created_at, updated_at,
                 auth_code_issued_at)
               values ($1, $2, $3, 's256', $4, 'email', 'otp', $5, $5, $5)""",
            uuid4(),
            flow.user_id,
            code_hash,
            flow.challenge,
            now,
        )

    async def take_flow(self, code_hash: str, since: datetime) -> Flow | None:
        """Remove and answer an opened link."""
        row = await self._connection.fetchrow(
            """delete from auth.flow_state where auth_code = $1 and created_at > $2
                returning user_id, code_challenge""",
            code_hash,
            since,
        )
        return Flow(row["user_id"], row["code_challenge"]) if row else None

    async def confirm(self, user_id: UUID, now: datetime) -> None:
        """The address is the person's."""
        await self._connection.execute(
            """update auth.users set email_confirmed_at = $2, updated_at = $2
                where id = $1 and email_confirmed_at is null""",
            user_id,
            now,
        )

    async def drop_password(self, user_id: UUID) -> None:
        """Forget a password that was chosen by who never had the mailbox."""
        await self._connection.execute(
            "update auth.users set encrypted_password = null where id = $1", user_id
        )

    async def want_address(self, user_id: UUID, address: str, now: datetime) -> None:
        """The address that a person wants to have instead."""
        await self._connection.execute(
            """update auth.users set email_change = $2, email_change_sent_at = $3, updated_at = $3
                where id = $1""",
            user_id,
            address,
            now,
        )

    async def change_address(self, user_id: UUID, address: str, now: datetime) -> bool:
        """Make an address the person's; False when another person has it."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(
                    """update auth.users set email = $2, email_change = null,
                         email_change_sent_at = null, email_confirmed_at = $3, updated_at = $3
                        where id = $1""",
                    user_id,
                    address,
                    now,
                )
        except asyncpg.UniqueViolationError:
            return False
        return True


def _token(row: asyncpg.Record) -> MailedToken:
    return MailedToken(
        row["id"],
        row["user_id"],
        row["token_type"],
        row["relates_to"],
        row["otp_hash"],
        row["code_challenge"],
    )
