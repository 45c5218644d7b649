"""Everything that goes on after its call was answered: WebSockets, and answers that stream.

A stream hangs on the key that opened it and on the version that serves it. News only say
where to look again; what is found in the caches of keys and routes decides.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from gateway.auth.verified import VerifiedKey
from gateway.errors import ForbiddenError, SandgateError, UnavailableError
from gateway.proxy.errors import (
    ApiNotFoundError,
    VersionNotFoundError,
)
from gateway.proxy.frames import POLICY_VIOLATION, SERVICE_RESTART, TRY_AGAIN_LATER
from gateway.proxy.permit import Made, outside, refusal
from gateway.proxy.resolve import ChangeSource, Destination, Target
from gateway.store.routes import Route

_log = structlog.get_logger(__name__)

SURE_SECONDS = 1.0  # that a key was good is believed so long of a call that waits
DOUBT_SECONDS = 5.0  # so long a stream outlives that nobody can tell whether its key is good
_AGAIN_SECONDS = 0.25  # between two attempts to find out
_AT_ONCE = 50  # looks at the same time
OLD_GENERATIONS = 4  # of an API that may keep a sandbox for the streams they have
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 60.0


class Reason(NamedTuple):
    """Why a stream is closed: for a close frame, for its record, and in words."""

    close_code: int
    code: str
    text: str


RETIRED = Reason(SERVICE_RESTART, "version_retired", "Another version serves now; connect again.")
DRAINED = Reason(SERVICE_RESTART, "gateway_stopped", "The gateway restarts; connect again.")
UNKNOWN = Reason(TRY_AGAIN_LATER, "unavailable", "The key cannot be checked; try again.")

Close = Callable[[Reason], None]
Pair = tuple[str, str]  # ids of key and API


class Verifier(Protocol):
    """Says who presented a key."""

    async def verify(self, presented: str) -> VerifiedKey:
        """The key's facts; raises why it is refused."""
        ...


class Resolver(Protocol):
    """Says where a reference leads now."""

    async def find(self, ref: str) -> Destination:
        """ApiNotFoundError when nowhere."""
        ...

    async def target(self, destination: Destination, pin: int | None) -> Target:
        """VersionNotFoundError when a pinned one is gone."""
        ...


class _Stream(NamedTuple):
    target: Target
    close: Close
    made: Made


@dataclass(slots=True)
class _Group:
    """The streams of one key with one API. The key's text lives no longer than they do."""

    presented: str = field(repr=False)
    ends_at: float | None  # Unix time
    streams: dict[int, _Stream]
    doubted_since: float | None = None  # time.monotonic


