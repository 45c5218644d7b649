"""Sign-ups that count once the address was confirmed."""

import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from gateway.auth.issuer.granting import Granting
from gateway.auth.issuer.letters import Kind
from gateway.auth.issuer.links import Links, Wish
from gateway.auth.issuer.passwords import Passwords
from gateway.store.auth_users import Account, AuthUsers, EmailTakenError, Origin


@dataclass(frozen=True, slots=True)
class Confirming:
    """Answers the same whether the address is new, waiting or somebody's."""

    users: AuthUsers
    granting: Granting
    passwords: Passwords
    links: Links
    secret: bytes

    async def sign_up(
        self, email: str, password: str, metadata: Mapping[str, Any], origin: Origin, wish: Wish
    ) -> Account:
        """The latest sign-up of an address is the one that its letter confirms."""
        self.links.admit(email, origin)
        password_hash = await self.passwords.hash(password)
        account = await self._keep(email, password_hash, metadata)
        self.links.outbox.later(self.links.write(Kind.SIGNUP, email, wish))
        now = self.granting.now()
        return Account(
            id=account.id if account else self._unused_id(email),
            email=email,
            password_hash=None,
            app_metadata={"provider": "email", "providers": ["email"]},
            user_metadata=metadata,
            confirmed_at=None,
            signed_in_at=None,
            created_at=now,
            updated_at=now,
            banned=False,
            factors=(),
            new_email=None,
            banned_until=None,
        )

    async def _keep(
        self, email: str, password_hash: str, metadata: Mapping[str, Any]
    ) -> Account | None:
        """The account that waits for its letter; None when the address is somebody's."""
        async with self.users.transaction() as transaction:
            account = await transaction.by_email(email)
            if account is None:
                with suppress(EmailTakenError):  # two at once: the letter goes to the first
                    await transaction.add(uuid4(), email, password_hash, metadata, confirmed=False)
                return await transaction.by_email(email)
            locked = await transaction.lock(account.id)
            if locked is None or locked.confirmed_at is not None:
                return None
            await transaction.set_password(account.id, password_hash)
            await transaction.set_metadata(account.id, metadata)
            return locked

    def _unused_id(self, email: str) -> UUID:
        """Always the same for an address, as an id would be."""
        digest = hmac.digest(self.secret, b"nobody's id" + email.encode(), hashlib.sha256)
        return UUID(bytes=digest[:16], version=4)
