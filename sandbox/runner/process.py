"""The supervisor's view of the child: fork it, read its pipes, end it, say how it ended."""

import contextlib
import os
import signal
from collections.abc import Callable

from .child import ChildPipes, Task, run_child
from .frames import Decoder, FrameError, Message
from .logs import LineSplitter

_READ = 64 * 1024
_STATUS_LIMIT = 512 * 1024


class Child:
    """One forked process. `before` runs in it first, to let go of what is the supervisor's."""

    def __init__(self, task: Task, listener: int, before: Callable[[], None]) -> None:
        pipes = [os.pipe() for _ in range(3)]
        reads = [read for read, _ in pipes]
        out, err, status = (write for _, write in pipes)
        self.pid = os.fork()
        if self.pid == 0:
            before()
            run_child(task, ChildPipes(out, err, status, listener))
        for number in (out, err, status, listener):
            os.close(number)
        for number in reads:
            os.set_blocking(number, False)
        self._streams = {reads[0]: "stdout", reads[1]: "stderr"}
        self._splitters = {number: LineSplitter() for number in self._streams}
        self._status = reads[2]
        self._decoder = Decoder(_STATUS_LIMIT)
        self._open = set(reads)

    @property
    def descriptors(self) -> set[int]:
        """Pipes that may still have something to read."""
        return self._open

    def read(self, number: int) -> tuple[list[tuple[str, str]], list[Message]]:
        """What came through one pipe: lines as (stream, text), and messages of the child."""
        try:
            data = os.read(number, _READ)
        except BlockingIOError:
            return [], []
        if not data:
            self._close(number)
        if number == self._status:
            return [], self._messages(data)
        splitter = self._splitters[number]
        texts = splitter.feed(data) if data else splitter.flush()
        return [(self._streams[number], text) for text in texts], []

    def drain(self) -> tuple[list[tuple[str, str]], list[Message]]:
        """All that is left after the child has ended, even when a grandchild holds the pipes."""
        lines: list[tuple[str, str]] = []
        messages: list[Message] = []
        for number in sorted(self._open):
            for _ in range(64):
                more_lines, more_messages = self.read(number)
                lines += more_lines
                messages += more_messages
                if number not in self._open or not (more_lines or more_messages):
                    break
            if number in self._splitters:
                lines += [(self._streams[number], text) for text in self._splitters[number].flush()]
        return lines, messages

    def _messages(self, data: bytes) -> list[Message]:
        """User code can write here too; nonsense only costs itself the pipe."""
        try:
            return list(self._decoder.feed(data))
        except FrameError:
            self._close(self._status)
            return []

    def _close(self, number: int) -> None:
        if number in self._open:
            self._open.discard(number)
            os.close(number)

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it, and everything in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.kill_group()

    def kill_group(self) -> None:
        """End what it started; the only one of these to use once it has been reaped."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def reap() -> dict[int, int]:
    """Collect everything that has ended: wait statuses by pid (orphans come to us as well)."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}"
    return f"exited with code {os.WEXITSTATUS(status)}"
