"""Second factors and their challenges, within a transaction of the `auth` schema."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gateway.errors import ConflictError, ForbiddenError

VERIFIED = "verified"
FACTORS_COLUMN = """(select coalesce(json_agg(json_build_object(
    'id', f.id, 'friendly_name', f.friendly_name, 'status', f.status,
    'created_at', f.created_at, 'updated_at', f.updated_at) order by f.created_at), '[]')::text
  from auth.mfa_factors f where f.user_id = u.id) as factors"""


class FactorNameTakenError(ConflictError):
    """The person has another factor of this name."""

    code, title = "mfa_factor_name_conflict", "A factor of this name exists"


class SecondFactorNeededError(ForbiddenError):
    """The person has a second factor, the session only the first."""

    code, title = "insufficient_aal", "Confirm the second factor of your account first"


@dataclass(frozen=True, slots=True)
class Factor:
    """What may be told about a factor."""

    id: UUID
    friendly_name: str
    status: str
    created_at: datetime
    updated_at: datetime

    @property
    def verified(self) -> bool:
        """Whether a right code was once given."""
        return self.status == VERIFIED


@dataclass(frozen=True, slots=True)
class StoredFactor:
    """A factor with what its codes are checked against; `secret` is sealed."""

    id: UUID
    verified: bool
    secret: str
    last_step: int | None


def factors_of(text: str) -> tuple[Factor, ...]:
    """From the column that goes along with every person."""
    return tuple(
        Factor(
            id=UUID(row["id"]),
            friendly_name=row["friendly_name"] or "",
            status=row["status"],
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]),
        )
        for row in json.loads(text)
    )


class FactorStatements:
    """The statements about factors; each person's are locked through the person first."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        self._connection = connection

    async def add(
        self, factor_id: UUID, user_id: UUID, name: str, secret: str, now: datetime
    ) -> None:
        """A new factor that is not verified yet."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(
                    """insert into auth.mfa_factors (id, user_id, friendly_name, factor_type,
                         status, secret, created_at, updated_at)
                       values ($1, $2, $3, 'totp', 'unverified', $4, $5, $5)""",
                    factor_id,
                    user_id,
                    name,
                    secret,
                    now,
                )
        except asyncpg.UniqueViolationError as error:
            raise FactorNameTakenError from error

    async def lock(self, factor_id: UUID, user_id: UUID) -> StoredFactor | None:
        """A person's factor, held until the end of the transaction."""
        row = await self._connection.fetchrow(
            """select id, status, secret, last_totp_step from auth.mfa_factors
                where id = $1 and user_id = $2 and factor_type = 'totp' for update""",
            factor_id,
            user_id,
        )
        if row is None:
            return None
        return StoredFactor(
            row["id"], row["status"] == VERIFIED, row["secret"] or "", row["last_totp_step"]
        )

    async def remove(self, factor_id: UUID) -> None:
        """Remove a factor; sessions that it raised are lowered."""
        await self._connection.execute(
            """delete from auth.mfa_amr_claims where authentication_method = 'totp'
                and session_id in (select id from auth.sessions where factor_id = $1)""",
            factor_id,
        )
        await self._connection.execute(
            "update auth.sessions set aal = 'aal1', factor_id = null where factor_id = $1",
            factor_id,
        )
        await self._connection.execute("delete from auth.mfa_factors where id = $1", factor_id)

    async def remove_unverified(self, user_id: UUID, before: datetime) -> int:
        """Remove what was begun before then and never finished; answers how many."""
        rows = await self._connection.fetch(
            """delete from auth.mfa_factors
                where user_id = $1 and status = 'unverified' and created_at < $2 returning id""",
            user_id,
            before,
        )
        return len(rows)

    async def add_challenge(
        self, challenge_id: UUID, factor_id: UUID, address: str | None, now: datetime
    ) -> None:
        """A new challenge; those of an hour ago are forgotten."""
        await self._connection.execute(
            "delete from auth.mfa_challenges where factor_id = $1 and created_at < $2",
            factor_id,
            now - timedelta(hours=1),
        )
        await self._connection.execute(
            """insert into auth.mfa_challenges (id, factor_id, created_at, ip_address)
               values ($1, $2, $3, coalesce($4::text::inet, '0.0.0.0'))""",
            challenge_id,
            factor_id,
            now,
            address,
        )

    async def is_open(self, challenge_id: UUID, factor_id: UUID, since: datetime) -> bool:
        """Whether this factor was challenged so and nothing has answered yet."""
        found: bool = await self._connection.fetchval(
            """select exists (select from auth.mfa_challenges where id = $1 and factor_id = $2
                 and verified_at is null and created_at > $3)""",
            challenge_id,
            factor_id,
            since,
        )
        return found

    async def accept(self, factor_id: UUID, challenge_id: UUID, step: int, now: datetime) -> None:
        """A right code was given: the factor counts, neither code nor challenge does again."""
        await self._connection.execute(
            """update auth.mfa_factors set status = 'verified', last_totp_step = $2,
                 updated_at = $3 where id = $1""",
            factor_id,
            step,
            now,
        )
        await self._connection.execute(
            "update auth.mfa_challenges set verified_at = $2 where id = $1", challenge_id, now
        )

    async def raise_session(self, session_id: UUID, factor_id: UUID, now: datetime) -> None:
        """The session has both factors from now on."""
        await self._connection.execute(
            "update auth.sessions set aal = 'aal2', factor_id = $2, updated_at = $3 where id = $1",
            session_id,
            factor_id,
            now,
        )
        await note_method(self._connection, session_id, "totp", now)

    async def end_lower_sessions(self, user_id: UUID) -> None:
        """End the person's sessions that have one factor only."""
        await self._connection.execute(
            "delete from auth.sessions where user_id = $1 and aal is distinct from 'aal2'", user_id
        )


async def note_method(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    session_id: UUID,
    method: str,
    now: datetime,
) -> None:
    """How, and when last, the person of a session proved to be who they are."""
    await connection.execute(
        """insert into auth.mfa_amr_claims
             (id, session_id, authentication_method, created_at, updated_at)
           values (gen_random_uuid(), $1, $2, $3, $3)
           on conflict (session_id, authentication_method) do update set updated_at = $3""",
        session_id,
        method,
        now,
    )


def any_verified(factors: Sequence[Factor]) -> bool:
    """Whether one of them counts."""
    return any(factor.verified for factor in factors)