class Streams:
    """Closes what may not go on. Make it after verifier and resolver, so that they know first."""

    def __init__(
        self,
        verifier: Verifier,
        resolver: Resolver,
        changes: ChangeSource,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._resolver = resolver
        self._clock = clock
        self._groups: dict[Pair, _Group] = {}
        self._pairs: dict[int, Pair] = {}
        self._tokens = itertools.count(1)
        self._doubted: dict[Pair, None] = {}  # in the order of looking
        self._fresh: list[int] = []
        self._news = asyncio.Event()
        self._is_draining = False
        changes.subscribe(self._changed)

    def __len__(self) -> int:
        return len(self._pairs)

    # --- for streams

    def add(
        self, presented: str, key: VerifiedKey, target: Target, close: Close, made: Made
    ) -> int:
        """From now on `close` is called, once, when the stream may not go on; a token.

        It must not call back. When the gateway drains already, it is called before this returns.
        The stream is looked at once right away, for what changed since its key was verified.
        """
        token = next(self._tokens)
        pair = (key.key_id, target.spec.api_id)
        group = self._groups.get(pair)
        if group is None:
            group = self._groups[pair] = _Group(presented, _end_of(key), {})
        group.streams[token] = _Stream(target, close, made)
        self._pairs[token] = pair
        self._fresh.append(token)
        self._news.set()
        if self._is_draining:
            self._close(pair, [token], DRAINED)
        return token

    def remove(self, token: int) -> None:
        """It has ended by itself; or was closed, which changes nothing."""
        pair = self._pairs.pop(token, None)
        if pair is None:
            return
        group = self._groups[pair]
        del group.streams[token]
        if not group.streams:
            del self._groups[pair]
            self._doubted.pop(pair, None)

    async def look_again(self, since: float, presented: str, target: Target, made: Made) -> None:
        """Raises why a key may not make this call any more, when it might long ago.

        `since` is of `time.perf_counter`; for calls that waited before an app sees them.
        """
        if time.perf_counter() - since < SURE_SECONDS:
            return
        key = await self._verifier.verify(presented)
        destination = await self._resolver.find(target.spec.api_id)
        refused = refusal(destination.route, key) or outside(key, made)
        if refused is not None:
            raise refused

    # --- for those who end something

    def close_key(self, key_id: str, reason: Reason) -> None:
        """All streams of a key, now."""
        for pair in [pair for pair in self._groups if pair[0] == key_id]:
            self._close(pair, list(self._groups[pair].streams), reason)

    def close_version(self, version_id: str, reason: Reason = RETIRED) -> None:
        """All streams of a version, now."""
        for pair, group in list(self._groups.items()):
            streams = group.streams.items()
            ended = [n for n, one in streams if one.target.spec.version_id == version_id]
            self._close(pair, ended, reason)

    def drain(self) -> None:
        """All of them, now and from now on."""
        self._is_draining = True
        for pair, group in list(self._groups.items()):
            self._close(pair, list(group.streams), DRAINED)

    # --- following the news

    async def run(self) -> None:
        """Look where there is doubt, until cancelled."""
        while True:
            pause = self._pause()
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                self._doubt(self._expired())
            self._news.clear()
            await self._look_at_all()

    def _changed(self, kind: str, identifier: str) -> None:
        """What is named is looked at first; everything after missed news can wait for it."""
        if kind == "key":
            self._doubt([pair for pair in self._groups if pair[0] == identifier], first=True)
        elif kind == "api":
            self._doubt([pair for pair in self._groups if pair[1] == identifier], first=True)
        elif kind in ("tenant", "plan", "all"):
            self._doubt(list(self._groups))

    def _doubt(self, pairs: Iterable[Pair], *, first: bool = False) -> None:
        named = dict.fromkeys(pairs)
        self._doubted = named | self._doubted if first else self._doubted | named
        if named:
            self._news.set()

    async def _look_at_all(self) -> None:
        while self._doubted or self._fresh:
            looks = [(pair, None) for pair in itertools.islice(self._doubted, _AT_ONCE)]
            for pair, _ in looks:
                del self._doubted[pair]
            fresh, self._fresh = self._fresh[:_AT_ONCE], self._fresh[_AT_ONCE:]
            new = [(self._pairs[token], token) for token in fresh if token in self._pairs]
            unknown = await asyncio.gather(*(self._look_at(*look) for look in [*looks, *new]))
            self._thin_out({pair[1] for pair, _ in looks})
            again = {pair for pair in unknown if pair is not None and pair in self._groups}
            if again:
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._doubt, again)

    async def _look_at(self, pair: Pair, only: int | None) -> Pair | None:
        """Close what may not go on, of one stream or all; the pair when nobody can tell yet."""
        group = self._groups.get(pair)
        if group is None:
            return None
        try:
            key = await self._verifier.verify(group.presented)
            destination = await self._resolver.find(pair[1])
        except UnavailableError:
            return self._nobody_knows(pair, group)
        except ApiNotFoundError:
            self._close(pair, list(group.streams), RETIRED)
            return None
        except SandgateError as error:  # the key is refused
            reason = Reason(POLICY_VIOLATION, error.code, error.title)
            self._close(pair, list(group.streams), reason)
            return None
        group.doubted_since = None
        group.ends_at = _end_of(key)
        refused = refusal(destination.route, key)
        if refused is not None:
            self._close(pair, list(group.streams), _reason_of(refused))
            return None
        tokens = list(group.streams) if only is None else [only]
        self._close_outside(pair, tokens, key)
        return await self._look_at_versions(pair, tokens, destination)

    def _close_outside(self, pair: Pair, tokens: Iterable[int], key: VerifiedKey) -> None:
        """Those that the key, narrowed meanwhile, may not open any more."""
        for token in tokens:
            stream = self._groups[pair].streams.get(token) if pair in self._groups else None
            refused = None if stream is None else outside(key, stream.made)
            if refused is not None:
                self._close(pair, [token], _reason_of(refused))

    async def _look_at_versions(
        self, pair: Pair, tokens: Iterable[int], destination: Destination
    ) -> Pair | None:
        """Those whose version serves no more."""
        ended: list[int] = []
        for token in tokens:
            group = self._groups.get(pair)
            stream = None if group is None else group.streams.get(token)
            if group is None or stream is None:
                continue
            try:
                if not await self._serves(stream.target, destination):
                    ended.append(token)
            except UnavailableError:
                return self._nobody_knows(pair, group)
        self._close(pair, ended, RETIRED)
        return None

    async def _serves(self, target: Target, destination: Destination) -> bool:
        """Whether its version does. A reload puts a fresh sandbox beside the stream's own."""
        if not target.is_pinned:
            return _has_version(destination.route, target.spec.version_id)
        try:
            await self._resolver.target(destination, target.n)
        except VersionNotFoundError:
            return False
        return True

    def _thin_out(self, api_ids: set[str]) -> None:
        """Reload after reload, each with a stream, must not hold sandbox after sandbox."""
        for api_id in api_ids:
            held: dict[int, list[tuple[Pair, int]]] = {}
            for pair, group in self._groups.items():
                if pair[1] == api_id:
                    for token, stream in group.streams.items():
                        held.setdefault(stream.target.spec.generation, []).append((pair, token))
            for generation in sorted(held)[: -OLD_GENERATIONS - 1]:
                for pair, token in held[generation]:
                    self._close(pair, [token], RETIRED)

    def _nobody_knows(self, pair: Pair, group: _Group) -> Pair | None:
        """A key that may have been revoked does not stay open for long."""
        now = time.monotonic()
        if group.doubted_since is None:
            group.doubted_since = now
        if now - group.doubted_since < DOUBT_SECONDS:
            return pair
        self._close(pair, list(group.streams), UNKNOWN)
        return None

    def _close(self, pair: Pair, tokens: Iterable[int], reason: Reason) -> None:
        for token in tokens:
            group = self._groups.get(pair)
            stream = None if group is None else group.streams.get(token)
            if stream is None:
                continue
            self.remove(token)
            try:
                stream.close(reason)
            except Exception:  # noqa: BLE001 - the others are closed all the same
                _log.exception("stream_not_closed")

    def _pause(self) -> float:
        """Until the next key expires."""
        now = self._clock()
        left = [group.ends_at - now for group in self._groups.values() if group.ends_at is not None]
        return min(max(min(left, default=_LONGEST_PAUSE), _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def _expired(self) -> list[Pair]:
        now = self._clock()
        return [
            pair
            for pair, group in self._groups.items()
            if group.ends_at is not None and group.ends_at <= now
        ]


def _end_of(key: VerifiedKey) -> float | None:
    """When it stops being good by itself."""
    ends = [at for at in (key.expires_at, key.ends_at) if at is not None]
    return min(ends, default=None)


def _has_version(route: Route, version_id: str) -> bool:
    return any(version.version_id == version_id for version in route.versions)


def _reason_of(error: SandgateError) -> Reason:
    """The key or its owner may not go on, or the API is away for a while."""
    is_final = isinstance(error, ForbiddenError)
    return Reason(POLICY_VIOLATION if is_final else SERVICE_RESTART, error.code, error.title)
