"""What holders of the admin key do to people; each act is written down before it is done."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from gateway.auth.issuer.errors import (
    EmailExistsError,
    FactorNotFoundError,
    StillReferredError,
    UserExistsError,
    UserNotFoundError,
    ValidationError,
)
from gateway.auth.issuer.granting import Granting
from gateway.auth.issuer.letters import Kind, letter
from gateway.auth.issuer.links import Link, Links, Wish
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.requests import check_metadata_size
from gateway.auth.issuer.service import SessionCache, merge_metadata
from gateway.store.auth_people import StillNeededError
from gateway.store.auth_users import Account, AuthTransaction, AuthUsers, EmailTakenError

Audit = Callable[[str, str, Mapping[str, Any]], Awaitable[None]]
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,3})?(?:h|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([hms])")
_UNITS = {"h": 3600, "m": 60, "s": 1}
_LONGEST = timedelta(days=365 * 200)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person shall be like; None leaves it."""

    id: UUID | None = None
    email: str | None = None
    password: str | None = None
    password_hash: str | None = None
    confirmed: bool = False
    user_metadata: Mapping[str, Any] | None = None
    app_metadata: Mapping[str, Any] | None = None
    ban: timedelta | None = None  # zero lifts it

    def told(self) -> dict[str, Any]:
        """For the books: what was changed, no secret and nothing personal but the address."""
        names = ("password", "password_hash", "user_metadata", "app_metadata", "ban")
        changed = [name for name in names if getattr(self, name) is not None]
        return {"changed": changed, "email": self.email, "confirmed": self.confirmed}


