"""Which passwords people may choose."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.auth.issuer.errors import WeakPasswordError
from gateway.auth.issuer.passwords import MIN_CHARACTERS, check_password


class KnownPasswords(Protocol):
    """A list of passwords that others have lost."""

    async def has(self, password: str) -> bool:
        """Whether it is on the list."""
        ...


Score = Callable[[str, Sequence[str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Cheap rules first; what was chosen before a rule goes on to open its account."""

    min_characters: int = MIN_CHARACTERS
    min_score: int = 0
    score: Score | None = None
    breaches: KnownPasswords | None = None

    async def check(self, password: str, email: str) -> None:
        """Refuse what the policy forbids, with the reasons clients show."""
        check_password(password, self.min_characters)
        if self.score is not None and await self.score(password, _known(email)) < self.min_score:
            raise WeakPasswordError("Password is too easy to guess", ["strength"])
        if self.breaches is not None and await self.breaches.has(password):
            raise WeakPasswordError(
                "Password is known to be weak and easy to guess, please choose a different one.",
                ["pwned"],
            )


def _known(email: str) -> tuple[str, ...]:
    name, _, domain = email.partition("@")
    return (email, name, domain, "sandgate")
