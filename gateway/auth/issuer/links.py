"""Tokens that go out by mail: made, sent, and redeemed for a session."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from gateway.auth.issuer import pkce
from gateway.auth.issuer.attempts import Allowance, AttemptLimits, Attempts, address_subject
from gateway.auth.issuer.documents import Grant
from gateway.auth.issuer.errors import (
    BadCodeVerifierError,
    EmailExistsError,
    FlowNotFoundError,
    MailLimitError,
    OtpExpiredError,
    TooManyAttemptsError,
    UserBannedError,
)
from gateway.auth.issuer.granting import Granting
from gateway.auth.issuer.letters import WIRE, Kind, letter
from gateway.auth.issuer.mail import Letter, Outbox
from gateway.auth.issuer.redirects import Redirects
from gateway.auth.issuer.refresh import fingerprint
from gateway.store.auth_links import Flow, MailedToken
from gateway.store.auth_users import (
    Account,
    AuthTransaction,
    AuthUsers,
    EmailTakenError,
    Origin,
)

_LIFE = timedelta(hours=1)
_FLOW_LIFE = timedelta(minutes=5)
_CHANGES = (Kind.NEW_ADDRESS, Kind.OLD_ADDRESS)


@dataclass(frozen=True, slots=True)
class Wish:
    """What goes along with a link: where it leads, and who alone may use it."""

    redirect_to: str | None = None
    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A token just made; the only place where it is in clear."""

    kind: Kind
    token: str
    code: str
    url: str
    redirect_to: str


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a token brought: a session, a code to exchange, or half of a change of address."""

    grant: Grant | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """The use cases over their parts. `mails` counts letters, `codes` wrong codes."""

    users: AuthUsers
    granting: Granting
    outbox: Outbox
    redirects: Redirects
    secret: bytes
    attempts: Attempts
    mails: Attempts
    hourly: Attempts
    limits: AttemptLimits

    def send(self, kind: Kind, email: str, origin: Origin, wish: Wish) -> None:
        """A letter to whom it may concern; the answer does not wait for whether there is one."""
        self.admit(email, origin)
        self.outbox.later(self.write(kind, email, wish))

    def send_magic(
        self, email: str, origin: Origin, wish: Wish, metadata: Mapping[str, Any] | None
    ) -> None:
        """A letter to sign in with; with metadata it makes the account when there is none."""
        self.admit(email, origin)
        self.outbox.later(self._write_magic(email, wish, metadata))

    def admit(self, email: str, origin: Origin) -> None:
        """Count a letter to an address, whether or not anybody has it."""
        self.outbox.check()
        self.attempts.take([Allowance(address_subject(origin.address), self.limits.address)])
        try:
            self.mails.take([Allowance(f"mail:{email}", 1)])
            self.hourly.take([Allowance(f"mail:{email}", self.limits.mails)])
        except TooManyAttemptsError as error:
            raise MailLimitError(error.seconds) from error

    async def make(
        self, transaction: AuthTransaction, kind: Kind, user_id: UUID, address: str, wish: Wish
    ) -> Link:
        """A new token; an earlier one of this kind is void."""
        token_id, token = uuid4(), secrets.token_urlsafe(32)
        code = f"{secrets.randbelow(1_000_000):06}"
        target = self.redirects.target(wish.redirect_to)
        stored = MailedToken(
            token_id, user_id, kind, address, self._code_hash(token_id, code), wish.challenge
        )
        await transaction.links.put(stored, fingerprint(token), self.granting.now())
        query = urlencode({"token": token, "type": WIRE[kind], "redirect_to": target})
        url = f"{self.redirects.site.rstrip('/')}/auth/v1/verify?{query}"
        return Link(kind, token, code, url, target)

    async def change_address(self, account: Account, wanted: str, wish: Wish) -> None:
        """Ask both mailboxes; an address that somebody has is asked nothing."""
        letters: list[Letter] = []
        async with self.users.transaction() as transaction:
            await transaction.links.want_address(account.id, wanted, self.granting.now())
            link = await self.make(transaction, Kind.NEW_ADDRESS, account.id, wanted, wish)
            if await transaction.by_email(wanted) is None:
                letters.append(letter(Kind.NEW_ADDRESS, wanted, link.url, link.code))
            if account.confirmed_at is not None:
                kind = Kind.OLD_ADDRESS
                link = await self.make(transaction, kind, account.id, account.email, wish)
                letters.append(letter(kind, account.email, link.url, link.code, wanted))
        for written in letters:
            self.outbox.send(written)

    def send_change(self, email: str, origin: Origin, wish: Wish) -> None:
        """The letters of a change of address that waits, once more."""
        self.admit(email, origin)
        self.outbox.later(self._write_change(email, wish))

    async def _write_change(self, email: str, wish: Wish) -> Letter | None:
        async with self.users.transaction() as transaction:
            account = await transaction.by_email(email)
        if account is not None and account.new_email:
            await self.change_address(account, account.new_email, wish)
        return None

    async def open(self, token: str, kinds: tuple[Kind, ...], origin: Origin) -> Redeemed:
        """Redeem the token of a link; a browser that opened it gets no more than it may have."""
        async with self.users.transaction() as transaction:
            found = await self._take(transaction, token, kinds)
            if found.challenge is None or found.kind in _CHANGES:
                return await self._redeem(transaction, found, origin)
            await self._confirm(transaction, found)
            code = secrets.token_urlsafe(32)
            flow = Flow(found.user_id, found.challenge)
            await transaction.links.add_flow(flow, fingerprint(code), self.granting.now())
            return Redeemed(code=code)

    async def redeem(self, token: str, kinds: tuple[Kind, ...], origin: Origin) -> Redeemed:
        """Redeem the token of a link that an application was handed."""
        async with self.users.transaction() as transaction:
            found = await self._take(transaction, token, kinds)
            return await self._redeem(transaction, found, origin)

    async def redeem_code(
        self, email: str, code: str, kinds: tuple[Kind, ...], origin: Origin
    ) -> Redeemed:
        """Redeem the code of a letter; a few wrong ones and only its link works."""
        allowances = [
            Allowance(address_subject(origin.address), self.limits.address),
        ]
        account = [Allowance(f"otp:{email}", self.limits.code)]
        with (
            self.attempts.counted(allowances, (OtpExpiredError,)),
            self.hourly.counted(account, (OtpExpiredError,)),
        ):
            return await self._redeem_code(email, code, kinds, origin)

    async def exchange(self, code: str, verifier: str, origin: Origin) -> Grant:
        """The session of an opened link, for who asked for the link."""
        since = self.granting.now() - _FLOW_LIFE
        async with self.users.transaction() as transaction:
            flow = await transaction.links.take_flow(fingerprint(code), since)
            if flow is None:
                raise FlowNotFoundError
            if pkce.answers(verifier, flow.challenge):
                return await self.granting.open(transaction, flow.user_id, origin, "otp")
        raise BadCodeVerifierError  # after the end of the transaction: the code is used up

    async def write(self, kind: Kind, email: str, wish: Wish) -> Letter | None:
        """The letter, when there is somebody to have it."""
        async with self.users.transaction() as transaction:
            account = await transaction.by_email(email)
            if account is None or account.banned:
                return None
            if kind is Kind.SIGNUP and account.confirmed_at is not None:
                return None
            link = await self.make(transaction, kind, account.id, email, wish)
        return letter(kind, email, link.url, link.code)

    async def _write_magic(
        self, email: str, wish: Wish, metadata: Mapping[str, Any] | None
    ) -> Letter | None:
        if metadata is not None:
            async with self.users.transaction() as transaction:
                if await transaction.by_email(email) is None:
                    with suppress(EmailTakenError):  # made by another letter meanwhile
                        await transaction.add(uuid4(), email, None, metadata, confirmed=False)
        return await self.write(Kind.MAGIC, email, wish)

    async def _take(
        self, transaction: AuthTransaction, token: str, kinds: tuple[Kind, ...]
    ) -> MailedToken:
        found = await transaction.links.take(fingerprint(token), kinds, self._since())
        if found is None:
            raise OtpExpiredError
        return found

    async def _redeem_code(
        self, email: str, code: str, kinds: tuple[Kind, ...], origin: Origin
    ) -> Redeemed:
        async with self.users.transaction() as transaction:
            tokens = await transaction.links.lock(email, kinds, self._since())
            right = [t for t in tokens if self._is_code(t, code)]
            if right:
                await transaction.links.remove(right[0].id)
                return await self._redeem(transaction, right[0], origin)
            await transaction.links.count_wrong(tokens)
        raise OtpExpiredError  # after the end of the transaction: the wrong code is counted

    async def _redeem(
        self, transaction: AuthTransaction, found: MailedToken, origin: Origin
    ) -> Redeemed:
        account = await self._confirm(transaction, found)
        if found.kind in _CHANGES and not await self._apply_change(transaction, account):
            return Redeemed()
        return Redeemed(await self.granting.open(transaction, found.user_id, origin, "otp"))

    async def _confirm(self, transaction: AuthTransaction, found: MailedToken) -> Account:
        """Whoever has the token reads the mailbox."""
        account = await transaction.lock(found.user_id)
        if account is None:
            raise OtpExpiredError
        if account.banned:
            raise UserBannedError
        if account.confirmed_at is None and found.kind not in _CHANGES:
            if found.kind in (Kind.MAGIC, Kind.RECOVERY):
                await transaction.links.drop_password(account.id)
            await transaction.links.confirm(account.id, self.granting.now())
        return account

    async def _apply_change(self, transaction: AuthTransaction, account: Account) -> bool:
        """The new address once both mailboxes have agreed."""
        if not account.new_email or await transaction.links.is_waiting(account.id, _CHANGES):
            return False
        now = self.granting.now()
        if not await transaction.links.change_address(account.id, account.new_email, now):
            raise EmailExistsError
        await transaction.links.forget(account.id)
        return True

    def _since(self) -> datetime:
        return self.granting.now() - _LIFE

    def _is_code(self, token: MailedToken, code: str) -> bool:
        expected = token.code_hash or ""
        return hmac.compare_digest(self._code_hash(token.id, code), expected)

    def _code_hash(self, token_id: UUID, code: str) -> str:
        message = b"mailed code" + token_id.bytes + code.encode("utf-8", "surrogatepass")
        return hmac.digest(self.secret, message, hashlib.sha256).hex()
