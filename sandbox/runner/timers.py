"""Named one-shot timers for a loop that waits in `select`."""

import time
from collections.abc import Callable

Action = Callable[[], None]


class Timers:
    """At most one timer of each name; setting it again moves it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, tuple[float, Action]] = {}

    def set(self, name: str, seconds: float, action: Action) -> None:
        """Run `action` once, so many seconds from now."""
        self._due[name] = (self._clock() + seconds, action)

    def cancel(self, name: str) -> None:
        """Forget a timer, if there is one."""
        self._due.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._due

    def left(self) -> float | None:
        """Seconds until the next one; None without any."""
        if not self._due:
            return None
        return max(0.0, min(at for at, _ in self._due.values()) - self._clock())

    def fire(self) -> None:
        """Run what is due. An action may cancel a timer that is due as well, and set any."""
        now = self._clock()
        for name in [name for name, (at, _) in self._due.items() if at <= now]:
            due = self._due.get(name)
            if due is not None and due[0] <= now:
                del self._due[name]
                due[1]()
