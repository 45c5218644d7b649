"""The real runner as a child process, with the manager's end of its control channel."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.runner.frames import HEADER, Decoder, Message, encode

SANDBOX = Path(__file__).parents[2] / "sandbox"
START = (
    f"import sys; sys.path.insert(0, {str(SANDBOX)!r}); "
    "from runner.__main__ import main; sys.exit(main())"
)
SECONDS = 30


class Runner:
    """One blank, then whatever a test makes of it. Only ever given harmless code."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.logs: list[str] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.settimeout(SECONDS)
        self._door.bind(str(directory / "control.sock"))
        self._door.listen(4)
        self._messages: list[Message] = []
        self.hello = self.accept()

    def accept(self) -> Message:
        """Take the next connection of the runner; its hello."""
        self._channel, _ = self._door.accept()
        self._channel.settimeout(SECONDS)
        self._decoder = Decoder()
        self._messages.clear()
        hello = self.hear()
        assert hello is not None
        return hello

    def hear(self) -> Message | None:
        """The next message; None when the runner has gone."""
        while not self._messages:
            data = self._channel.recv(65536)
            if not data:
                return None
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def heard(self, kind: str) -> Message:
        """The next message of this kind; log lines on the way are kept."""
        while True:
            message = self.hear()
            assert message is not None, f"the runner left before {kind}"
            if message["type"] == "log":
                self.logs.append(message["text"])
            if message["type"] == kind:
                return message

    def verdict(self) -> Message:
        """Ready, or how it failed."""
        while True:
            message = self.hear()
            assert message is not None, "the runner left without a word"
            if message["type"] == "log":
                self.logs.append(message["text"])
            if message["type"] in ("ready", "failed", "exited"):
                return message

    def heard_end(self) -> bool:
        """Whether the runner leaves; log lines on the way are kept."""
        while (message := self.hear()) is not None:
            if message["type"] == "log":
                self.logs.append(message["text"])
        return True

    def tell(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        """Send a message."""
        data = encode(message)
        if descriptor is not None:
            socket.send_fds(self._channel, [data[: HEADER.size]], [descriptor])
            data = data[HEADER.size :]
        self._channel.sendall(data)

    def specialise(self, code: str, seconds: float = 10, **more: Any) -> Message:
        """Hand in the code, and more fields of the order when given; how that went."""
        order: Message = {"type": "specialise", "api_id": "api-1", "version_id": "v-1"}
        order |= {"filename": "app.py", "code": code, "seconds": seconds, **more}
        if order.get("listener") == "dial":
            self.tell(order)
        else:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(self.directory / "app.sock"))
                listener.listen(64)
                self.tell(order, listener.fileno())
        return self.verdict()

    def call(self, request: bytes) -> bytes:
        """Everything that is answered until the app closes."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(SECONDS)
            sock.connect(str(self.directory / "app.sock"))
            sock.sendall(request)
            parts = []
            while data := sock.recv(65536):
                parts.append(data)
        return b"".join(parts)

    def get(self, target: str = "/", *headers: str) -> bytes:
        """A GET without keep-alive."""
        lines = [f"GET {target} HTTP/1.1", *headers, "Host: x", "Connection: close", "", ""]
        return self.call("\r\n".join(lines).encode())

    def hang_up(self) -> None:
        """The manager's end closes, as when it is killed."""
        self._channel.close()

    def close(self) -> None:
        """End the runner and what it forked."""
        self._channel.close()
        self._door.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _arguments(directory: Path) -> list[str]:
    """Runners of several tests share this host's loopback, so each takes any port."""
    control, layer = str(directory / "control.sock"), str(directory / "layer")
    return ["--control", control, "--layer", layer, "--proxy-port", "0"]


@contextmanager
def running() -> Iterator[Runner]:
    """A warm blank."""
    with tempfile.TemporaryDirectory(prefix="sg", dir="/tmp") as name:
        directory = Path(name)  # short: it leaves room for sockets
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, *_arguments(directory)],
            start_new_session=True,
        )
        runner = Runner(process, directory)
        try:
            yield runner
        finally:
            runner.close()
