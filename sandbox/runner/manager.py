"""The supervisor's relation to the manager: dial, dial again, give up after a while."""

import time
from collections.abc import Callable, Iterable

from .frames import Message
from .link import Link, LinkLostError
from .timers import Timers

_DIAL_SECONDS = 30.0  # a blank that finds no manager is of no use
_DIAL_EVERY = 0.05
_REDIAL_EVERY = 0.25
ORPHAN_SECONDS = 60.0  # so long one in service waits for the next manager
_LAST_WORDS_SECONDS = 1.0


class Manager:
    """One manager at a time. `greeting` is what each of them is told first."""

    def __init__(
        self,
        path: str,
        timers: Timers,
        greeting: Callable[[], Iterable[Message]],
        give_up: Callable[[], None],
        orphan_seconds: float = ORPHAN_SECONDS,
    ) -> None:
        self._path = path
        self._timers = timers
        self._greeting = greeting
        self._give_up = give_up
        self._orphan_seconds = orphan_seconds
        self._link: Link | None = None
        self.keeps = False  # in service: survives the manager's absence

    @property
    def reader(self) -> int | None:
        """The descriptor to wait for."""
        return self._link.sock.fileno() if self._link else None

    @property
    def writer(self) -> int | None:
        """The same, when bytes wait to be sent."""
        return self._link.sock.fileno() if self._link and self._link.wants_write else None

    def dial_first(self) -> bool:
        """Try for a while; False when there is no manager."""
        until = time.monotonic() + _DIAL_SECONDS
        while self._link is None and time.monotonic() < until:
            try:
                self._connect()
            except LinkLostError:
                time.sleep(_DIAL_EVERY)
        return self._link is not None

    def tell(self, message: Message) -> None:
        """Send what must arrive; without a manager nobody is there to hear it."""
        if self._link is not None:
            self._link.send(message)

    def mention(self, message: Message) -> bool:
        """Send what may be lost; False when there was no room."""
        return self._link is None or self._link.send_if_room(message)

    def receive(self) -> list[Message]:
        """Orders that are complete now."""
        if self._link is None:
            return []
        try:
            return self._link.receive()
        except LinkLostError:
            self._lost()
            return []

    def take_descriptor(self) -> int | None:
        """The oldest descriptor that came along; the caller closes it."""
        return self._link.take_descriptor() if self._link else None

    def flush(self) -> None:
        """Send what waits."""
        if self._link is None or not self._link.wants_write:
            return
        try:
            self._link.flush()
        except LinkLostError:
            self._lost()

    def last_words(self, wait: Callable[[int, float], object]) -> None:
        """Give the manager a moment to take what is still to be said."""
        until = time.monotonic() + _LAST_WORDS_SECONDS
        self.keeps = False
        self.flush()
        while self._link is not None and self._link.wants_write:
            left = until - time.monotonic()
            if left <= 0:
                return
            wait(self._link.sock.fileno(), left)
            self.flush()

    def _connect(self) -> None:
        link = Link(self._path)
        try:
            for message in self._greeting():
                link.send(message)
            link.flush()
        except LinkLostError:
            link.close()
            raise
        self._link = link

    def _redial(self) -> None:
        try:
            self._connect()
        except LinkLostError:
            self._timers.set("redial", _REDIAL_EVERY, self._redial)
        else:
            self._timers.cancel("orphan")

    def _lost(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if not self.keeps:
            self._give_up()  # nobody waits for a sandbox that was not in service yet
            return
        self._timers.set("redial", _REDIAL_EVERY, self._redial)
        self._timers.set("orphan", self._orphan_seconds, self._give_up)
