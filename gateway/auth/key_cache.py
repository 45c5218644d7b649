"""What is remembered about keys: good ones with their value, unknown ones by hash. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.auth.verified import VerifiedKey

Digest = bytes


@dataclass(slots=True)
class Entry:
    """One known key. It is fresh while `loaded_at <= now < fresh_until`.

    The lower bound makes a clock that was set back cause a look-up, not an endless entry.
    `is_unconfirmed` says that the last look-up failed because the database was down.
    """

    key: VerifiedKey
    loaded_at: float
    fresh_until: float
    is_unconfirmed: bool = False

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used without asking the database."""
        return self.loaded_at <= now < self.fresh_until


class KeyCache:
    """Two separate stores, each of bounded size, the least recently used goes first.

    Separate, so that a flood of well-formed but unknown keys pushes out only other unknown
    keys, never one in use.
    """

    def __init__(self, max_known: int, max_unknown: int) -> None:
        self._max_known = max_known
        self._max_unknown = max_unknown
        self._known: OrderedDict[Digest, Entry] = OrderedDict()
        self._digests: dict[str, Digest] = {}  # key id → digest
        self._tenants: dict[str, set[Digest]] = {}
        self._plans: dict[str, set[Digest]] = {}
        self._unknown: OrderedDict[Digest, tuple[float, float]] = OrderedDict()
        self._newest: OrderedDict[str, int] = OrderedDict()  # key id → generation

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def known(self, digest: Digest) -> Entry | None:
        """The entry, fresh or not."""
        entry = self._known.get(digest)
        if entry is not None:
            self._known.move_to_end(digest)
        return entry

    def is_unknown(self, digest: Digest, now: float) -> bool:
        """Whether this key is known not to exist."""
        since, until = self._unknown.get(digest, (0.0, 0.0))
        return since <= now < until

    def has_seen_newer(self, key: VerifiedKey | None) -> bool:
        """Whether a later state of this key was seen: a read replica may lag behind."""
        return key is not None and key.generation < self._newest.get(key.key_id, 0)

    def put(self, digest: Digest, entry: Entry) -> None:
        """Remember a key that exists."""
        self._newest[entry.key.key_id] = entry.key.generation
        self._newest.move_to_end(entry.key.key_id)
        if len(self._newest) > self._max_known:
            self._newest.popitem(last=False)
        self._unknown.pop(digest, None)
        self._drop(digest)
        self._known[digest] = entry
        self._digests[entry.key.key_id] = digest
        self._tenants.setdefault(entry.key.tenant_id, set()).add(digest)
        self._plans.setdefault(entry.key.plan, set()).add(digest)
        if len(self._known) > self._max_known:
            self._drop(next(iter(self._known)))

    def put_unknown(self, digest: Digest, since: float, until: float) -> None:
        """Remember that a key does not exist."""
        self._drop(digest)
        self._unknown[digest] = (since, until)
        self._unknown.move_to_end(digest)
        if len(self._unknown) > self._max_unknown:
            self._unknown.popitem(last=False)

    def invalidate(self, kind: str, identifier: str) -> None:
        """Forget what a change of this key, tenant or plan has made wrong."""
        if kind == "key":
            digest = self._digests.get(identifier)
            if digest is not None:
                self._drop(digest)
            self._unknown.clear()  # it may be the one that was just created
        elif kind == "tenant":
            self._drop_all(self._tenants.get(identifier, ()))
        elif kind == "plan":
            self._drop_all(self._plans.get(identifier, ()))

    def expire_all(self) -> None:
        """Everything must be asked again before its next use.

        Known keys stay as the fallback for a database that is down: nothing says that they
        changed, and forgetting them all would turn each lost connection into an outage.
        Generations start anew: the database that is back may be an older one, restored.
        """
        self._newest.clear()
        for entry in self._known.values():
            entry.fresh_until = entry.loaded_at
            entry.is_unconfirmed = False
        self._unknown.clear()

    def _drop_all(self, digests: Iterable[Digest]) -> None:
        for digest in tuple(digests):
            self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        entry = self._known.pop(digest, None)
        if entry is None:
            return
        key = entry.key
        self._digests.pop(key.key_id, None)
        _remove(self._tenants, key.tenant_id, digest)
        _remove(self._plans, key.plan, digest)


def _remove(groups: dict[str, set[Digest]], name: str, digest: Digest) -> None:
    group = groups[name]
    group.discard(digest)
    if not group:
        del groups[name]
