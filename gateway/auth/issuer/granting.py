"""Sessions: opened, renewed, and told to their owner as a pair of tokens."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from gateway.auth.issuer.documents import Grant
from gateway.auth.issuer.errors import SessionNotFoundError, UserBannedError
from gateway.auth.issuer.refresh import fingerprint, first_token
from gateway.auth.issuer.tokens import AccessTokens, TokenContents
from gateway.store.auth_users import AuthSession, AuthTransaction, Origin


@dataclass(frozen=True, slots=True)
class Granting:
    """Hands out tokens; whoever calls has made sure that they are deserved."""

    tokens: AccessTokens
    clock: Callable[[], float]

    async def open(
        self, transaction: AuthTransaction, user_id: UUID, origin: Origin, method: str
    ) -> Grant:
        """A new session for a person who proved to be one by `method`."""
        session_id, token, now = uuid4(), first_token(), self.now()
        await transaction.signed_in(user_id, now)
        await transaction.open_session(session_id, user_id, origin, method, now)
        await transaction.add_token(fingerprint(token), None, (session_id, user_id), now)
        session = await transaction.session(session_id, now)
        if session is None or session.account.banned:
            raise UserBannedError
        return self.grant(session, token)

    async def renew(self, transaction: AuthTransaction, session_id: UUID) -> Grant:
        """A session that gained rights: none of its earlier refresh tokens carries them."""
        now, token = self.now(), first_token()
        session = await transaction.session(session_id, now)
        if session is None:
            raise SessionNotFoundError
        await transaction.remove_tokens(session_id)
        await transaction.add_token(fingerprint(token), None, (session_id, session.account.id), now)
        return self.grant(session, token)

    def grant(self, session: AuthSession, token: str) -> Grant:
        """The access token that goes with a refresh token."""
        issued_at = int(self.clock())
        contents = TokenContents(
            user_id=session.account.id,
            session_id=session.id,
            email=session.account.email,
            signed_in_at=int(session.created_at.timestamp()),
            app_metadata=session.account.app_metadata,
            user_metadata=session.account.user_metadata,
            aal=session.aal,
            amr=session.amr,
        )
        access_token = self.tokens.issue(contents, issued_at)
        return Grant(access_token, token, issued_at, session.account)

    def now(self) -> datetime:
        """The time that is stored."""
        return datetime.fromtimestamp(self.clock(), UTC)


def lowered(session: AuthSession, token_aal: str) -> AuthSession:
    """A session has what its token and its row both say: an earlier token was not raised."""
    return session if token_aal == session.aal else replace(session, aal="aal1")
