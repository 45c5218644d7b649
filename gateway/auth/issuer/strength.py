"""How hard a password is to guess. Importing this reads word lists: only where it is asked for."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from zxcvbn import zxcvbn

from gateway.auth.issuer.errors import BusyError

_CHARACTERS = 72  # the estimate takes a third of a second for so many, and more than that for more
_WAITING = 32


class Strength:
    """Estimates beside the event loop, one at a time; what would wait too long is refused."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="strength")
        self._waiting = 0

    async def score(self, password: str, known: Sequence[str]) -> int:
        """From 0, guessed at once, to 4; what is known of its owner makes it easier."""
        if self._waiting >= _WAITING:
            raise BusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, _score, password, list(known)
            )
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the thread; an estimate under way is finished first."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _score(password: str, known: list[str]) -> int:
    return int(zxcvbn(password[:_CHARACTERS], user_inputs=known)["score"])
