"""Passwords: what is acceptable (pure), and Argon2id hashes made beside the event loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.auth.issuer.errors import BusyError, WeakPasswordError
from gateway.auth.issuer.foreign_hashes import is_bcrypt, matches_bcrypt

MIN_CHARACTERS = 8
MAX_BYTES = 1024
_WORKERS = 2
_WAITING = 64
_T = TypeVar("_T")


def check_password(password: str, min_characters: int = MIN_CHARACTERS) -> None:
    """Refuse what the policy forbids, with the reasons clients show."""
    reasons: list[str] = []
    if len(password) < min_characters or too_long(password):
        reasons.append("length")
    if not _printable(password):
        reasons.append("characters")
    if reasons:
        raise WeakPasswordError(
            f"Password should have {min_characters} characters to {MAX_BYTES} bytes"
            " and no control characters.",
            reasons,
        )


def could_be_password(password: str) -> bool:
    """False for what can never have been accepted, so that it is not worth a hash."""
    return len(password) > 0 and not too_long(password) and _printable(password)


def too_long(password: str) -> bool:
    """Over the cap in bytes; lone surrogates count like the three bytes they would take."""
    return len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES


def _printable(password: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in password)


class Passwords:
    """Hashes and checks, a few at a time; what would wait too long is refused.

    Argon2id with 19 MiB and two passes, a usual recommendation for sign-ins: tens of milliseconds.
    """

    def __init__(
        self,
        *,
        workers: int = _WORKERS,
        waiting: int = _WAITING,
        memory_kib: int = 19 * 1024,
        passes: int = 2,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="password")
        self._room = workers + waiting
        # checked against when the account is unknown, so that the answer takes as long
        self._decoy = self._hasher.hash("no account has this password")

    def close(self) -> None:
        """Stop the threads; a hash under way is finished first."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """A new salted hash."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password belongs to the hash; takes as long when there is none."""
        right = await self._run(lambda: self._verify(password, stored or self._decoy))
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return is_bcrypt(stored) or self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str) -> bool:
        if is_bcrypt(stored):
            return matches_bcrypt(password, stored)
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._room == 0:
            raise BusyError
        self._room -= 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # freed when the thread is done, not when an impatient client has left
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[_T]) -> None:
        self._room += 1
        if not future.cancelled():
            future.exception()  # the waiter may be gone; it has been raised there otherwise
