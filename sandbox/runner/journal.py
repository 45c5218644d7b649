"""What the app writes, on its way out: redacted, bounded in rate, the newest lines kept."""

import binascii
import time
from collections.abc import Callable, Iterable, Iterator

from .frames import Message
from .logs import LineRate, Ring
from .redaction import Redactor

_NOTE = 500
_LONGEST = 720_000  # base64 of a document of 512 KiB


class Journal:
    """`out` takes a line to the manager and says whether there was room for it."""

    def __init__(self, out: Callable[[Message], bool]) -> None:
        self._out = out
        self._rate = LineRate()
        self._ring = Ring()
        self._redactor = Redactor(())

    def redact(self, values: Iterable[str]) -> None:
        """From now on these values do not leave."""
        self._redactor = Redactor(values)

    def clean(self, message: Message) -> Message:
        """A message of the app's process without them."""
        return self._redactor.clean_message(message)

    def clean_document(self, message: Message) -> Message:
        """The app's document, or why there is none, without them."""
        try:
            came = binascii.a2b_base64(str(message.get("data") or "")[:_LONGEST])
            text = came.decode("utf-8", "replace")
        except ValueError:
            text = ""
        cleaned = self._redactor.clean_long(text).encode()
        note = self._redactor.clean(str(message.get("note") or "")[:_NOTE])
        data = binascii.b2a_base64(cleaned, newline=False).decode()
        return {"type": "document", "data": data, "note": note}

    def take(self, lines: Iterable[tuple[str, str]]) -> None:
        """Lines as (stream, text)."""
        for stream, text in lines:
            if self._rate.admit(time.monotonic()):
                self.mark_dropped(stream)
                self._write(stream, self._redactor.clean(text))

    def mark_dropped(self, stream: str) -> None:
        """A line that stands for those that were dropped since the last one."""
        marker = self._rate.take_marker()
        if marker:
            self._write(stream, marker)

    def kept(self) -> Iterator[Message]:
        """The newest lines again, for a manager that is new."""
        for at, stream, text in self._ring:
            yield {"type": "log", "stream": stream, "text": text, "at": at}

    def _write(self, stream: str, text: str) -> None:
        at = time.time()
        self._ring.add(at, stream, text)
        if not self._out({"type": "log", "stream": stream, "text": text, "at": at}):
            self._rate.drop()
