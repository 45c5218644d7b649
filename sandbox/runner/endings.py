"""How the app's process ended, in the words of its owner and of the manager. Pure."""

import os
import signal
from typing import NamedTuple

from .frames import Message

STOPPED, CRASH, SYSCALL = "stopped", "crash", "syscall"  # values of the manager's EndReason

_REASON_CHARACTERS = 4000
_TRACEBACK_CHARACTERS = 64_000
_MOST_LINES = 10_000_000


class Failure(NamedTuple):
    """Why the code did not start; `kind` is one of the manager's StartFailure values."""

    kind: str
    reason: str
    file: str = "app.py"
    line: int | None = None
    traceback: str = ""

    def to_message(self) -> Message:
        """As it goes over the control channel."""
        return {"type": "failed", **self._asdict()}

    @classmethod
    def from_message(cls, message: Message) -> "Failure":
        """What the app's process says; user code can say it too, so it is cut to size."""
        line = message.get("line")
        is_line = type(line) is int and 0 < line < _MOST_LINES
        return cls(
            kind=_text(message.get("kind"), 40),
            reason=_text(message.get("reason"), _REASON_CHARACTERS),
            file=_text(message.get("file"), 200),
            line=line if is_line else None,
            traceback=_text(message.get("traceback"), _TRACEBACK_CHARACTERS),
        )


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}"
    code = os.WEXITSTATUS(status)
    return f"exited with code {code}" if code else "ended by itself"


def exited(status: int) -> Message:
    """The report about a process that nobody asked to end."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        reason = "a system call that no sandbox may make ended the process"
        return ended(SYSCALL, reason)
    how = how_it_ended(status)
    return ended(CRASH, how if status else f"the process {how}")


def ended(end: str, reason: str) -> Message:
    """The report about the end of a sandbox in service."""
    return {"type": "exited", "reason": reason, "end": end}
