"""Bounded memory of how sandboxes ended, and counts of what the pool did."""

from collections import Counter, OrderedDict, deque

from sandbox.types import PoolStatus, SandboxStatus, StartTimes

_PER_API = 20
_APIS = 500


class History:
    """The last that ended of each API; numbers since the manager started."""

    def __init__(self) -> None:
        self._ended: OrderedDict[str, deque[SandboxStatus]] = OrderedDict()
        self._ends: Counter[str] = Counter()
        self._warm = self._cold = self._failed = self._thaws = 0

    def started(self, times: StartTimes) -> None:
        """A sandbox is ready."""
        if times.is_warm:
            self._warm += 1
        else:
            self._cold += 1

    def failed(self) -> None:
        """User code did not start."""
        self._failed += 1

    def thawed(self) -> None:
        """A frozen one is wanted again."""
        self._thaws += 1

    def ended(self, status: SandboxStatus) -> None:
        """One that had been given code is gone."""
        if status.spec is None or status.end is None:
            return
        self._ends[str(status.end)] += 1
        api_id = status.spec.api_id
        self._ended.setdefault(api_id, deque(maxlen=_PER_API)).append(status)
        self._ended.move_to_end(api_id)
        while len(self._ended) > _APIS:
            self._ended.popitem(last=False)

    def of(self, api_id: str) -> list[SandboxStatus]:
        """The last that ended of an API, newest last."""
        return list(self._ended.get(api_id, ()))

    def pool(self) -> PoolStatus:
        """All counts."""
        return PoolStatus(self._warm, self._cold, self._failed, self._thaws, dict(self._ends))
