"""Carries bytes between pairs of sockets: bounded, half-close aware, in one thread."""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable

BUFFER = 64 * 1024  # a direction
_IDLE_SECONDS = 600.0
_TIDY_EVERY = 30.0


class End:
    """One socket of a pair. `pending` waits to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.pending = bytearray()
        self.is_read = True  # more may come from it
        self.is_open = True  # more may go to it

    def flush(self) -> None:
        """Write what the socket takes now."""
        with contextlib.suppress(BlockingIOError):
            while self.pending:
                del self.pending[: self.sock.send(self.pending)]


class Pair:
    """Two ends; what one says the other hears."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.ends = (End(near), End(far))
        self.used_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether both sides have said everything."""
        return not any(end.is_read or end.is_open for end in self.ends)

    def other(self, end: End) -> End:
        """The opposite end."""
        return self.ends[end is self.ends[0]]

    def turn(self, end: End, readable: bool) -> None:
        """Carry on at one end; OSError when the connection broke."""
        self.used_at = time.monotonic()
        opposite = self.other(end)
        room = BUFFER - len(opposite.pending)
        if readable and end.is_read and room > 0:
            data = end.sock.recv(room)
            end.is_read = bool(data)
            opposite.pending += data
        for each in self.ends:
            each.flush()
            if each.is_open and not each.pending and not self.other(each).is_read:
                each.is_open = False
                each.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Both, at once."""
        for end in self.ends:
            end.sock.close()


class Pump:
    """Takes connections of a listener, at most `most` at once, until none came for a while."""

    def __init__(
        self, listener: socket.socket, dial: Callable[[], socket.socket], most: int
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._dial = dial
        self._most = most
        self._pairs: set[Pair] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, None)
        self._is_listening = True
        self._tidy_at = time.monotonic() + _TIDY_EVERY

    def run(self, idle_seconds: float) -> None:
        """Until there was nothing to do for so long."""
        idle_since = time.monotonic()
        while self._pairs or time.monotonic() - idle_since < idle_seconds:
            wait = min(_TIDY_EVERY, idle_seconds)
            for key, events in self._selector.select(wait):
                if key.data is None:
                    self._accept()
                else:
                    pair, end = key.data
                    self._turn(pair, end, bool(events & selectors.EVENT_READ))
            self._tidy()
            if self._pairs:
                idle_since = time.monotonic()

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        try:
            far = self._dial()
        except OSError:
            near.close()
            return
        pair = Pair(near, far)
        self._pairs.add(pair)
        self._arrange(pair)
        self._listen(len(self._pairs) < self._most)

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._is_listening:
            self._selector.register(self._listener, selectors.EVENT_READ, None)
        elif not wanted and self._is_listening:
            self._selector.unregister(self._listener)
        self._is_listening = wanted

    def _turn(self, pair: Pair, end: End, readable: bool) -> None:
        if pair not in self._pairs:
            return  # its other end was the last to be heard of in this very round
        try:
            pair.turn(end, readable)
        except BlockingIOError:
            return
        except OSError:
            self._drop(pair)
            return
        if pair.is_over:
            self._drop(pair)
        else:
            self._arrange(pair)

    def _arrange(self, pair: Pair) -> None:
        """Wait for exactly what can be done next; for nothing else, or it would spin."""
        for end in pair.ends:
            room = BUFFER - len(pair.other(end).pending)
            events = selectors.EVENT_READ if end.is_read and room > 0 else 0
            events |= selectors.EVENT_WRITE if end.pending else 0
            known = end.sock in self._selector.get_map()
            if not events and known:
                self._selector.unregister(end.sock)
            elif events and known:
                self._selector.modify(end.sock, events, (pair, end))
            elif events:
                self._selector.register(end.sock, events, (pair, end))

    def _drop(self, pair: Pair) -> None:
        for end in pair.ends:
            if end.sock in self._selector.get_map():
                self._selector.unregister(end.sock)
        pair.close()
        self._pairs.discard(pair)
        self._listen(True)

    def _tidy(self) -> None:
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _TIDY_EVERY
        for pair in [pair for pair in self._pairs if now - pair.used_at > _IDLE_SECONDS]:
            self._drop(pair)
