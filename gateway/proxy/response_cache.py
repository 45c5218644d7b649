"""Answers that may be given again, kept in memory within bounds; the oldest unused go first.

For APIs that asked for it. A kept answer is as the app sent it: what is made of it for one
caller (CORS, addresses, limits) is made each time. Generation and version are part of what
it is kept under, so a redeployed or reloaded API begins anew.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.proxy.cache_rules import Asked, Freshness, etags_of, freshness_of, selected
from gateway.proxy.headers import Field

TOTAL_BYTES = 64 * 1024 * 1024
API_BYTES = 16 * 1024 * 1024
ENTRY_BYTES = 1024 * 1024
_OVERHEAD = 1024  # of an entry's objects, roughly
_TEXT = 60  # of each of its texts
_VARIANTS = 32  # of one address


class Address(NamedTuple):
    """Everything about a call but its headers that an answer can depend on."""

    api_id: str
    version_id: str
    generation: int
    method: str
    scheme: str
    root: bytes  # apps build addresses with it
    path: bytes
    query: bytes


class Kept(NamedTuple):
    """An answer from memory."""

    status: int
    headers: list[Field]
    body: bytes


_Place = tuple[Address, bytes]  # with the host
_Variant = tuple[tuple[Field, ...], tuple[bytes | None, ...]]


@dataclass(slots=True, eq=False)
class _Entry:
    place: _Place
    variant: _Variant
    status: int
    headers: list[Field]
    body: bytes
    at: float  # when it would have been of age zero
    until: float
    is_shared: bool
    size: int


@dataclass(slots=True)
class _Resource:
    """All variants of one address, told apart by the headers that the last answer named."""

    vary: tuple[bytes, ...]
    entries: dict[_Variant, _Entry] = field(default_factory=dict)


@dataclass(slots=True)
class _Share:
    """What one API holds, the longest unused first."""

    entries: OrderedDict[_Entry, None] = field(default_factory=OrderedDict)
    size: int = 0


class ResponseCache:
    """One for all APIs of this gateway process."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        total_bytes: int = TOTAL_BYTES,
        api_bytes: int = API_BYTES,
        entry_bytes: int = ENTRY_BYTES,
    ) -> None:
        self._clock = clock
        self._total_bytes = total_bytes
        self._api_bytes = api_bytes
        self._entry_bytes = entry_bytes
        self._resources: dict[_Place, _Resource] = {}
        self._entries: OrderedDict[_Entry, None] = OrderedDict()
        self._shares: dict[str, _Share] = {}
        self.size = 0
        self.hits = self.misses = self.stored = 0  # since the process began
        self.filling_bytes = 0  # of answers that are still on their way

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, address: Address, asked: Asked) -> Kept | None:
        """A fresh answer to this call; 304 when the caller has it already."""
        kept = self._find(address, asked)
        if kept is None:
            self.misses += 1
        else:
            self.hits += 1
        return kept

    def _find(self, address: Address, asked: Asked) -> Kept | None:
        resource = self._resources.get((address, asked.host))
        if resource is None or not asked.may_be_old:
            return None
        entry = resource.entries.get(_variant(asked, resource.vary))
        now = self._clock()
        if entry is None:
            return None
        if now >= entry.until:
            self._drop(entry)
            return None
        age = int(now - entry.at)
        if asked.has_credentials and not entry.is_shared:
            return None
        if asked.max_age is not None and age > asked.max_age:
            return None
        self._entries.move_to_end(entry)
        self._shares[address.api_id].entries.move_to_end(entry)
        return _answer(entry, asked, age, int(entry.until - now))

    def filling(
        self, address: Address, asked: Asked, status: int, headers: list[Field]
    ) -> "Filling | None":
        """Takes the body of an answer that may be kept; None when it may not."""
        freshness = freshness_of(asked, status, headers)
        if freshness is None:
            return None
        room = self._entry_bytes - sum(len(name) + len(value) for name, value in headers)
        told = 0 if address.method == "HEAD" else _told_length(headers)
        if room < told:
            return None
        return Filling(self, address, asked, status, headers, freshness, room)

    def take_room(self, size: int) -> bool:
        """Whether an answer on its way may hold so much more, beside all the others."""
        if self.filling_bytes + size > self._total_bytes // 4:
            return False
        self.filling_bytes += size
        return True

    def spoil(self, address: Address, host: bytes) -> None:
        """A call that changes things was answered without an error: its address is not fresh."""
        for method in ("GET", "HEAD"):
            resource = self._resources.get((address._replace(method=method), host.lower()))
            for entry in list(resource.entries.values()) if resource else ():
                self._drop(entry)

    def keep(
        self,
        address: Address,
        asked: Asked,
        status: int,
        headers: list[Field],
        body: bytes,
        freshness: Freshness,
    ) -> None:
        """Keep a whole answer; called by `Filling`."""
        place = (address, asked.host)
        variant = _variant(asked, freshness.vary)
        now = self._clock()
        entry = _Entry(
            place=place,
            variant=variant,
            status=status,
            headers=[each for each in headers if each[0] != b"age"],
            body=body,
            at=now - freshness.age,
            until=now + freshness.seconds,
            is_shared=freshness.is_shared,
            size=_size(address, asked, headers, body, variant),
        )
        if entry.size > min(self._api_bytes, self._total_bytes):
            return
        resource = self._resources.get(place)
        if resource is not None and resource.vary != freshness.vary:
            for other in list(resource.entries.values()):
                self._drop(other)  # they were told apart by other headers
        elif resource is not None:
            before = resource.entries.get(variant)
            if before is None and len(resource.entries) >= _VARIANTS:
                before = next(iter(resource.entries.values()))
            if before is not None:
                self._drop(before)
        self._make_room(address.api_id, entry.size)
        self._add(entry, freshness.vary)

    def _add(self, entry: _Entry, vary: tuple[bytes, ...]) -> None:
        api_id = entry.place[0].api_id
        self._resources.setdefault(entry.place, _Resource(vary)).entries[entry.variant] = entry
        self._entries[entry] = None
        self.stored += 1
        share = self._shares.setdefault(api_id, _Share())
        share.entries[entry] = None
        share.size += entry.size
        self.size += entry.size

    def _make_room(self, api_id: str, size: int) -> None:
        share = self._shares.get(api_id)
        while share is not None and share.entries and share.size + size > self._api_bytes:
            self._drop(next(iter(share.entries)))
        while self._entries and self.size + size > self._total_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, entry: _Entry) -> None:
        del self._entries[entry]
        self.size -= entry.size
        api_id = entry.place[0].api_id
        share = self._shares[api_id]
        del share.entries[entry]
        share.size -= entry.size
        if not share.entries:
            del self._shares[api_id]
        resource = self._resources[entry.place]
        del resource.entries[entry.variant]
        if not resource.entries:
            del self._resources[entry.place]


