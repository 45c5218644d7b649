"""The app's way out: a loopback port whose connections are carried to the door's socket.

The port is there before any user code. What carries the bytes is a process of its own, made
when the first connection comes and gone again after a quiet while: most APIs never need it.
User code may end it; a new one is made for the next connection.
"""

import os
import signal
import socket
import sys

from . import identity
from .pump import Pump

_HOST = "127.0.0.1"
_BACKLOG = 64
_CONNECTIONS = 64
_QUIET_SECONDS = 60.0
_DOOR_SECONDS = 1.0
_REFUSED_AT_ONCE = 16
REMAKE_SECONDS = 1.0  # at most one process so often, however often user code ends it
_HIGHEST_FD = 1024
_FIRST_OWN_FD = 3


class Forwarder:
    """The port. Closed doors first: connections are closed at once until `allow` is called."""

    def __init__(self, port: int, door: str) -> None:
        self._door = door
        self._allowed = False
        self._pid: int | None = None
        self._listener: socket.socket | None = None
        try:
            self._listener = _listen(port)
        except OSError as error:  # no loopback here: then there is no way out, and that is safe
            sys.stderr.write(f"no port for outgoing connections: {error}\n")

    @property
    def port(self) -> int:
        """Where it listens; 0 when it does not."""
        return int(self._listener.getsockname()[1]) if self._listener else 0

    @property
    def reader(self) -> int | None:
        """The descriptor to wait for, while nobody else accepts from it."""
        return self._listener.fileno() if self._listener and self._pid is None else None

    def allow(self) -> None:
        """From now on connections are carried to the door."""
        self._allowed = True

    def turn(self) -> None:
        """Somebody connects."""
        if self._listener is None or self._pid is not None:
            return
        if self._allowed:
            self._start(self._listener)
        else:
            _refuse(self._listener)

    def ended(self, pid: int) -> bool:
        """Whether it was the carrying process that ended; `resume` lets a new one be made."""
        return pid == self._pid

    def resume(self) -> None:
        """A new process may be made."""
        self._pid = None

    def _start(self, listener: socket.socket) -> None:
        try:
            self._pid = os.fork()
        except OSError:  # the sandbox has as many processes as it may
            _refuse(listener)
            return
        if self._pid == 0:
            _carry(listener.detach(), self._door)


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_HOST, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _refuse(listener: socket.socket) -> None:
    """A few at a time, so that other work of the supervisor is not kept waiting."""
    for _ in range(_REFUSED_AT_ONCE):
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.close()


def _carry(number: int, door: str) -> None:
    """The process of its own; it keeps nothing of the supervisor but the listener."""
    code = 1
    try:
        identity.die_with_parent()
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        if number != _FIRST_OWN_FD:
            os.dup2(number, _FIRST_OWN_FD)
        os.closerange(_FIRST_OWN_FD + 1, _HIGHEST_FD)
        listener = socket.socket(fileno=_FIRST_OWN_FD)
        Pump(listener, lambda: _dial(door), _CONNECTIONS).run(_QUIET_SECONDS)
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _dial(door: str) -> socket.socket:
    """A place in the door's queue, which has room for all connections of a sandbox; OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_DOOR_SECONDS)
    try:
        sock.connect(door)
    except OSError:
        sock.close()
        raise
    return sock
