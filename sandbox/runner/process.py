"""The supervisor's view of the app's process: fork it, give it its task, read it, end it."""

import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from .frames import HEADER, Decoder, FrameError, Message, encode
from .logs import LineSplitter

_READ = 64 * 1024
_STATUS_LIMIT = 1024 * 1024  # a document of 512 KiB in base64 is the longest
_HAND_OVER_SECONDS = 10.0
_BELL = b"!"
QUESTION = b"?"  # a bell that also asks for the app's document


class Pipes:
    """What the new process keeps: two pipes to write to, and a socket for all else."""

    def __init__(self) -> None:
        self.out, self.stdout = os.pipe()
        self.err, self.stderr = os.pipe()
        self.near, self.far = socket.socketpair()

    def close_far(self) -> None:
        """In the supervisor: let go of what belongs to the process."""
        os.close(self.stdout)
        os.close(self.stderr)
        self.far.close()


class Child:
    """One process. It gets ready for code by itself and says so; then it waits for its task."""

    def __init__(self, body: Callable[[Pipes], NoReturn]) -> None:
        pipes = Pipes()
        gc.freeze()  # so that no collection touches, and thereby copies, what both share
        self.pid = os.fork()
        if self.pid == 0:
            body(pipes)
        pipes.close_far()
        self._socket = pipes.near
        self._status = pipes.near.fileno()
        self._streams = {pipes.out: "stdout", pipes.err: "stderr"}
        self._splitters = {number: LineSplitter() for number in self._streams}
        self._decoder = Decoder(_STATUS_LIMIT)
        self._open = {self._status, *self._streams}
        for number in self._open:
            os.set_blocking(number, False)

    @property
    def descriptors(self) -> set[int]:
        """What may still have something to read."""
        return self._open

    @property
    def can_speak(self) -> bool:
        """Whether messages can still come; user code may have closed or spoilt its end."""
        return self._status in self._open

    def hand_over(self, task: Message, listener: int | None) -> None:
        """Give it the code. There is no user code in it yet, so it reads."""
        data = encode(task)
        self._socket.settimeout(_HAND_OVER_SECONDS)
        try:
            if listener is not None:
                socket.send_fds(self._socket, [data[: HEADER.size]], [listener])
                data = data[HEADER.size :]
            self._socket.sendall(data)
        finally:
            self._socket.setblocking(False)

    def ring(self) -> None:
        """Ask it to look at the page. One that does not listen any more is dealt with later."""
        if self.can_speak:
            with contextlib.suppress(OSError):
                self._socket.send(_BELL)

    def ask(self) -> bool:
        """Ask it for the app's document; False when it cannot answer."""
        if self.can_speak:
            with contextlib.suppress(OSError):
                return self._socket.send(QUESTION) == len(QUESTION)
        return False

    def read(self, number: int) -> tuple[list[tuple[str, str]], list[Message]]:
        """What came through one pipe: lines as (stream, text), and messages of the process."""
        try:
            data = os.read(number, _READ)
        except BlockingIOError:
            return [], []
        except OSError:  # a socket whose other end was torn down
            data = b""
        if not data:
            self._close(number)
        if number == self._status:
            return [], self._messages(data)
        splitter = self._splitters[number]
        texts = splitter.feed(data) if data else splitter.flush()
        return [(self._streams[number], text) for text in texts], []

    def drain(self) -> tuple[list[tuple[str, str]], list[Message]]:
        """All that is left after the process has ended, even when another holds the pipes."""
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
        """User code can write here too; nonsense only costs itself the socket."""
        try:
            return list(self._decoder.feed(data))
        except FrameError:
            self._close(self._status)
            return []

    def _close(self, number: int) -> None:
        if number not in self._open:
            return
        self._open.discard(number)
        if number == self._status:
            self._socket.close()
        else:
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
