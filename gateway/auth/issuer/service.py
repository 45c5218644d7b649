"""What the issuer does: sign up, sign in, refresh, change, sign out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid4

from gateway.auth.issuer.attempts import Allowance, AttemptLimits, Attempts, address_subject
from gateway.auth.issuer.confirming import Confirming
from gateway.auth.issuer.documents import Grant
from gateway.auth.issuer.errors import (
    BadCodeVerifierError,
    EmailNotConfirmedError,
    FlowNotFoundError,
    InvalidCredentialsError,
    OneFactorError,
    RefreshTokenNotFoundError,
    RefreshTokenUsedError,
    SamePasswordError,
    SessionNotFoundError,
    SignupDisabledError,
    UserBannedError,
    UserExistsError,
)
from gateway.auth.issuer.granting import Granting, lowered
from gateway.auth.issuer.links import Links, Wish
from gateway.auth.issuer.passwords import Passwords, could_be_password
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.refresh import (
    Rotation,
    StoredToken,
    current_after,
    decide,
    fingerprint,
    successor,
)
from gateway.auth.issuer.requests import check_metadata_size
from gateway.auth.issuer.tokens import AccessTokens
from gateway.store.auth_factors import any_verified
from gateway.store.auth_users import (
    Account,
    AuthSession,
    AuthTransaction,
    AuthUsers,
    EmailTakenError,
    Origin,
)


class SessionCache(Protocol):
    """Whoever remembers that sessions are alive."""

    def forget_session(self, session_id: UUID) -> None:
        """This session has ended."""
        ...

    def forget_user(self, user_id: UUID) -> None:
        """Sessions of this person have ended, or the person has changed."""
        ...


class Scope(StrEnum):
    """Which sessions a sign-out ends."""

    GLOBAL = "global"  # all of the person
    LOCAL = "local"  # the one that asks
    OTHERS = "others"  # all but the one that asks


@dataclass(frozen=True, slots=True)
class Changes:
    """What a person changes about themselves; None leaves it."""

    password: str | None
    current_password: str | None
    metadata: Mapping[str, Any] | None
    email: str | None = None
    wish: Wish = Wish()  # noqa: RUF009 - a frozen value


@dataclass(frozen=True, slots=True)
class Issuer:
    """The use cases over their parts; holds no state of its own."""

    tokens: AccessTokens
    granting: Granting
    users: AuthUsers
    passwords: Passwords
    policy: PasswordPolicy
    sessions: SessionCache
    attempts: Attempts
    limits: AttemptLimits
    refresh_secret: bytes
    clock: Callable[[], float]
    signup: bool
    links: Links
    confirming: Confirming | None  # None: an address counts without proof

    async def sign_up(
        self, email: str, password: str, metadata: Mapping[str, Any], origin: Origin, wish: Wish
    ) -> Grant | Account:
        """A new person, signed in at once or waiting for the letter."""
        if not self.signup:
            raise SignupDisabledError
        self.attempts.take([self._address(origin)])
        await self.policy.check(password, email)
        if self.confirming is not None:
            return await self.confirming.sign_up(email, password, metadata, origin, wish)
        async with self.users.transaction() as transaction:
            if await transaction.by_email(email) is not None:
                raise UserExistsError
        password_hash = await self.passwords.hash(password)
        user_id = uuid4()
        try:
            async with self.users.transaction() as transaction:
                await transaction.add(user_id, email, password_hash, metadata)
                return await self.granting.open(transaction, user_id, origin, "password")
        except EmailTakenError as error:
            raise UserExistsError from error

    async def sign_in(self, email: str, password: str, origin: Origin) -> Grant:
        """A new session for the right password."""
        allowances = await self._sign_in_allowances(email, origin)
        with self.attempts.counted(allowances, (InvalidCredentialsError,)):
            return await self._sign_in(email, password, origin)

    async def refresh(self, token: str, origin: Origin) -> Grant:
        """The next pair of tokens of a session."""
        failures = (RefreshTokenNotFoundError, RefreshTokenUsedError)
        with self.attempts.counted([self._address(origin)], failures):
            return await self._rotate(token)

    async def exchange(self, code: str, verifier: str, origin: Origin) -> Grant:
        """The session of an opened link."""
        failures = (FlowNotFoundError, BadCodeVerifierError)
        with self.attempts.counted([self._address(origin)], failures):
            return await self.links.exchange(code, verifier, origin)

    async def session(self, access_token: str) -> AuthSession:
        """The living session of an access token, asked of the store every time."""
        claims = self.tokens.verify(access_token, self.clock())
        async with self.users.transaction() as transaction:
            session = await transaction.session(claims.session_id, self._now())
        if session is None or session.account.id != claims.user_id:
            raise SessionNotFoundError
        if session.account.banned:
            raise UserBannedError
        return lowered(session, claims.aal)

    async def change(self, session: AuthSession, changes: Changes) -> Account:
        """Change password or metadata; a new password ends all other sessions."""
        if changes.password is not None or changes.email is not None:
            check_assurance(session)
        password_hash = await self._new_hash(session.account, changes)
        user_id = session.account.id
        async with self.users.transaction() as transaction:
            account = await transaction.lock(user_id)
            if account is None or await transaction.session(session.id, self._now()) is None:
                raise SessionNotFoundError
            if changes.metadata is not None:
                merged = merge_metadata(account.user_metadata, changes.metadata)
                check_metadata_size(merged)
                await transaction.set_metadata(user_id, merged)
            if password_hash is not None:
                await transaction.set_password(user_id, password_hash)
                await transaction.links.forget(user_id)
                await transaction.end_sessions(user_id, but=session.id)
        self.sessions.forget_user(user_id)
        if changes.email is not None:
            await self.links.change_address(account, changes.email, changes.wish)
        async with self.users.transaction() as transaction:
            changed = await transaction.lock(user_id)
        if changed is None:
            raise SessionNotFoundError
        return changed

    async def sign_out(self, session: AuthSession, scope: Scope) -> None:
        """End this session, the person's others, or all of them."""
        user_id = session.account.id
        async with self.users.transaction() as transaction:
            match scope:
                case Scope.LOCAL:
                    await transaction.end_session(session.id)
                case Scope.OTHERS:
                    await transaction.end_sessions(user_id, but=session.id)
                case Scope.GLOBAL:
                    await transaction.end_sessions(user_id)
        self.sessions.forget_user(user_id)

    async def _sign_in_allowances(self, email: str, origin: Origin) -> list[Allowance]:
        """Wrong passwords from elsewhere shut nobody out of where they are signed in already."""
        own = [self._address(origin), self._place(email, origin)]
        account = self._account(email)
        if self.attempts.has_room(account) or not all(map(self.attempts.has_room, own)):
            return [*own, account]
        async with self.users.transaction() as transaction:
            known = await transaction.places(email)
        here = address_subject(origin.address)
        if origin.address is not None and here in map(address_subject, known):
            return own
        return [*own, account]

    async def _sign_in(self, email: str, password: str, origin: Origin) -> Grant:
        if not could_be_password(password):
            raise InvalidCredentialsError
        async with self.users.transaction() as transaction:
            account = await transaction.by_email(email)
        stored = account.password_hash if account else None
        right = await self.passwords.matches(password, stored)
        if account is None or stored is None or not right:
            raise InvalidCredentialsError
        if account.banned:
            raise UserBannedError
        if account.confirmed_at is None:
            raise EmailNotConfirmedError
        renewed = await self._renewed(password, stored)
        async with self.users.transaction() as transaction:
            locked = await transaction.lock(account.id)
            if locked is None or locked.password_hash != stored:
                raise InvalidCredentialsError  # changed while it was being checked
            if renewed is not None:
                await transaction.set_password(account.id, renewed)
            return await self.granting.open(transaction, account.id, origin, "password")

    async def _rotate(self, token: str) -> Grant:
        presented = fingerprint(token)
        async with self.users.transaction() as transaction:
            session_id = await transaction.lock_session_of(presented)
            row = await transaction.token(presented)
            if session_id is None or row is None:
                raise RefreshTokenNotFoundError
            session = await transaction.session(session_id, self._now())
            if session is None:
                raise RefreshTokenNotFoundError
            if session.account.banned:
                raise UserBannedError
            self.attempts.take([Allowance(f"session:{session_id}", self.limits.session)])
            stored = StoredToken(
                row.fingerprint, row.session_id, row.revoked, row.updated_at.timestamp()
            )
            following = await self._follow(transaction, session, token, stored)
            if following is None:
                await transaction.end_session(session_id)
        if following is None:
            self.sessions.forget_session(session_id)
            raise RefreshTokenUsedError
        return self.granting.grant(session, following)

    async def _follow(
        self,
        transaction: AuthTransaction,
        session: AuthSession,
        token: str,
        stored: StoredToken,
    ) -> str | None:
        """The token to hand out, or None when the session has to end."""
        match decide(stored, self.clock()):
            case Rotation.ROTATE:
                following = successor(self.refresh_secret, session.id, token)
                now = self._now()
                await transaction.revoke_token(stored.fingerprint, session.id, now)
                await transaction.add_token(
                    fingerprint(following),
                    stored.fingerprint,
                    (session.id, session.account.id),
                    now,
                )
                return following
            case Rotation.REPEAT if session.current is not None:
                return current_after(self.refresh_secret, session.id, token, session.current)
            case _:
                return None

    async def _new_hash(self, account: Account, changes: Changes) -> str | None:
        """The hash of the new password, once it and the current one have been checked."""
        if changes.password is None:
            return None
        await self.policy.check(changes.password, account.email)
        # "the same as before" tells as much about the current password as "wrong" does
        failures = (InvalidCredentialsError, SamePasswordError)
        # counted apart from sign-ins: who is being attacked must be able to change it
        allowance = Allowance(f"change:{account.id}", self.limits.account)
        with self.attempts.counted([allowance], failures):
            current = changes.current_password
            if current is not None and not await self._is_password(current, account):
                raise InvalidCredentialsError
            if await self._is_password(changes.password, account):
                raise SamePasswordError
        return await self.passwords.hash(changes.password)

    async def _is_password(self, password: str, account: Account) -> bool:
        if not could_be_password(password):
            return False
        return await self.passwords.matches(password, account.password_hash)

    async def _renewed(self, password: str, stored: str) -> str | None:
        """A hash with today's parameters when the stored one has older ones."""
        if not self.passwords.outdated(stored):
            return None
        return await self.passwords.hash(password)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _address(self, origin: Origin) -> Allowance:
        return Allowance(address_subject(origin.address), self.limits.address)

    def _place(self, email: str, origin: Origin) -> Allowance:
        subject = f"place:{email} {address_subject(origin.address)}"
        return Allowance(subject, min(self.limits.place, self.limits.account))

    def _account(self, email: str) -> Allowance:
        return Allowance(f"account:{email}", self.limits.account)


def check_assurance(session: AuthSession) -> None:
    """What opens the account is changed only with every factor that it has."""
    if session.aal != "aal2" and any_verified(session.account.factors):
        raise OneFactorError


def merge_metadata(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Given members replace stored ones; null removes."""
    merged = {**stored, **given}
    return {name: value for name, value in merged.items() if value is not None}
