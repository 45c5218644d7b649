"""The second factor: enrol, challenge, verify, remove."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from gateway.auth.issuer import totp
from gateway.auth.issuer.attempts import Allowance, AttemptLimits, Attempts
from gateway.auth.issuer.documents import Grant
from gateway.auth.issuer.errors import (
    ChallengeExpiredError,
    CodeRefusedError,
    FactorNameConflictError,
    FactorNotFoundError,
    InsufficientAalError,
    RemovalRefusedError,
    SessionNotFoundError,
    TooManyFactorsError,
)
from gateway.auth.issuer.granting import Granting
from gateway.auth.issuer.service import SessionCache
from gateway.store.auth_factors import FactorNameTakenError, StoredFactor, any_verified
from gateway.store.auth_users import AuthSession, AuthTransaction, AuthUsers, Origin
from gateway.store.sealing import Seal, Seals

CHALLENGE_SECONDS = 300
_FACTORS = 10
_UNFINISHED = timedelta(minutes=5)
_PLACE = "totp"  # what a sealed secret is bound to, beside its person


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A factor just begun; the only time that its secret is told."""

    id: UUID
    name: str
    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Factors:
    """The use cases over their parts. `attempts` counts wrong codes, over a longer time."""

    users: AuthUsers
    granting: Granting
    sessions: SessionCache
    seal: Seal | Seals
    attempts: Attempts
    limits: AttemptLimits

    async def enrol(self, session: AuthSession, name: str, issuer: str) -> Enrolment:
        """A new factor, of no effect until its first code was verified."""
        factor_id, secret, now = uuid4(), totp.new_secret(), self.granting.now()
        user_id = session.account.id
        async with self.users.transaction() as transaction:
            account = await transaction.lock(user_id)
            if account is None:
                raise SessionNotFoundError
            _check_assurance(session, verified=any_verified(account.factors))
            removed = await transaction.factors.remove_unverified(user_id, now - _UNFINISHED)
            if len(account.factors) - removed >= _FACTORS:
                raise TooManyFactorsError
            sealed = self.seal.close(str(user_id), _PLACE, secret).hex()
            try:
                await transaction.factors.add(factor_id, user_id, name, sealed, now)
            except FactorNameTakenError as error:
                raise FactorNameConflictError from error
        return Enrolment(factor_id, name, secret, totp.uri_of(secret, issuer, account.email))

    async def challenge(
        self, session: AuthSession, factor_id: UUID, origin: Origin
    ) -> tuple[UUID, int]:
        """A challenge that a code can answer, and when it ends."""
        challenge_id, now = uuid4(), self.granting.now()
        async with self.users.transaction() as transaction:
            await self._locked(transaction, session, factor_id)
            await transaction.factors.add_challenge(challenge_id, factor_id, origin.address, now)
        return challenge_id, int(now.timestamp()) + CHALLENGE_SECONDS

    async def verify(
        self, session: AuthSession, factor_id: UUID, challenge_id: UUID, code: str
    ) -> Grant:
        """A right code raises the session; the first one of a factor ends all lower ones."""
        allowance = Allowance(f"code:{session.account.id}", self.limits.code)
        with self.attempts.counted([allowance], (CodeRefusedError,)):
            grant = await self._verify(session, factor_id, challenge_id, code)
        self.sessions.forget_user(session.account.id)
        return grant

    async def remove(self, session: AuthSession, factor_id: UUID) -> None:
        """Take a factor away; one that counts only with itself or another that does."""
        async with self.users.transaction() as transaction:
            stored = await self._locked(transaction, session, factor_id)
            if stored.verified and session.aal != "aal2":
                raise RemovalRefusedError
            await transaction.factors.remove(factor_id)
        self.sessions.forget_user(session.account.id)

    async def _verify(
        self, session: AuthSession, factor_id: UUID, challenge_id: UUID, code: str
    ) -> Grant:
        now, user_id = self.granting.now(), session.account.id
        async with self.users.transaction() as transaction:
            account = await transaction.lock(user_id)
            stored = await self._locked(transaction, session, factor_id)
            if not stored.verified:
                _check_assurance(session, verified=account is None or any_verified(account.factors))
            since = now - timedelta(seconds=CHALLENGE_SECONDS)
            if not await transaction.factors.is_open(challenge_id, factor_id, since):
                raise ChallengeExpiredError
            step = self._step(stored, user_id, code)
            await transaction.factors.accept(factor_id, challenge_id, step, now)
            await transaction.factors.raise_session(session.id, factor_id, now)
            if not stored.verified:
                await transaction.factors.remove_unverified(user_id, now + _UNFINISHED)
                await transaction.factors.end_lower_sessions(user_id)
            return await self.granting.renew(transaction, session.id)

    def _step(self, stored: StoredFactor, user_id: UUID, code: str) -> int:
        """The step of a right code that is newer than the last one given."""
        secret = self.seal.open(str(user_id), _PLACE, bytes.fromhex(stored.secret))
        step = totp.step_of(secret, code, self.granting.clock())
        if step is None or (stored.last_step is not None and step <= stored.last_step):
            raise CodeRefusedError
        return step

    async def _locked(
        self, transaction: AuthTransaction, session: AuthSession, factor_id: UUID
    ) -> StoredFactor:
        if await transaction.session(session.id, self.granting.now()) is None:
            raise SessionNotFoundError
        stored = await transaction.factors.lock(factor_id, session.account.id)
        if stored is None:
            raise FactorNotFoundError
        return stored


def _check_assurance(session: AuthSession, *, verified: bool) -> None:
    if verified and session.aal != "aal2":
        raise InsufficientAalError
