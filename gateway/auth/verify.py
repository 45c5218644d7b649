"""Verifies presented keys: from memory when it can, from the database when it must."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from gateway.auth.key_cache import Digest, Entry, KeyCache
from gateway.auth.keys import is_well_formed
from gateway.auth.news_log import KINDS, NewsLog
from gateway.auth.verified import (
    KeyMalformedError,
    KeyMissingError,
    KeyUnknownError,
    VerifiedKey,
)
from gateway.deadline import within
from gateway.errors import SandgateError, UnavailableError
from gateway.key_hashes import Hashes, HashSecrets

Load = Callable[[Hashes], Awaitable[Mapping[str, Any] | None]]

FRESH_SECONDS = 60.0  # missed news come as `all` within seconds; this is the second net
LOAD_SECONDS = 2.0
RETRY_SECONDS = 1.0  # between two attempts to reach a database that is down, per key
STALE_SECONDS = 3600.0  # how long a good key goes on without a database
MAX_LOADS = 1000  # distinct keys being looked up at once
_ATTEMPTS = 3
_LONGEST = 64  # characters; anything longer is junk before it is hashed


class ChangeSource(Protocol):
    """Where news about keys, tenants and plans comes from."""

    def subscribe(self, callback: Callable[[str, str], None], /) -> object:
        """Call back with kind and id of what changed; ("all", "") when news were missed."""
        ...


class _ChangingError(UnavailableError):
    """The key changed during every look-up; what was read of it may be wrong by now."""

    def __init__(self) -> None:
        super().__init__("This key is being changed; try again.")


class _Found(NamedTuple):
    """What a look-up came to, and the last news it takes into account."""

    key: VerifiedKey | None
    news: int


class KeyVerifier:
    """Answers who presented a key, or raises why it is refused.

    Memory is addressed by a BLAKE2b digest under a secret made for this process: a quarter of
    the cost of the stored HMAC, of no use outside this process, and nothing an outsider could
    aim at. The text of a key lives only as long as the call that brought it or the look-up it
    caused; it is never kept.

    A look-up during which its key was announced as changed is not trusted: it is made again,
    and never stored. The same holds when the news come between the end of the look-up and the
    moment its caller goes on, and for a row older than one already seen. So nothing can bring
    back a revoked key, and a key that changes all the time is refused rather than guessed.

    `stale_seconds` is how old anything remembered may be when the database does not answer.
    """

    def __init__(
        self,
        load: Load,
        secrets_now: Callable[[], HashSecrets],
        changes: ChangeSource,
        clock: Callable[[], float] = time.time,
        *,
        max_known: int = 50_000,
        max_unknown: int = 10_000,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self._load = load
        self._secrets = secrets_now
        self._clock = clock
        self._cache = KeyCache(max_known, max_unknown)
        self._stale_seconds = stale_seconds
        self._fresh_seconds = min(FRESH_SECONDS, stale_seconds)
        self._news = NewsLog()
        self._loads: dict[Digest, asyncio.Task[_Found]] = {}  # may be joined
        self._running: set[asyncio.Task[_Found]] = set()
        self._blake = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)
        changes.subscribe(self._invalidate)

    def __len__(self) -> int:
        """How many keys are remembered, unknown ones included."""
        return len(self._cache)

    async def verify(self, presented: str) -> VerifiedKey:
        """The key behind `presented`; an empty text means that nothing was presented."""
        now = self._clock()
        digest = self._digest(presented)
        entry = self._cache.known(digest)
        if entry is not None and entry.is_fresh(now):
            return _usable(entry.key, now)
        if not is_well_formed(presented):
            raise KeyMalformedError
        if entry is None:
            if self._cache.is_unknown(digest, now):
                raise KeyUnknownError
            if len(self._running) >= MAX_LOADS:
                raise UnavailableError("Too many new keys at once; try again.")
        for _ in range(_ATTEMPTS):
            load = self._look_up(digest, presented)
            if entry is not None and entry.is_unconfirmed and self._may_be_stale(entry, now):
                return _usable(entry.key, now)  # nobody waits for a database known to be down
            found = await asyncio.shield(load)  # it outlives a caller who leaves
            if found.key is None:
                raise KeyUnknownError
            if not self._news.concern(found.key, found.news):
                return _usable(found.key, self._clock())
            entry = None
        raise _ChangingError

    def digest(self, presented: str) -> Digest | None:
        """What `at_hand` is asked with; None for what can be no key."""
        if not presented or len(presented) > _LONGEST or not presented.isascii():
            return None
        return self._digest(presented)

    def at_hand(self, digest: Digest) -> VerifiedKey | None:
        """The key behind it when that is known and may be used now; the warm path."""
        now = self._clock()
        entry = self._cache.known(digest)
        if entry is None or not entry.is_fresh(now) or entry.key.refusal(now) is not None:
            return None
        return entry.key

    def _digest(self, presented: str) -> Digest:
        if not presented:
            raise KeyMissingError
        if len(presented) > _LONGEST or not presented.isascii():
            raise KeyMalformedError
        state = self._blake.copy()
        state.update(presented.encode())
        return state.digest()

    def _look_up(self, digest: Digest, presented: str) -> asyncio.Task[_Found]:
        """The look-up under way for this key, or a new one."""
        task = self._loads.get(digest)
        if task is None:
            task = asyncio.create_task(self._fill(digest, self._secrets().hashes(presented)))
            self._loads[digest] = task
            self._running.add(task)
            task.add_done_callback(lambda done: self._finished(digest, done))
        return task

    def _finished(self, digest: Digest, done: asyncio.Task[_Found]) -> None:
        self._running.discard(done)
        if self._loads.get(digest) is done:
            del self._loads[digest]
        if not done.cancelled():
            done.exception()  # counts as seen, also when every caller has left

    async def _fill(self, digest: Digest, hashes: Hashes) -> _Found:
        try:
            return await within(LOAD_SECONDS, self._load_current(digest, hashes))
        except _ChangingError:  # the database answers: what was known before is no stand-in
            raise
        except (SandgateError, TimeoutError) as error:
            return _Found(self._fallback(digest, error), self._news.number)

    async def _load_current(self, digest: Digest, hashes: Hashes) -> _Found:
        """Load until no news about the key came in between; store only such an answer."""
        for _ in range(_ATTEMPTS):
            before, asked_at = self._news.number, self._clock()
            row = await self._load(hashes)
            key = None if row is None else VerifiedKey.from_row(row)
            if not self._news.concern(key, before) and not self._cache.has_seen_newer(key):
                self._store(digest, key, asked_at)
                return _Found(key, self._news.number)
        if key is not None:
            raise _ChangingError
        return _Found(None, self._news.number)

    def _store(self, digest: Digest, key: VerifiedKey | None, asked_at: float) -> None:
        until = asked_at + self._fresh_seconds
        if key is None:
            self._cache.put_unknown(digest, asked_at, until)
        else:
            self._cache.put(digest, Entry(key, asked_at, until))

    def _fallback(self, digest: Digest, error: Exception) -> VerifiedKey:
        """The last known value while the database is down, unless a change dropped it."""
        entry = self._cache.known(digest)
        now = self._clock()
        if entry is None or not self._may_be_stale(entry, now):
            raise UnavailableError("Keys cannot be checked at the moment; try again.") from error
        entry.fresh_until = now + RETRY_SECONDS
        entry.is_unconfirmed = True
        return entry.key

    def _invalidate(self, kind: str, identifier: str) -> None:
        """Called by the change source, in the event loop's thread."""
        if kind not in KINDS:
            return
        self._news.add(kind, identifier)
        self._loads.clear()  # who asks from now on gets a look-up that starts now
        if kind == "all":
            self._cache.expire_all()
        else:
            self._cache.invalidate(kind, identifier)

    def _may_be_stale(self, entry: Entry, now: float) -> bool:
        """Whether this entry may stand in for a database that is down.

        Not when the clock was set back since: then nobody knows how old it is.
        """
        return 0 <= now - entry.loaded_at <= self._stale_seconds


def _usable(key: VerifiedKey, now: float) -> VerifiedKey:
    """The key itself, unless it may not be used now."""
    refusal = key.refusal(now)
    if refusal is not None:
        raise refusal
    return key