class Filling:
    """An answer on its way to the caller that shall be kept once it is whole.

    Who breaks off just lets go of it.
    """

    __slots__ = ("_cache", "_keep", "_pieces", "_room", "_size")

    def __init__(
        self,
        cache: ResponseCache,
        address: Address,
        asked: Asked,
        status: int,
        headers: list[Field],
        freshness: Freshness,
        room: int,
    ) -> None:
        self._cache = cache
        self._keep: Callable[[bytes], None] | None = lambda body: cache.keep(
            address, asked, status, headers, body, freshness
        )
        self._room = room
        self._size = 0
        self._pieces: list[bytes] = []

    def __del__(self) -> None:
        self._give_up()  # calls end in many ways; none of them may leave room taken

    def add(self, piece: bytes) -> None:
        """A piece of the body; more than an entry may have is not kept."""
        if self._keep is None:
            return
        if self._size + len(piece) <= self._room and self._cache.take_room(len(piece)):
            self._size += len(piece)
            self._pieces.append(piece)
        else:
            self._give_up()

    def finish(self) -> bool:
        """The answer is whole. Whether it was kept."""
        keep, body = self._keep, b"".join(self._pieces)
        self._give_up()
        if keep is None:
            return False
        keep(body)
        return True

    def _give_up(self) -> None:
        self._cache.filling_bytes -= self._size
        self._size = 0
        self._pieces.clear()
        self._keep = None


def status_line(*, stored: bool) -> Field:
    """The Cache-Status (RFC 9211) of an answer that came from the app."""
    return (b"cache-status", b"sandgate; fwd=miss; stored" if stored else b"sandgate; fwd=miss")


def _told_length(headers: list[Field]) -> int:
    told = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(told) if told.isdigit() and len(told) < 20 else 0


def _variant(asked: Asked, vary: tuple[bytes, ...]) -> _Variant:
    return (asked.unusual, selected(asked, vary))


def _answer(entry: _Entry, asked: Asked, age: int, left: int) -> Kept:
    headers = [
        *entry.headers,
        (b"age", b"%d" % age),
        (b"cache-status", b"sandgate; hit; ttl=%d" % left),
    ]
    etag = next((value for name, value in entry.headers if name == b"etag"), None)
    if asked.etags is None or etag is None or entry.status != 200:
        return Kept(entry.status, headers, entry.body)
    if b"*" in asked.etags or etags_of(etag) & asked.etags:
        unneeded = (b"content-length", b"content-type", b"content-encoding", b"transfer-encoding")
        return Kept(304, [each for each in headers if each[0] not in unneeded], b"")
    return Kept(entry.status, headers, entry.body)


def _size(
    address: Address,
    asked: Asked,
    headers: list[Field],
    body: bytes,
    variant: _Variant,
) -> int:
    texts = [body, address.path, address.query, asked.host, *variant[1]]
    texts += [text for each in (*headers, *asked.unusual) for text in each]
    return _OVERHEAD + sum(_TEXT + len(text or b"") for text in texts)
