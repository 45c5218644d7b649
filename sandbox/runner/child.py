"""The forked process in which user code runs: own session, own descriptors, then serve."""

import contextlib
import fcntl
import io
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TextIO

from . import identity
from .failures import Failure, LoadDeadlineError, describe
from .frames import encode
from .loader import find_application, load
from .serving import configure_logging, serve

_SCRATCH = "/tmp"  # noqa: S108 - the sandbox's own tmpfs, the only writable place there is
_STATUS_FD = 3
_LISTENER_FD = 4
_HIGHEST_FD = 1024  # the supervisor holds about ten, so this is far above all of them
_LOAD_SHARE = 0.9  # of the time; the rest is for telling where the code hung


@dataclass(frozen=True, slots=True)
class Task:
    """What the manager wants served."""

    code: str
    filename: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ChildPipes:
    """Write ends that the child keeps, and the listener."""

    stdout: int
    stderr: int
    status: int
    listener: int


def run_child(task: Task, pipes: ChildPipes) -> NoReturn:
    """Everything after the fork; never returns into the supervisor."""
    code = 1
    try:
        _settle(pipes)
        code = _run(task)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, its owner reads why
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(pipes: ChildPipes) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _arrange_descriptors(pipes)
    identity.set_dumpable(True)
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


def _arrange_descriptors(pipes: ChildPipes) -> None:
    """0 empty, 1 and 2 the log pipes, 3 status, 4 the listener; nothing else stays open."""
    wanted = (os.open(os.devnull, os.O_RDONLY), pipes.stdout, pipes.stderr, pipes.status)
    # first above the target numbers, so that no move overwrites one still needed
    high = [_move_up(number) for number in (*wanted, pipes.listener)]
    for target, number in enumerate(high):
        os.dup2(number, target, inheritable=target < _STATUS_FD)
    os.closerange(_LISTENER_FD + 1, _HIGHEST_FD)


def _move_up(number: int) -> int:
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 64)


def _run(task: Task) -> int:
    try:
        with _load_deadline(task.seconds * _LOAD_SHARE):
            module = load(task.code, task.filename)
            application = find_application(module)
    except BaseException as error:  # noqa: BLE001 - all of it is the owner's to read
        return _tell_failure(describe(error, task.filename))
    _tell({"type": "loaded"})
    listener = socket.socket(fileno=_LISTENER_FD)
    listener.setblocking(False)
    failure = serve(application, listener, ready=lambda: _tell({"type": "ready"}))
    return _tell_failure(failure) if failure else 0


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


def _tell_failure(failure: Failure) -> int:
    _tell(failure.to_message())
    return 1


def _tell(message: dict[str, Any]) -> None:
    data = encode(message)
    while data:
        data = data[os.write(_STATUS_FD, data) :]