@dataclass(frozen=True, slots=True)
class People:
    """The use cases over their parts."""

    users: AuthUsers
    passwords: Passwords
    policy: PasswordPolicy
    granting: Granting
    links: Links
    sessions: SessionCache
    audit: Audit

    async def page(self, page: int, per_page: int) -> tuple[list[Account], int]:
        """One page of people and how many there are."""
        async with self.users.transaction() as transaction:
            return await transaction.people.page((page - 1) * per_page, per_page)

    async def get(self, user_id: UUID) -> Account:
        """One person."""
        async with self.users.transaction() as transaction:
            return await _existing(transaction, user_id)

    async def create(self, wanted: Wanted) -> Account:
        """A new person; who has no password signs in by link."""
        user_id = wanted.id or uuid4()
        if wanted.email is None:
            raise ValidationError("Cannot create a user without an email")
        password_hash = await self._hash(wanted, wanted.email)
        await self.audit("user.create", str(user_id), wanted.told())
        async with self.users.transaction() as transaction:
            if await transaction.lock(user_id) is not None:
                raise UserExistsError
            try:
                await transaction.add(
                    user_id,
                    wanted.email,
                    password_hash,
                    wanted.user_metadata or {},
                    confirmed=wanted.confirmed,
                )
            except EmailTakenError as error:
                raise EmailExistsError from error
            made = await _existing(transaction, user_id)
            await self._apply(transaction, made, wanted)
            return await _existing(transaction, user_id)

    async def update(self, user_id: UUID, wanted: Wanted) -> Account:
        """Change a person; a new password and a ban end their sessions."""
        email = wanted.email or (await self.get(user_id)).email
        password_hash = await self._hash(wanted, email)
        await self.audit("user.update", str(user_id), wanted.told())
        async with self.users.transaction() as transaction:
            account = await _existing(transaction, user_id)
            if wanted.email not in (None, account.email):
                await self._move(transaction, account, wanted)
            elif wanted.confirmed:
                await transaction.links.confirm(user_id, self.granting.now())
            if wanted.user_metadata is not None:
                merged = merge_metadata(account.user_metadata, wanted.user_metadata)
                check_metadata_size(merged)
                await transaction.set_metadata(user_id, merged)
            if password_hash is not None:
                await transaction.set_password(user_id, password_hash)
                await transaction.links.forget(user_id)
                await transaction.end_sessions(user_id)
            await self._apply(transaction, account, wanted)
            changed = await _existing(transaction, user_id)
        self.sessions.forget_user(user_id)
        return changed

    async def delete(self, user_id: UUID) -> None:
        """Delete a person with everything that is theirs alone."""
        await self.audit("user.delete", str(user_id), {})
        async with self.users.transaction() as transaction:
            await _existing(transaction, user_id)
            try:
                await transaction.people.delete(user_id)
            except StillNeededError as error:
                raise StillReferredError from error
        self.sessions.forget_user(user_id)

    async def remove_factor(self, user_id: UUID, factor_id: UUID) -> None:
        """Take away a factor whose owner has lost it; sessions that it raised end."""
        await self.audit("user.remove_factor", str(user_id), {"factor": str(factor_id)})
        async with self.users.transaction() as transaction:
            await _existing(transaction, user_id)
            if await transaction.factors.lock(factor_id, user_id) is None:
                raise FactorNotFoundError
            await transaction.factors.remove(factor_id)
            await transaction.end_sessions(user_id)
        self.sessions.forget_user(user_id)

    async def link(
        self, kind: Kind, wanted: Wanted, new_email: str | None, wish: Wish
    ) -> tuple[Account, Link]:
        """A link for the operator to hand over; makes the account for those that begin one."""
        if wanted.email is None:
            raise ValidationError("email must be a string")
        account = await self._account_for(kind, wanted)
        await self.audit("user.link", str(account.id), {"kind": str(kind)})
        async with self.users.transaction() as transaction:
            address = account.email
            if kind in (Kind.NEW_ADDRESS, Kind.OLD_ADDRESS):
                if new_email is None:
                    raise ValidationError("new_email must be a string")
                now = self.granting.now()
                await transaction.links.want_address(account.id, new_email, now)
                address = new_email if kind is Kind.NEW_ADDRESS else address
            return account, await self.links.make(transaction, kind, account.id, address, wish)

    async def invite(self, wanted: Wanted, wish: Wish) -> Account:
        """A letter to somebody who has no account yet."""
        self.links.outbox.check()
        account, link = await self.link(Kind.INVITE, wanted, None, wish)
        self.links.outbox.send(letter(Kind.INVITE, account.email, link.url, link.code))
        return account

    async def _account_for(self, kind: Kind, wanted: Wanted) -> Account:
        async with self.users.transaction() as transaction:
            found = await transaction.by_email(wanted.email or "")
        if found is None and kind in (Kind.SIGNUP, Kind.INVITE, Kind.MAGIC):
            return await self.create(wanted)
        if found is None:
            raise UserNotFoundError
        if found.confirmed_at is not None and kind in (Kind.SIGNUP, Kind.INVITE):
            raise EmailExistsError
        return found

    async def _hash(self, wanted: Wanted, email: str) -> str | None:
        if wanted.password is None:
            return wanted.password_hash
        if wanted.password_hash is not None:
            raise ValidationError("Only a password or a password hash should be provided")
        await self.policy.check(wanted.password, email)
        return await self.passwords.hash(wanted.password)

    async def _move(self, transaction: AuthTransaction, account: Account, wanted: Wanted) -> None:
        """Nothing that was mailed to the old address opens the account any more."""
        email, now = wanted.email or "", self.granting.now()
        if not await transaction.links.change_address(account.id, email, now):
            raise EmailExistsError
        await transaction.links.forget(account.id)

    async def _apply(self, transaction: AuthTransaction, account: Account, wanted: Wanted) -> None:
        if wanted.app_metadata is not None:
            merged = merge_metadata(account.app_metadata, wanted.app_metadata)
            check_metadata_size(merged)
            await transaction.people.set_app_metadata(account.id, merged)
        if wanted.ban is not None:
            until = self._until(wanted.ban)
            await transaction.people.ban(account.id, until)
            if until is not None:
                await transaction.end_sessions(account.id)

    def _until(self, ban: timedelta) -> datetime | None:
        return self.granting.now() + ban if ban else None


def duration_of(text: str) -> timedelta:
    """A ban as Go writes durations, such as `24h` or `1h30m`; `none` lifts it."""
    if text == "none":
        return timedelta(0)
    if not _DURATION.fullmatch(text):
        raise ValidationError("invalid format for ban duration, use such as 24h or none")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise ValidationError("ban_duration must be more than nothing and at most 200 years")
    return timedelta(seconds=seconds)


async def _existing(transaction: AuthTransaction, user_id: UUID) -> Account:
    account = await transaction.lock(user_id)
    if account is None:
        raise UserNotFoundError
    return account
