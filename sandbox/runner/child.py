"""The app's process: gets everything ready, waits for its task, then becomes the app."""

import contextlib
import fcntl
import io
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn, TextIO

from . import identity
from .calls import Calls
from .dialling import Dialler
from .document import Inquiry
from .endings import Failure
from .failures import LoadDeadlineError, describe
from .frames import Decoder, Message, encode
from .loader import find_application, load
from .places import Places
from .process import QUESTION, Pipes
from .serving import Source, configure_logging, serve
from .surroundings import settle_in
from .task import Task
from .warm import warm

_SCRATCH = Path("/tmp")  # noqa: S108 - the sandbox's own tmpfs, the only writable place there is
_STATUS_FD = 3
_LISTENER_FD = 4
_HIGHEST_FD = 1024  # the supervisor holds about ten, so this is far above all of them
_LOAD_SHARE = 0.9  # of the time; the rest is for telling where the code hung
_READ = 64 * 1024
_BELLS = 64
_BUSY = encode({"type": "busy"})


def run_child(pipes: Pipes, places: Places, page: "memoryview[int]") -> NoReturn:
    """Everything after the fork; never returns into the supervisor."""
    code = 1
    try:
        _settle(pipes)
        calls = Calls(page, on_busy=_tell_busy)
        warm(calls, practises=places.practises)
        _tell({"type": "warm"})
        message, has_listener = _await_task()
        code = _begin(message, has_listener, places, calls)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, its owner reads why
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(pipes: Pipes) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _arrange_descriptors(pipes)
    identity.prefer_as_memory_victim()
    with contextlib.suppress(OSError):
        os.chdir(_SCRATCH)
    _open_streams()
    configure_logging()


def _open_streams() -> None:
    """New ones, because those of the supervisor remember what its own descriptors were."""
    sys.stdin, sys.stdout, sys.stderr = _text(0, "r"), _text(1, "w"), _text(2, "w")


def _text(number: int, mode: Literal["r", "w"]) -> TextIO:
    binary = os.fdopen(number, f"{mode}b", closefd=False)
    return io.TextIOWrapper(binary, "utf-8", "backslashreplace", line_buffering=True)


def _arrange_descriptors(pipes: Pipes) -> None:
    """0 empty, 1 and 2 the log pipes, 3 the supervisor; nothing else stays open."""
    pipes.near.detach()  # an object must not close a number that gets a new meaning
    status = pipes.far.detach()
    wanted = (os.open(os.devnull, os.O_RDONLY), pipes.stdout, pipes.stderr, status)
    # first above the target numbers, so that no move overwrites one still needed
    high = [_move_up(number) for number in wanted]
    for target, number in enumerate(high):
        os.dup2(number, target, inheritable=target < _STATUS_FD)
    os.closerange(_STATUS_FD + 1, _HIGHEST_FD)


def _move_up(number: int) -> int:
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 64)


def _await_task() -> tuple[Message, bool]:
    """What the supervisor hands over, and whether a listener came along as descriptor 4."""
    decoder = Decoder()
    has_listener = False
    with _supervisor_socket() as sock:
        while True:
            data, descriptors, _, _ = socket.recv_fds(sock, _READ, 1)
            for number in descriptors:
                if number != _LISTENER_FD:
                    os.dup2(number, _LISTENER_FD, inheritable=False)
                    os.close(number)
                has_listener = True
            if not data:
                raise SystemExit(0)  # the supervisor has gone
            for message in decoder.feed(data):
                return message, has_listener


@contextlib.contextmanager
def _supervisor_socket() -> Any:
    sock = socket.socket(fileno=_STATUS_FD)
    try:
        yield sock
    finally:
        sock.detach()


def _begin(message: Message, has_listener: bool, places: Places, calls: Calls) -> int:
    task = Task.from_message(message)
    settle_in(task, places.layer, int(message.get("proxy_port", 0)), _SCRATCH)
    identity.set_dumpable(True)  # from here on it is user code's own process
    try:
        with _load_deadline(task.seconds * _LOAD_SHARE):
            module = load(task.code, task.filename)
            application = find_application(module)
    except BaseException as error:  # noqa: BLE001 - all of it is the owner's to read
        return _tell_failure(describe(error, task.filename))
    _tell({"type": "loaded"})
    inquiry = Inquiry(application, _tell)
    source: Source = Dialler(places.calls) if not has_listener else _listener()
    failure = serve(
        application,
        source,
        calls,
        ready=lambda: _tell({"type": "ready"}),
        bell=(_STATUS_FD, lambda: _hear_bell(calls, inquiry)),
    )
    return _tell_failure(failure) if failure else 0


def _listener() -> socket.socket:
    listener = socket.socket(fileno=_LISTENER_FD)
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _load_deadline(seconds: float) -> Any:
    """Raise where the code hangs shortly before the supervisor would end it without a word."""

    def expire(*_: object) -> None:
        raise LoadDeadlineError

    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _hear_bell(calls: Calls, inquiry: Inquiry) -> bool:
    """Whether the supervisor is still there to ring."""
    try:
        with _supervisor_socket() as sock:
            heard = sock.recv(_BELLS, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    calls.look_at_page()
    if QUESTION in heard:
        inquiry.begin()
    return bool(heard)


def _tell_failure(failure: Failure) -> int:
    _tell(failure.to_message())
    return 1


def _tell_busy() -> None:
    """Never waits: a supervisor that is behind reads this all the same."""
    with contextlib.suppress(OSError), _supervisor_socket() as sock:
        sock.send(_BUSY, socket.MSG_DONTWAIT)


def _tell(message: dict[str, Any]) -> None:
    data = encode(message)
    while data:
        data = data[os.write(_STATUS_FD, data) :]
