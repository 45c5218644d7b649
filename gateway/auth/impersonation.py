"""Sessions of administrators as somebody else: beside people's own, in front of who knows those."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from gateway.auth.sessions import LivingSessions, SessionExpiredError
from gateway.auth.subject import User
from gateway.store import impersonations
from gateway.store.database import Database, Row

IMPERSONATION_PREFIX = "sg_imp_"  # what tells such a token from others
_LONGEST = 100


class Sessions(Protocol):
    """Who knows the people behind access tokens."""

    async def verify(self, token: str) -> User:
        """The person of a valid session."""
        ...


class ImpersonatingSessions:
    """Verifies both kinds of tokens. One of these is looked up each time: an end is one at once."""

    def __init__(
        self,
        own: Sessions,
        *,
        sessions: LivingSessions,
        database: Database,
        clock: Callable[[], float],
    ) -> None:
        self._own = own
        self._sessions = sessions
        self._database = database
        self._clock = clock

    async def verify(self, token: str) -> User:
        """The person of a valid token; SessionExpiredError for any other."""
        if not token.startswith(IMPERSONATION_PREFIX):
            return await self._own.verify(token)
        row = await impersonations.find(self._database, token) if len(token) <= _LONGEST else None
        if row is None:
            raise SessionExpiredError
        if not await self._admin_is_there(row):
            await impersonations.end(
                self._database, UUID(row["id"]), "the administrator's session ended"
            )
            raise SessionExpiredError
        return _user(row)

    async def _admin_is_there(self, row: Row) -> bool:
        now = datetime.fromtimestamp(self._clock(), UTC)
        session, admin = UUID(row["admin_session_id"]), UUID(row["admin_id"])
        return await self._sessions.session_alive(session, admin, now)


def _user(row: Row) -> User:
    """The person, never as an administrator; `act` says who it is that acts (RFC 8693)."""
    claims = {
        "sub": row["user_id"],
        "aud": "authenticated",
        "role": "authenticated",
        "email": row["email"] or "",
        "session_id": row["id"],
        "exp": row["expires_at"],
        "act": {"sub": row["admin_id"]},
    }
    return User(
        user_id=UUID(row["user_id"]),
        email=row["email"] or "",
        session_id=UUID(row["id"]),
        is_admin=False,
        claims=json.dumps(claims, separators=(",", ":")),
        impersonated_by=UUID(row["admin_id"]),
    )
