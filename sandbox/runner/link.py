"""The supervisor's end of the control channel: dial, send without blocking, receive descriptors."""

import contextlib
import os
import socket

from .frames import Decoder, FrameError, Message, encode

_DROP_ABOVE = 256 * 1024  # bytes waiting to be sent; log lines give way to everything else
_READ = 64 * 1024
_DESCRIPTORS = 4


class LinkLostError(Exception):
    """The manager is gone, or spoke nonsense."""


class Link:
    """One connection to the manager. After LinkLostError it is closed."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(path)
        except OSError as error:
            self.sock.close()
            raise LinkLostError(str(error)) from error
        self.sock.setblocking(False)
        self._out = bytearray()
        self._decoder = Decoder()
        self._descriptors: list[int] = []

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait."""
        return bool(self._out)

    def send(self, message: Message) -> None:
        """Queue a message that must arrive."""
        self._out += encode(message)

    def send_if_room(self, message: Message) -> bool:
        """Queue a message that may be lost; False when it was."""
        if len(self._out) > _DROP_ABOVE:
            return False
        self.send(message)
        return True

    def flush(self) -> None:
        """Write what the socket takes now."""
        try:
            while self._out:
                del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLostError(str(error)) from error

    def receive(self) -> list[Message]:
        """Messages that are complete now."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.sock, _READ, _DESCRIPTORS)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LinkLostError(str(error)) from error
        self._descriptors += descriptors
        if not data:
            raise LinkLostError("closed by the manager")
        try:
            return list(self._decoder.feed(data))
        except FrameError as error:
            raise LinkLostError(str(error)) from error

    def take_descriptor(self) -> int | None:
        """The oldest descriptor that came along; the caller closes it."""
        return self._descriptors.pop(0) if self._descriptors else None

    def close(self) -> None:
        """Close the socket and descriptors nobody took."""
        self.sock.close()
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.pop())
