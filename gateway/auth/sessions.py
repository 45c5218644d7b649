"""From an access token to the person behind it, for every request with a session."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from gateway.auth.issuer.errors import BadTokenError
from gateway.auth.issuer.tokens import AccessTokens, Claims
from gateway.auth.subject import User
from gateway.errors import UnauthorizedError
from gateway.store.database import SERVICE, Database, Filter

_REMEMBERED = 10_000


class SessionExpiredError(UnauthorizedError):
    """The token is not valid, or its session is over."""

    code, title = "invalid_session", "Sign in again"


class LivingSessions(Protocol):
    """Who knows whether a session is still open."""

    async def session_alive(self, session_id: UUID, user_id: UUID, now: datetime) -> bool:
        """Whether the session lives and belongs to this person, who may use it."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    user_id: UUID
    alive: bool
    is_admin: bool
    until: float


class SessionVerifier:
    """Checks signature and claims always, session and admin flag at most `seconds` old."""

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        sessions: LivingSessions,
        database: Database,
        clock: Callable[[], float],
        seconds: float = 2.0,
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._forgotten = 0  # counts, so that an answer asked for before is not kept after

    async def verify(self, token: str) -> User:
        """The person of a valid token; SessionExpiredError for any other."""
        try:
            claims = self._tokens.verify(token, self._clock())
        except BadTokenError as error:
            raise SessionExpiredError from error
        known = self._remembered(claims) or await self._look_up(claims)
        if not known.alive:
            raise SessionExpiredError
        return User(
            user_id=claims.user_id,
            email=claims.email,
            session_id=claims.session_id,
            is_admin=known.is_admin,
            claims=claims.text,
            token=token,
        )

    def forget_session(self, session_id: UUID) -> None:
        """The next request of this session asks the store."""
        self._forgotten += 1
        self._known.pop(session_id, None)

    def forget_user(self, user_id: UUID) -> None:
        """The next request of any session of this person asks the store."""
        self._forgotten += 1
        ended = [session for session, known in self._known.items() if known.user_id == user_id]
        for session_id in ended:
            del self._known[session_id]

    def _remembered(self, claims: Claims) -> _Known | None:
        known = self._known.get(claims.session_id)
        if known is None or known.user_id != claims.user_id or known.until <= self._clock():
            return None
        return known

    async def _look_up(self, claims: Claims) -> _Known:
        before, asked_at = self._forgotten, self._clock()
        alive = await self._sessions.session_alive(
            claims.session_id, claims.user_id, datetime.fromtimestamp(asked_at, UTC)
        )
        is_admin = alive and await is_admin_now(self._database, claims.user_id)
        known = _Known(claims.user_id, alive, is_admin, asked_at + self._seconds)
        if before == self._forgotten:
            self._remember(claims.session_id, known)
        return known

    def _remember(self, session_id: UUID, known: _Known) -> None:
        self._known[session_id] = known
        self._known.move_to_end(session_id)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


async def is_admin_now(database: Database, user_id: UUID) -> bool:
    """Whether this person administers the installation."""
    rows = await database.select(
        "user_profiles",
        identity=SERVICE,
        columns="is_admin",
        where=[Filter("id", "eq", str(user_id))],
    )
    return bool(rows) and rows[0]["is_admin"] is True


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization` header."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    return token.strip()
