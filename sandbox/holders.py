"""Who may send calls to a sandbox now: each client of the manager has a lease of its own."""

from collections import defaultdict


class Holders:
    """By sandbox: the end of each holder's lease. Pure; times are the caller's.

    A sandbox that one holder has given up stays while another one may still send it calls.
    """

    def __init__(self) -> None:
        self._ends: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._released: set[str] = set()

    def take(self, sandbox_id: str, holder: int, until: float) -> None:
        """A lease, or its renewal."""
        self._ends[sandbox_id][holder] = until

    def release(self, sandbox_id: str, holder: int, now: float) -> bool:
        """This holder sends no more calls; whether nobody else may either."""
        self._ends[sandbox_id].pop(holder, None)
        if self.is_held(sandbox_id, now):
            self._released.add(sandbox_id)
            return False
        self.forget(sandbox_id)
        return True

    def is_held(self, sandbox_id: str, now: float) -> bool:
        """Whether some lease still runs."""
        return any(until > now for until in self._ends.get(sandbox_id, {}).values())

    def due(self, now: float) -> list[str]:
        """Given up by somebody, and every other lease has run out since."""
        over = [each for each in self._released if not self.is_held(each, now)]
        for sandbox_id in over:
            self.forget(sandbox_id)
        return over

    def forget(self, sandbox_id: str) -> None:
        """It is gone."""
        self._ends.pop(sandbox_id, None)
        self._released.discard(sandbox_id)
